//! Functions of the kernel: one kprobe.multi link for all sites (5.18), or a perf event for each.

use super::{Context, Failure, Link, Pmu};
use crate::sys::bpf;
use crate::sys::perf::Event;
use awl_compiler::artifact::{KprobeSite, ProgramKind};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn attach(prog: BorrowedFd, kind: ProgramKind, sites: &[KprobeSite], ret: bool, cx: &Context) -> Result<Link, Failure> {
    let names = sites.iter().map(|s| CString::new(s.symbol.as_str())).collect::<Result<Vec<_>, _>>().map_err(io::Error::from)?;
    let sites: Vec<(&KprobeSite, &CStr)> = sites.iter().zip(names.iter().map(CString::as_c_str)).collect();
    if kind == ProgramKind::KprobeMulti { multi(prog, &sites, ret) } else { perf_events(prog, &sites, ret, cx) }
}

fn multi(prog: BorrowedFd, sites: &[(&KprobeSite, &CStr)], ret: bool) -> Result<Link, Failure> {
    let link = |sites: &[(&KprobeSite, &CStr)]| {
        let names: Vec<&CStr> = sites.iter().map(|(_, n)| *n).collect();
        let cookies: Vec<u64> = sites.iter().map(|(s, _)| s.point as u64).collect();
        bpf::link_kprobe_multi(prog, &names, &cookies, ret)
    };
    match link(sites) {
        Ok(fd) => Ok(Link::new(vec![fd], true)),
        Err(whole) => {
            let point = super::culprit(sites, |part| link(part).is_ok()).map(|(s, _)| s.point);
            Err(reason(whole, point, ret))
        }
    }
}

fn perf_events(prog: BorrowedFd, sites: &[(&KprobeSite, &CStr)], ret: bool, cx: &Context) -> Result<Link, Failure> {
    let pmu = Pmu::get(&cx.kprobe_pmu, "kprobe")?;
    let mut fds = Vec::with_capacity(sites.len());
    for (site, name) in sites {
        let event = Event {
            kind: pmu.kind,
            config: if ret { pmu.ret } else { 0 },
            path: (!name.is_empty()).then_some(*name),
            offset: site.offset,
            ..Event::default()
        };
        // One event is enough, as for tracepoints: the program runs on every CPU, for every process.
        let fd = super::perf_anywhere(prog, &event, site.point as u64).map_err(|e| reason(e, Some(site.point), ret))?;
        fds.push(fd);
    }
    Ok(Link::new(fds, true))
}

/// What the kernel means (kernel/kprobes.c, kernel/trace/trace_kprobe.c, kernel/trace/fprobe.c).
fn reason(e: io::Error, point: Option<usize>, ret: bool) -> Failure {
    let code = e.raw_os_error();
    let mut f = Failure::from(e);
    f.point = point;
    f.missing = matches!(code, Some(libc::ENOENT | libc::ESRCH | libc::EINVAL));
    match code {
        Some(libc::ENOENT | libc::ESRCH) => {
            f.why("the kernel finds no such function: it may be of a module that isn't loaded").help("`awl -l 'kprobe:*NAME*'` searches")
        }
        Some(libc::EADDRNOTAVAIL) => f.why("there are several functions of that name").help("name the module: `kprobe:MODULE:FUNCTION`"),
        Some(libc::EILSEQ) => f.why("no instruction starts at that offset").help("`objdump -d` of the kernel shows where they start"),
        Some(libc::EINVAL) if ret => f
            .why("the kernel doesn't let it be probed (it is marked notrace or nokprobe), or no function starts there")
            .help("probe a function that calls it"),
        Some(libc::EINVAL) => {
            f.why("the kernel doesn't let it be probed: it is marked notrace or nokprobe").help("probe a function that calls it")
        }
        _ => f,
    }
}
