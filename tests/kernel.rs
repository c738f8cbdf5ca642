//! Scripts with known answers, run in this machine's kernel: `tests/kernel/NAME.bt` prints `NAME.out`. A first line
//! `// cmd: COMMAND` is given to `-c`, `// args: ...` are positional parameters, `// exit: N` is the status expected, and
//! `// err: TEXT` must be on standard error. In `.out` a line that starts with `~` is a pattern in which `*` stands for
//! anything.

mod common;

use awl_compiler::glob::Glob;
use common::{awl, may_load, text};
use std::path::Path;

fn directive<'a>(script: &'a str, name: &str) -> Option<&'a str> {
    script.lines().filter_map(|l| l.strip_prefix("// ")).find_map(|l| l.strip_prefix(name)).map(str::trim)
}

fn fits(expected: &str, got: &str) -> bool {
    let (e, g): (Vec<_>, Vec<_>) = (expected.lines().collect(), got.lines().collect());
    e.len() == g.len()
        && e.iter().zip(&g).all(|(e, g)| match e.strip_prefix('~') {
            Some(pattern) => Glob::new(pattern).matches(g),
            None => e == g,
        })
}

#[test]
fn scripts_print_what_they_should() {
    if !may_load() {
        return;
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel");
    let mut files: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "bt")).collect();
    files.sort();
    assert!(files.len() >= 20, "the cases are gone: {}", files.len());
    let mut failures = Vec::new();
    for f in &files {
        let script = std::fs::read_to_string(f).unwrap();
        let mut args = vec!["-q"];
        if let Some(c) = directive(&script, "cmd:") {
            args.extend(["-c", c]);
        }
        args.push(f.to_str().unwrap());
        args.extend(directive(&script, "args:").unwrap_or_default().split_whitespace());
        let got = awl(&args);
        let status = directive(&script, "exit:").map_or(0, |n| n.parse().unwrap());
        let out = f.with_extension("out");
        if std::env::var_os("UPDATE_GOLDENS").is_some() && !out.exists() {
            std::fs::write(&out, &got.stdout).unwrap();
        }
        let expected = std::fs::read_to_string(&out).unwrap_or_default();
        let stderr = text(&got.stderr);
        let told = directive(&script, "err:").is_none_or(|e| stderr.contains(e));
        if got.status.code() != Some(status) || !fits(&expected, &text(&got.stdout)) || !told {
            failures.push(format!(
                "{}: status {:?}\n--- expected\n{expected}--- got\n{}--- stderr\n{stderr}",
                f.display(),
                got.status.code(),
                text(&got.stdout)
            ));
        }
    }
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), files.len(), failures.join("\n"));
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
