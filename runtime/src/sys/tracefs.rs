//! Where the kernel describes its tracepoints.

use super::{check, owned};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The root of a tracefs. Keep it for as long as paths below it are used.
#[derive(Debug)]
pub struct TraceFs {
    path: PathBuf,
    /// a mount of our own that nobody else sees, where the machine has none
    _own: Option<OwnedFd>,
}

impl TraceFs {
    /// The mounted one or, where there is none, one that is attached nowhere (needs `CAP_SYS_ADMIN`, 5.2).
    pub fn find() -> io::Result<TraceFs> {
        for root in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
            if Path::new(root).join("events").is_dir() {
                return Ok(TraceFs { path: root.into(), _own: None });
            }
        }
        let own = mount_unseen()?;
        Ok(TraceFs { path: format!("/proc/self/fd/{}", own.as_raw_fd()).into(), _own: Some(own) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn mount_unseen() -> io::Result<OwnedFd> {
    // FSOPEN_CLOEXEC, FSCONFIG_CMD_CREATE and FSMOUNT_CLOEXEC of include/uapi/linux/mount.h
    const CREATE: u32 = 6;
    // SAFETY: the name is a C string.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), 1) })?;
    // SAFETY: this command takes no key and no value.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, std::ptr::null::<u8>(), std::ptr::null::<u8>(), 0) })?;
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, 0) })
}
