//! bpftrace of one of Debian's releases, with that release's libraries and tools: unpacked, never installed.

use crate::vm::cpio::Cpio;
use crate::vm::{Failed, apt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

pub struct Peer {
    pub suite: String,
    pub root: PathBuf,
}

const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

impl Peer {
    pub fn get(cache: &Path, suite: &str) -> Result<Peer, Failed> {
        let peer = Peer { suite: suite.into(), root: cache.join(format!("bpftrace.{suite}")) };
        if !peer.root.join("complete").exists() {
            let begun = Instant::now();
            let mut apt = apt::Apt::new(cache, None);
            for package in apt.closure_of(suite, &["bpftrace"])? {
                apt::unpack(&package, &peer.root)?;
            }
            std::fs::write(peer.root.join("complete"), "")?;
            eprintln!("peer: bpftrace of {suite} unpacked in {} s", begun.elapsed().as_secs());
        }
        Ok(peer)
    }

    /// `bpftrace v0.23.2`
    pub fn version(&self) -> Result<String, Failed> {
        let said = self.command().arg("--version").output()?;
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_string())
    }

    /// In a mount namespace of its own, since it wants tracefs where it is usually mounted.
    pub fn command(&self) -> Command {
        const RUN: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; \
                           root=$1; shift; lib=$root/usr/lib/x86_64-linux-gnu; \
                           exec \"$root/usr/lib64/ld-linux-x86-64.so.2\" --library-path \"$lib:$root/usr/lib/llvm-19/lib\" \"$root/usr/bin/bpftrace\" \"$@\"";
        let mut c = Command::new("unshare");
        c.args(["--mount", "--propagation", "private", "sh", "-c", RUN, "sh"]).arg(&self.root);
        c
    }

    /// Its tools: name and text.
    pub fn tools(&self) -> Result<Vec<(String, String)>, Failed> {
        let mut tools = Vec::new();
        for e in std::fs::read_dir(self.root.join("usr/sbin"))? {
            let path = e?.path();
            if path.extension().is_some_and(|x| x == "bt") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                tools.push((name, std::fs::read_to_string(&path)?));
            }
        }
        tools.sort();
        Ok(tools)
    }

    /// Puts it into a guest, with the libraries that its own linker names. `guest_command` starts it there.
    pub fn put(&self, c: &mut Cpio) -> Result<(), Failed> {
        let dir = format!("peer/{}", self.suite);
        let program = self.root.join("usr/bin/bpftrace");
        let linker = LIBRARIES.iter().map(|l| self.root.join(l).join("ld-linux-x86-64.so.2")).find(|p| p.is_file());
        let linker = linker.ok_or_else(|| Failed(format!("bpftrace of {} came without a linker", self.suite)))?;
        let paths: Vec<String> = LIBRARIES.iter().map(|l| self.root.join(l).display().to_string()).collect();
        let listed = Command::new(&linker).arg("--library-path").arg(paths.join(":")).arg("--list").arg(&program).output()?;
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            let Some((name, rest)) = line.trim().split_once(" => ") else { continue };
            let path = rest.split_whitespace().next().unwrap_or_default();
            if !path.starts_with('/') {
                return Err(Failed(format!("bpftrace of {} lacks the library {name}", self.suite)));
            }
            c.copy(Path::new(path), &format!("{dir}/lib/{name}"))?;
        }
        c.copy(&linker, &format!("{dir}/ld.so"))?;
        c.copy(&program, &format!("{dir}/bpftrace"))
    }

    pub fn guest_command(&self) -> String {
        let dir = format!("/peer/{}", self.suite);
        format!("{dir}/ld.so --library-path {dir}/lib {dir}/bpftrace")
    }
}
