//! `cargo xtask peer [NAME...]`: the programs of `tests/peer` under awl and under Debian's newest bpftrace print the same in
//! this machine's kernel, but for differences that are explained there. Then (or alone, `tools`) the tools that come with bpftrace.

pub mod debian;
mod program;
pub mod tools;

use crate::queue::{self, SECOND};
use crate::vm::{Failed, cache, run};
use debian::Peer;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub const USAGE: &str = "cargo xtask peer [tools | FILE[:LINE]...]";
/// Debian's release whose bpftrace is compared with.
pub const SUITE: &str = "trixie";
/// A program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// True: the same, or explained.
pub fn main(only: &[String]) -> Result<bool, Failed> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf();
    let only_tools = only == ["tools"];
    let mut programs = program::all(&top.join("tests/peer"))?;
    if !only.is_empty() && !only_tools {
        programs.retain(|p| only.iter().any(|n| p.name.starts_with(n.as_str())));
        if programs.is_empty() {
            return Err(Failed(format!("no program of tests/peer is called {}", only.join(" or "))));
        }
    }
    let awl = match std::env::var_os("AWL") {
        Some(path) => PathBuf::from(path),
        None => {
            run(Command::new("cargo").args(["build", "-q"]).current_dir(&top))?;
            top.join("target/debug/awl")
        }
    };
    let peer = Peer::get(&cache()?, SUITE)?;
    if only_tools {
        return tools::check(&awl, &peer.root);
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let ends = queue::each(&programs, threads, |p| fault(p, &awl, &peer));
    let mut faults: Vec<(&program::Program, String)> = programs.iter().zip(ends).filter_map(|(p, f)| Some((p, f?))).collect();
    // Once more, with the machine to itself: clocks and other processes are seen by both.
    if faults.len() <= SECOND {
        faults.retain(|(p, first)| match fault(p, &awl, &peer) {
            Some(_) => true,
            None => {
                println!("at the first try only, {first}\n");
                false
            }
        });
    }
    for (_, f) in &faults {
        println!("{f}\n");
    }
    let explained = programs.iter().filter(|p| p.differs.is_some()).count();
    println!("{} programs, {explained} with a difference that is explained, {} at fault", programs.len(), faults.len());
    let tools = !only.is_empty() || tools::check(&awl, &peer.root)?;
    Ok(faults.is_empty() && tools)
}

/// What is wrong with what a program prints under both, if anything is.
fn fault(p: &program::Program, awl: &Path, peer: &Peer) -> Option<String> {
    let ours = output(Command::new(awl).args(p.arguments()));
    let theirs = output(peer.command().args(p.arguments()));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => p.fault(&ours, &theirs),
        (Err(e), _) | (_, Err(e)) => Some(format!("{}: {}", p.name, e.0)),
    }
}

/// What a run printed on standard output, and whether it went well.
pub struct Output {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

fn output(command: &mut Command) -> Result<Output, Failed> {
    // Cargo's own would make the traced command look in many places for its libraries.
    command.env_remove("LD_LIBRARY_PATH");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let id = child.id().to_string();
    let (done, over) = std::sync::mpsc::channel::<()>();
    // Whoever hangs is ended, and its empty output is the fault.
    let guard = std::thread::spawn(move || {
        if over.recv_timeout(LIMIT).is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-9", &id]).status();
        }
    });
    let got = child.wait_with_output()?;
    drop(done);
    let _ = guard.join();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { ok: got.status.success(), stdout: text(&got.stdout), stderr: text(&got.stderr) })
}
