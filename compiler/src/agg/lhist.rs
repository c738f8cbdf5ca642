//! `lhist(n, min, max, step)`: buckets of the same width.
//!
//! Slot: `u64` counters: values below `min`; `(max - min) / step` buckets, rounded up (the last one is narrower where the
//! step doesn't divide the range); values from `max` on.

use super::{Scale, Slots, View, filled};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Counters in a slot, both open ends included.
pub fn buckets(min: i64, max: i64, step: i64) -> u32 {
    let range = i128::from(max) - i128::from(min);
    let inner = if step < 1 || range < 1 { 0 } else { (range + i128::from(step) - 1) / i128::from(step) };
    u32::try_from(inner + 2).unwrap_or(u32::MAX)
}

/// The bucket of a value. The update in the kernel computes the same.
pub fn index(min: i64, max: i64, step: i64, value: i64) -> u32 {
    if value < min {
        0
    } else if value >= max {
        buckets(min, max, step) - 1
    } else {
        // below max, so step and range are positive where they are legal at all
        let at = (i128::from(value) - i128::from(min)) / i128::from(step.max(1));
        u32::try_from(at + 1).unwrap_or(u32::MAX)
    }
}

/// What the program does to its CPU's slot.
pub fn update(b: &mut Body, (min, max, step): (i64, i64, i64), slot: Addr, value: Value) {
    let last = buckets(min, max, step) - 1;
    let (low, high, width) = (b.int(min), b.int(max), b.int(step.max(1)));
    let (zero, end) = (b.int(0), b.int(i64::from(last)));
    let distance = b.b.ins().isub(value, low);
    let at = b.b.ins().udiv(distance, width);
    let at = b.add_imm(at, 1);
    let above = b.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, value, high);
    let at = b.b.ins().select(above, end, at);
    let below = b.b.ins().icmp(IntCC::SignedLessThan, value, low);
    let at = b.b.ins().select(below, zero, at);
    super::bump_bucket(b, slot, at, last + 1);
}

/// The values of a bucket, both ends included; `None` is open.
pub fn range(min: i64, max: i64, step: i64, index: u32) -> (Option<i128>, Option<i128>) {
    let (min, max) = (i128::from(min), i128::from(max));
    let last = buckets(min as i64, max as i64, step) - 1;
    match index {
        0 => (None, Some(min - 1)),
        i if i >= last => (Some(max), None),
        i => {
            let lo = min + i128::from(i - 1) * i128::from(step);
            (Some(lo), Some((lo + i128::from(step)).min(max) - 1))
        }
    }
}

pub fn view(min: i64, max: i64, step: i64, slots: Slots) -> View {
    let len = buckets(min, max, step) as usize;
    // more buckets than the kernel lets a value have can't have come from there
    let len = len.min(1 << 20);
    filled(len, Scale::Linear { step }, slots, |i| range(min, max, step, i as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_range_agree_for_every_value() {
        for (min, max, step) in
            [(0, 10, 1), (0, 10, 3), (-10, 10, 4), (5, 6, 100), (i64::MIN, i64::MIN + 20, 6), (i64::MAX - 20, i64::MAX, 6)]
        {
            let n = buckets(min, max, step);
            let mut seen = vec![0; n as usize];
            for value in min.saturating_sub(5)..=max.saturating_add(5) {
                let at = index(min, max, step, value);
                let (lo, hi) = range(min, max, step, at);
                assert!(lo.is_none_or(|lo| lo <= i128::from(value)), "{value}");
                assert!(hi.is_none_or(|hi| i128::from(value) <= hi), "{value}");
                seen[at as usize] += 1;
            }
            assert!(seen[1..seen.len() - 1].iter().all(|&n| n > 0));
            for at in 1..n - 1 {
                let (lo, hi) = range(min, max, step, at);
                assert_eq!(range(min, max, step, at + 1).0, hi.map(|hi| hi + 1), "buckets {at} from {lo:?} and the next one touch");
            }
        }
    }

    #[test]
    fn a_step_that_does_not_divide_has_a_narrow_last_bucket() {
        assert_eq!(buckets(0, 10, 3), 6);
        assert_eq!(range(0, 10, 3, 4), (Some(9), Some(9)));
        assert_eq!(index(0, 10, 3, 9), 4);
        assert_eq!(index(0, 10, 3, 10), 5);
        assert_eq!(range(0, 10, 3, 5), (Some(10), None));
    }

    #[test]
    fn senseless_arguments_have_two_open_ends() {
        assert_eq!(buckets(10, 0, 1), 2);
        assert_eq!(buckets(0, 10, 0), 2);
        index(0, 10, 0, 5);
        range(0, 10, -3, 1);
        assert_eq!(buckets(i64::MIN, i64::MAX, 1), u32::MAX);
    }
}
