//! Raw tracepoints, with types (`TpBtf`) and without.

use super::{Failure, Link};
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
    Ok(Link::new(vec![fd], false))
}

/// A program that knows itself where it goes: an LSM hook, a function.
pub(super) fn trampoline(prog: BorrowedFd) -> Result<Link, Failure> {
    Ok(Link::new(vec![bpf::raw_tracepoint_open(None, prog, 0)?], false))
}
