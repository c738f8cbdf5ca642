//! Tracepoints through perf: their record lies before the program.

use super::{Context, Failure, Link, Slow};
use crate::sys::perf::{self, Event};
use crate::sys::tracefs::TraceFs;
use std::io;
use std::os::fd::BorrowedFd;

/// One event is enough: the program then runs on every CPU, for every process (`trace_call_bpf` goes before perf looks
/// whose event it is).
pub(super) fn attach(prog: BorrowedFd, category: &str, event: &str, cookie: u64, cx: &Context) -> Result<Link, Failure> {
    let id = id(category, event, cx)?;
    let fd = super::perf_anywhere(prog, &Event { kind: perf::TYPE_TRACEPOINT, config: id, ..Event::default() }, cookie)?;
    Ok(Link::new(vec![fd], Slow::Waits))
}

fn id(category: &str, event: &str, cx: &Context) -> Result<u64, Failure> {
    let tracefs = match cx.tracefs.get() {
        Some(t) => t,
        None => {
            let found = TraceFs::find().map_err(|e| {
                Failure::from(e)
                    .why("tracefs is not mounted, and this process may not mount one of its own")
                    .help("mount it: `mount -t tracefs tracefs /sys/kernel/tracing`")
            })?;
            cx.tracefs.get_or_init(|| found)
        }
    };
    let path = tracefs.path().join("events").join(category).join(event).join("id");
    let text = std::fs::read_to_string(path).map_err(|e| {
        if e.kind() == io::ErrorKind::NotFound {
            Failure::from(e).why("this kernel has no such tracepoint").help("`awl -l 'tracepoint:*'` lists those it has")
        } else {
            Failure::from(e)
        }
    })?;
    text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData).into())
}
