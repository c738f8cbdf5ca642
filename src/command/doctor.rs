//! `awl doctor`: what this machine has and lacks for tracing, and what to do about each lack.

use super::{Subcommand, say};
use crate::Failure;
use clap::{ArgMatches, Command};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub const ROW: Subcommand = Subcommand { name: "doctor", command, run };

fn command(c: Command) -> Command {
    c.about("say what this machine has and lacks for tracing, and try each type of probe; status 2: nothing can be traced")
}

/// A line of the report.
struct Finding {
    what: &'static str,
    state: State,
    is: String,
    /// what to do about it
    cure: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// something is missing that some scripts need
    Lack,
    /// nothing can be traced
    Bad,
}

fn good(what: &'static str, is: impl Into<String>) -> Finding {
    Finding { what, state: State::Good, is: is.into(), cure: None }
}

fn lack(what: &'static str, state: State, is: impl Into<String>, cure: impl Into<String>) -> Finding {
    Finding { what, state, is: is.into(), cure: Some(cure.into()) }
}

fn run(_: &ArgMatches) -> Result<u8, Failure> {
    let machine = [kernel(), config(), types(), tracefs(), rights(), lockdown(), addresses()];
    let mut worst = State::Good;
    let mut show = |f: &Finding| {
        worst = if f.state == State::Bad { State::Bad } else { worst };
        let mark = match f.state {
            State::Good => "ok  ",
            State::Lack => "lack",
            State::Bad => "BAD ",
        };
        let mut text = format!("{mark} {:14} {}\n", f.what, f.is);
        if let Some(cure) = &f.cure {
            text += &format!("{:20}-> {cure}\n", "");
        }
        say(&text)
    };
    for f in &machine {
        show(f)?;
    }
    for t in TRIALS {
        show(&t.run())?;
    }
    Ok(if worst == State::Bad { 2 } else { 0 })
}

fn kernel() -> Finding {
    let text = read("/proc/sys/kernel/osrelease");
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0u32));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let is = format!("Linux {}, {}", text.trim(), std::env::consts::ARCH);
    if version < (5, 10) { lack("kernel", State::Bad, is, "awl needs Linux 5.10 or newer") } else { good("kernel", is) }
}

/// Settings that tracing needs, and what doesn't work without them.
const SETTINGS: &[(&str, &str)] = &[
    ("CONFIG_BPF_SYSCALL", "everything"),
    ("CONFIG_BPF_JIT", "speed"),
    ("CONFIG_BPF_EVENTS", "everything"),
    ("CONFIG_DEBUG_INFO_BTF", "the kernel's types"),
    ("CONFIG_FTRACE_SYSCALLS", "tracepoint:syscalls"),
    ("CONFIG_KPROBES", "kprobe, kretprobe"),
    ("CONFIG_UPROBES", "uprobe, uretprobe, usdt"),
    ("CONFIG_FUNCTION_TRACER", "fentry, fexit"),
];

fn config() -> Finding {
    let mut text = read(&format!("/boot/config-{}", read("/proc/sys/kernel/osrelease").trim()));
    if text.is_empty() {
        let unpacked = std::process::Command::new("zcat").arg("/proc/config.gz").stderr(Stdio::null()).output();
        text = unpacked.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    }
    if text.is_empty() {
        return lack(
            "configuration",
            State::Lack,
            "not known",
            "it is read from /boot/config-RELEASE or /proc/config.gz (CONFIG_IKCONFIG_PROC)",
        );
    }
    let has = |key: &str| text.lines().any(|l| l.strip_prefix(key).is_some_and(|v| v == "=y" || v == "=m"));
    let missing: Vec<String> = SETTINGS.iter().filter(|(k, _)| !has(k)).map(|(k, what)| format!("{k} ({what})")).collect();
    match missing.is_empty() {
        true => good("configuration", "all that tracing needs is built in"),
        false => lack("configuration", State::Lack, format!("without {}", missing.join(", ")), "needs a kernel that is built with it"),
    }
}

fn types() -> Finding {
    match fs::metadata("/sys/kernel/btf/vmlinux") {
        Ok(m) => good("types (BTF)", format!("/sys/kernel/btf/vmlinux, {} KiB", m.len() / 1024)),
        Err(e) => lack(
            "types (BTF)",
            State::Lack,
            format!("/sys/kernel/btf/vmlinux: {e}"),
            "needs a kernel with CONFIG_DEBUG_INFO_BTF=y and a mounted /sys",
        ),
    }
}

fn tracefs() -> Finding {
    let found = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].into_iter().find(|d| fs::read_dir(format!("{d}/events")).is_ok());
    match found {
        Some(d) => good("tracefs", d),
        None if Path::new("/sys/kernel/tracing").is_dir() && read("/proc/mounts").contains(" /sys/kernel/tracing tracefs ") => {
            lack("tracefs", State::Lack, "empty: a kernel that is booted locked down lists no tracepoints", "use `rawtracepoint:EVENT`")
        }
        None if effective() >> SYS_ADMIN & 1 == 1 => good("tracefs", "not mounted; awl opens one of its own"),
        None => lack("tracefs", State::Lack, "not mounted, or not readable for you", "`sudo mount -t tracefs tracefs /sys/kernel/tracing`"),
    }
}

/// Capabilities by their number in `CapEff`.
const CAPABILITIES: &[(u32, &str)] = &[(38, "CAP_PERFMON"), (39, "CAP_BPF")];
const SYS_ADMIN: u32 = 21;

fn effective() -> u64 {
    let status = read("/proc/self/status");
    status.lines().find_map(|l| u64::from_str_radix(l.strip_prefix("CapEff:")?.trim(), 16).ok()).unwrap_or(0)
}

/// May this process load programs?
pub fn may_load() -> bool {
    let mask = effective();
    mask >> SYS_ADMIN & 1 == 1 || CAPABILITIES.iter().all(|(n, _)| mask >> n & 1 == 1)
}

fn rights() -> Finding {
    let mask = effective();
    let has = |n: u32| mask >> n & 1 == 1;
    if has(SYS_ADMIN) {
        return good("rights", "all (CAP_SYS_ADMIN)");
    }
    let missing: Vec<&str> = CAPABILITIES.iter().filter(|(n, _)| !has(*n)).map(|(_, name)| *name).collect();
    match missing.is_empty() {
        true => good("rights", "CAP_BPF and CAP_PERFMON"),
        false => lack(
            "rights",
            State::Bad,
            format!("no {}", missing.join(", no ")),
            "`sudo awl ...`, or once: `sudo setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep $(which awl)`",
        ),
    }
}

fn lockdown() -> Finding {
    const FILE: &str = "/sys/kernel/security/lockdown";
    let mut text = read(FILE);
    if text.is_empty() {
        // Where it isn't mounted, root can, for nobody else to see.
        let look = format!("mount -t securityfs securityfs /sys/kernel/security && cat {FILE}");
        let looked = std::process::Command::new("unshare").args(["--mount", "sh", "-c", &look]).stderr(Stdio::null()).output();
        text = looked.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    }
    let level = text.split_once('[').and_then(|(_, r)| r.split_once(']')).map_or("", |(l, _)| l);
    match level {
        "integrity" => lack(
            "lockdown",
            State::Lack,
            "integrity: writing to memory is refused",
            "boot without `lockdown=integrity` and with Secure Boot off",
        ),
        "confidentiality" => lack(
            "lockdown",
            State::Lack,
            "confidentiality: no kprobes, and programs may not read the kernel at will",
            "use fentry, tracepoints and clocks, or boot without `lockdown=confidentiality`",
        ),
        "none" => good("lockdown", "none"),
        _ => good("lockdown", "not known (/sys/kernel/security is not mounted, or the kernel has none)"),
    }
}

fn addresses() -> Finding {
    let shown = read("/proc/kallsyms").lines().take(50).any(|l| !l.starts_with("0000000000000000"));
    match shown {
        true => good("symbols", "the kernel's addresses can be read"),
        false => lack(
            "symbols",
            State::Lack,
            "the kernel's addresses are hidden: stacks have no names",
            "as root: `sysctl kernel.kptr_restrict=0`",
        ),
    }
}

fn read(path: &str) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// A probe that is attached and hit, and traces nothing but the command that it starts.
struct Trial {
    what: &'static str,
    script: &'static str,
    command: Option<&'static str>,
    /// without it nothing can be traced
    vital: bool,
    /// it sees packets: tried in a network of its own, where there are none but ours
    apart: bool,
}

const fn trial(what: &'static str, script: &'static str, command: Option<&'static str>) -> Trial {
    Trial { what, script, command, vital: false, apart: false }
}

const fn apart(what: &'static str, script: &'static str) -> Trial {
    Trial { what, script, command: None, vital: false, apart: true }
}

const TRIALS: &[Trial] = &[
    Trial { what: "begin", script: "begin { printf(\"ok\\n\"); exit(); }", command: None, vital: true, apart: false },
    trial("interval", "interval:ms:1 { printf(\"ok\\n\"); exit(); }", None),
    trial("profile", "profile:hz:999 { printf(\"ok\\n\"); exit(); }", None),
    trial("tracepoint", "tracepoint:sched:sched_process_exec /pid == cpid/ { printf(\"ok\\n\"); }", Some("true")),
    trial("rawtracepoint", "rawtracepoint:sched_process_exec /pid == cpid/ { printf(\"ok\\n\"); }", Some("true")),
    trial("system calls", "tracepoint:syscalls:sys_enter_openat /pid == cpid/ { printf(\"ok\\n\"); }", Some("true")),
    trial("software", "software:page-faults:1 /pid == cpid/ { printf(\"ok\\n\"); }", Some("true")),
    trial("hardware", "hardware:cpu-cycles:100000 { printf(\"ok\\n\"); exit(); } interval:s:1 { exit(); }", None),
    trial("uprobe", "uprobe:libc:malloc /pid == cpid/ { printf(\"ok\\n\"); }", Some("sh -c :")),
    trial("uretprobe", "uretprobe:libc:malloc /pid == cpid/ { printf(\"ok\\n\"); }", Some("sh -c :")),
    trial("kprobe", "kprobe:vfs_read /pid == cpid/ { printf(\"ok\\n\"); }", Some("cat /proc/version")),
    trial("kretprobe", "kretprobe:vfs_read /pid == cpid/ { printf(\"ok\\n\"); }", Some("cat /proc/version")),
    trial("fentry", "fentry:vfs_read /pid == cpid/ { printf(\"ok\\n\"); }", Some("cat /proc/version")),
    trial("fexit", "fexit:vfs_read /pid == cpid/ { printf(\"ok\\n\"); }", Some("cat /proc/version")),
    trial("iter", "iter:task /pid == ctx.task->tgid/ { printf(\"ok\\n\"); }", None),
    trial("watchpoint", "watchpoint:jiffies_64:8:w { printf(\"ok\\n\"); exit(); } interval:s:1 { exit(); }", None),
    trial("lsm", "lsm:bprm_check_security /pid == cpid/ { printf(\"ok\\n\"); }", Some("true")),
    apart("xdp", "xdp:lo { } interval:ms:5 { printf(\"ok\\n\"); exit(); }"),
    apart("tc", "tc:lo:ingress { } interval:ms:5 { printf(\"ok\\n\"); exit(); }"),
];

const LONGEST: Duration = Duration::from_secs(10);

impl Trial {
    fn run(&self) -> Finding {
        let worse = if self.vital { State::Bad } else { State::Lack };
        match self.attempt() {
            Ok((out, _)) if out.lines().any(|l| l == "ok") => good(self.what, if self.apart { "attached" } else { "attached and hit" }),
            Ok((_, err)) => {
                let said = err.lines().find(|l| l.starts_with("error") || l.starts_with("unshare"));
                let help = err.lines().find_map(|l| l.split_once("help: ")).map(|(_, h)| h.to_owned());
                let is = said.unwrap_or("attached, but never hit").to_owned();
                let alone = said.is_none() && self.script.contains(":libc:");
                let cure = help
                    .or_else(|| alone.then(|| "where `sh` is linked statically (busybox), libc is another program's: probe that".into()));
                Finding { what: self.what, state: worse, is, cure }
            }
            Err(e) => lack(self.what, worse, format!("could not be tried: {e}"), "run it yourself: `awl -e 'begin { exit(); }'`"),
        }
    }

    /// What awl itself prints when it runs the script.
    fn attempt(&self) -> std::io::Result<(String, String)> {
        let itself = std::env::current_exe()?;
        let mut awl = std::process::Command::new(if self.apart { "unshare".as_ref() } else { itself.as_os_str() });
        if self.apart {
            awl.arg("--net").arg(&itself);
        }
        awl.args(["-q", "-e", self.script]).env("NO_COLOR", "1").env_remove("AWL_MISSING_PROBES");
        if let Some(c) = self.command {
            awl.args(["-c", c]);
        }
        let mut child = awl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let end = Instant::now() + LONGEST;
        while child.try_wait()?.is_none() {
            if Instant::now() > end {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    }
}
