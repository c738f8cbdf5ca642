//! `rate()` and `rate(n)`: events, or the sum of `n`, in a second, between the first and the last.
//!
//! Slot: `{ u64 total; u64 count; u64 first_ns; u64 last_ns }`. The first of all values only opens the span that the others
//! fill, so it is left out of the sum (as an average one).

use super::{Slots, View, word};
use crate::lower::body::{Addr, Body};
use crate::lower::helper;
use cranelift_codegen::ir::Value;
use cranelift_codegen::ir::condcodes::IntCC;

/// Bytes of one CPU's slot.
pub const SLOT: u32 = 32;

pub fn update(b: &mut Body, slot: Addr, value: Value) {
    super::avg::update(b, slot, value);
    let now = b.helper(helper::KTIME_GET_BOOT_NS, &[]);
    let first = b.load(slot.at(16), 8, false);
    let unset = b.compare_imm(IntCC::Equal, first, 0);
    b.when(unset, |b| b.store(now, slot.at(16), 8));
    b.store(now, slot.at(24), 8);
}

pub fn view(slots: Slots) -> View {
    let (mut total, mut count, mut first, mut last) = (0i128, 0u64, u64::MAX, 0u64);
    for s in slots.filter(|s| word(s, 1) != 0) {
        total += i128::from(word(s, 0) as i64);
        count = count.wrapping_add(word(s, 1));
        first = first.min(word(s, 2));
        last = last.max(word(s, 3));
    }
    if count < 2 || last <= first {
        return View::Int(0);
    }
    let rest = total - total / i128::from(count);
    View::Int(i64::try_from(rest * 1_000_000_000 / i128::from(last - first)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn see(slots: &[Vec<u8>]) -> View {
        view(&mut slots.iter().map(Vec::as_slice))
    }

    #[test]
    fn between_first_and_last_of_all_cpus() {
        let second = 1_000_000_000;
        // one event each 100 ms for a second, on two CPUs by turns
        let slots = [slot(&[6, 6, 5 * second, 6 * second]), slot(&[5, 5, 5 * second + 1, 6 * second - 1]), vec![]];
        assert_eq!(see(&slots), View::Int(10));
        assert_eq!(see(&[slot(&[1, 1, second, second])]), View::Int(0));
        assert_eq!(see(&[]), View::Int(0));
        assert_eq!(see(&[slot(&[3000, 3, second, 3 * second])]), View::Int(1000));
    }
}
