//! The tools that Debian ships with bpftrace 0.17 are scripts that people have: all of them parse. They aren't part of this
//! project, so the test reads the installed package and says so when it isn't there.

use awl_grammar::parse;
use awl_grammar::span::FileId;
use std::process::Command;

#[test]
fn installed_tools_parse() {
    let list = Command::new("dpkg").args(["-L", "bpftrace"]).output();
    let list = list.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let tools: Vec<&str> = list.lines().filter(|line| line.ends_with(".bt")).collect();
    if tools.is_empty() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have the bpftrace package");
        println!("skipped: the bpftrace package isn't installed here (dpkg -L bpftrace lists no .bt file)");
        return;
    }
    let mut failures = String::new();
    for tool in &tools {
        let text = std::fs::read_to_string(tool).unwrap();
        let (script, errors) = parse(&text, FileId(0));
        for e in errors {
            let line = text[..e.span.start as usize].lines().count();
            failures += &format!("{tool}:{line}: {}: {}\n", e.code, e.message);
        }
        assert!(!script.items.is_empty(), "{tool} has no probes");
    }
    assert!(failures.is_empty(), "{failures}");
    println!("{} tools parse", tools.len());
}
