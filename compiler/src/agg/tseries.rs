//! `tseries(n, interval, count, how)`: a value for each of the last `count` intervals.
//!
//! Slot: `count` times `{ u64 epoch; u64 value; u64 extra }`: which interval since 1970 (plus one, so that 0 is none), the
//! value so far, and what makes it mergeable: the time for the last value, how many for an average, 1 once there is one.

use super::{Slots, View, widen, word};
use crate::lower::body::{Addr, Body};
use crate::lower::helper;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use std::collections::BTreeMap;

/// What an interval makes of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    Last,
    Avg,
    Max,
    Min,
    Sum,
}

/// The words of the last argument, in order of `HOW`.
pub const WORDS: &[&str] = &["avg", "max", "min", "sum"];
pub const HOW: [How; 4] = [How::Avg, How::Max, How::Min, How::Sum];

const BUCKET: u32 = 24;
/// One CPU's slot must fit into what the kernel gives a per-CPU value.
pub const MOST: u32 = 1000;

pub fn slot_size(count: u32) -> u32 {
    BUCKET * count
}

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// start of the interval, nanoseconds since 1970
    pub start_ns: u64,
    pub value: Option<i128>,
}

/// All intervals from the first that has a value to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub interval_ns: u64,
    pub points: Vec<Point>,
}

pub fn update(b: &mut Body, (interval, count, how, signed): (u64, u32, How, bool), slot: Addr, value: Value) {
    let boot = b.helper(helper::KTIME_GET_BOOT_NS, &[]);
    let at = b.global(crate::artifact::global::BOOT_TO_REAL_NS);
    let offset = b.load(at, 8, false);
    let now = b.add(boot, offset);
    let interval = b.int(interval as i64);
    let epoch = b.b.ins().udiv(now, interval);
    let (n, last) = (b.int(i64::from(count)), b.int(i64::from(count) - 1));
    let index = b.b.ins().urem(epoch, n);
    let index = b.b.ins().umin(index, last);
    let start = b.address(slot);
    let bytes = b.mul_imm(index, i64::from(BUCKET));
    let bucket = Addr::ptr(b.add(start, bytes));
    let epoch = b.add_imm(epoch, 1);
    let had = b.load(bucket, 8, false);
    let old = b.compare(IntCC::NotEqual, had, epoch);
    b.when(old, |b| {
        b.store(epoch, bucket, 8);
        b.store_imm(0, bucket.at(8), 8);
        b.store_imm(0, bucket.at(16), 8);
    });
    match how {
        How::Last => {
            b.store(value, bucket.at(8), 8);
            b.store(now, bucket.at(16), 8);
        }
        How::Avg => super::avg::update(b, bucket.at(8), value),
        How::Sum => {
            b.bump(value, bucket.at(8));
            b.store_imm(1, bucket.at(16), 8);
        }
        How::Max => super::extreme::update(b, super::extreme::Which::Max, signed, bucket.at(8), value),
        How::Min => super::extreme::update(b, super::extreme::Which::Min, signed, bucket.at(8), value),
    }
}

pub fn view((interval, count, how, signed): (u64, u32, How, bool), slots: Slots) -> View {
    // by interval: the value so far and its extra
    let mut all: BTreeMap<u64, (i128, u64)> = BTreeMap::new();
    for slot in slots {
        for i in 0..count as usize {
            let (epoch, value, extra) = (word(slot, 3 * i), widen(word(slot, 3 * i + 1), signed), word(slot, 3 * i + 2));
            let Some(epoch) = epoch.checked_sub(1).filter(|_| extra != 0) else { continue };
            let merged = match (all.get(&epoch), how) {
                (None, _) => (value, extra),
                (Some((v, e)), How::Last) => {
                    if extra >= *e {
                        (value, extra)
                    } else {
                        (*v, *e)
                    }
                }
                (Some((v, e)), How::Avg) => (v + value, e.wrapping_add(extra)),
                (Some((v, _)), How::Sum) => (v + value, 1),
                (Some((v, _)), How::Max) => (value.max(*v), 1),
                (Some((v, _)), How::Min) => (value.min(*v), 1),
            };
            all.insert(epoch, merged);
        }
    }
    let newest = all.keys().next_back().copied().unwrap_or(0);
    let oldest = newest.saturating_sub(u64::from(count).saturating_sub(1));
    all.retain(|epoch, _| *epoch >= oldest);
    let mut points = Vec::new();
    if let Some(first) = all.keys().next().copied() {
        for epoch in first..=newest {
            let value = all.get(&epoch).map(|(v, e)| if how == How::Avg { v / i128::from((*e).max(1)) } else { *v });
            points.push(Point { start_ns: epoch.saturating_mul(interval), value });
        }
    }
    View::Series(Series { interval_ns: interval, points })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn see(how: How, count: u32, slots: &[Vec<u8>]) -> Vec<(u64, Option<i128>)> {
        match view((10, count, how, true), &mut slots.iter().map(Vec::as_slice)) {
            View::Series(s) => s.points.into_iter().map(|p| (p.start_ns, p.value)).collect(),
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn cpus_merge_by_interval() {
        // intervals 4 and 6 on one CPU, 6 and 7 on the other
        let slots = [slot(&[5, 30, 2, 7, 5, 3]), slot(&[7, -9i64 as u64, 5, 8, 1, 1])];
        assert_eq!(see(How::Last, 4, &slots), [(40, Some(30)), (50, None), (60, Some(-9)), (70, Some(1))]);
        assert_eq!(see(How::Sum, 4, &slots)[2], (60, Some(-4)));
        assert_eq!(see(How::Avg, 4, &slots)[0], (40, Some(15)));
        assert_eq!(see(How::Max, 4, &slots)[2], (60, Some(5)));
        assert_eq!(see(How::Min, 4, &slots)[2], (60, Some(-9)));
        // What is older than the last two intervals is gone, though no new value has taken its place.
        assert_eq!(see(How::Sum, 2, &slots), [(60, Some(-4)), (70, Some(1))]);
        assert_eq!(see(How::Sum, 2, &[]), []);
    }
}
