//! Signals, read from a descriptor while a session runs.

use super::{check, clock, owned};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: an all-zero set is a valid value, and the calls below only write into it.
    let mut set = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is ours; a number that is no signal is refused and changes nothing.
    unsafe {
        libc::sigemptyset(&mut set);
        for s in signals {
            libc::sigaddset(&mut set, *s);
        }
    }
    set
}

/// Was `signal` ignored when we started (`nohup`)?
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero structure is a valid value; the kernel fills it.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only.
    let known = unsafe { libc::sigaction(signal, std::ptr::null(), &mut old) } == 0;
    known && old.sa_sigaction == libc::SIG_IGN
}

/// Signals held back from their usual effect and read instead. Dropped, they have it again.
pub struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
    actions: Vec<(i32, libc::sigaction)>,
}

impl Signals {
    pub fn take(signals: &[i32]) -> io::Result<Signals> {
        let set = set_of(signals);
        // SAFETY: reads the set, makes a descriptor.
        let fd = owned(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }.into())?;
        let mut before = set_of(&[]);
        // SAFETY: reads one set, writes the other.
        check(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before) }.into())?;
        Ok(Signals { fd, before, actions: Vec::new() })
    }

    /// The next signal that came, if any.
    pub fn next(&self) -> Option<i32> {
        // SAFETY: an all-zero structure is a valid value.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is as long as said.
        let n = unsafe { libc::read(self.fd.as_raw_fd(), std::ptr::from_mut(&mut info).cast(), size_of_val(&info)) };
        (n == size_of_val(&info) as isize).then_some(info.ssi_signo as i32)
    }

    /// From now on each of `signals` ends the process at once, whatever it is doing: the user has asked twice.
    pub fn end_at_once(&mut self, signals: &[i32]) {
        ASKED_AT.store(clock::monotonic_ns(), Ordering::Relaxed);
        for s in signals {
            // SAFETY: all-zero structures are valid values.
            let (mut action, mut old): (libc::sigaction, libc::sigaction) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
            action.sa_sigaction = ask_twice as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            // SAFETY: reads one structure, writes the other; the handler calls only what is safe in a handler.
            if unsafe { libc::sigaction(*s, &action, &mut old) } == 0 {
                self.actions.push((*s, old));
            }
        }
        let set = set_of(signals);
        // SAFETY: reads the set.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut()) };
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (s, old) in &self.actions {
            // SAFETY: puts back what was there.
            unsafe { libc::sigaction(*s, old, std::ptr::null_mut()) };
        }
        // SAFETY: reads the set that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

static ASKED_AT: AtomicU64 = AtomicU64::new(0);

/// `timeout` and shells send a signal to the process and to its group, which is one wish: a second one counts from 150 ms on.
extern "C" fn ask_twice(signal: libc::c_int) {
    if clock::monotonic_ns().saturating_sub(ASKED_AT.load(Ordering::Relaxed)) > 150_000_000 {
        // SAFETY: ends the process without running anything of it; the kernel detaches what is attached.
        unsafe { libc::_exit(128 + signal) };
    }
}
