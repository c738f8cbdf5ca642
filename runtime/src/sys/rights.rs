//! Capabilities of this thread.

use super::check;
use std::io;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two halves of 32
const VERSION: u32 = 0x2008_0522;

/// Keeps those of `keep`, a bit each, that the thread has, and gives up the others for good.
pub fn keep(keep: u64) -> io::Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: the kernel writes two halves, as the version says.
    check(unsafe { libc::syscall(libc::SYS_capget, &header, halves.as_mut_ptr()) })?;
    for (half, keep) in halves.iter_mut().zip([keep as u32, (keep >> 32) as u32]) {
        half.effective &= keep;
        half.permitted &= keep;
        half.inheritable &= keep;
    }
    // SAFETY: the kernel reads two halves.
    check(unsafe { libc::syscall(libc::SYS_capset, &header, halves.as_ptr()) })?;
    Ok(())
}

/// What is executed from here on gets no right that this process hasn't, even where it belongs to root.
pub fn no_new() -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    Ok(())
}
