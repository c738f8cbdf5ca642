//! System calls, as safe functions: the one module of this crate with `unsafe`. Nothing here knows about scripts or plans.

pub mod bpf;
pub mod clock;
pub mod library;
pub mod memory;
pub mod perf;
pub mod poll;
pub mod process;
pub mod ring;
pub mod signal;
pub mod tracefs;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// What a system call returned, or `errno`.
fn check(r: libc::c_long) -> io::Result<libc::c_long> {
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

/// A file descriptor that a system call has just made, or `errno`.
fn owned(r: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(r)?;
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
