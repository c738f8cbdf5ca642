//! `sum(n)`: the sum, wrapping at 64 bits as it does in the kernel.
//!
//! Slot: `{ u64 sum; u64 set }`; `set` is 1 once a value was added.

use super::{Slots, View, word};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::Value;

/// Bytes of one CPU's slot.
pub const SLOT: u32 = 16;

/// What the program does to its CPU's slot.
pub fn update(b: &mut Body, slot: Addr, value: Value) {
    b.grow(value, slot);
    b.store_imm(1, slot.at(8), 8);
}

pub fn view(signed: bool, slots: Slots) -> View {
    let sum = slots.fold(0u64, |n, slot| n.wrapping_add(word(slot, 0)));
    if signed { View::Int(sum as i64) } else { View::Uint(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn sum(signed: bool, values: &[u64]) -> View {
        let slots: Vec<_> = values.iter().map(|&v| slot(&[v, 1])).collect();
        view(signed, &mut slots.iter().map(Vec::as_slice))
    }

    #[test]
    fn signed_and_unsigned() {
        assert_eq!(sum(true, &[5, -9i64 as u64]), View::Int(-4));
        assert_eq!(sum(false, &[u64::MAX]), View::Uint(u64::MAX));
        assert_eq!(sum(false, &[u64::MAX, 3]), View::Uint(2));
        assert_eq!(sum(true, &[i64::MAX as u64, 1]), View::Int(i64::MIN), "wraps as one 64-bit counter would");
        assert_eq!(sum(true, &[]), View::Int(0));
    }
}
