//! Functions of the kernel that a program was loaded for (`fentry`, `fexit`).

use super::{Context, Failure, Link, Slow};
use crate::sys::bpf;
use awl_compiler::artifact::ProgramKind;
use std::os::fd::BorrowedFd;

/// `name`: of the function, or of the BPF program's. `cx`: where the kernel's lists may know it.
pub(super) fn attach(prog: BorrowedFd, kind: ProgramKind, name: &str, cx: Option<&Context>) -> Result<Link, Failure> {
    let provider = if matches!(kind, ProgramKind::Fexit { .. }) { "fexit" } else { "fentry" };
    let explained = |f: Failure| match cx {
        Some(cx) => f.refused(cx, provider, name),
        None => f,
    };
    let fd = bpf::raw_tracepoint_open(None, prog, 0).map_err(|e| {
        let code = e.raw_os_error();
        let f = Failure::from(e);
        match code {
            Some(libc::ENOENT | libc::EINVAL | libc::ENODEV) => explained(
                f.why(format!("the kernel doesn't let `{name}` be traced: it is marked notrace, or not called through the tracer's hook"))
                    .help("probe a function that calls it"),
            ),
            // Also where other code than a hook is found.
            Some(libc::EBUSY) => explained(f.why("something else (a live patch, a kprobe with its own hook) sits there already")),
            Some(libc::E2BIG) => f.why("too many programs are attached to it already (38)"),
            // ENOTSUPP of the kernel; arm64 has it for functions without a hook, too.
            Some(524 | libc::EOPNOTSUPP) => explained(f.why("this machine's kernel has no trampolines").help("use `kprobe` instead")),
            _ => f,
        }
    })?;
    Ok(Link::new(vec![fd], Slow::Waits))
}
