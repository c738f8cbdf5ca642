//! Raw tracepoints, with types (`TpBtf`) and without.

use super::{Failure, Link, Slow};
use crate::sys::bpf;
use awl_compiler::artifact::ProgramKind;
use std::ffi::CString;
use std::os::fd::BorrowedFd;

pub(super) fn attach(prog: BorrowedFd, kind: ProgramKind, name: &str, cookie: u64) -> Result<Link, Failure> {
    // The name of a program with types is in the program itself.
    let by_name = match kind {
        ProgramKind::TpBtf { .. } => None,
        _ => Some(CString::new(name).map_err(std::io::Error::from)?),
    };
    let fd = bpf::raw_tracepoint_open(by_name.as_deref(), prog, cookie).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::ENOENT) => f.why("this kernel has no such tracepoint").help("`awl -l 'rawtracepoint:*'` lists those it has"),
            Some(libc::EINVAL) if cookie != 0 => {
                f.why("this kernel attaches a program to one raw tracepoint only (6.10)").help("write one probe for each tracepoint")
            }
            _ => f,
        }
    })?;
    Ok(Link::new(vec![fd], Slow::No))
}

/// A program that knows itself where it goes: an LSM hook, a function.
pub(super) fn trampoline(prog: BorrowedFd, kind: ProgramKind) -> Result<Link, Failure> {
    // Attached where nobody asks, it would watch over nothing and say so to nobody.
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm");
    if matches!(kind, ProgramKind::Lsm { .. }) && modules.is_ok_and(|m| !m.trim().split(',').any(|m| m == "bpf")) {
        return Err(Failure::from(std::io::Error::from_raw_os_error(libc::EOPNOTSUPP))
            .why("BPF is not among the kernel's active security modules: nobody would ask the program")
            .help("boot with `lsm=...,bpf`: the list is in /sys/kernel/security/lsm"));
    }
    Ok(Link::new(vec![bpf::raw_tracepoint_open(None, prog, 0)?], Slow::No))
}
