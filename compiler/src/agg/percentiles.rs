//! `percentiles(n, 50, 90, 99)`: values below which so many of a hundred lie.
//!
//! Slot: the counters of a histogram with 32 parts in each power of two. The value that is told is the middle of its bucket:
//! at most 1/64 (1.6 %) off, and exact below 64. Negative values are told as -1.

use super::{Slots, View, hist, word};

/// Parts of a power of two are 2^5.
pub const BITS: u8 = 5;

/// Parts of a whole that a number stands for: 50 is 50 %, 999 is 99.9 %.
pub fn share(p: u16) -> (u64, u64) {
    match p {
        0..=100 => (u64::from(p), 100),
        101..=999 => (u64::from(p), 1000),
        _ => (u64::from(p), 10_000),
    }
}

pub fn view(wanted: &[u16], slots: Slots) -> View {
    let mut counts = vec![0u64; hist::buckets(BITS) as usize];
    for slot in slots {
        for (i, c) in counts.iter_mut().enumerate() {
            *c = c.wrapping_add(word(slot, i));
        }
    }
    let all: u128 = counts.iter().map(|c| u128::from(*c)).sum();
    let value = |p: u16| {
        let (part, whole) = share(p);
        // How many values are at or below it, at least one.
        let rank = (all * u128::from(part)).div_ceil(u128::from(whole)).max(1);
        let mut below = 0u128;
        let bucket = counts.iter().position(|c| {
            below += u128::from(*c);
            below >= rank
        });
        match hist::range(BITS, bucket.unwrap_or(0) as u32) {
            (Some(lo), Some(hi)) => lo + (hi - lo) / 2,
            _ => -1,
        }
    };
    View::Percentiles(wanted.iter().map(|p| (*p, if all == 0 { 0 } else { value(*p) })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn of(values: impl Iterator<Item = i128>) -> Vec<u8> {
        let mut counts = vec![0; hist::buckets(BITS) as usize];
        values.for_each(|v| counts[hist::index(BITS, v) as usize] += 1);
        slot(&counts)
    }

    fn see(wanted: &[u16], slots: &[Vec<u8>]) -> Vec<i128> {
        match view(wanted, &mut slots.iter().map(Vec::as_slice)) {
            View::Percentiles(all) => all.into_iter().map(|(_, v)| v).collect(),
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn small_values_are_exact() {
        assert_eq!(see(&[1, 50, 90, 100], &[of(1..=30), of(31..=60)]), [1, 30, 54, 60]);
        assert_eq!(see(&[50], &[of([-5, -6, 3].into_iter())]), [-1]);
        assert_eq!(see(&[50, 99], &[]), [0, 0]);
    }

    #[test]
    fn large_values_are_off_by_a_64th_at_most() {
        let all = of((1..=100_000).map(|v| v * 7919));
        for (p, got) in [50u16, 90, 99, 999, 9999].iter().zip(see(&[50, 90, 99, 999, 9999], &[all])) {
            let (part, whole) = share(*p);
            let exact = 7919 * i128::from(100_000 * part / whole);
            assert!((got - exact).abs() * 64 <= exact, "p{p}: {got} instead of {exact}");
        }
    }
}
