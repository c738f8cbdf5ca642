//! The functions that users call to aggregate: one row each.

use super::{hist, lhist};
use crate::types::Agg;

pub struct Row {
    pub name: &'static str,
    /// as those of the builtins
    pub signature: &'static str,
    pub doc: &'static str,
    /// a whole script that compiles
    pub example: &'static str,
    /// from the value's sign and the constant arguments; an error in words when these make no sense
    pub make: fn(bool, &[i64]) -> Result<Agg, String>,
}

pub const ROWS: &[Row] = &[
    Row {
        name: "count",
        signature: "count() -> count",
        doc: "how often",
        example: "tracepoint:sched:sched_switch { @[comm] = count(); }",
        make: |_, _| Ok(Agg::Count),
    },
    Row {
        name: "sum",
        signature: "sum(n: int) -> sum",
        doc: "the sum of all values",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = sum(args.ret); }",
        make: |signed, _| Ok(Agg::Sum { signed }),
    },
    Row {
        name: "avg",
        signature: "avg(n: int) -> avg",
        doc: "the average",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = avg(args.ret); }",
        make: |signed, _| Ok(Agg::Avg { signed }),
    },
    Row {
        name: "min",
        signature: "min(n: int) -> min",
        doc: "the smallest value",
        example: "tracepoint:syscalls:sys_exit_read { @ = min(args.ret); }",
        make: |signed, _| Ok(Agg::Min { signed }),
    },
    Row {
        name: "max",
        signature: "max(n: int) -> max",
        doc: "the largest value",
        example: "tracepoint:syscalls:sys_exit_read { @ = max(args.ret); }",
        make: |signed, _| Ok(Agg::Max { signed }),
    },
    Row {
        name: "stats",
        signature: "stats(n: int) -> stats",
        doc: "count, average and total",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = stats(args.ret); }",
        make: |signed, _| Ok(Agg::Stats { signed }),
    },
    Row {
        name: "hist",
        signature: "hist(n: int, bits?: const int) -> hist",
        doc: "a histogram of powers of two, each in 2^bits parts",
        example: "tracepoint:syscalls:sys_exit_read { @ = hist(args.ret); }",
        make: |_, c| match c {
            [] => Ok(Agg::Hist { bits: 0 }),
            [n] if (0..=i64::from(hist::MAX_BITS)).contains(n) => Ok(Agg::Hist { bits: *n as u8 }),
            _ => Err(format!("`bits` of `hist` is from 0 to {}", hist::MAX_BITS)),
        },
    },
    Row {
        name: "lhist",
        signature: "lhist(n: int, min: const int, max: const int, step: const int) -> lhist",
        doc: "a histogram of buckets of one width",
        example: "tracepoint:syscalls:sys_exit_read { @ = lhist(args.ret, 0, 1000, 100); }",
        make: |_, c| match c {
            [_, _, step] if *step <= 0 => Err("`step` of `lhist` is from 1".into()),
            [min, max, _] if min >= max => Err("`max` of `lhist` is above `min`".into()),
            [min, max, step] if lhist::buckets(*min, *max, *step) > MOST_BUCKETS => {
                Err(format!("`lhist` would have {} buckets, the most is {MOST_BUCKETS}", lhist::buckets(*min, *max, *step)))
            }
            [min, max, step] => Ok(Agg::Lhist { min: *min, max: *max, step: *step }),
            _ => Err("`lhist` takes four arguments".into()),
        },
    },
];

/// One CPU's slot must fit into what the kernel gives a per-CPU value (`PCPU_MIN_UNIT_SIZE`, 32 KiB).
const MOST_BUCKETS: u32 = 1002;

pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.name == name)
}
