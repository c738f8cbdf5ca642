//! TC: tcx links (6.6), or filters of the clsact qdisc before.

use super::{Context, Failure, Link, Slow};
use crate::sys::bpf::{self, LinkPlace, ProgramId};
use crate::sys::netlink;
use awl_compiler::artifact::Interface;
use aya_obj::generated::bpf_attach_type::{BPF_TCX_EGRESS, BPF_TCX_INGRESS};
use std::os::fd::BorrowedFd;

pub(super) fn attach(prog: BorrowedFd, interface: &Interface, egress: bool, cx: &Context) -> Result<Link, Failure> {
    let hook = if egress { BPF_TCX_EGRESS } else { BPF_TCX_INGRESS };
    if let Some(link) = cx.earlier.take(LinkPlace::Tcx(interface.index, hook as u32), prog) {
        return Ok(link?);
    }
    let there = bpf::programs_at(interface.index, hook).unwrap_or_default();
    if let Some(other) = there.iter().find(|id| !crate::living::is_ours(**id)) {
        return Err(occupied(interface, *other));
    }
    match bpf::link(prog, interface.index, hook, 0) {
        Ok(link) => Ok(Link::new(vec![link], Slow::No)),
        // Before 6.6.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            let filter = netlink::add_filter(interface.index, egress, prog)?;
            Ok(Link::with_filter(filter))
        }
        Err(e) => Err(gone_or(e)),
    }
}

/// The failure where another program sits already.
pub(super) fn occupied(interface: &Interface, other: ProgramId) -> Failure {
    let name = bpf::program_details(other).map_or_else(|_| String::new(), |d| format!(" `{}`", d.name));
    let left = crate::living::list().into_iter().find(|l| l.id == other.0);
    let help = match left.map(|l| l.name) {
        Some(Some(name)) => format!("awl left it under `{name}`: `awl stop {name}` ends it, `awl run --pin {name} ...` takes its place"),
        Some(None) => "it is that of an awl that runs: `awl ps` lists them".into(),
        None => "`bpftool net` lists what is attached; detach it by the tool that attached it".into(),
    };
    Failure::from(std::io::Error::from_raw_os_error(libc::EBUSY))
        .why(format!("`{}` has the program{name} (id {}) there already, and awl replaces nothing", interface.name, other.0))
        .help(help)
}

pub(super) fn gone_or(e: std::io::Error) -> Failure {
    match e.raw_os_error() {
        Some(libc::ENODEV) => Failure::from(e).why("the interface is gone").help("`ip link` lists the interfaces"),
        _ => Failure::from(e),
    }
}
