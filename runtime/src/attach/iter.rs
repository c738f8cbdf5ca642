//! Iterators: they run when they are read.

use super::{Context, Failure, Link, Slow};
use crate::sys::bpf;
use std::os::fd::{AsFd, BorrowedFd};

pub(super) fn attach(prog: BorrowedFd, name: &str, cx: &Context) -> Result<Link, Failure> {
    // Kernels from 6.1 on go through one process only when told so.
    let pid = cx.pid.filter(|_| name.starts_with("task")).map(|p| p.unsigned_abs());
    let link = bpf::link_iter(prog, pid).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::EINVAL | libc::E2BIG) if pid.is_some() => {
                f.why("this kernel can't go through one process alone (6.1)").help("leave `-p` out and compare: `ctx.task->tgid == PID`")
            }
            Some(libc::EINVAL | libc::EBADF) => f.why("it goes through the parts of something that has to be named (a map, a group)"),
            _ => f,
        }
    })?;
    let fd = bpf::iter_create(link.as_fd())?;
    Ok(Link { program: 0, fds: vec![link], _filter: None, slow: Slow::No, iterator: Some(std::fs::File::from(fd)), watches: None })
}
