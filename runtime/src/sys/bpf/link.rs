//! Links: what ties a program to what it runs at.

use super::{address, bpf, wrong_size};
use crate::sys::owned;
use aya_obj::generated::{bpf_attach_type, bpf_cmd};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Attaches a raw tracepoint program by name, a tracing program without one. A `cookie` other than 0 needs 6.10.
pub fn raw_tracepoint_open(name: Option<&CStr>, prog: BorrowedFd, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct RawTracepoint {
        name: u64,
        prog_fd: u32,
        _pad: u32,
        cookie: u64,
    }
    let mut attr =
        RawTracepoint { name: name.map_or(0, |n| address(n.to_bytes_with_nul())), prog_fd: prog.as_raw_fd() as u32, _pad: 0, cookie };
    // SAFETY: the name is a C string that lives through the call.
    owned(unsafe { bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }?)
}

/// `LINK_CREATE` of a program to something that a number stands for: a file, or a network interface.
pub fn link(prog: BorrowedFd, target: u32, attach_type: bpf_attach_type, flags: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        prog_fd: u32,
        target: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attr = Link { prog_fd: prog.as_raw_fd() as u32, target, attach_type: attach_type as u32, flags };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// `LINK_CREATE` of a program to a perf event, with a cookie (5.15).
pub fn link_perf_event(prog: BorrowedFd, event: BorrowedFd, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkPerf {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        bpf_cookie: u64,
    }
    let mut attr = LinkPerf {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: event.as_raw_fd() as u32,
        attach_type: bpf_attach_type::BPF_PERF_EVENT as u32,
        flags: 0,
        bpf_cookie: cookie,
    };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// `LINK_CREATE` of a program to many places of one binary (6.6). `pid` 0: all processes.
pub fn link_uprobe_multi(prog: BorrowedFd, path: &CStr, offsets: &[u64], cookies: &[u64], ret: bool, pid: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkUprobeMulti {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        path: u64,
        offsets: u64,
        ref_ctr_offsets: u64,
        cookies: u64,
        cnt: u32,
        uprobe_flags: u32,
        pid: u32,
        _pad: u32,
    }
    if cookies.len() != offsets.len() {
        return Err(wrong_size());
    }
    let mut attr = LinkUprobeMulti {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32,
        flags: 0,
        path: address(path.to_bytes_with_nul()),
        offsets: address(offsets),
        ref_ctr_offsets: 0,
        cookies: address(cookies),
        cnt: offsets.len() as u32,
        // BPF_F_UPROBE_MULTI_RETURN
        uprobe_flags: u32::from(ret),
        pid,
        _pad: 0,
    };
    // SAFETY: path, offsets and cookies live through the call; both arrays have `cnt` elements.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// `BPF_TRACE_KPROBE_SESSION`
pub const KPROBE_SESSION: u32 = 56;

/// When a program of many functions runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Entry,
    Return,
    /// both (6.10)
    Session,
}

/// `LINK_CREATE` of a program to many functions of the kernel by name (5.18).
pub fn link_kprobe_multi(prog: BorrowedFd, names: &[&CStr], cookies: &[u64], moment: Moment) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkKprobeMulti {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        kprobe_flags: u32,
        cnt: u32,
        syms: u64,
        addrs: u64,
        cookies: u64,
    }
    if cookies.len() != names.len() {
        return Err(wrong_size());
    }
    let names: Vec<*const libc::c_char> = names.iter().map(|n| n.as_ptr()).collect();
    let mut attr = LinkKprobeMulti {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: if moment == Moment::Session { KPROBE_SESSION } else { bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32 },
        flags: 0,
        // BPF_F_KPROBE_MULTI_RETURN
        kprobe_flags: u32::from(moment == Moment::Return),
        cnt: names.len() as u32,
        syms: address(names.as_slice()),
        addrs: 0,
        cookies: address(cookies),
    };
    // SAFETY: names and cookies live through the call and have `cnt` elements.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}
