//! Programs of cgroups, and packet sockets.

use super::{Context, Failure, Link, Slow};
use crate::sys::bpf::LinkPlace;
use crate::sys::{bpf, net};
use awl_compiler::artifact::{CgroupHook, Interface};
use aya_obj::generated::bpf_attach_type as t;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

pub(crate) fn attach_type(hook: CgroupHook) -> t {
    match hook {
        CgroupHook::Ingress => t::BPF_CGROUP_INET_INGRESS,
        CgroupHook::Egress => t::BPF_CGROUP_INET_EGRESS,
        CgroupHook::Connect4 => t::BPF_CGROUP_INET4_CONNECT,
        CgroupHook::Connect6 => t::BPF_CGROUP_INET6_CONNECT,
        CgroupHook::Bind4 => t::BPF_CGROUP_INET4_BIND,
        CgroupHook::Bind6 => t::BPF_CGROUP_INET6_BIND,
        CgroupHook::Sendmsg4 => t::BPF_CGROUP_UDP4_SENDMSG,
        CgroupHook::Sendmsg6 => t::BPF_CGROUP_UDP6_SENDMSG,
        CgroupHook::SockOps => t::BPF_CGROUP_SOCK_OPS,
    }
}

pub(super) fn attach(prog: BorrowedFd, path: &str, hook: CgroupHook, cx: &Context) -> Result<Link, Failure> {
    let dir = std::fs::File::open(crate::target::cgroup::place(path))?;
    // A cgroup's number is that of its folder.
    let place = LinkPlace::Cgroup(dir.metadata()?.ino(), attach_type(hook) as u32);
    if let Some(link) = cx.earlier.take(place, prog) {
        return Ok(link?);
    }
    let link = bpf::link(prog, dir.as_raw_fd() as u32, attach_type(hook), 0).map_err(|e| match e.raw_os_error() {
        Some(libc::EBADF) => Failure::from(e).why("that is no cgroup of version 2").help("`mount -t cgroup2` shows where they are"),
        Some(libc::EPERM) => Failure::from(e)
            .why("another program there allows none beside it")
            .help("`bpftool cgroup show PATH` lists what is attached; awl replaces nothing"),
        _ => Failure::from(e),
    })?;
    Ok(Link::new(vec![link], Slow::No))
}

/// A socket that is given nothing: the program looks at every packet and lets none in.
pub(super) fn socket(prog: BorrowedFd, interface: &Interface) -> Result<Link, Failure> {
    Ok(Link::new(vec![net::packet_socket(interface.index, prog)?], Slow::No))
}
