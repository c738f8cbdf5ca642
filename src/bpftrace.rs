//! Being bpftrace: what differs when awl is called through a link of that name, and what harnesses of bpftrace look for.

use awl_compiler::target::{Feature, Target};
use awl_runtime::target::HostTarget;
use std::fmt::Write;
use std::path::Path;

/// The version whose language and command line awl has.
pub const VERSION: &str = "0.26.1";

/// Is awl called by that name?
pub fn is_name() -> bool {
    std::env::args_os().next().is_some_and(|a| Path::new(&a).file_name().is_some_and(|n| n == "bpftrace"))
}

/// What `-V` prints.
pub fn version() -> String {
    if is_name() { format!("bpftrace v{VERSION}\n") } else { format!("awl {}\n", env!("CARGO_PKG_VERSION")) }
}

/// A line that a harness waits for before it starts what is traced.
pub fn notify_attached() {
    const NAME: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";
    if std::env::var_os(NAME).is_some() {
        println!("{NAME}");
    }
}

/// `--info`: what this machine's kernel has for tracing, in bpftrace's form.
pub fn info(target: &HostTarget) -> String {
    let read = |p: &str| std::fs::read_to_string(p).unwrap_or_default().trim().to_string();
    let mut out = String::new();
    let (system, release, build) = (read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease"), read("/proc/sys/kernel/version"));
    let _ = writeln!(out, "System\n  OS: {system} {release} {build}\n  Arch: {}\n", std::env::consts::ARCH);
    let _ = writeln!(out, "Build\n  version: v{VERSION} (awl {})\n  LLVM: none, not needed", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(out, "  unsafe probe: no\n  bfd: no\n  liblldb (DWARF support): no\n");
    // The kernel's own functions say which helpers it has.
    let helper = |name: &str| matches!(target.kernel_symbol(&format!("bpf_{name}")), Ok(Some(_)));
    let kernel = |major, minor| target.kernel() >= awl_compiler::target::KernelVersion(major, minor, 0);
    let types = target.btf().is_ok();
    section(
        &mut out,
        "Kernel helpers",
        &[
            ("probe_read", helper("probe_read_compat") || helper("probe_read")),
            ("probe_read_str", helper("probe_read_compat_str") || helper("probe_read_str")),
            ("probe_read_user", helper("probe_read_user")),
            ("probe_read_user_str", helper("probe_read_user_str")),
            ("probe_read_kernel", helper("probe_read_kernel")),
            ("probe_read_kernel_str", helper("probe_read_kernel_str")),
            ("get_current_cgroup_id", helper("get_current_cgroup_id")),
            ("send_signal", helper("send_signal")),
            ("override_return", helper("override_return")),
            ("get_boot_ns", helper("ktime_get_boot_ns")),
            ("dpath", helper("d_path")),
            ("skboutput", helper("skb_event_output")),
            ("get_tai_ns", helper("ktime_get_tai_ns")),
            ("get_func_ip", helper("get_func_ip_tracing") || helper("get_func_ip_kprobe")),
            ("jiffies64", helper("jiffies64")),
            ("for_each_map_elem", target.has(Feature::ForEachMapElem)),
            ("get_ns_current_pid_tgid", helper("get_ns_current_pid_tgid")),
            ("lookup_percpu_elem", target.has(Feature::LookupPercpuElem)),
            ("loop", target.has(Feature::Loop)),
        ],
    );
    section(
        &mut out,
        "Kernel features",
        &[
            ("Instruction limit: 1000000", true),
            ("btf", types),
            ("module btf", Path::new("/sys/kernel/btf").read_dir().is_ok_and(|d| d.count() > 1)),
            ("map batch", kernel(5, 6)),
            ("uprobe refcount", kernel(4, 20)),
        ],
    );
    let maps = [("hash", true), ("array", true), ("percpu array", true), ("stack_trace", true), ("ringbuf", kernel(5, 8))];
    section(&mut out, "Map types", &maps);
    section(
        &mut out,
        "Probe types",
        &[
            ("kprobe", Path::new("/sys/bus/event_source/devices/kprobe").exists()),
            ("tracepoint", target.tracepoints().is_ok_and(|t| !t.is_empty())),
            ("perf_event", Path::new("/sys/bus/event_source/devices/software").exists()),
            ("fentry", types && matches!(target.kernel_symbol("bpf_trampoline_link_prog"), Ok(Some(_)))),
            ("kprobe_multi", target.has(Feature::KprobeMulti)),
            ("kprobe_session", target.has(Feature::KprobeSession)),
            ("uprobe_multi", target.has(Feature::UprobeMulti)),
            ("iter", types),
        ],
    );
    out
}

fn section(out: &mut String, name: &str, rows: &[(&str, bool)]) {
    let _ = writeln!(out, "{name}");
    for (what, there) in rows {
        // A row that says all by itself has no answer behind it.
        let answer = if what.contains(':') { String::new() } else { format!(": {}", if *there { "yes" } else { "no" }) };
        let _ = writeln!(out, "  {what}{answer}");
    }
    out.push('\n');
}
