//! Functions of the kernel: one kprobe.multi link for all sites (5.18), or a perf event for each.

use super::{Context, Failure, Link, Pmu, Slow};
use crate::sys::bpf;
use crate::sys::perf::Event;
use awl_compiler::artifact::{KprobeSite, ProgramKind};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

type Site<'a> = (&'a KprobeSite, &'a CStr);

pub(super) fn attach(
    prog: BorrowedFd,
    kind: ProgramKind,
    sites: &[KprobeSite],
    ret: bool,
    cx: &Context,
    left_out: Option<&mut Vec<Failure>>,
) -> Result<Link, Failure> {
    let names = sites.iter().map(|s| CString::new(s.symbol.as_str())).collect::<Result<Vec<_>, _>>().map_err(io::Error::from)?;
    let sites: Vec<Site> = sites.iter().zip(names.iter().map(CString::as_c_str)).collect();
    let moment = match kind {
        ProgramKind::KprobeMulti if ret => bpf::Moment::Return,
        ProgramKind::KprobeMulti => bpf::Moment::Entry,
        ProgramKind::KprobeSession => bpf::Moment::Session,
        _ => return perf_events(prog, &sites, ret, cx, left_out),
    };
    multi(prog, &sites, moment, cx, left_out)
}

fn multi(
    prog: BorrowedFd,
    sites: &[Site],
    moment: bpf::Moment,
    cx: &Context,
    left_out: Option<&mut Vec<Failure>>,
) -> Result<Link, Failure> {
    let ret = moment == bpf::Moment::Return;
    let link = |sites: &[Site]| {
        let names: Vec<&CStr> = sites.iter().map(|(_, n)| *n).collect();
        let cookies: Vec<u64> = sites.iter().map(|(s, _)| s.point as u64).collect();
        bpf::link_kprobe_multi(prog, &names, &cookies, moment)
    };
    let whole = match link(sites) {
        Ok(fd) => return Ok(Link::new(vec![fd], Slow::Waits)),
        Err(e) => e,
    };
    let Some(left_out) = left_out.filter(|_| code(&whole).is_some_and(is_missing)) else {
        let site = super::culprit(sites, |part| link(part).is_ok());
        return Err(reason(whole, site.map(|(s, _)| *s), ret, cx));
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    sort_out(sites, &|part| link(part).map(drop), &mut good, &mut bad);
    let mut bad: Vec<Failure> = bad.into_iter().map(|((s, _), e)| reason(e, Some(s), ret, cx)).collect();
    if let Some(other) = bad.iter().position(|f| !f.missing) {
        return Err(bad.swap_remove(other));
    }
    let last = if good.is_empty() { bad.pop() } else { None };
    left_out.append(&mut bad);
    match last {
        Some(f) => Err(f),
        None => Ok(Link::new(vec![link(&good)?], Slow::Waits)),
    }
}

/// Sites that can be attached, and those that can't, each with what the kernel says of it alone. They are tried by halves.
fn sort_out<'a>(
    sites: &[Site<'a>],
    attaches: &dyn Fn(&[Site]) -> io::Result<()>,
    good: &mut Vec<Site<'a>>,
    bad: &mut Vec<(Site<'a>, io::Error)>,
) {
    match (attaches(sites), sites) {
        (Ok(()), _) => good.extend(sites),
        (Err(_), []) => {}
        (Err(e), [one]) => bad.push((*one, e)),
        (Err(_), many) => {
            let (a, b) = many.split_at(many.len() / 2);
            sort_out(a, attaches, good, bad);
            sort_out(b, attaches, good, bad);
        }
    }
}

fn perf_events(prog: BorrowedFd, sites: &[Site], ret: bool, cx: &Context, left_out: Option<&mut Vec<Failure>>) -> Result<Link, Failure> {
    let pmu = Pmu::get(&cx.kprobe_pmu, "kprobe")?;
    let (mut fds, mut bad) = (Vec::with_capacity(sites.len()), Vec::new());
    for (site, name) in sites {
        let event = Event {
            kind: pmu.kind,
            config: if ret { pmu.ret } else { 0 },
            path: (!name.is_empty()).then_some(*name),
            offset: site.offset,
            ..Event::default()
        };
        // One event is enough, as for tracepoints: the program runs on every CPU, for every process.
        match super::perf_anywhere(prog, &event, site.point as u64).map_err(|e| reason(e, Some(site), ret, cx)) {
            Ok(fd) => fds.push(fd),
            Err(f) if f.missing && left_out.is_some() => bad.push(f),
            Err(f) => {
                super::detach(vec![Link::new(fds, Slow::Locks)]);
                return Err(f);
            }
        }
    }
    let last = if fds.is_empty() { bad.pop() } else { None };
    left_out.into_iter().for_each(|out| out.append(&mut bad));
    last.map_or_else(|| Ok(Link::new(fds, Slow::Locks)), Err)
}

/// The error's number. Links find names among the functions that can be traced alone, and the script's are known to be there.
fn code(e: &io::Error) -> Option<i32> {
    e.raw_os_error().map(|code| if code == libc::ESRCH { libc::EINVAL } else { code })
}

/// Does it mean that the function isn't there, or may not be probed?
fn is_missing(code: i32) -> bool {
    matches!(code, libc::ENOENT | libc::EINVAL | libc::EADDRNOTAVAIL)
}

/// What the kernel means (kernel/kprobes.c, kernel/trace/trace_kprobe.c, kernel/trace/fprobe.c).
fn reason(e: io::Error, site: Option<&KprobeSite>, ret: bool, cx: &Context) -> Failure {
    let code = code(&e);
    let mut f = Failure::from(e);
    f.point = site.map(|s| s.point);
    f.missing = code.is_some_and(is_missing);
    let f = match code {
        Some(libc::ENOENT) => {
            f.why("the kernel finds no such function: it may be of a module that isn't loaded").help("`awl -l 'kprobe:*NAME*'` searches")
        }
        Some(libc::EADDRNOTAVAIL) => f.why("there are several functions of that name").help("probe a function that calls it"),
        Some(libc::EILSEQ) => {
            return f.why("no instruction starts at that offset").help("`objdump -d` of the kernel shows where they start");
        }
        Some(libc::EINVAL) => f
            .why("the kernel doesn't let it be probed: it is marked notrace or nokprobe, or no function starts there")
            .help("probe a function that calls it"),
        _ => return f,
    };
    match site.filter(|s| !s.symbol.is_empty()) {
        Some(s) => f.refused(cx, if ret { "kretprobe" } else { "kprobe" }, &s.symbol),
        None => f,
    }
}
