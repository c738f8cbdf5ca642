//! What cases need of a kernel. A shell command tells whether it is there, in the same words on any machine.

pub struct Need {
    pub name: &'static str,
    /// a shell command that succeeds where it is there
    pub test: &'static str,
    /// why a case was left out
    pub reason: &'static str,
}

/// The processor has one of these events.
macro_rules! counts {
    ($events:literal) => {
        concat!("ls /sys/bus/event_source/devices/*/events | grep -qxE '", $events, "'")
    };
}

pub const NEEDS: &[Need] = &[
    Need { name: "kprobe", test: "[ -d /sys/bus/event_source/devices/kprobe ]", reason: "no kprobes in this kernel" },
    Need {
        name: "kprobe-multi",
        test: "grep -qw register_fprobe_ips /proc/kallsyms",
        reason: "no kprobe.multi links (5.18, CONFIG_FPROBE)",
    },
    Need {
        name: "unlocked",
        test: "grep -q '\\[none\\]' /sys/kernel/security/lockdown",
        reason: "the kernel is locked down, or doesn't say that it isn't",
    },
    Need { name: "variables", test: "grep -q ' jiffies$' /proc/kallsyms", reason: "the kernel doesn't list its variables" },
    Need {
        name: "shell-of-libc",
        test: "! readlink -f /bin/sh | grep -q busybox",
        reason: "the shell here has no libc of its own to probe",
    },
    Need { name: "breakpoint", test: "[ -d /sys/bus/event_source/devices/breakpoint ]", reason: "no hardware breakpoints" },
    Need { name: "module-types", test: "[ -e /sys/kernel/btf/veth ]", reason: "no types of modules (5.11), or no module veth" },
    // Emulated arm64 counts cycles, and no instructions.
    Need { name: "no-pmu", test: concat!("! ", counts!("instructions|inst_retired")), reason: "this processor counts instructions" },
    Need { name: "lsm", test: "grep -qw bpf /sys/kernel/security/lsm", reason: "BPF is not among the security modules (5.7, lsm=...,bpf)" },
    Need { name: "cgroup2", test: "grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts", reason: "no cgroup2 at /sys/fs/cgroup" },
    // What leaves something in the system has no place elsewhere.
    Need { name: "vm", test: "grep -qw awl.vm /proc/cmdline", reason: "only for the virtual machines of `cargo xtask vm`" },
    Need { name: "pmu", test: counts!("instructions|inst_retired"), reason: "no counter of instructions in this processor" },
    Need { name: "cycles", test: counts!("cpu-cycles|cpu_cycles"), reason: "no counter of cycles in this processor" },
    Need { name: "x86-64", test: "[ $(uname -m) = x86_64 ]", reason: "is about x86-64" },
    Need { name: "arm64", test: "[ $(uname -m) = aarch64 ]", reason: "is about arm64" },
];

/// The command and the reason for a word of `needs:`; a version is compared with that of the running kernel (`6.1`: from there on,
/// `<6.1`: before).
///
/// # Errors
/// For a word that means nothing.
pub fn find(word: &str) -> Result<(String, String), String> {
    if let Some(n) = NEEDS.iter().find(|n| n.name == word) {
        return Ok((n.test.into(), n.reason.into()));
    }
    let (older, number) = word.strip_prefix('<').map_or((false, word), |n| (true, n));
    let numbers = number.split_once('.').and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
    let Some((major, minor)) = numbers else {
        let names: Vec<&str> = NEEDS.iter().map(|n| n.name).collect();
        return Err(format!("`needs: {word}`: expected a kernel version or one of {}", names.join(", ")));
    };
    let cmp = if older { "<" } else { ">=" };
    let test = format!("uname -r | awk -F'[.-]' '{{ exit !($1 * 1000 + $2 {cmp} {}) }}'", major * 1000 + minor);
    Ok((test, if older { format!("is about kernels before {number}") } else { format!("needs Linux {number}") }))
}
