//! Running the command that was built.

#[allow(dead_code)] // not every test file needs programs
pub mod built;
#[allow(dead_code)] // nor terminals
pub mod terminal;

use std::process::{Command, Output, Stdio};

#[allow(dead_code)] // not every test file runs one
pub fn awl(args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_awl"));
    c.args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    match c.output() {
        Ok(o) => o,
        Err(e) => panic!("awl can't be started: {e}"),
    }
}

#[allow(dead_code)] // not every test file asks
pub fn may_load() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    assert!(root || std::env::var_os("CI").is_none(), "CI runs kernel tests as root");
    if !root {
        println!("skipped: programs are loaded by root");
    }
    root
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
