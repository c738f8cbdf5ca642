//! What the kernel denies whatever the program: rights, memory, open files.

use super::is_permission;
use crate::sys::bpf::{MapSpec, PossibleCpus};
use awl_compiler::diagnostic::Diagnostic;
use std::io;

/// The kernel had no room for the program, whatever is in it.
pub(super) fn exhausted(title: &str, e: &io::Error) -> Option<Diagnostic> {
    let d = Diagnostic::environment("no-resources", format!("the kernel could not take the program for {title}: {e}"));
    Some(match e.raw_os_error()? {
        libc::EMFILE => d.help("allow more open files: `ulimit -n 65536`"),
        libc::ENFILE => d.help("allow more open files in all: `sysctl -w fs.file-max=1000000`"),
        libc::ENOMEM => d.help("free memory, or attach to fewer places"),
        libc::EAGAIN => d.help("a signal came in between, or the process may lock no more memory: try again, or `ulimit -l unlimited`"),
        _ => return None,
    })
}

/// A map or data section that the kernel would not make.
pub(super) fn map(name: &str, spec: &MapSpec, cpus: PossibleCpus, e: &io::Error) -> Diagnostic {
    if is_permission(e) {
        return permission(&format!("create the map `{name}`"), e);
    }
    let copies = if matches!(spec.kind, 5 | 6 | 10) { u64::from(cpus.count()) } else { 1 };
    let bytes = u64::from(spec.max_entries).saturating_mul(u64::from(spec.key_size) + copies.saturating_mul(u64::from(spec.value_size)));
    let d = Diagnostic::environment("map-refused", format!("the kernel could not create the map `{name}`: {e}"))
        .note(format!("keys of {} bytes, values of {} bytes, {} entries", spec.key_size, spec.value_size, spec.max_entries));
    match e.raw_os_error() {
        Some(libc::E2BIG) if spec.key_size > 512 => d
            .note("this kernel's maps take keys of up to 512 bytes")
            .help("give strings in keys a length, `str(p, 64)`, or all of them: `config = { max_strlen = 64 }`"),
        Some(libc::ENOMEM | libc::E2BIG) => d
            .note(format!("that is at least {} KiB of kernel memory", bytes >> 10))
            .help("give the script smaller maps: `config = { max_map_keys=1000 }`"),
        Some(libc::EINVAL) => d.help("this kernel may lack the kind of map: `uname -r` says which one this is"),
        Some(libc::EMFILE) => d.help("allow more open files: `ulimit -n 65536`"),
        _ => d,
    }
}

/// `what`: "load the program for interval:s:1". Says which right is missing, as far as this process can see.
pub fn permission(what: &str, e: &io::Error) -> Diagnostic {
    let read = |p: &str| std::fs::read_to_string(p).unwrap_or_default();
    let missing = missing_capabilities(&read("/proc/self/status"));
    let lockdown = read(LOCKDOWN);
    let d = Diagnostic::environment("no-permission", format!("no permission to {what}: {e}"));
    if missing == ["CAP_SYS_ADMIN"] {
        // perf's uprobes ask for it although nothing else does (kernel/events/core.c, perf_uprobe_event_init).
        if e.raw_os_error() == Some(libc::EACCES) {
            return d
                .note("this process lacks CAP_SYS_ADMIN, which the kernel wants for this kind of probe")
                .help("run it as root: `sudo awl ...`");
        }
    } else if !missing.is_empty() {
        let d = d.note(format!("this process lacks {}", missing.join(" and ")));
        let d = match read("/proc/sys/kernel/unprivileged_bpf_disabled").trim() {
            "1" | "2" => d.note("`kernel.unprivileged_bpf_disabled` reserves bpf for processes with that right"),
            _ => d,
        };
        return d.help("run it as root: `sudo awl ...`, or with these rights: `sudo setcap cap_bpf,cap_perfmon+ep \"$(command -v awl)\"`");
    }
    if is_confidential(&lockdown) {
        return d.note("the kernel is locked down (confidentiality): no kprobes, and no program may read its memory at will").help(
            "use `fentry`, tracepoints or clocks, and follow `args` and `curtask` by their types alone; or boot without \
             `lockdown=confidentiality`, which secure boot may set",
        );
    }
    if lockdown.contains("[integrity]") {
        return d
            .note("the kernel is locked down (integrity), which forbids some ways of attaching and writing")
            .help("use tracepoints or uprobes instead, or boot without `lockdown=integrity`");
    }
    d.note("this process has the capabilities: a container's seccomp profile or a security module stands in the way")
        .help("run it outside of the container, or with a profile that allows bpf(2) and perf_event_open(2)")
}

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

fn is_confidential(lockdown: &str) -> bool {
    lockdown.contains("[confidentiality]")
}

/// The verifier knows no helper that reads the kernel's memory since the kernel is locked down.
pub(super) fn unreadable(title: &str, said: &str) -> Option<Diagnostic> {
    let helper = said.contains("bpf_probe_read_kernel") || said.contains("bpf_probe_read#") || said.contains("bpf_probe_read_str#");
    let lockdown = || std::fs::read_to_string(LOCKDOWN).unwrap_or_default();
    (helper && is_confidential(&lockdown()))
        .then(|| permission(&format!("read the kernel's memory in {title}"), &io::Error::from_raw_os_error(libc::EPERM)))
}

/// What tracing needs and `/proc/self/status` says is not there; `CAP_SYS_ADMIN` alone where only rare things need it. `CAP_SYS_ADMIN` (21) stands for both of the newer ones
/// (include/uapi/linux/capability.h, 5.8).
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let set = status.lines().find_map(|l| l.strip_prefix("CapEff:")).and_then(|v| u64::from_str_radix(v.trim(), 16).ok());
    let Some(set) = set.filter(|s| s & 1 << 21 == 0) else {
        return Vec::new();
    };
    let tracing: Vec<_> =
        [(39, "CAP_BPF"), (38, "CAP_PERFMON")].into_iter().filter(|(bit, _)| set & 1 << bit == 0).map(|(_, name)| name).collect();
    if tracing.is_empty() { vec!["CAP_SYS_ADMIN"] } else { tracing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read() {
        assert_eq!(missing_capabilities("CapEff:\t0000000000000000\n"), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing_capabilities("CapEff:\t0000004000000000\n"), ["CAP_BPF"]);
        assert_eq!(missing_capabilities("CapEff:\t000000c000000000\n"), ["CAP_SYS_ADMIN"]);
        assert!(missing_capabilities("CapEff:\t000001ffffffffff\n").is_empty());
        assert!(missing_capabilities("").is_empty());
    }
}
