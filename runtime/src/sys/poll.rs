//! Waiting for file descriptors.

use super::{check, owned};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Waits until one of `fds` can be read or `timeout` is over (`None`: for as long as it takes). Gives a bit for each
/// descriptor that can be read, in order; 64 at most are watched. A signal handler that ran in between ends the wait early.
pub fn readable(fds: &[BorrowedFd], timeout: Option<Duration>) -> io::Result<u64> {
    let mut polled = [libc::pollfd { fd: -1, events: 0, revents: 0 }; 64];
    let count = fds.len().min(64);
    for (p, fd) in polled.iter_mut().zip(fds) {
        p.fd = fd.as_raw_fd();
        p.events = libc::POLLIN;
    }
    let timeout = timeout.map(|t| libc::timespec { tv_sec: t.as_secs() as _, tv_nsec: t.subsec_nanos().into() });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `count` descriptors are there; the time lives through the call; no signal mask is given.
    let r = unsafe { libc::ppoll(polled.as_mut_ptr(), count as libc::nfds_t, timeout, std::ptr::null()) };
    match check(r.into()) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(0),
        Err(e) => return Err(e),
    }
    // Errors and hang-ups count: whoever reads the descriptor learns about them.
    Ok(polled[..count].iter().enumerate().filter(|(_, p)| p.revents != 0).fold(0, |bits, (i, _)| bits | 1 << i))
}

/// One descriptor that can be read while any of `fds` can; those may be more than `readable` takes.
pub fn any_of<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>) -> io::Result<OwnedFd> {
    // SAFETY: gives a descriptor or an error.
    let all = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
    for fd in fds {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: both descriptors are open; the kernel reads the event.
        check(unsafe { libc::epoll_ctl(all.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event) }.into())?;
    }
    Ok(all)
}
