//! The tools of `examples/`, run as their own comments say: `// try: awl ...` is the command, and every `// shows: TEXT` is a
//! line of its output (`~` in front: a pattern in which `*` stands for anything).

mod common;

use awl_compiler::glob::Glob;
use common::{may_load, text};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn tools_show_what_they_say() {
    if !may_load() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(root.join("examples")).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "bt")).collect();
    files.sort();
    assert!(files.len() >= 10, "the examples are gone: {}", files.len());
    let mut failures = String::new();
    for file in &files {
        let script = std::fs::read_to_string(file).unwrap();
        let said = |what: &str| -> Vec<&str> { script.lines().filter_map(|l| l.strip_prefix("// ")?.strip_prefix(what)).collect() };
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Some(command) = said("try: awl ").first().copied() else {
            failures += &format!("{name}: no `// try: awl ...`\n");
            continue;
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec \"$AWL\" {command}")).env("AWL", env!("CARGO_BIN_EXE_awl")).env("NO_COLOR", "1");
        let got = shell.current_dir(root).stdin(Stdio::null()).output().unwrap();
        let (out, err) = (text(&got.stdout), text(&got.stderr));
        let expected = said("shows: ");
        let missing: Vec<&&str> = expected.iter().filter(|e| !out.lines().any(|line| shows(e, line))).collect();
        if !got.status.success() || expected.is_empty() || !missing.is_empty() {
            failures += &format!("{name}: {}, missing {missing:?}\n--- output\n{out}--- stderr\n{err}\n", got.status);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn shows(expected: &str, line: &str) -> bool {
    match expected.strip_prefix('~') {
        Some(pattern) => Glob::new(pattern).matches(line),
        None => expected == line,
    }
}
