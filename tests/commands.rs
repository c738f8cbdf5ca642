//! The subcommands, run as users run them.

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::{awl, may_load, text};
use dir::Dir;
use std::io::Write;
use std::process::{Command, Stdio};

impl Dir {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn awl(&self, args: &[&str]) -> std::process::Output {
        let mut c = Command::new(env!("CARGO_BIN_EXE_awl"));
        c.args(args).current_dir(&self.0).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
    }
}

fn with_input(args: &[&str], input: &str) -> std::process::Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_awl"));
    let mut child = c.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_script_of_a_subcommands_name_is_a_script() {
    let dir = Dir::new("words");
    assert!(text(&dir.awl(&["doc", "str"]).stdout).starts_with("str(p: ptr"));
    dir.file("doc", "begin { print(nothing_known); }");
    assert!(text(&dir.awl(&["doc"]).stderr).contains("unknown name `nothing_known`"));
    assert!(text(&dir.awl(&["./doc"]).stderr).contains("unknown name `nothing_known`"));
    assert!(text(&dir.awl(&[":doc", "str"]).stdout).starts_with("str(p: ptr"));
    // a folder is no script
    std::fs::create_dir(dir.0.join("explain")).unwrap();
    assert!(text(&dir.awl(&["explain", "syntax"]).stdout).starts_with("# syntax"));
}

#[test]
fn check_needs_no_rights_and_runs_nothing() {
    let got = awl(&["check", "-e", "begin { printf(\"ran\\n\"); exit(); }"]);
    assert!(got.status.success() && got.stdout.is_empty() && got.stderr.is_empty());
    assert_eq!(awl(&["check", "-e", "begin { print(com); }"]).status.code(), Some(1));
    assert_eq!(awl(&["check", "/nosuch.bt"]).status.code(), Some(1));
    assert!(with_input(&["check"], "begin { exit(); }").status.success());
    assert!(awl(&["check", "-e", "begin { print($1); exit(); }", "7"]).status.success());
    let dir = Dir::new("check");
    let (good, bad) = (dir.file("good.bt", "begin { exit(); }"), dir.file("bad.bt", "begin {"));
    let got = awl(&["check", &good, &bad]);
    assert!(got.status.code() == Some(1) && text(&got.stderr).contains("bad.bt:1"));
    if may_load() {
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_awl"), "check", "-e"]);
        let got = nobody.arg("interval:s:1 { @[comm] = hist(nsecs); }").output().unwrap();
        assert!(got.status.success(), "{}", text(&got.stderr));
    }
}

#[test]
fn diagnostics_for_editors_are_json() {
    for args in [
        &["check", "--message-format", "json", "-e", "begin { $ü = 1; print(com); }"][..],
        &["--message-format", "json", "--dry-run", "-e", "begin { $ü = 1; print(com); }"],
    ] {
        let got = awl(args);
        let said = text(&got.stderr);
        let lines: Vec<serde_json::Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(!lines.is_empty() && got.status.code() == Some(1), "{said}");
    }
    let got = awl(&["check", "--message-format", "json", "-e", "begin {\n  print(com); }"]);
    let d: serde_json::Value = serde_json::from_str(text(&got.stderr).trim()).unwrap();
    assert_eq!((d["code"].as_str(), d["severity"].as_str()), (Some("unknown-name"), Some("error")));
    let start = &d["spans"][0]["start"];
    assert_eq!((start["line"].as_u64(), start["column"].as_u64()), (Some(2), Some(9)), "{d}");
}

#[test]
fn formatting_is_idempotent_and_keeps_comments() {
    let ugly = "#!/usr/bin/env awl\n// why\nbegin{print(1);/* here */exit();}";
    let once = text(&with_input(&["fmt"], ugly).stdout);
    assert!(once.contains("// why\n") && once.contains("/* here */") && once.contains("begin {\n"), "{once}");
    assert_eq!(text(&with_input(&["fmt"], &once).stdout), once);
    let dir = Dir::new("fmt");
    let file = dir.file("a.bt", ugly);
    let got = awl(&["fmt", "--check", &file]);
    assert!(got.status.code() == Some(1) && text(&got.stdout) == format!("{file}\n"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ugly);
    assert!(awl(&["fmt", &file]).status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), once);
    assert!(awl(&["fmt", "--check", &file]).status.success());
    // what can't be read is left alone
    let broken = dir.file("b.bt", "begin { print(");
    let got = awl(&["fmt", &broken]);
    assert!(got.status.code() == Some(1) && text(&got.stderr).contains("error["));
    assert_eq!(std::fs::read_to_string(&broken).unwrap(), "begin { print(");
}

#[test]
fn a_new_script_is_canonical_and_compiles() {
    let dir = Dir::new("new");
    assert!(dir.awl(&["new", "calls"]).status.success());
    assert!(dir.awl(&["fmt", "--check", "calls.bt"]).status.success());
    assert_eq!(dir.awl(&["new", "calls"]).status.code(), Some(1), "a script that is there stays");
    if may_load() {
        let got = dir.awl(&["--dry-run", "calls.bt", "1"]);
        assert!(got.status.success(), "{}", text(&got.stderr));
        assert!(dir.awl(&["--dry-run", "calls.bt"]).status.success());
    }
}

#[test]
fn every_name_of_the_language_has_a_description() {
    let all = text(&awl(&["doc"]).stdout);
    let names: Vec<&str> = all.lines().filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(names.len() > 100);
    for name in names.iter().step_by(9) {
        assert!(text(&awl(&["doc", name]).stdout).lines().count() >= 3, "{name}");
    }
    assert!(text(&awl(&["doc", "cont"]).stderr).contains("did you mean `awl doc count`?"));
}

#[test]
fn manual_and_completions_name_everything() {
    let man = text(&awl(&["man"]).stdout);
    assert!(man.contains(".TH awl 1") && man.contains("\\-\\-dry\\-run") && man.contains("doctor"), "{man}");
    assert!(text(&awl(&["man", "fmt"]).stdout).contains("\\-\\-check"));
    for shell in ["bash", "zsh", "fish"] {
        let made = text(&awl(&["completions", shell]).stdout);
        assert!(["doctor", "explain", "dry-run"].iter().all(|w| made.contains(w)), "{shell}");
    }
    assert!(text(&awl(&["help"]).stdout).contains("completions"));
    assert!(text(&awl(&["help", "fmt"]).stdout).contains("--check"));
}

#[test]
fn the_doctor_tries_what_the_machine_can() {
    if !may_load() {
        return;
    }
    let got = awl(&["doctor"]);
    let said = text(&got.stdout);
    assert!(got.status.success(), "{said}");
    for what in ["begin", "interval", "profile", "software", "rawtracepoint"] {
        assert!(said.lines().any(|l| l.starts_with(&format!("ok   {what} "))), "{what} in\n{said}");
    }
    // Two capabilities do for most of it.
    let two = "+bpf,+perfmon";
    let mut user = Command::new("setpriv");
    user.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all,+bpf,+perfmon",
        "--inh-caps",
        two,
        "--ambient-caps",
        two,
    ]);
    let got = user.args([env!("CARGO_BIN_EXE_awl"), "doctor"]).output().unwrap();
    let few = text(&got.stdout);
    assert!(got.status.success() && few.contains("ok   rights         CAP_BPF and CAP_PERFMON\n"), "{few}");
    for what in ["begin", "interval", "profile", "software", "rawtracepoint"] {
        assert!(few.lines().any(|l| l.starts_with(&format!("ok   {what} "))), "{what} in\n{few}");
    }
    // each lack that awl knows of says what to do
    assert!(!said.contains("BAD"), "{said}");
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", env!("CARGO_BIN_EXE_awl"), "doctor"]);
    let got = nobody.output().unwrap();
    let said = text(&got.stdout);
    assert!(got.status.code() == Some(2) && said.contains("no CAP_BPF") && said.contains("-> `sudo awl"), "{said}");
}
