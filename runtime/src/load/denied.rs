//! What the kernel denies whatever the program: rights, memory, open files.

use super::is_permission;
use crate::sys::bpf::{MapSpec, PossibleCpus};
use awl_compiler::artifact::{Artifact, AttachTo, Program, ProgramKind};
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
    if let Some(level) = level(&lockdown) {
        let instead = "use `fentry`, `rawtracepoint`, `uprobe` or clocks";
        return locked(level, what, instead).note(format!("the kernel said: {e}"));
    }
    d.note("this process has the capabilities: a container's seccomp profile or a security module stands in the way")
        .help("run it outside of the container, or with a profile that allows bpf(2) and perf_event_open(2)")
}

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// How far the kernel is locked down, in the words of its command line; `None` where it isn't.
fn level(lockdown: &str) -> Option<&'static str> {
    ["confidentiality", "integrity"].into_iter().find(|l| lockdown.contains(&format!("[{l}]")))
}

/// How far this kernel is locked down, where it says so (securityfs has to be mounted for that).
pub(crate) fn lockdown() -> Option<&'static str> {
    level(&std::fs::read_to_string(LOCKDOWN).unwrap_or_default())
}

fn locked(level: &str, what: &str, instead: &str) -> Diagnostic {
    Diagnostic::environment("no-permission", format!("the kernel is locked down ({level}): no program may {what}"))
        .help(format!("{instead}; or boot without `lockdown={level}`, which secure boot may set"))
}

/// The verifier knows no helper that reads the kernel's memory, or writes that of processes, since the kernel is locked down.
pub(super) fn unreachable(title: &str, said: &str) -> Option<Diagnostic> {
    let calls = |names: &[&str]| names.iter().any(|n| said.contains(n));
    if calls(&["bpf_probe_write_user"]) {
        let instead = "leave `write_user` out";
        return lockdown().map(|l| locked(l, &format!("write the memory of processes in {title}"), instead));
    }
    let reads = calls(&["bpf_probe_read_kernel", "bpf_probe_read#", "bpf_probe_read_str#"]);
    let instead = "follow `args`, and from Linux 5.11 on `curtask`, by their types alone, and leave functions that copy strings out";
    lockdown().filter(|l| reads && *l == "confidentiality").map(|l| locked(l, &format!("read the kernel's memory in {title}"), instead))
}

/// Before anything runs: a kprobe that perf would refuse in the end (`LOCKDOWN_KPROBES`; kprobe.multi links don't ask, as of 7.3).
pub(super) fn kprobes(artifact: &Artifact) -> Option<Diagnostic> {
    let by_perf = |p: &&Program| p.kind == ProgramKind::Kprobe;
    let mut places = artifact.programs.iter().filter(by_perf).flat_map(|p| &p.attach);
    let place = places.find(|a| matches!(a.to, AttachTo::Kprobe { .. }))?;
    let level = lockdown().filter(|l| *l == "confidentiality")?;
    let title = artifact.plan.points.get(place.point).map_or("a kprobe", String::as_str);
    let instead = "use `fentry`, `fexit` or `rawtracepoint`";
    Some(locked(level, &format!("attach to {title}"), instead).at(place.span, "nothing is attached"))
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

    #[test]
    fn lockdown_is_read() {
        assert_eq!(level("none integrity [confidentiality]\n"), Some("confidentiality"));
        assert_eq!(level("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(level("[none] integrity confidentiality\n"), None);
        assert_eq!(level(""), None);
    }
}
