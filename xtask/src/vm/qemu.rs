//! The emulator, and one boot of a kernel in it.

use super::apt::{self, Apt};
use super::arch::Arch;
use super::kernel::Kernel;
use super::{Failed, run, text_of};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Qemu {
    program: PathBuf,
    /// what an unpacked one needs to find its libraries and firmware
    root: Option<PathBuf>,
    /// The guest's clock goes on by a nanosecond with each instruction, so that what takes how long there is the same on every
    /// machine, however busy. One processor is emulated after the other: slower, and nothing happens at the same time.
    pub counts: bool,
}

/// Older ones crash in the boot of newer kernels.
const OLDEST: u32 = 8;

const TIMED: &[&str] = &["-accel", "tcg,thread=multi"];
const COUNTED: &[&str] = &["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"];

impl Qemu {
    /// The installed one or, where that is too old, one of backports unpacked in the cache.
    pub fn get(cache: &Path, apt: &mut Apt, arch: &Arch) -> Result<Qemu, Failed> {
        let installed = text_of(Command::new(arch.qemu).arg("--version")).unwrap_or_default();
        let version = installed.split("version ").nth(1).and_then(|v| v.split('.').next()?.parse::<u32>().ok());
        if version.is_some_and(|v| v >= OLDEST) {
            return Ok(Qemu { program: arch.qemu.into(), root: None, counts: false });
        }
        let root = cache.join("qemu");
        let program = root.join("usr/bin").join(arch.qemu);
        let complete = root.join(if arch.foreign() { format!("complete.{}", arch.debian) } else { "complete".into() });
        if !complete.exists() {
            for package in apt.closure(arch.package)? {
                apt::unpack(&package, &root)?;
            }
            std::fs::write(&complete, "")?;
        }
        let q = Qemu { program, root: Some(root), counts: false };
        run(q.command().arg("--version").stdout(Stdio::null()))?;
        Ok(q)
    }

    fn command(&self) -> Command {
        let mut c = Command::new(&self.program);
        if let Some(r) = &self.root {
            let libraries: Vec<String> =
                ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].iter().map(|d| r.join(d).display().to_string()).collect();
            c.env("LD_LIBRARY_PATH", libraries.join(":")).env("QEMU_MODULE_DIR", r.join("usr/lib/x86_64-linux-gnu/qemu"));
            c.arg("-L").arg(r.join("usr/share/qemu")).arg("-L").arg(r.join("usr/share/seabios"));
        }
        c
    }

    /// Starts the kernel and hands on what the guest says, line by line, until it ends or `limit` is over. True: it ended.
    pub fn boot(
        &self,
        kernel: &Kernel,
        initrd: &Path,
        log: &Path,
        memory: &str,
        limit: Duration,
        mut line: impl FnMut(&str),
    ) -> Result<bool, Failed> {
        let mut c = self.command();
        c.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(if self.counts { COUNTED } else { TIMED })
            .args(kernel.arch.machine)
            .args(["-smp", "2", "-m", memory, "-kernel"])
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(initrd)
            // lsm: programs of kernel hooks are off by default in the oldest ones
            .arg("-append")
            .arg(format!("console={} panic=-1 awl.vm lsm=lockdown,yama,apparmor,bpf {}", kernel.arch.console, kernel.parameters))
            .arg("-serial")
            .arg(format!("file:{}", log.display()))
            .args(["-chardev", "stdio,id=c1,signal=off", "-serial", "chardev:c1"]);
        let mut child = c.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|e| Failed(format!("qemu: {e}")))?;
        let (send, lines) = std::sync::mpsc::channel();
        let out = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let Some(out) = out else { return };
            for l in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&l).into_owned()).is_err() {
                    return;
                }
            }
        });
        let end = Instant::now() + limit;
        let ended = loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(l) => line(l.trim_end_matches('\r')),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break true,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => break false,
            }
        };
        let _ = child.kill();
        let _ = child.wait();
        let _ = reader.join();
        Ok(ended)
    }
}
