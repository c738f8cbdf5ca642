//! `avg(n)`: the average, cut towards zero.
//!
//! Slot: `{ u64 total; u64 count }`; the total wraps at 64 bits, over all CPUs it is added exactly.

use super::{Slots, View, widen, word};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::Value;

/// Bytes of one CPU's slot.
pub const SLOT: u32 = 16;

/// What the program does to its CPU's slot; `stats` does the same.
pub fn update(b: &mut Body, slot: Addr, value: Value) {
    b.grow(value, slot);
    let one = b.int(1);
    b.grow(one, slot.at(8));
}

pub fn view(signed: bool, slots: Slots) -> View {
    let (total, count) = totals(signed, slots);
    View::Average(average(total, count))
}

/// Total and count over all CPUs; `stats` has the same slots.
pub(super) fn totals(signed: bool, slots: Slots) -> (i128, u64) {
    slots.fold((0, 0u64), |(total, count), slot| {
        let more = widen(word(slot, 0), signed);
        // a few thousand 64-bit values can't overflow 128 bits
        (total + more, count.wrapping_add(word(slot, 1)))
    })
}

pub(super) fn average(total: i128, count: u64) -> i128 {
    if count == 0 { 0 } else { total / i128::from(count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn avg(signed: bool, slots: &[Vec<u8>]) -> View {
        view(signed, &mut slots.iter().map(Vec::as_slice))
    }

    #[test]
    fn cut_towards_zero() {
        assert_eq!(avg(true, &[slot(&[11, 2])]), View::Average(5));
        let negative = [slot(&[-7i64 as u64, 1]), slot(&[-8i64 as u64, 1])];
        assert_eq!(avg(true, &negative), View::Average(-7));
        assert_eq!(avg(true, &[slot(&[0, 0])]), View::Average(0));
    }

    #[test]
    fn cpus_add_up_beyond_64_bits() {
        let big = slot(&[i64::MAX as u64, 1]);
        let slots = [big.clone(), big.clone(), big];
        assert_eq!(avg(true, &slots), View::Average(i128::from(i64::MAX)));
        let top = [slot(&[u64::MAX, 1]), slot(&[u64::MAX, 1])];
        assert_eq!(avg(false, &top), View::Average(i128::from(u64::MAX)));
    }
}
