//! System calls, as safe functions: the one module of this crate with `unsafe`. Nothing here knows about scripts or plans.

pub mod bpf;
pub mod clock;
pub mod image;
pub mod library;
pub mod memory;
pub mod net;
pub mod netlink;
pub mod perf;
pub mod poll;
pub mod process;
pub mod rights;
pub mod ring;
pub mod signal;
pub mod terminal;
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

/// Version and patch level of the running kernel: `(6, 18)`. `(0, 0)` where its name says none.
pub fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version_of(&release).unwrap_or((0, 0))
}

/// `6.18.44-fc`
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions() {
        assert_eq!(super::version_of("6.18.44-fc-v782\n"), Some((6, 18)));
        assert_eq!(super::version_of("7.1-rc2"), Some((7, 1)));
        assert_eq!(super::version_of(""), None);
    }
}
