//! XDP: one program for each interface, by a link that dies with us.

use super::{Failure, Link};
use crate::sys::bpf;
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

pub(super) fn attach(prog: BorrowedFd, interface: &Interface, mode: XdpMode) -> Result<Link, Failure> {
    let link = bpf::link(prog, interface.index, bpf_attach_type::BPF_XDP, flags(mode)).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::EBUSY | libc::EEXIST) => f
                .why(format!("`{}` has an XDP program already", interface.name))
                .help("awl replaces nothing: `ip link` shows it, `ip link set dev NAME xdp off` removes it"),
            Some(libc::EOPNOTSUPP) if mode != XdpMode::Any => {
                f.why("its driver can't do that").help("leave the mode out, or say `generic`: that works on every interface")
            }
            Some(libc::ENODEV) => f.why("it is gone").help("`awl -l xdp` lists the interfaces"),
            _ => f,
        }
    })?;
    Ok(Link::new(vec![link], false))
}
