//! The guest's files: awl with this machine's libraries and a few of its programs (so that cases find there what they find
//! here), busybox for the rest, and an init script that runs the cases one after another.

use super::arch::below;
use super::built::Built;
use super::cpio::Cpio;
use super::kernel::Kernel;
use super::{Failed, LATER, MODULES};
use std::path::{Path, PathBuf};
use xtask::case::Case;
use xtask::need;

/// One thing that the guest does.
pub struct Step {
    /// a script of the shell; where it fails, what it prints is the reason for leaving the step out
    pub needs: String,
    /// a script of the shell
    pub run: String,
}

/// Starts each line that is ours.
pub const MARK: &str = "@@awl ";
/// What cases run with `-c` or probe: dynamically linked, unlike busybox.
const PROGRAMS: &[&str] = &["awl", "dd", "true", "false", "sleep", "cat", "bash", "env", "seq", "kill"];
/// seconds for one case
pub const CASE_LIMIT: u32 = 40;

pub struct Parts<'a> {
    pub kernel: &'a Kernel,
    pub awl: &'a Path,
    pub busybox: &'a Path,
    /// programs are taken from there
    pub root: &'a Path,
    /// seconds for one step
    pub limit: u32,
    /// programs and modules beside the usual ones
    pub programs: &'a [&'a str],
    pub modules: &'a [&'a str],
    /// where the programs of `tests/programs` are
    pub built: &'a [Built],
}

const INIT: &str = r#"#!/usr/bin/busybox sh
export PATH=/usr/bin:/usr/sbin HOME=/root TERM=dumb NO_COLOR=1
b=/usr/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t tmpfs tmp /tmp
exec >/dev/console 2>&1
$b --install -s /usr/bin
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tracefs t /sys/kernel/tracing; mount -t debugfs d /sys/kernel/debug; mount -t bpf b /sys/fs/bpf
mount -t securityfs s /sys/kernel/security; mount -t cgroup2 c /sys/fs/cgroup
mkdir /sys/fs/cgroup/inside
ip link set lo up
[ -f /vm/order ] && while read m; do insmod /vm/$m.ko; done </vm/order
# Its other end gets the name veth0.
ip link add veth1 type veth 2>/dev/null
stty -F /dev/@CHANNEL@ raw -echo -opost
exec 8>/dev/@CHANNEL@
say() { echo "@@awl $*" >&8; }
say up
for c in /vm/cases/*; do
  n=${c##*/}
  why=$(sh $c/needs 2>/dev/null) || { say skip $n $why; continue; }
  echo "case $n" >/dev/kmsg
  s=$(cut -d' ' -f1 /proc/uptime)
  timeout -k 5 @LIMIT@ sh $c/run </dev/null >/tmp/out 2>/tmp/err; rc=$?
  # Text first: a line that has no end must not swallow a mark.
  { sed 's/^/o:/' /tmp/out; echo; sed 's/^/e:/' /tmp/err; echo; } >&8
  say rc $n $rc $s $(cut -d' ' -f1 /proc/uptime)
done
say end
stty -F /dev/@CHANNEL@ >/dev/null 2>&1
reboot -f
"#;

/// The files of a guest that runs the steps.
pub fn files(parts: &Parts, steps: &[Step]) -> Result<Cpio, Failed> {
    let mut c = Cpio::default();
    for d in ["dev", "proc", "sys", "tmp", "root", "etc", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "vm", "run"] {
        c.dir(d);
    }
    for (name, to) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        c.link(name, to);
    }
    let arch = parts.kernel.arch;
    let init = INIT.replace("@LIMIT@", &parts.limit.to_string()).replace("@CHANNEL@", arch.channel);
    c.device("dev/console", 5, 1);
    c.device("dev/null", 1, 3);
    c.copy(parts.busybox, "usr/bin/busybox")?;
    c.link("usr/bin/sh", "busybox");
    c.file("init", 0o755, init.as_bytes());
    c.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    if !arch.foreign()
        && let Ok(cached) = std::fs::read("/etc/ld.so.cache")
    {
        c.file("etc/ld.so.cache", 0o644, &cached);
    }
    for name in PROGRAMS.iter().chain(parts.programs) {
        let path = match *name {
            "awl" => parts.awl.to_path_buf(),
            other => program(parts.root, other)?,
        };
        c.copy(&path, &format!("usr/bin/{name}"))?;
        for library in arch.libraries(parts.root, &path)? {
            add_library(&mut c, parts.root, &library)?;
        }
    }
    for Built { name, path } in parts.built {
        let Some(path) = path else { continue };
        c.copy(path, &format!("usr/{}/{name}", if name.ends_with(".so") { "lib" } else { "bin" }))?;
        for library in arch.libraries(parts.root, path)? {
            add_library(&mut c, parts.root, &library)?;
        }
    }
    let mut order = String::new();
    for m in MODULES.iter().chain(parts.modules) {
        for (name, bytes) in parts.kernel.module(m)? {
            if !order.lines().any(|l| l == name) {
                order.push_str(&format!("{name}\n"));
                c.file(&format!("vm/{name}.ko"), 0o644, &bytes);
            }
        }
    }
    c.file("vm/order", 0o644, order.as_bytes());
    let folder = format!("usr/lib/modules/{}", parts.kernel.release.trim());
    c.dir("usr/lib/modules");
    c.dir(&folder);
    c.file(&format!("{folder}/modules.dep"), 0o644, parts.kernel.list()?.as_bytes());
    for m in LATER {
        let parts = parts.kernel.module(m)?;
        parts.iter().for_each(|(name, bytes)| c.file(&format!("vm/{name}.ko"), 0o644, bytes));
        let names: String = parts.iter().map(|(name, _)| format!("{name}\n")).collect();
        c.file(&format!("vm/later/{m}"), 0o644, names.as_bytes());
    }
    for (i, step) in steps.iter().enumerate() {
        c.file(&format!("vm/cases/{i:04}/needs"), 0o644, format!("{}exit 0\n", step.needs).as_bytes());
        c.file(&format!("vm/cases/{i:04}/run"), 0o644, step.run.as_bytes());
    }
    Ok(c)
}

/// The initramfs of one kernel with cases, and one step for each.
pub fn initramfs(parts: &Parts, cases: &[&Case]) -> Result<Vec<u8>, Failed> {
    let dir = |i: usize| format!("vm/cases/{i:04}");
    let mut steps = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let mut needs = String::new();
        for word in case.needs() {
            let (test, reason) = need::find(word).map_err(|e| Failed(format!("{}: {e}", case.name)))?;
            needs.push_str(&format!("{{ {test} >/dev/null; }} || {{ echo {}; exit 1; }}\n", quoted(&reason)));
        }
        for Built { name, .. } in parts.built.iter().filter(|b| b.path.is_none() && mentions(&case.script, b.name)) {
            needs.push_str(&format!("echo no C compiler for {} made \"'{name}'\"; exit 1\n", parts.kernel.arch.debian));
        }
        let words: Vec<String> = case.arguments(&format!("/{}/script.bt", dir(i))).iter().map(|a| quoted(a)).collect();
        steps.push(Step { needs, run: format!("exec awl {}\n", words.join(" ")) });
    }
    let mut c = files(parts, &steps)?;
    for (i, case) in cases.iter().enumerate() {
        c.file(&format!("{}/script.bt", dir(i)), 0o644, case.script.as_bytes());
        if let Some(folder) = &case.beside {
            add_folder(&mut c, folder, &format!("{}/{}", dir(i), folder.file_name().unwrap_or_default().to_string_lossy()))?;
        }
    }
    Ok(c.finish())
}

fn mentions(script: &str, name: &str) -> bool {
    script.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).any(|word| word == name)
}

pub fn add_folder(c: &mut Cpio, folder: &Path, name: &str) -> Result<(), Failed> {
    c.dir(name);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let inside = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            add_folder(c, &path, &inside)?;
        } else {
            c.copy(&path, &inside)?;
        }
    }
    Ok(())
}

/// At the path that the linker looks for it; `/lib` is a link to `/usr/lib`.
pub fn add_library(c: &mut Cpio, root: &Path, library: &Path) -> Result<(), Failed> {
    let name = library.display().to_string();
    let name = if name.starts_with("/usr/") { name } else { format!("/usr{name}") };
    c.copy(&below(root, library), &name)
}

fn program(root: &Path, name: &str) -> Result<PathBuf, Failed> {
    ["usr/bin", "bin", "usr/sbin", "sbin"]
        .iter()
        .map(|d| root.join(d).join(name))
        .find(|p| p.exists())
        .ok_or_else(|| Failed(format!("this machine has no program `{name}`, which cases run")))
}

/// For the shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
