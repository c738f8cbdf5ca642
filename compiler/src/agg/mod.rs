//! Aggregations: one file each, with both halves together: what a program does to one CPU's slot, and what the runtime
//! makes of all slots.

use crate::types::Agg;

/// A merged aggregation, ready to be printed.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// count, sum, min, max: one number (avg too)
    Int(i64),
    Uint(u64),
    Stats {
        count: u64,
        average: i128,
        total: i128,
    },
    /// buckets in order, empty ones between the first and the last filled one included
    Hist(Vec<Bucket>),
}

/// `lo..=hi`; `None` is open at that end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub lo: Option<i64>,
    pub hi: Option<i64>,
    pub count: u64,
}

/// Bytes of one CPU's slot.
pub fn slot_size(agg: &Agg) -> u32 {
    match agg {
        Agg::Count => 8,
        // value, then 1 when set
        Agg::Sum { .. } | Agg::Min { .. } | Agg::Max { .. } => 16,
        // total, count
        Agg::Avg { .. } | Agg::Stats { .. } => 16,
        // u64 each: negative, zero, then 2^bits buckets of each power of two; u32 counters would overflow on a busy box
        Agg::Hist { bits } => 8 * hist_buckets(*bits),
        // u64 each: below, buckets, above
        Agg::Lhist { min, max, step } => 8 * (((max - min) / step) as u32 + 2),
    }
}

/// Buckets of a power-of-two histogram with `2^bits` sub-buckets: values below `2^bits` have their own.
pub fn hist_buckets(bits: u8) -> u32 {
    let sub = 1u32 << bits;
    2 + sub + (64 - u32::from(bits)) * sub
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
    }
}
