//! XDP: one program for each interface, by a link that dies with us.

use super::{Context, Failure, Link, Slow, tc};
use crate::sys::bpf::LinkPlace;
use crate::sys::{bpf, netlink};
use awl_compiler::artifact::{Interface, XdpMode};
use aya_obj::generated::bpf_attach_type;
use std::os::fd::BorrowedFd;

/// `XDP_FLAGS_*` of `if_link.h`
fn flags(mode: XdpMode) -> u32 {
    match mode {
        XdpMode::Any => 0,
        XdpMode::Generic => 1 << 1,
        XdpMode::Native => 1 << 2,
        XdpMode::Offload => 1 << 3,
    }
}

pub(super) fn attach(prog: BorrowedFd, interface: &Interface, mode: XdpMode, cx: &Context) -> Result<Link, Failure> {
    if let Some(link) = cx.earlier.take(LinkPlace::Xdp(interface.index), prog) {
        return Ok(link?);
    }
    if let Ok(Some(other)) = netlink::xdp_program(interface.index) {
        return Err(tc::occupied(interface, bpf::ProgramId(other)));
    }
    let link = bpf::link(prog, interface.index, bpf_attach_type::BPF_XDP, flags(mode)).map_err(|e| match e.raw_os_error() {
        Some(libc::EOPNOTSUPP) if mode != XdpMode::Any => {
            Failure::from(e).why("its driver can't do that").help("leave the mode out, or say `generic`: that works on every interface")
        }
        // A program for the card itself is made for that card, which few can run.
        Some(libc::EINVAL) if mode == XdpMode::Offload => Failure::from(e)
            .why(format!("`{}` has no processor that runs programs of its own", interface.name))
            .help("`native` runs it in the driver, `generic` on every interface"),
        // As veth says it: its packets fit into a page (drivers/net/veth.c, `veth_xdp_set`).
        Some(libc::ERANGE) => Failure::from(e)
            .why(format!("the packets of `{}` may be longer than its driver takes for XDP", interface.name))
            .help(format!("`xdp:{}:generic` takes them; or make its MTU smaller, for instance `ip link set {0} mtu 1500`", interface.name)),
        _ => tc::gone_or(e),
    })?;
    Ok(Link::new(vec![link], Slow::No))
}
