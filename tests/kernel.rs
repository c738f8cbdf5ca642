//! Scripts with known answers, run in this machine's kernel: `tests/kernel/NAME.bt` and `tests/vm/NAME.bt` print `NAME.out`
//! (`xtask/src/case.rs` says how they are written).

mod common;

use common::{awl, may_load, text};
use std::path::Path;
use std::process::Command;
use xtask::case::{Case, Got};
use xtask::need;

/// Why this machine can't run a case, if it can't.
fn lacking(case: &Case) -> Option<String> {
    case.needs().find_map(|word| {
        let (test, reason) = need::find(word).unwrap();
        let there = Command::new("sh").args(["-c", &format!("{{ {test}; }} >/dev/null 2>&1")]).status().unwrap();
        (!there.success()).then_some(reason)
    })
}

#[test]
fn scripts_print_what_they_should() {
    if !may_load() {
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut failures = Vec::new();
    let mut run = 0;
    for dir in ["kernel", "vm"] {
        for case in Case::all(&tests.join(dir)).unwrap() {
            if let Some(why) = lacking(&case) {
                println!("{}: left out: {why}", case.name);
                continue;
            }
            let script = tests.join(format!("{}.bt", case.name));
            let args = case.arguments(script.to_str().unwrap());
            let got = awl(&args.iter().map(String::as_str).collect::<Vec<_>>());
            let got = Got { status: got.status.code(), stdout: text(&got.stdout), stderr: text(&got.stderr) };
            let out = script.with_extension("out");
            if std::env::var_os("UPDATE_GOLDENS").is_some() && !out.exists() {
                std::fs::write(&out, &got.stdout).unwrap();
            }
            failures.extend(case.fault(&got));
            run += 1;
        }
    }
    assert!(run >= 30, "the cases are gone: {run}");
    assert!(failures.is_empty(), "{} of {run}\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_example_compiles() {
    if !may_load() {
        return;
    }
    use awl_compiler::{agg, builtin, probe};
    let examples = builtin::all().map(|b| (b.name, b.example)).chain(agg::ROWS.iter().map(|r| (r.name, r.example)));
    let examples = examples.chain(probe::all().map(|p| (p.name, p.example))).filter(|(_, e)| !e.is_empty());
    let mut bad = Vec::new();
    for (name, example) in examples {
        let got = awl(&["--unsafe", "--dry-run", "-c", "true", "-e", example]);
        let said = text(&got.stderr);
        // Excused is what depends on the machine: some kernels hide data symbols, some mount cgroup v2 elsewhere.
        if !got.status.success() && !["not-yet", "no-symbols", "no-cgroup"].iter().any(|c| said.contains(c)) {
            bad.push(format!("{name}: {example}\n{said}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn nothing_is_lost_silently() {
    if !may_load() {
        return;
    }
    let dd = "dd if=/dev/zero of=/dev/null bs=1 count=100000 status=none";
    let script = "tracepoint:syscalls:sys_enter_write /pid == cpid && comm == \"dd\"/ { printf(\"w\\n\"); }";
    let got = awl(&["-q", "-e", script, "-c", dd]);
    let lines = text(&got.stdout).lines().filter(|l| *l == "w").count();
    let lost: usize = text(&got.stderr).lines().filter_map(|l| l.strip_prefix("Lost ")?.split(' ').next()?.parse::<usize>().ok()).sum();
    assert!((100_000..100_020).contains(&(lines + lost)), "{lines} lines, {lost} lost");
}
