//! Programs to the places where they run: all of them, or none.
//!
//! What it costs, measured on 6.18 (`cargo run --example attach_cost`): a raw tracepoint or a clock goes in 2-100 us.
//! A perf tracepoint takes 72 ms, half of it under a lock of the kernel's that all of them share; a perf uprobe 105 ms, nearly all
//! of it under that lock; a uprobe.multi link 50 ms, whether it holds one site or thousands, and none of it under the lock.
//! So whatever is slow is dropped by threads at the same time.

pub(crate) mod cgroup;
mod clock;
mod counter;
mod function;
mod iter;
mod kprobe;
mod raw_tracepoint;
pub(crate) mod reload;
mod tc;
mod tracepoint;
mod uprobe;
mod xdp;

use crate::load::{self, Loaded, program_title};
use crate::pinned;
use crate::sys::bpf;
use crate::sys::netlink::Filter;
use crate::sys::perf;
use crate::target::untraceable::Lists;
use awl_compiler::artifact::{Artifact, Attach, AttachTo, Program, ProgramKind};
use awl_compiler::diagnostic::Diagnostic;
use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A program at one attach point. Dropped, it is detached.
#[derive(Debug)]
pub struct Link {
    /// index into `Artifact::programs`
    pub(crate) program: usize,
    /// kept, and closed by the drop
    fds: Vec<OwnedFd>,
    /// kept, and removed by the drop
    _filter: Option<Filter>,
    /// how its descriptors are dropped
    slow: Slow,
    /// runs its program when it is read
    iterator: Option<std::fs::File>,
    /// the address whose touches it tells
    watches: Option<u64>,
    /// where it was pinned, and stays when this is dropped
    pinned: Option<PathBuf>,
}

/// How long dropping takes, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    No,
    /// tens of milliseconds of sleep: the kernel serves any number of threads in one grace period
    Waits,
    /// most of it under locks that all share, so that more than a few threads stand in one another's way (on 6.1, 73 events of
    /// kprobes take 5.6 s by 2 threads, 3.3 s by 8, 5.1 s by 73)
    Locks,
}

impl Link {
    fn new(fds: Vec<OwnedFd>, slow: Slow) -> Link {
        Link { program: 0, fds, _filter: None, slow, iterator: None, watches: None, pinned: None }
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.fds.iter().map(AsFd::as_fd)
    }

    /// It is held by what can be left behind.
    pub(crate) fn lasts(&self) -> bool {
        self._filter.is_none()
    }

    fn with_filter(filter: Filter) -> Link {
        Link { _filter: Some(filter), ..Link::new(Vec::new(), Slow::No) }
    }
}

impl Link {
    pub fn iterator(&self) -> Option<&std::fs::File> {
        self.iterator.as_ref()
    }

    /// The file that a pinned iterator is read through.
    pub fn pinned(&self) -> Option<&Path> {
        self.pinned.as_deref()
    }
}

/// What ways of attaching need to know.
#[derive(Default)]
pub struct Context {
    pid: Option<i32>,
    /// uprobes see every process: the programs themselves tell whose run counts
    follows: bool,
    tracefs: OnceCell<crate::sys::tracefs::TraceFs>,
    uprobe_pmu: OnceCell<Pmu>,
    kprobe_pmu: OnceCell<Pmu>,
    /// read when the kernel has refused a function
    lists: OnceCell<Lists>,
    /// what the programs come in the place of
    pub(crate) earlier: reload::Earlier,
}

impl Context {
    /// `pid`: only this process, where the kernel can tell (uprobes). Elsewhere the program itself looks.
    pub fn new(pid: Option<i32>) -> Context {
        Context { pid, ..Context::default() }
    }

    /// Uprobes of all processes, from now on.
    pub fn follow(&mut self) {
        self.follows = true;
    }

    /// The process that uprobes are about.
    fn probed(&self) -> Option<i32> {
        self.pid.filter(|_| !self.follows)
    }
}

/// perf's source of kprobes or uprobes, as sysfs describes it.
#[derive(Clone, Copy, Debug)]
struct Pmu {
    kind: u32,
    /// `config` of a probe at a function's return
    ret: u64,
}

impl Pmu {
    fn get(cell: &OnceCell<Pmu>, name: &str) -> Result<Pmu, Failure> {
        if let Some(p) = cell.get() {
            return Ok(*p);
        }
        let found = Pmu::read(name).map_err(|e| Failure::from(e).why(format!("this kernel was built without {name}s")))?;
        Ok(*cell.get_or_init(|| found))
    }

    fn read(name: &str) -> io::Result<Pmu> {
        let read = |f: &str| std::fs::read_to_string(format!("/sys/bus/event_source/devices/{name}/{f}"));
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let kind = read("type")?.trim().parse().map_err(|_| bad())?;
        // `config:0`
        let format = read("format/retprobe")?;
        let bit: u32 = format.trim().strip_prefix("config:").and_then(|b| b.parse().ok()).ok_or_else(bad)?;
        Ok(Pmu { kind, ret: 1u64.checked_shl(bit).ok_or_else(bad)? })
    }
}

/// Of sites that can't be attached together, the one that can't be attached alone. The kernel doesn't say which it is: the lot
/// is halved until one is left.
fn culprit<T>(sites: &[T], attaches: impl Fn(&[T]) -> bool) -> Option<&T> {
    let mut suspects = sites;
    while suspects.len() > 1 {
        let (a, b) = suspects.split_at(suspects.len() / 2);
        suspects = match (attaches(a), attaches(b)) {
            (false, _) => a,
            (_, false) => b,
            _ => return None,
        };
    }
    suspects.first()
}

/// What went wrong, and what to do about it.
struct Failure {
    error: io::Error,
    /// what the error means here
    why: Option<String>,
    help: Option<String>,
    /// the point, where an attachment has several
    point: Option<usize>,
    /// the place isn't there, or may not be probed: a script may be told to go on without it
    missing: bool,
    /// of the diagnostic
    code: &'static str,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure { error, why: None, help: None, point: None, missing: false, code: "attach" }
    }
}

impl Failure {
    fn why(mut self, why: impl Into<String>) -> Failure {
        self.why = Some(why.into());
        self
    }

    fn code(mut self, code: &'static str) -> Failure {
        self.code = code;
        self
    }

    fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// With what the kernel's lists say of a function that it refused, where they tell.
    fn refused(self, cx: &Context, provider: &str, symbol: &str) -> Failure {
        match cx.lists.get_or_init(Lists::read).cause(symbol) {
            Some(cause) => {
                let (why, help) = cause.words(provider, symbol);
                self.why(why).help(help)
            }
            None => self,
        }
    }
}

/// Attaches every program to its places, in source order. Begin, end and self are not attached but run. Gives what is
/// attached already when `stop` says so, which is asked before each place. With `missing`, places that aren't there or may
/// not be probed are left out, and it holds a warning for each.
///
/// # Errors
/// `attach`, `no-permission`, with the attach point's span. Nothing stays attached then.
pub fn attach(
    artifact: &Artifact,
    loaded: &Loaded,
    cx: &Context,
    mut missing: Option<&mut Vec<Diagnostic>>,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Vec<Link>, Diagnostic> {
    let mut links = Vec::new();
    for (i, program) in artifact.programs.iter().enumerate() {
        let Some(fd) = loaded.program(i) else {
            continue;
        };
        for place in &program.attach {
            if stop() {
                return Ok(links);
            }
            let mut left_out = Vec::new();
            let done = one(fd, program, place, cx, missing.is_some().then_some(&mut left_out));
            let fatal = match done {
                Ok(link) => {
                    links.extend(link.map(|l| Link { program: i, ..l }));
                    None
                }
                Err(f) if f.missing && missing.is_some() => {
                    left_out.push(f);
                    None
                }
                Err(f) => Some(f),
            };
            if let Some(f) = fatal {
                for place in links.iter().filter_map(Link::pinned) {
                    // Of the same kind as what was just made there.
                    let _ = std::fs::remove_file(place);
                }
                detach(links);
                cx.earlier.restore();
                pinned::take_back(&loaded.kept);
                return Err(failed(artifact, program, place, f, "nothing stays attached because of this"));
            }
            if let Some(out) = missing.as_deref_mut() {
                out.extend(left_out.into_iter().map(|f| failed(artifact, program, place, f, "left out").as_warning()));
            }
        }
    }
    Ok(links)
}

/// With `left_out`, an attachment to several functions goes without those that are missing, and it holds them.
fn one(
    fd: BorrowedFd,
    program: &Program,
    place: &Attach,
    cx: &Context,
    left_out: Option<&mut Vec<Failure>>,
) -> Result<Option<Link>, Failure> {
    let cookie = place.point as u64;
    Ok(Some(match &place.to {
        AttachTo::Begin | AttachTo::End | AttachTo::Test | AttachTo::Bench | AttachTo::SelfSignal(_) => return Ok(None),
        AttachTo::Tracepoint { category, event } => tracepoint::attach(fd, category, event, cookie, cx)?,
        AttachTo::RawTracepoint { name, .. } => {
            // A program with one place knows its point; only one with several asks for the cookie.
            let cookie = if program.attach.len() > 1 { cookie } else { 0 };
            raw_tracepoint::attach(fd, program.kind, name, cookie)?
        }
        AttachTo::Interval { period_ns } => clock::interval(fd, *period_ns, cookie)?,
        AttachTo::Profile(rate) => clock::profile(fd, *rate, cookie)?,
        AttachTo::Software { config, period } => counter::software(fd, *config, *period, cookie)?,
        AttachTo::Hardware { config, period } => counter::hardware(fd, *config, *period, cookie)?,
        AttachTo::Pmu { name, kind, config, period } => counter::pmu(fd, name, *kind, *config, *period, cookie)?,
        AttachTo::Watchpoint { address, bytes, mode } => counter::watchpoint(fd, *address, *bytes, *mode, cookie, cx)?,
        AttachTo::Tc { interface, egress } => tc::attach(fd, interface, *egress, cx)?,
        AttachTo::Socket { interface } => cgroup::socket(fd, interface)?,
        AttachTo::Cgroup { path, hook } => cgroup::attach(fd, path, *hook, cx)?,
        AttachTo::Trampoline => raw_tracepoint::trampoline(fd, program.kind)?,
        AttachTo::Xdp { interface, mode } => xdp::attach(fd, interface, *mode, cx)?,
        AttachTo::Iter { name, pin } => iter::attach(fd, name, pin.as_deref(), cx)?,
        AttachTo::Function { name, .. } => function::attach(fd, program.kind, name, Some(cx))?,
        // The kernel's lists don't have it.
        AttachTo::BpfProgram { name, .. } => function::attach(fd, program.kind, name, None)?,
        // The entry's link serves the returns.
        AttachTo::Kprobe { ret: true, .. } if program.kind == ProgramKind::KprobeSession => return Ok(None),
        AttachTo::Kprobe { sites, ret } => kprobe::attach(fd, program.kind, sites, *ret, cx, left_out)?,
        AttachTo::Uprobe { binary, sites, ret } => uprobe::attach(fd, program.kind, binary, sites, *ret, cx)?,
    }))
}

fn failed(artifact: &Artifact, program: &Program, place: &Attach, f: Failure, so: &str) -> Diagnostic {
    let point = f.point.unwrap_or(place.point);
    let span = match &place.to {
        AttachTo::Kprobe { sites, .. } => sites.iter().find(|s| s.point == point).map_or(place.span, |s| s.span),
        _ => place.span,
    };
    let name = match artifact.plan.points.get(point) {
        Some(name) => name.clone(),
        None => program_title(program, &artifact.plan.points),
    };
    if f.why.is_none() && load::is_permission(&f.error) {
        return load::permission(&format!("attach to {name}"), &f.error).at(span, "this one");
    }
    let why = match f.error.raw_os_error() {
        _ if f.why.is_some() => f.why.unwrap_or_default(),
        Some(libc::EMFILE) => "too many open files".to_owned(),
        Some(libc::ENODEV | libc::EOPNOTSUPP) => "this kernel has no such event".to_owned(),
        _ => f.error.to_string(),
    };
    let help = match f.error.raw_os_error() {
        _ if f.help.is_some() => f.help,
        Some(libc::EMFILE) => Some("allow more: `ulimit -n 65536`, or attach to fewer places".into()),
        Some(libc::ENODEV | libc::EOPNOTSUPP) => {
            Some("another machine or kernel may have it: virtual machines often lack hardware events".into())
        }
        _ => None,
    };
    let d = Diagnostic::environment(f.code, format!("can't attach to {name}: {why}")).at(span, so);
    match help {
        Some(h) => d.help(h),
        None => d,
    }
}

/// As `perf`, on one CPU, whichever: the first one, where timers and interrupts are at home, or the one that we run on.
fn perf_anywhere(fd: BorrowedFd, event: &perf::Event, cookie: u64) -> io::Result<OwnedFd> {
    let on = |cpu| perf(fd, &perf::Event { cpu, ..*event }, cookie);
    match on(0) {
        // That CPU is not online.
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => on(perf::current_cpu()),
        r => r,
    }
}

/// Opens a perf event and puts the program on it: by a link, or as kernels before 5.15 do (without a cookie).
fn perf(fd: BorrowedFd, event: &perf::Event, cookie: u64) -> io::Result<OwnedFd> {
    let event = perf::open(event)?;
    match bpf::link_perf_event(fd, event.as_fd(), cookie) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            perf::set_program(event.as_fd(), fd)?;
            Ok(event)
        }
        // The link keeps the event.
        link => link,
    }
}

/// Takes the watchpoints of an address away.
pub(crate) fn unwatch(links: &mut Vec<Link>, address: u64) {
    links.retain(|l| l.watches != Some(address));
}

/// Drops all links, those that take long by threads at the same time.
pub fn detach(links: Vec<Link>) {
    let (mut waits, mut locks) = (Vec::new(), Vec::new());
    for link in links {
        match link.slow {
            Slow::No => drop(link),
            Slow::Waits => waits.extend(link.fds),
            Slow::Locks => locks.extend(link.fds),
        }
    }
    if waits.len() + locks.len() < 2 {
        return;
    }
    std::thread::scope(|s| {
        for (fds, threads) in [(waits, 128), (locks, 8)] {
            let share = fds.len().div_ceil(threads);
            let mut rest = fds.into_iter().peekable();
            while rest.peek().is_some() {
                let part: Vec<OwnedFd> = rest.by_ref().take(share).collect();
                // Where no thread can be made, the part is dropped with the closure, here and now.
                let _ = std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(s, move || drop(part));
            }
        }
    });
}

/// The CPUs that are online now.
pub(crate) fn online_cpus() -> io::Result<Vec<i32>> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
    cpu_list(&list).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// `0-3,5`
fn cpu_list(list: &str) -> Option<Vec<i32>> {
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(from.parse::<i32>().ok()?..=to.parse::<i32>().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::cpu_list;

    #[test]
    fn cpu_lists() {
        assert_eq!(cpu_list("0-3,5\n"), Some(vec![0, 1, 2, 3, 5]));
        assert_eq!(cpu_list("0\n"), Some(vec![0]));
        assert_eq!(cpu_list(""), None);
    }
}
