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
    /// what the first argument is to it
    pub takes: Takes,
    /// words that a constant may be, which stand for their place in the list
    pub words: &'static [&'static str],
    /// from the value's sign and the constant arguments
    pub make: fn(bool, &[i64]) -> Result<Agg, Unfit>,
}

/// Constants that make no sense: which one, unless it is all of them, and why.
pub type Unfit = (Option<usize>, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Number,
    /// a number or a string, which is hashed
    Any,
    /// one more key of the map
    Key,
}

pub const ROWS: &[Row] = &[
    Row {
        name: "count",
        signature: "count() -> count",
        doc: "how often",
        example: "tracepoint:sched:sched_switch { @[comm] = count(); }",
        takes: Takes::Number,
        words: &[],
        make: |_, _| Ok(Agg::Count),
    },
    Row {
        name: "sum",
        signature: "sum(n: int) -> sum",
        doc: "the sum of all values",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = sum(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |signed, _| Ok(Agg::Sum { signed }),
    },
    Row {
        name: "avg",
        signature: "avg(n: int) -> avg",
        doc: "the average",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = avg(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |signed, _| Ok(Agg::Avg { signed }),
    },
    Row {
        name: "min",
        signature: "min(n: int) -> min",
        doc: "the smallest value",
        example: "tracepoint:syscalls:sys_exit_read { @ = min(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |signed, _| Ok(Agg::Min { signed }),
    },
    Row {
        name: "max",
        signature: "max(n: int) -> max",
        doc: "the largest value",
        example: "tracepoint:syscalls:sys_exit_read { @ = max(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |signed, _| Ok(Agg::Max { signed }),
    },
    Row {
        name: "stats",
        signature: "stats(n: int) -> stats",
        doc: "count, average and total",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = stats(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |signed, _| Ok(Agg::Stats { signed }),
    },
    Row {
        name: "hist",
        signature: "hist(n: int, bits?: const int) -> hist",
        doc: "a histogram of powers of two, each in 2^bits parts",
        example: "tracepoint:syscalls:sys_exit_read { @ = hist(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |_, c| match c {
            [] => Ok(Agg::Hist { bits: 0 }),
            [n] if (0..=i64::from(hist::MAX_BITS)).contains(n) => Ok(Agg::Hist { bits: *n as u8 }),
            _ => Err((Some(0), format!("`bits` of `hist` is from 0 to {}", hist::MAX_BITS))),
        },
    },
    Row {
        name: "lhist",
        signature: "lhist(n: int, min: const int, max: const int, step: const int) -> lhist",
        doc: "a histogram of buckets of one width",
        example: "tracepoint:syscalls:sys_exit_read { @ = lhist(args.ret, 0, 1000, 100); }",
        takes: Takes::Number,
        words: &[],
        make: |_, c| match c {
            [_, _, step] if *step <= 0 => Err((Some(2), "`step` of `lhist` is from 1".into())),
            [min, max, _] if min >= max => Err((Some(1), format!("`max` of `lhist` must be above `min`: {max} is not above {min}"))),
            [min, max, step] if lhist::buckets(*min, *max, *step) > MOST_BUCKETS => {
                Err((None, format!("`lhist` would have {} buckets, the most is {MOST_BUCKETS}", lhist::buckets(*min, *max, *step))))
            }
            [min, max, step] => Ok(Agg::Lhist { min: *min, max: *max, step: *step }),
            _ => Err((None, "`lhist` takes four arguments".into())),
        },
    },
    Row {
        name: "stddev",
        signature: "stddev(n: int) -> stddev",
        doc: "the standard deviation of all values, to two decimals",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @[comm] = stddev(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |signed, _| Ok(Agg::Stddev { signed }),
    },
    Row {
        name: "percentiles",
        signature: "percentiles(n: int, ...: const int) -> percentiles",
        doc: "values below which so many of a hundred lie (50, 90 and 99 where none are named; 999 is 99.9), at most 1.6 % off",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @ = percentiles(args.ret, 50, 90, 99); }",
        takes: Takes::Number,
        words: &[],
        make: |_, c| match c {
            [] => Ok(Agg::Percentiles([50, 90, 99].into())),
            all if all.len() > 16 => Err((Some(16), "`percentiles` tells 16 at most".into())),
            all => match all.iter().position(|p| !(0..=9999).contains(p)) {
                Some(i) => Err((Some(i), format!("there is no percentile {}: 50 is 50 %, 999 is 99.9 %", all[i]))),
                None => Ok(Agg::Percentiles(all.iter().map(|p| *p as u16).collect())),
            },
        },
    },
    Row {
        name: "distinct",
        signature: "distinct(x) -> distinct",
        doc: "how many different numbers or strings there were, off by 1.6 % as a rule (HyperLogLog)",
        example: "tracepoint:syscalls:sys_enter_openat { @[comm] = distinct(str(args.filename)); }",
        takes: Takes::Any,
        words: &[],
        make: |_, _| Ok(Agg::Distinct),
    },
    Row {
        name: "rate",
        signature: "rate(n?: int) -> rate",
        doc: "how often in a second, or the sum of `n` in a second, between the first and the last time",
        example: "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @ = rate(args.ret); }",
        takes: Takes::Number,
        words: &[],
        make: |_, _| Ok(Agg::Rate),
    },
    Row {
        name: "topk",
        signature: "topk(key, n: const int) -> topk",
        doc: "the `n` keys that came most often, with their counts (as `@[key] = count()`, of which the rest is not shown)",
        example: "tracepoint:syscalls:sys_enter_openat { @ = topk(str(args.filename), 10); }",
        takes: Takes::Key,
        words: &[],
        make: |_, c| match c {
            [n] if (1..=1_000_000).contains(n) => Ok(Agg::Top { n: *n as u32 }),
            _ => Err((Some(0), "`n` of `topk` is from 1 to 1000000".into())),
        },
    },
    Row {
        name: "tseries",
        signature: "tseries(n: int, interval_ns: const int, count: const int, how?: const string) -> tseries",
        doc: "the last value (or `avg`, `max`, `min`, `sum`) in each of the last `count` intervals",
        example: "interval:ms:10 { @ = tseries(rand % 10, 100ms, 20, \"max\"); } interval:s:1 { exit(); }",
        takes: Takes::Number,
        words: super::tseries::WORDS,
        make: |signed, c| {
            let how = match c.get(2) {
                Some(i) => super::tseries::HOW[*i as usize % 4],
                None => super::tseries::How::Last,
            };
            match c {
                [interval, _, ..] if *interval <= 0 => Err((Some(0), "`interval_ns` of `tseries` is from 1".into())),
                [interval, n, ..] if (1..=i64::from(super::tseries::MOST)).contains(n) => {
                    Ok(Agg::Series { interval: *interval as u64, count: *n as u32, how, signed })
                }
                _ => Err((Some(1), format!("`count` of `tseries` is from 1 to {}", super::tseries::MOST))),
            }
        },
    },
];

/// One CPU's slot must fit into what the kernel gives a per-CPU value (`PCPU_MIN_UNIT_SIZE`, 32 KiB).
const MOST_BUCKETS: u32 = 1002;

pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.name == name)
}
