//! Programs that run by the clock: on one CPU (interval) or on all of them (profile).

use super::{Failure, Link, Slow, online_cpus};
use crate::sys::perf::{self, Event};
use awl_compiler::artifact::Rate;
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn interval(prog: BorrowedFd, period_ns: u64, cookie: u64) -> Result<Link, Failure> {
    let fd = super::perf_anywhere(prog, &clock(period_ns), cookie)?;
    Ok(Link::new(vec![fd], Slow::No))
}

pub(super) fn profile(prog: BorrowedFd, rate: Rate, cookie: u64) -> Result<Link, Failure> {
    // The kernel turns a frequency of this clock into a period as well, but only up to `perf_event_max_sample_rate`.
    let period = match rate {
        Rate::Hz(hz) => 1_000_000_000 / hz.max(1),
        Rate::PeriodNs(ns) => ns,
    };
    let fds =
        online_cpus()?.into_iter().map(|cpu| super::perf(prog, &Event { cpu, ..clock(period) }, cookie)).collect::<io::Result<Vec<_>>>()?;
    Ok(Link::new(fds, Slow::No))
}

fn clock(period: u64) -> Event<'static> {
    Event { config: perf::SW_CPU_CLOCK, period: period.max(1), ..Event::default() }
}
