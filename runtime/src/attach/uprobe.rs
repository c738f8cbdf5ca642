//! Functions of programs and libraries: one uprobe.multi link for all sites (6.6), or a perf event for each.

use super::{Context, Failure, Link};
use crate::sys::bpf;
use crate::sys::perf::Event;
use awl_compiler::artifact::{ProgramKind, UprobeSite};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

/// perf's source of uprobes, as sysfs describes it.
#[derive(Clone, Copy, Debug)]
pub struct Pmu {
    kind: u32,
    /// `config` of a uprobe at a function's return
    ret: u64,
}

impl Pmu {
    fn read() -> io::Result<Pmu> {
        let read = |f: &str| std::fs::read_to_string(format!("/sys/bus/event_source/devices/uprobe/{f}"));
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let kind = read("type")?.trim().parse().map_err(|_| bad())?;
        // `config:0`
        let format = read("format/retprobe")?;
        let bit: u32 = format.trim().strip_prefix("config:").and_then(|b| b.parse().ok()).ok_or_else(bad)?;
        Ok(Pmu { kind, ret: 1u64.checked_shl(bit).ok_or_else(bad)? })
    }
}

pub(super) fn attach(
    prog: BorrowedFd,
    kind: ProgramKind,
    binary: &str,
    sites: &[UprobeSite],
    ret: bool,
    cx: &Context,
) -> Result<Link, Failure> {
    let path = CString::new(binary).map_err(io::Error::from)?;
    if kind == ProgramKind::UprobeMulti { multi(prog, &path, sites, ret, cx) } else { perf_events(prog, &path, sites, ret, cx) }
}

fn multi(prog: BorrowedFd, path: &CStr, sites: &[UprobeSite], ret: bool, cx: &Context) -> Result<Link, Failure> {
    let pid = cx.pid.map_or(0, |p| p.unsigned_abs());
    let link = |sites: &[UprobeSite]| {
        let offsets: Vec<u64> = sites.iter().map(|s| s.offset).collect();
        let cookies: Vec<u64> = sites.iter().map(|s| s.point as u64).collect();
        bpf::link_uprobe_multi(prog, path, &offsets, &cookies, ret, pid)
    };
    match link(sites) {
        Ok(fd) => Ok(Link::new(vec![fd], true)),
        Err(whole) => {
            // The kernel doesn't say which site it was: halve the lot until one is left that fails.
            let mut suspects = sites;
            while suspects.len() > 1 {
                let (a, b) = suspects.split_at(suspects.len() / 2);
                suspects = if link(a).is_err() {
                    a
                } else if link(b).is_err() {
                    b
                } else {
                    break;
                };
            }
            let point = match suspects {
                [one] => Some(one.point),
                _ => None,
            };
            Err(reason(whole, point))
        }
    }
}

fn perf_events(prog: BorrowedFd, path: &CStr, sites: &[UprobeSite], ret: bool, cx: &Context) -> Result<Link, Failure> {
    let pmu = match cx.uprobe_pmu.get() {
        Some(p) => *p,
        None => {
            let found = Pmu::read().map_err(|e| Failure::from(e).why("this kernel was built without uprobes"))?;
            *cx.uprobe_pmu.get_or_init(|| found)
        }
    };
    let mut fds = Vec::with_capacity(sites.len());
    for site in sites {
        let event = Event {
            kind: pmu.kind,
            config: if ret { pmu.ret } else { 0 },
            path: Some(path),
            offset: site.offset,
            pid: cx.pid.unwrap_or(-1),
            ..Event::default()
        };
        let cookie = site.point as u64;
        let fd = match cx.pid {
            // of this process, on whatever CPU
            Some(_) => super::perf(prog, &event, cookie),
            None => super::perf_anywhere(prog, &event, cookie),
        };
        let fd = fd.map_err(|e| reason(e, Some(site.point)))?;
        fds.push(fd);
    }
    Ok(Link::new(fds, true))
}

/// What the kernel means (kernel/events/uprobes.c, arch/x86/kernel/uprobes.c).
fn reason(e: io::Error, point: Option<usize>) -> Failure {
    let code = e.raw_os_error();
    let mut f = Failure::from(e);
    f.point = point;
    match code {
        Some(libc::ENOENT) => f.why("the file is gone"),
        Some(libc::ESRCH) => f.why("the process is gone"),
        // ENOTSUPP of the kernel
        Some(524 | libc::EILSEQ | libc::ENOEXEC | libc::EIO) => f
            .why("the kernel can't put a breakpoint on the instruction there")
            .help("probe the function's start, or another instruction: `uprobe:BINARY:FUNCTION+OFFSET`"),
        Some(libc::EINVAL) => f.why("the kernel finds no code of a regular file there"),
        _ => f,
    }
}
