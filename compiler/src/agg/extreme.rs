//! `min(n)` and `max(n)`: the smallest and the largest value.
//!
//! Slot: `{ u64 value; u64 set }`; `set` is 1 once `value` holds one, so that a CPU that saw nothing has no say.

use super::{Slots, View, widen, word};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::{InstBuilder, Value};

/// Bytes of one CPU's slot.
pub const SLOT: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Min,
    Max,
}

/// What the program does to its CPU's slot.
pub fn update(b: &mut Body, which: Which, signed: bool, slot: Addr, value: Value) {
    let set = b.load(slot.at(8), 8, false);
    let had = b.load(slot, 8, false);
    let better = match (which, signed) {
        (Which::Min, true) => b.b.ins().smin(had, value),
        (Which::Min, false) => b.b.ins().umin(had, value),
        (Which::Max, true) => b.b.ins().smax(had, value),
        (Which::Max, false) => b.b.ins().umax(had, value),
    };
    let new = b.select(set, better, value);
    b.store(new, slot, 8);
    b.store_imm(1, slot.at(8), 8);
}

/// 0 where no CPU saw a value.
pub fn view(which: Which, signed: bool, slots: Slots) -> View {
    let seen = slots.filter(|slot| word(slot, 1) != 0);
    let values = seen.map(|slot| word(slot, 0));
    let best = match which {
        Which::Min => values.min_by_key(|&v| widen(v, signed)),
        Which::Max => values.max_by_key(|&v| widen(v, signed)),
    };
    let best = best.unwrap_or(0);
    if signed { View::Int(best as i64) } else { View::Uint(best) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn see(which: Which, signed: bool, slots: &[Vec<u8>]) -> View {
        view(which, signed, &mut slots.iter().map(Vec::as_slice))
    }

    #[test]
    fn a_cpu_without_a_value_has_no_say() {
        let idle = slot(&[0, 0]);
        let some = |v: i64| slot(&[v as u64, 1]);
        let low = [idle.clone(), some(7), some(5)];
        assert_eq!(see(Which::Min, true, &low), View::Int(5));
        let negative = [some(-7), idle.clone(), some(-5)];
        assert_eq!(see(Which::Max, true, &negative), View::Int(-5));
        assert_eq!(see(Which::Min, true, &[idle]), View::Int(0));
    }

    #[test]
    fn the_sign_decides_what_is_large() {
        let slots = [slot(&[u64::MAX, 1]), slot(&[1, 1])];
        assert_eq!(see(Which::Max, false, &slots), View::Uint(u64::MAX));
        assert_eq!(see(Which::Max, true, &slots), View::Int(1));
        assert_eq!(see(Which::Min, true, &slots), View::Int(-1));
        assert_eq!(see(Which::Min, false, &slots), View::Uint(1));
    }
}
