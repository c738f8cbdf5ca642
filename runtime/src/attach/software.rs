//! Events that the kernel counts itself: page faults, context switches, migrations.

use super::{Failure, Link, online_cpus};
use crate::sys::perf::Event;
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn attach(prog: BorrowedFd, config: u64, period: u64, cookie: u64) -> Result<Link, Failure> {
    let fds = online_cpus()?
        .into_iter()
        .map(|cpu| {
            let event = Event { config, period: period.max(1), cpu, ..Event::default() };
            super::perf(prog, &event, cookie)
        })
        .collect::<io::Result<Vec<_>>>()?;
    Ok(Link::new(fds, false))
}
