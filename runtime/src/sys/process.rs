//! Processes: a child that waits to be let go, and descriptors of processes.

use super::{check, owned};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: the kernel writes two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: both are new and known to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// A child that was forked but has not become its program yet.
#[derive(Debug)]
pub struct Waiting {
    pub pid: i32,
    /// a byte written here lets it go; closed without one, it ends
    go: OwnedFd,
    /// `errno` of a failed exec arrives here
    failed: OwnedFd,
}

/// Forks a child that waits for `Waiting::go` and then becomes `program`. `args` and `env` are C strings; the pointers to
/// them are made before the fork, since the child may not allocate.
pub fn fork_waiting(program: &CStr, args: &[&CStr], env: &[&CStr]) -> io::Result<Waiting> {
    let pointers = |strings: &[&CStr]| -> Vec<*const libc::c_char> {
        let ends = std::iter::once(std::ptr::null());
        strings.iter().map(|s| s.as_ptr()).chain(ends).collect()
    };
    let (argv, envp) = (pointers(args), pointers(env));
    let (go_read, go) = pipe()?;
    let (failed, failed_write) = pipe()?;
    // SAFETY: asks for a number.
    let parent = unsafe { libc::getpid() };
    // SAFETY: the child calls only async-signal-safe functions until it execs or exits, so it doesn't matter what other
    // threads were doing; it uses memory made before.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: all pointers were made before the fork and are alive in this copy; the function does not come back.
        unsafe { become_program(program, &argv, &envp, go_read.as_raw_fd(), go.as_raw_fd(), failed_write.as_raw_fd(), parent) }
    }
    check(pid.into())?;
    Ok(Waiting { pid, go, failed })
}

/// # Safety
/// Only in a freshly forked child; `argv` and `envp` end in null and point to C strings.
unsafe fn become_program(
    program: &CStr,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
    go: i32,
    our_go: i32,
    failed: i32,
    parent: i32,
) -> ! {
    // SAFETY: plain system calls on descriptors and memory of this process.
    unsafe {
        // Otherwise the parent's death would not be seen as the end of the pipe.
        libc::close(our_go);
        // The program starts with no signal held back, and with SIGPIPE working: Rust's start-up ignores it.
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        // It ends with us, even when we are killed. If we died before the call, the parent is someone else by now.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
        if libc::getppid() != parent {
            libc::_exit(127);
        }
        let mut byte = 0u8;
        loop {
            let n = libc::read(go, std::ptr::from_mut(&mut byte).cast(), 1);
            if n == 1 {
                break;
            }
            if n == 0 || *libc::__errno_location() != libc::EINTR {
                libc::_exit(127);
            }
        }
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
        let errno = *libc::__errno_location();
        libc::write(failed, std::ptr::from_ref(&errno).cast(), 4);
        libc::_exit(127)
    }
}

impl Waiting {
    /// Lets the child become its program.
    pub fn release(&self) -> io::Result<()> {
        // SAFETY: writes one byte of ours. The child holds the other end, so no SIGPIPE comes while it lives, and Rust's
        // start-up ignores that signal anyway.
        let n = unsafe { libc::write(self.go.as_raw_fd(), [1u8].as_ptr().cast(), 1) };
        check(n as libc::c_long).map(drop)
    }

    /// Why the child couldn't become its program, once it has ended; `None` when it could.
    pub fn exec_error(&self) -> Option<io::Error> {
        let mut errno = 0i32;
        // SAFETY: reads into four bytes of ours. The other end is closed by then, so this doesn't wait.
        let n = unsafe { libc::read(self.failed.as_raw_fd(), std::ptr::from_mut(&mut errno).cast(), 4) };
        (n == 4).then(|| io::Error::from_raw_os_error(errno))
    }
}

/// Lets the child become its program and follows it to that program's first instruction. `stopped` is called when the program and
/// its loader are mapped, and at that instruction, when its libraries are; then it goes on, and nobody follows it. Where it can't be
/// followed it just goes. Gives how it ended, where it ended before.
pub fn run_to_start(child: &Waiting, mut stopped: impl FnMut()) -> io::Result<Option<Ended>> {
    let pid = child.pid;
    // SAFETY: plain numbers.
    let follows = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, libc::PTRACE_O_TRACEEXEC) } == 0;
    child.release()?;
    if !follows {
        return Ok(None);
    }
    match to_start(pid, &mut stopped) {
        Ok(Some(ended)) => return Ok(Some(ended)),
        Ok(None) => stopped(),
        // It goes on all the same.
        Err(_) => {}
    }
    // SAFETY: plain numbers; it may have been killed meanwhile.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
    Ok(None)
}

/// Gives how it ended, where it did.
#[cfg(target_arch = "x86_64")]
fn to_start(pid: i32, mapped: &mut dyn FnMut()) -> io::Result<Option<Ended>> {
    const TRAP: libc::c_long = 0xcc;
    if let Some(ended) = follow(pid, |_, event| event == libc::PTRACE_EVENT_EXEC)? {
        return Ok(Some(ended));
    }
    mapped();
    let entry = entry(pid)?;
    // SAFETY: reads a word of the stopped process; an error shows in `errno`.
    let code = unsafe {
        *libc::__errno_location() = 0;
        libc::ptrace(libc::PTRACE_PEEKTEXT, pid, entry, 0)
    };
    if code == -1 && io::Error::last_os_error().raw_os_error() != Some(0) {
        return Err(io::Error::last_os_error());
    }
    if code & 0xff == TRAP {
        // Somebody probes this very instruction, and would take our trap for his own.
        return Ok(None);
    }
    // SAFETY: writes a word of the stopped process.
    check(unsafe { libc::ptrace(libc::PTRACE_POKETEXT, pid, entry, code & !0xff | TRAP) })?;
    // SAFETY: lets the stopped process go on.
    check(unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, 0) })?;
    if let Some(ended) = follow(pid, |signal, event| signal == libc::SIGTRAP && event == 0)? {
        return Ok(Some(ended));
    }
    // SAFETY: the kernel fills the registers, and takes them back.
    unsafe {
        let mut regs: libc::user_regs_struct = std::mem::zeroed();
        check(libc::ptrace(libc::PTRACE_POKETEXT, pid, entry, code))?;
        check(libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &mut regs))?;
        if regs.rip == entry + 1 {
            regs.rip = entry;
            check(libc::ptrace(libc::PTRACE_SETREGS, pid, 0, &regs))?;
        }
    }
    Ok(None)
}

#[cfg(not(target_arch = "x86_64"))]
fn to_start(_pid: i32, _mapped: &mut dyn FnMut()) -> io::Result<Option<Ended>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Goes on, signals and all, until a stop that is `wanted` (signal, event), where it stays; or to the end.
#[cfg(target_arch = "x86_64")]
fn follow(pid: i32, wanted: impl Fn(i32, i32) -> bool) -> io::Result<Option<Ended>> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes the status.
        match check(unsafe { libc::waitpid(pid, &mut status, libc::__WALL) }.into()) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        };
        if !libc::WIFSTOPPED(status) {
            return Ok(Some(how(status)));
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        if wanted(signal, event) {
            return Ok(None);
        }
        let signal = if event == 0 { signal } else { 0 };
        // SAFETY: lets the stopped process go on.
        check(unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, signal) })?;
    }
}

/// Where the program begins, of the one that the process has become.
#[cfg(target_arch = "x86_64")]
fn entry(pid: i32) -> io::Result<u64> {
    const ENTRY: u64 = 9;
    let words = std::fs::read(format!("/proc/{pid}/auxv"))?;
    let words: Vec<u64> = words.chunks_exact(8).filter_map(|w| Some(u64::from_ne_bytes(w.try_into().ok()?))).collect();
    let found = words.chunks_exact(2).find(|w| w[0] == ENTRY);
    found.map(|w| w[1]).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn how(status: i32) -> Ended {
    if libc::WIFSIGNALED(status) { Ended::Signal(libc::WTERMSIG(status)) } else { Ended::Exit(libc::WEXITSTATUS(status)) }
}

/// A descriptor that can be read once the process has ended (5.3).
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

pub fn pidfd_signal(pidfd: BorrowedFd, signal: i32) -> io::Result<()> {
    // SAFETY: no signal information is given.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0) })
        .map(drop)
}

/// How child `pid` ended; `None` while it runs.
pub fn ended(pid: i32) -> io::Result<Option<Ended>> {
    let mut status = 0;
    // SAFETY: the kernel writes the status.
    let r = check(unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) }.into())?;
    Ok((r != 0).then(|| how(status)))
}
