//! Signals to a session of its own process (`examples/tick.rs`). They need root.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/tick")
}

/// Whoever runs the tests under `nohup` or behind `&` has it ignore no signal.
fn tick(how: &str) -> Command {
    let mut c = Command::new("env");
    c.arg("--default-signal=HUP,INT").arg(program()).arg(how).stdout(Stdio::piped());
    c
}

fn start(mut c: Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = c.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "attached\n");
    std::thread::sleep(Duration::from_millis(50));
    (child, out)
}

fn send(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
}

fn rest(mut out: BufReader<ChildStdout>) -> String {
    let mut s = String::new();
    out.read_to_string(&mut s).unwrap();
    s
}

#[test]
fn each_ending_signal_ends_in_order() {
    if !common::clang() {
        return;
    }
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let (mut child, out) = start(tick(""));
        send(&child, name);
        assert_eq!(rest(out), format!("end\nSignal({number}) true\n"));
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_signal_sent_twice_at_once_counts_once() {
    if !common::clang() {
        return;
    }
    let (mut child, out) = start(tick(""));
    send(&child, "INT");
    send(&child, "INT");
    assert_eq!(rest(out), "end\nSignal(2) true\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_second_wish_ends_at_once() {
    if !common::clang() {
        return;
    }
    let (mut child, mut out) = start(tick("slow"));
    send(&child, "INT");
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "end\n");
    std::thread::sleep(Duration::from_millis(250));
    let asked = Instant::now();
    send(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_signal_of_our_own_runs_its_probe() {
    if !common::clang() {
        return;
    }
    let (mut child, mut out) = start(tick(""));
    for _ in 0..2 {
        send(&child, "USR1");
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "self\n");
    }
    send(&child, "INT");
    assert_eq!(rest(out), "end\nSignal(2) true\n");
    child.wait().unwrap();
}

#[test]
fn nohup_is_respected() {
    if !common::clang() {
        return;
    }
    let mut c = Command::new("nohup");
    c.arg(program()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (mut child, out) = start(c);
    send(&child, "HUP");
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none());
    send(&child, "TERM");
    assert_eq!(rest(out), "end\nSignal(15) true\n");
    child.wait().unwrap();
}

/// Without rights the message says which are missing and what to do.
#[test]
fn nobody_is_told_what_is_missing() {
    if !common::clang() {
        return;
    }
    // Somebody else may not read our files: the program is copied to where they may.
    let dir = std::env::temp_dir().join(format!("awl-nobody-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let copy = dir.join("tick");
    std::fs::copy(program(), &copy).unwrap();
    let out = Command::new(&copy).arg("load").uid(65534).gid(65534).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(2), "{text} {:?}", out.status.signal());
    assert!(text.contains("no-permission") && text.contains("CAP_BPF") && text.contains("sudo"), "{text}");
}
