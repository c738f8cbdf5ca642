//! The tools that come with bpftrace, of the release that is installed and of the peer's: each compiles, and those whose probes
//! this kernel and its libraries have run, for a process of ours.

use super::{Failed, Output, output};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a machine may lack: a tool that fails so is left out, and the table says why.
const LACKS: [&str; 5] = ["no-kprobes", "no-symbols", "no-tracepoint", "unknown-function", "unknown-probe"];

/// The tools of the installed package and of the peer's, by release.
fn files(root: &Path) -> Result<Vec<(&'static str, PathBuf)>, Failed> {
    let listed = Command::new("dpkg").args(["-L", "bpftrace"]).stderr(Stdio::null()).output()?;
    let mut files: Vec<(&str, PathBuf)> = String::from_utf8_lossy(&listed.stdout).lines().map(|l| ("installed", l.into())).collect();
    for entry in std::fs::read_dir(root.join("usr/sbin"))? {
        files.push(("peer", entry?.path()));
    }
    files.retain(|(_, p)| p.extension().is_some_and(|e| e == "bt"));
    files.sort();
    for release in ["installed", "peer"] {
        if !files.iter().any(|(r, _)| *r == release) {
            let why = format!("tools: there are none of bpftrace, {release}");
            if std::env::var_os("CI").is_some() {
                return Err(Failed(why));
            }
            println!("{why}: left out");
        }
    }
    Ok(files)
}

/// Prints a line for each tool. True: all compile, and none fails for a reason of ours.
pub fn check(awl: &Path, root: &Path) -> Result<bool, Failed> {
    let (mut good, mut ran, mut all) = (true, 0, 0);
    for (release, file) in files(root)? {
        let name = format!("{release}/{}", file.file_name().unwrap_or_default().to_string_lossy());
        let compiled = output(Command::new(awl).args(["--unsafe", "--dry-run", "--no-warnings"]).arg(&file))?;
        all += 1;
        if !compiled.ok {
            good = false;
            println!("{name}: does not compile\n{}", compiled.stderr);
            continue;
        }
        let run = beside_a_process(awl, &file)?;
        let why = run.stderr.lines().find(|l| l.starts_with("error")).unwrap_or("it failed").to_string();
        if run.ok {
            ran += 1;
            println!("{name}: compiles, runs");
        } else if LACKS.iter().any(|l| why.starts_with(&format!("error[{l}]"))) {
            println!("{name}: compiles; {why}");
        } else {
            good = false;
            println!("{name}: does not run\n{}", run.stderr);
        }
    }
    println!("{all} tools, {ran} of them run here");
    Ok(good)
}

/// A tool never sees more than a process that sleeps, and ends with it.
fn beside_a_process(awl: &Path, file: &Path) -> Result<Output, Failed> {
    let mut sleeper = Command::new("sleep").arg("1").spawn()?;
    let run = output(Command::new(awl).args(["-q", "--unsafe", "-p", &sleeper.id().to_string()]).arg(file));
    let _ = sleeper.kill();
    sleeper.wait()?;
    run
}
