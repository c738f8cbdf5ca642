//! Events that are counted: by the kernel (page faults, context switches), by the processor (cycles, misses), and touches of a
//! place in memory.

use super::{Context, Failure, Link, Slow, online_cpus};
use crate::sys::perf::{self, Event, Inherit};
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn software(prog: BorrowedFd, config: u64, period: u64, cookie: u64) -> Result<Link, Failure> {
    Ok(everywhere(prog, Event { config, period: period.max(1), ..Event::default() }, cookie)?)
}

pub(super) fn hardware(prog: BorrowedFd, config: u64, period: u64, cookie: u64) -> Result<Link, Failure> {
    let event = Event { kind: perf::TYPE_HARDWARE, config, period: period.max(1), ..Event::default() };
    everywhere(prog, event, cookie).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => f
                .why("this machine's processor has no such counter, or its virtual machine hides it")
                .help("`profile:hz:99` samples by the clock"),
            Some(libc::EINVAL) => f.why("the count is too small for this processor").help("give a larger one: `hardware:cycles:1000000`"),
            _ => f,
        }
    })
}

/// An event of a source in sysfs, on the CPUs that it counts for.
pub(super) fn pmu(prog: BorrowedFd, name: &str, kind: u32, config: [u64; 3], period: u64, cookie: u64) -> Result<Link, Failure> {
    let [config, address, offset] = config;
    let event = Event { kind, config, address, offset, period: period.max(1), ..Event::default() };
    // Sources outside of the cores count on one CPU for many; those of processors with several kinds of cores on their own.
    let own = ["cpumask", "cpus"].iter().find_map(|f| std::fs::read_to_string(format!("{}/{name}/{f}", crate::target::pmu::DEVICES)).ok());
    let cpus = match own.as_deref().and_then(super::cpu_list) {
        Some(cpus) => cpus,
        None => online_cpus()?,
    };
    on(prog, event, cpus, cookie).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::EINVAL | libc::EOPNOTSUPP) => f
                .why(format!(
                    "`{name}` doesn't count this, or can't interrupt to say that the count is reached (sources outside of the cores can't)"
                ))
                .help("`perf stat -e EVENT` reads what can't interrupt"),
            Some(libc::ENOENT | libc::ENODEV) => f.why(format!("`{name}` has no such event")),
            _ => f,
        }
    })
}

/// All threads of all processes, or of the one that is watched.
pub(super) fn watchpoint(prog: BorrowedFd, address: u64, bytes: u64, mode: u32, cookie: u64, cx: &Context) -> Result<Link, Failure> {
    // Code is watched by the size of a word whatever its length.
    let bytes = if mode == 4 { size_of::<libc::c_long>() as u64 } else { bytes };
    let event = Event { kind: perf::TYPE_BREAKPOINT, breakpoint: mode, address, offset: bytes, period: 1, ..Event::default() };
    // Addresses of the kernel mean the same in every process.
    let made = match cx.pid.filter(|_| address >> 63 == 0) {
        Some(pid) => all_threads(prog, event, pid, cookie),
        None => everywhere(prog, event, cookie),
    };
    made.map(|link| Link { watches: Some(address), ..link }).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::ENOSPC) => f.why("the processor watches four places at a time, and they are taken").help("watch fewer places"),
            Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => {
                f.why("this machine's processor can't watch memory, or its virtual machine hides it")
            }
            Some(libc::EINVAL) => f.why("the processor can't watch that place so"),
            _ => f,
        }
    })
}

fn everywhere(prog: BorrowedFd, event: Event, cookie: u64) -> io::Result<Link> {
    on(prog, event, online_cpus()?, cookie)
}

fn on(prog: BorrowedFd, event: Event, cpus: Vec<i32>, cookie: u64) -> io::Result<Link> {
    let fds = cpus.into_iter().map(|cpu| super::perf(prog, &Event { cpu, ..event }, cookie)).collect::<io::Result<Vec<_>>>()?;
    Ok(Link::new(fds, Slow::No))
}

/// A process's threads, and those that they start. One that is started meanwhile may have the event or not: then all is done
/// once more.
fn all_threads(prog: BorrowedFd, event: Event, pid: i32, cookie: u64) -> io::Result<Link> {
    const ATTEMPTS: u32 = 20;
    for _ in 0..ATTEMPTS {
        let before = threads(pid)?;
        let open = |&tid: &i32| {
            let own = |inherit| super::perf(prog, &Event { pid: tid, inherit, ..event }, cookie);
            match own(Inherit::Threads) {
                // Before 5.13 children get it as well; the program leaves them out.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => own(Inherit::All),
                made => made,
            }
        };
        let made = before.iter().map(open).filter(|r| !matches!(r, Err(e) if e.raw_os_error() == Some(libc::ESRCH)));
        let fds = made.collect::<io::Result<Vec<_>>>()?;
        if threads(pid)?.iter().all(|tid| before.contains(tid)) {
            return Ok(Link::new(fds, Slow::No));
        }
    }
    // Threads come and go too quickly: each CPU watches, and the program leaves other processes out.
    everywhere(prog, event, cookie)
}

fn threads(pid: i32) -> io::Result<Vec<i32>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}
