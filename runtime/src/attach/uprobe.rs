//! Functions of programs and libraries: one uprobe.multi link for all sites (6.6), or a perf event for each.

use super::{Context, Failure, Link, Pmu, Slow};
use crate::sys::bpf;
use crate::sys::perf::Event;
use awl_compiler::artifact::{ProgramKind, UprobeSite};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

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
    let pid = cx.probed().map_or(0, |p| p.unsigned_abs());
    let link = |sites: &[UprobeSite]| {
        let offsets: Vec<u64> = sites.iter().map(|s| s.offset).collect();
        let cookies: Vec<u64> = sites.iter().map(|s| s.point as u64).collect();
        bpf::link_uprobe_multi(prog, path, &offsets, &cookies, ret, pid)
    };
    match link(sites) {
        Ok(fd) => Ok(Link::new(vec![fd], Slow::Waits)),
        Err(whole) => {
            let point = super::culprit(sites, |part| link(part).is_ok()).map(|s| s.point);
            Err(reason(whole, point))
        }
    }
}

fn perf_events(prog: BorrowedFd, path: &CStr, sites: &[UprobeSite], ret: bool, cx: &Context) -> Result<Link, Failure> {
    let pmu = Pmu::get(&cx.uprobe_pmu, "uprobe")?;
    let mut fds = Vec::with_capacity(sites.len());
    for site in sites {
        let event = Event {
            kind: pmu.kind,
            // the upper half is `ref_ctr_offset`
            config: if ret { pmu.ret } else { 0 } | site.semaphore << 32,
            path: Some(path),
            offset: site.offset,
            pid: cx.probed().unwrap_or(-1),
            ..Event::default()
        };
        let cookie = site.point as u64;
        let fd = match cx.probed() {
            // of this process, on whatever CPU
            Some(_) => super::perf(prog, &event, cookie),
            None => super::perf_anywhere(prog, &event, cookie),
        };
        let fd = fd.map_err(|e| reason(e, Some(site.point)))?;
        fds.push(fd);
    }
    Ok(Link::new(fds, Slow::Waits))
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
