//! The tools that Debian ships with bpftrace 0.17 are scripts that people have: all of them compile for the running kernel, but
//! for what this kernel or machine lacks. They aren't part of this project, so the tests read the installed package and say
//! so when it isn't there.

use awl_compiler::compile::compile;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::target::Target;
use awl_runtime::target::HostTarget;
use std::process::Command;

/// (file name, text)
fn tools() -> Vec<(String, String)> {
    let list = Command::new("dpkg").args(["-L", "bpftrace"]).output();
    let list = list.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let paths = list.lines().filter(|line| line.ends_with(".bt"));
    let read = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        (name.to_owned(), std::fs::read_to_string(path).unwrap())
    };
    let tools: Vec<_> = paths.map(read).collect();
    if tools.is_empty() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have the bpftrace package");
        eprintln!("skipped: the bpftrace package isn't installed here (dpkg -L bpftrace lists no .bt file)");
    }
    tools
}

/// Can scripts be compiled for this machine at all?
fn ready(target: &HostTarget) -> bool {
    let missing = target.btf().err().or_else(|| target.tracepoints().err());
    if let Some(why) = &missing {
        eprintln!("skipped: {why}");
    }
    missing.is_none()
}

/// What is wrong with a script. A `#define` in front would move its lines, so the text is compiled as it is.
fn complaints(target: &HostTarget, name: &str, text: &str) -> Vec<Diagnostic> {
    let mut sources = SourceMap::default();
    let file = sources.add(name, text.to_owned());
    let options = Options { allow_unsafe: true, ..Options::default() };
    compile(&sources, file, target, &options, false).diagnostics
}

/// What a machine may lack: probe types that are still to come, tracepoints, functions of libraries, symbols.
fn of_this_machine(d: &Diagnostic) -> bool {
    let codes = ["no-kprobes", "unknown-event", "unknown-function", "no-match", "no-file", "no-symbols", "unknown-symbol"];
    !d.is_error() || codes.contains(&d.code)
}

#[test]
fn installed_tools_compile() {
    let (tools, target) = (tools(), HostTarget::new());
    if !ready(&target) {
        return;
    }
    let (mut failures, mut whole) = (String::new(), 0);
    for (name, text) in &tools {
        let found = complaints(&target, name, text);
        whole += usize::from(!found.iter().any(Diagnostic::is_error));
        for d in found.iter().filter(|d| !of_this_machine(d)) {
            failures += &format!("{name}: {}: {}\n", d.code, d.message);
        }
    }
    eprintln!("{whole} of {} tools compile", tools.len());
    assert!(failures.is_empty(), "{failures}");
}

/// Functions of the kernel replaced by one of the C library: then all bodies are checked, with their structs and headers.
#[test]
fn bodies_of_kernel_probes_compile() {
    let (tools, target) = (tools(), HostTarget::new());
    if !ready(&target) || target.binaries("libc").is_err() {
        return;
    }
    let mut failures = String::new();
    for (name, text) in &tools {
        let mut text = text.clone();
        for (from, to) in [("kretprobe:", "uretprobe:libc:malloc"), ("kprobe:", "uprobe:libc:malloc")] {
            while let Some(at) = text.find(from) {
                let behind = &text[at + from.len()..];
                let word = behind.find(|c: char| !(c.is_alphanumeric() || "_.*".contains(c))).unwrap_or(behind.len());
                text.replace_range(at..at + from.len() + word, to);
            }
        }
        for d in complaints(&target, name, &text).iter().filter(|d| !of_this_machine(d)) {
            failures += &format!("{name}: {}: {}\n", d.code, d.message);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
