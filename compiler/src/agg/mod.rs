//! Aggregations: one file each, with both halves together: what a program does to one CPU's slot, and what the runtime
//! makes of all slots.
//!
//! A slot that no program has touched is all zero bytes, and so is a slot after `zero(@m)`. Numbers are little-endian.
//! Slots may be shorter than they should be (a damaged file, a fuzzer): what is missing reads as zero.

pub mod avg;
pub mod count;
pub mod distinct;
pub mod extreme;
pub mod hist;
pub mod lhist;
pub mod percentiles;
pub mod rate;
pub mod rows;
pub mod stats;
pub mod stddev;
pub mod sum;
pub mod total;
pub mod tseries;

use crate::lower::body::{Addr, Body};
use crate::types::{Agg, Ty};
use cranelift_codegen::ir::{InstBuilder, Value};

pub use rows::{ROWS, find};
pub use total::Total;

/// A merged aggregation, ready to be printed.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// count, sum, min, max: one number
    Int(i64),
    Uint(u64),
    /// avg: the average alone, 0 where nothing was counted. A type of its own because JSON calls it a `stats`.
    Average(i128),
    Stats {
        count: u64,
        average: i128,
        total: i128,
    },
    Deviation(f64),
    /// in the order in which they were asked for
    Percentiles(Vec<(u16, i128)>),
    Series(tseries::Series),
    /// buckets in order, empty ones between the first and the last filled one included
    Hist(Hist),
}

/// A histogram's filled part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hist {
    pub scale: Scale,
    pub buckets: Vec<Bucket>,
}

/// How a histogram's bounds grow: decides how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// powers of two in `2^bits` parts each
    Log2 { bits: u8 },
    /// the same width for all, in the value's unit
    Linear { step: i64 },
}

/// `lo..=hi`; `None` is open at that end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub lo: Option<i128>,
    pub hi: Option<i128>,
    pub count: u64,
}

impl View {
    /// What maps are ordered by when they are printed: the number itself, the average, or how many values were counted.
    pub fn rank(&self) -> i128 {
        match self {
            View::Int(n) => i128::from(*n),
            View::Uint(n) => i128::from(*n),
            View::Average(average) | View::Stats { average, .. } => *average,
            View::Deviation(d) => (d * 1000.0) as i128,
            View::Percentiles(all) => all.last().map_or(0, |(_, v)| *v),
            // by its last update
            View::Series(s) => s.points.last().map_or(0, |p| i128::from(p.start_ns)),
            View::Hist(h) => h.buckets.iter().map(|b| i128::from(b.count)).sum(),
        }
    }
}

/// All CPUs' slots as one value.
pub fn view<'a>(agg: &Agg, slots: impl IntoIterator<Item = &'a [u8]>) -> View {
    let slots = &mut slots.into_iter();
    match agg {
        Agg::Count => count::view(slots),
        Agg::Sum { signed } => sum::view(*signed, slots),
        Agg::Avg { signed } => avg::view(*signed, slots),
        Agg::Min { signed } => extreme::view(extreme::Which::Min, *signed, slots),
        Agg::Max { signed } => extreme::view(extreme::Which::Max, *signed, slots),
        Agg::Stats { signed } => stats::view(*signed, slots),
        Agg::Hist { bits } => hist::view(*bits, slots),
        Agg::Lhist { min, max, step } => lhist::view(*min, *max, *step, slots),
        Agg::Stddev { signed } => stddev::view(*signed, slots),
        Agg::Percentiles(wanted) => percentiles::view(wanted, slots),
        Agg::Distinct => distinct::view(slots),
        Agg::Rate => rate::view(slots),
        Agg::Top { .. } => count::view(slots),
        Agg::Series { interval, count, how, signed } => tseries::view((*interval, *count, *how, *signed), slots),
    }
}

/// Bytes of one CPU's slot.
pub fn slot_size(agg: &Agg) -> u32 {
    match agg {
        Agg::Count => count::SLOT,
        Agg::Sum { .. } => sum::SLOT,
        Agg::Avg { .. } => avg::SLOT,
        Agg::Min { .. } | Agg::Max { .. } => extreme::SLOT,
        Agg::Stats { .. } => stats::SLOT,
        Agg::Hist { bits } => 8 * hist::buckets(*bits),
        Agg::Lhist { min, max, step } => lhist::buckets(*min, *max, *step).saturating_mul(8),
        Agg::Stddev { .. } => stddev::SLOT,
        Agg::Percentiles(_) => 8 * hist::buckets(percentiles::BITS),
        Agg::Distinct => distinct::SLOT,
        Agg::Rate => rate::SLOT,
        Agg::Top { .. } => count::SLOT,
        Agg::Series { count, .. } => tseries::slot_size(*count),
    }
}

/// What a program does to its CPU's slot; `count` has no use for the value.
pub fn update(b: &mut Body, agg: &Agg, slot: Addr, value: Value) {
    match agg {
        Agg::Count => count::update(b, slot),
        Agg::Sum { .. } => sum::update(b, slot, value),
        Agg::Avg { .. } | Agg::Stats { .. } => avg::update(b, slot, value),
        Agg::Min { signed } => extreme::update(b, extreme::Which::Min, *signed, slot, value),
        Agg::Max { signed } => extreme::update(b, extreme::Which::Max, *signed, slot, value),
        Agg::Hist { bits } => hist::update(b, *bits, true, slot, value),
        Agg::Lhist { min, max, step } => lhist::update(b, (*min, *max, *step), slot, value),
        Agg::Stddev { signed } => stddev::update(b, *signed, slot, value),
        Agg::Percentiles(_) => hist::update(b, percentiles::BITS, true, slot, value),
        Agg::Distinct => distinct::update(b, slot, value),
        Agg::Rate => rate::update(b, slot, value),
        Agg::Top { .. } => count::update(b, slot),
        Agg::Series { interval, count, how, signed } => tseries::update(b, (*interval, *count, *how, *signed), slot, value),
    }
}

/// Counts in bucket `index` of `count`; the bound is by data flow, as every kernel's verifier wants it.
fn bump_bucket(b: &mut Body, slot: Addr, index: Value, count: u32) {
    let last = b.int(i64::from(count) - 1);
    let index = b.b.ins().umin(index, last);
    let offset = b.shl_imm(index, 3);
    let start = b.address(slot);
    let at = b.add(start, offset);
    let one = b.int(1);
    b.grow(one, Addr::ptr(at));
}

/// The type of the number that an aggregation is in an expression; histograms and `stats` are none.
pub fn number_type(agg: &Agg) -> Option<Ty> {
    match agg {
        Agg::Count | Agg::Top { .. } => Some(Ty::I64),
        Agg::Sum { signed } | Agg::Avg { signed } | Agg::Min { signed } | Agg::Max { signed } => {
            Some(Ty::Int { bytes: 8, signed: *signed })
        }
        Agg::Stats { .. } | Agg::Hist { .. } | Agg::Lhist { .. } => None,
        Agg::Stddev { .. } | Agg::Percentiles(_) | Agg::Distinct | Agg::Rate | Agg::Series { .. } => None,
    }
}

/// As users write it.
pub fn type_name(agg: &Agg) -> &'static str {
    match agg {
        Agg::Count => "count",
        Agg::Sum { .. } => "sum",
        Agg::Avg { .. } => "avg",
        Agg::Min { .. } => "min",
        Agg::Max { .. } => "max",
        Agg::Stats { .. } => "stats",
        Agg::Hist { .. } => "hist",
        Agg::Lhist { .. } => "lhist",
        Agg::Stddev { .. } => "stddev",
        Agg::Percentiles(_) => "percentiles",
        Agg::Distinct => "distinct",
        Agg::Rate => "rate",
        Agg::Top { .. } => "topk",
        Agg::Series { .. } => "tseries",
    }
}

/// The slots of every CPU, one after another.
pub(crate) type Slots<'s, 'a> = &'s mut dyn Iterator<Item = &'a [u8]>;

/// The `index`-th 8 bytes of a slot; what is missing is zero.
pub(crate) fn word(slot: &[u8], index: usize) -> u64 {
    let at = index.saturating_mul(8);
    let mut bytes = [0; 8];
    if let Some(rest) = slot.get(at..) {
        let n = rest.len().min(8);
        bytes[..n].copy_from_slice(&rest[..n]);
    }
    u64::from_le_bytes(bytes)
}

/// A word as the number that it stands for.
pub(crate) fn widen(word: u64, signed: bool) -> i128 {
    if signed { i128::from(word as i64) } else { i128::from(word) }
}

/// Adds up counters of all CPUs and keeps the stretch from the first filled bucket to the last; bounds come from `range`.
pub(crate) fn filled(len: usize, scale: Scale, slots: Slots, range: impl Fn(usize) -> (Option<i128>, Option<i128>)) -> View {
    let mut counts = vec![0u64; len];
    for slot in slots {
        for (i, count) in counts.iter_mut().enumerate() {
            *count = count.wrapping_add(word(slot, i));
        }
    }
    let first = counts.iter().position(|&n| n != 0);
    let last = counts.iter().rposition(|&n| n != 0);
    let mut buckets = Vec::new();
    if let (Some(first), Some(last)) = (first, last) {
        for (i, &count) in counts.iter().enumerate().take(last + 1).skip(first) {
            let (lo, hi) = range(i);
            buckets.push(Bucket { lo, hi, count });
        }
    }
    View::Hist(Hist { scale, buckets })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One slot of 8-byte words.
    pub(crate) fn slot(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn see(agg: &Agg, slots: &[Vec<u8>]) -> View {
        view(agg, slots.iter().map(Vec::as_slice))
    }

    #[test]
    fn no_slot_is_short_or_wrong_enough_to_panic() {
        let aggs = [
            Agg::Count,
            Agg::Sum { signed: true },
            Agg::Avg { signed: false },
            Agg::Min { signed: true },
            Agg::Max { signed: false },
            Agg::Stats { signed: true },
            Agg::Hist { bits: 5 },
            Agg::Stddev { signed: true },
            Agg::Percentiles([0, 50, 100].into()),
            Agg::Distinct,
            Agg::Rate,
            Agg::Series { interval: 1, count: 20, how: tseries::How::Avg, signed: true },
            Agg::Lhist { min: i64::MIN, max: i64::MIN + 100, step: 7 },
            Agg::Lhist { min: i64::MAX - 5, max: i64::MAX, step: 3 },
        ];
        for agg in &aggs {
            for len in [0, 1, 7, 8, 15, 16, 4096] {
                see(agg, &[vec![0xff; len], vec![0x80; len / 2]]).rank();
            }
            see(agg, &[]).rank();
        }
    }

    #[test]
    fn slot_sizes() {
        assert_eq!(slot_size(&Agg::Count), 8);
        assert_eq!(slot_size(&Agg::Stats { signed: true }), 16);
        assert_eq!(slot_size(&Agg::Hist { bits: 0 }), 8 * 66);
        let odd = Agg::Lhist { min: 0, max: 10, step: 3 };
        assert_eq!(slot_size(&odd), 8 * 6);
    }

    #[test]
    fn ranks() {
        assert_eq!(View::Int(-3).rank(), -3);
        assert_eq!(View::Uint(u64::MAX).rank(), i128::from(u64::MAX));
        let h = see(&Agg::Hist { bits: 0 }, &[slot(&[1, 2, 0, 5])]);
        assert_eq!(h.rank(), 8);
    }
}
