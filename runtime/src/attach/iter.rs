//! Iterators: they run when they are read, by awl itself or, where they are pinned, by whoever opens their file.

use super::{Context, Failure, Link, Slow};
use crate::living;
use crate::sys::bpf;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub(super) fn attach(prog: BorrowedFd, name: &str, pin: Option<&str>, cx: &Context) -> Result<Link, Failure> {
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
    if let Some(pin) = pin {
        let place = living::pinned_at(pin).ok_or_else(|| {
            let d = living::no_folder();
            let f = Failure::from(io::Error::from(io::ErrorKind::NotFound)).why(d.message).code(d.code);
            d.help.into_iter().fold(f, Failure::help)
        })?;
        bpf::pin(&place, link.as_fd()).map_err(|e| not_pinned(e, &place))?;
        return Ok(Link { pinned: Some(place), ..Link::new(vec![link], Slow::No) });
    }
    let fd = bpf::iter_create(link.as_fd())?;
    Ok(Link { iterator: Some(std::fs::File::from(fd)), ..Link::new(vec![link], Slow::No) })
}

fn not_pinned(e: io::Error, place: &Path) -> Failure {
    let (code, shown) = (e.raw_os_error(), place.display());
    let f = Failure::from(e).code("pin");
    match code {
        Some(libc::EEXIST) => {
            let end = match living::iterator(place) {
                Some(_) => format!("awl stop {shown}"),
                None if place.is_dir() => format!("rmdir {shown}"),
                None => format!("rm {shown}"),
            };
            f.why(format!("there is a `{shown}` already")).help(format!("take it away, `{end}`, or choose another name"))
        }
        // `bpf_obj_do_pin`: a folder of another file system
        Some(libc::EPERM) if !living::in_file_system(place) => f
            .why(format!("`{shown}` is not in a bpf file system"))
            .help("a name alone lies in it: `iter:task:list`; `findmnt -t bpf` shows where it is mounted"),
        Some(libc::ENOENT) => {
            let folder = place.parent().unwrap_or(place).display();
            f.why(format!("there is no folder `{folder}`")).help(format!("make it: `mkdir -p {folder}`"))
        }
        _ => f,
    }
}
