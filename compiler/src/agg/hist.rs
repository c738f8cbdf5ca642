//! `hist(n, bits)`: buckets of powers of two, each power in `2^bits` parts.
//!
//! Slot: `u64` counters. Bucket 0 holds every negative value; values below `2^bits` have one bucket each, from 1 on (so 0 is
//! in bucket 1); above, with `shift = floor(log2(n)) - bits`, `n` is in bucket `1 + (shift << bits) + (n >> shift)`.
//! That formula holds below `2^bits` too, with a shift of 0. Buckets above `2^63` are there for unsigned values.

use super::{Scale, Slots, View, filled};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Sub-buckets are `2^bits`; more would make a slot larger than the kernel lets a per-CPU value be.
pub const MAX_BITS: u8 = 5;

/// Counters in a slot.
pub fn buckets(bits: u8) -> u32 {
    let bits = bits.min(MAX_BITS);
    1 + ((65 - u32::from(bits)) << bits)
}

/// The bucket of a value. The update in the kernel computes the same.
pub fn index(bits: u8, value: i128) -> u32 {
    let bits = u32::from(bits.min(MAX_BITS));
    let Ok(n) = u64::try_from(value) else {
        return if value < 0 { 0 } else { (65 - bits) << bits };
    };
    let shift = (63 - (n | 1).leading_zeros()).saturating_sub(bits);
    1 + (shift << bits) + (n >> shift) as u32
}

/// What the program does to its CPU's slot: the logarithm by six comparisons, no loop and no table.
pub fn update(b: &mut Body, bits: u8, signed: bool, slot: Addr, value: Value) {
    let bits = i64::from(bits.min(MAX_BITS));
    let zero = b.int(0);
    let log = log2(b, value);
    let at = if bits == 0 {
        // Two more than the logarithm; 0 has a bucket of its own.
        let one = b.int(1);
        let some = b.compare_imm(IntCC::NotEqual, value, 0);
        let up = b.add(log, some);
        b.add(up, one)
    } else {
        let least = b.int(bits);
        let log = b.b.ins().umax(log, least);
        let shift = b.b.ins().isub(log, least);
        let part = b.b.ins().ushr(value, shift);
        let power = b.shl_imm(shift, bits);
        let up = b.add(power, part);
        b.add_imm(up, 1)
    };
    let at = if signed {
        let negative = b.b.ins().icmp(IntCC::SignedLessThan, value, zero);
        b.b.ins().select(negative, zero, at)
    } else {
        at
    };
    super::bump_bucket(b, slot, at, buckets(bits as u8));
}

/// The place of the highest bit, 0 for 0: by six comparisons.
pub fn log2(b: &mut Body, value: Value) -> Value {
    let zero = b.int(0);
    let (mut rest, mut log) = (value, zero);
    for step in [32i64, 16, 8, 4, 2, 1] {
        let limit = b.int((1i64 << step) - 1);
        let by = b.int(step);
        let more = b.b.ins().icmp(IntCC::UnsignedGreaterThan, rest, limit);
        let by = b.b.ins().select(more, by, zero);
        rest = b.b.ins().ushr(rest, by);
        log = b.add(log, by);
    }
    log
}

/// The values of a bucket, both ends included; `None` is open.
pub fn range(bits: u8, index: u32) -> (Option<i128>, Option<i128>) {
    let bits = u32::from(bits.min(MAX_BITS));
    let Some(at) = index.checked_sub(1) else {
        return (None, Some(-1));
    };
    // the bucket's first part of its power is 2^bits; below that there is no shift
    let shift = (at >> bits).saturating_sub(1).min(63 - bits);
    let part = i128::from(at - (shift << bits));
    (Some(part << shift), Some(((part + 1) << shift) - 1))
}

pub fn view(bits: u8, slots: Slots) -> View {
    let bits = bits.min(MAX_BITS);
    let scale = Scale::Log2 { bits };
    filled(buckets(bits) as usize, scale, slots, |i| range(bits, i as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::{Bucket, Hist, tests::slot};

    /// Walks the buckets' bounds one by one, each the end of the one before: no formula to share a mistake with.
    fn bounds(bits: u8) -> Vec<(i128, i128)> {
        let (mut all, mut lo) = (Vec::new(), 0i128);
        while lo < 1 << 64 {
            let mut power = 1i128;
            while power * 2 <= lo {
                power *= 2;
            }
            let width = (power >> bits).max(1);
            all.push((lo, lo + width - 1));
            lo += width;
        }
        all
    }

    #[test]
    fn index_and_range_agree_with_a_slow_walk() {
        for bits in 0..=MAX_BITS {
            let all = bounds(bits);
            assert_eq!(buckets(bits) as usize, all.len() + 1, "bits {bits}");
            for (i, &(lo, hi)) in all.iter().enumerate() {
                let at = i as u32 + 1;
                assert_eq!(range(bits, at), (Some(lo), Some(hi)), "bits {bits}");
                for v in [lo, lo + (hi - lo) / 2, hi] {
                    assert_eq!(index(bits, v), at, "bits {bits} value {v}");
                }
            }
        }
    }

    #[test]
    fn ends() {
        assert_eq!(index(0, -1), 0);
        assert_eq!(index(0, i128::from(i64::MIN)), 0);
        assert_eq!(range(3, 0), (None, Some(-1)));
        assert_eq!(index(0, 0), 1);
        assert_eq!(index(0, i128::from(u64::MAX)), buckets(0) - 1);
        assert_eq!(index(5, i128::MAX), buckets(5) - 1);
        assert_eq!(range(0, 65).1, Some(i128::from(u64::MAX)));
        range(0, u32::MAX);
    }

    #[test]
    fn cpus_are_added_and_the_ends_cut() {
        let a = slot(&[0, 0, 0, 1]);
        let b = slot(&[0, 0, 0, 2, 0, 5]);
        let seen = view(0, &mut [a, b].iter().map(Vec::as_slice));
        let bucket = |lo, hi, count| Bucket { lo: Some(lo), hi: Some(hi), count };
        let buckets = vec![bucket(2, 3, 3), bucket(4, 7, 0), bucket(8, 15, 5)];
        let scale = Scale::Log2 { bits: 0 };
        assert_eq!(seen, View::Hist(Hist { scale, buckets }));
    }
}
