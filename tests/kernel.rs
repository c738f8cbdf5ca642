//! Scripts with known answers, run in this machine's kernel: `tests/kernel/NAME.bt` and `tests/vm/NAME.bt` print `NAME.out`
//! (`xtask/src/case.rs` says how they are written).

mod common;

use common::{awl, may_load, text};
use std::path::Path;
use std::process::{Command, Output, Stdio};
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

/// Cases about packets know what goes through `lo`: through the machine's own goes what others send, too.
fn in_a_network_of_its_own(args: &[&str]) -> Output {
    let mut c = Command::new("unshare");
    c.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_awl")]);
    c.args(args).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
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
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let got = if case.name.starts_with("vm/packet") { in_a_network_of_its_own(&args) } else { awl(&args) };
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
        if !got.status.success() && !["no-kprobes", "no-symbols", "no-cgroup"].iter().any(|c| said.contains(c)) {
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

/// Two processes at once, each of which writes one byte this often.
const WRITES: u64 = 100_000;

fn two_writers(script: &str) -> String {
    let dd = format!("dd if=/dev/zero of=/dev/null bs=1 count={WRITES} status=none");
    let both = format!("sh -c '{dd} & {dd}; wait'");
    text(&awl(&["-q", "-c", &both, "-e", script]).stdout)
}

const ONE_BYTE: &str = "tracepoint:syscalls:sys_enter_write /comm == \"dd\" && args.count == 1/";

#[test]
fn no_step_of_a_shared_map_is_lost() {
    if !may_load() {
        return;
    }
    let got = two_writers(&format!("{ONE_BYTE} {{ @n++; @k[args.fd]++; @s += 2; }}"));
    let (one, two) = (2 * WRITES, 4 * WRITES);
    assert!(
        got.contains(&format!("@n: {one}\n")) && got.contains(&format!("@s: {two}\n")) && got.contains(&format!("@k[1]: {one}\n")),
        "{got}"
    );
}

#[test]
fn clearing_what_was_printed_loses_nothing() {
    if !may_load() {
        return;
    }
    let take = "interval:ms:5 { print(@k); print(@n); clear(@k); clear(@n); }";
    let got = two_writers(&format!("{ONE_BYTE} {{ @k[args.fd] = count(); @n = sum(1); }} {take}"));
    for map in ["@k[1]: ", "@n: "] {
        let counted: u64 = got.lines().filter_map(|l| l.strip_prefix(map)?.parse::<u64>().ok()).sum();
        // An update under way on the other CPU in the moment in which its entry leaves may go with it.
        assert!(counted.abs_diff(2 * WRITES) < 20, "{map}{counted} of {}", 2 * WRITES);
    }
}
