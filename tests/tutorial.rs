//! The transcript in the tutorial is typed in a real terminal: what it says is what happens.

mod common;

use common::terminal::{Terminal, ready};
use std::process::Command;

/// What one line of the transcript says.
#[derive(Debug, PartialEq)]
enum Step<'t> {
    /// the line as it is then, and the key that follows
    Type(&'t str, &'static str),
    Becomes(&'t str),
    Lists(Vec<&'t str>),
    Hints(&'t str),
    Key(&'t str),
    Elsewhere(&'t str),
    Shows(&'t str),
}

fn step(line: &str) -> Step<'_> {
    if let Some(typed) = line.strip_prefix("awl> ") {
        return typed.strip_suffix("<Tab>").map_or(Step::Type(typed, "Enter"), |t| Step::Type(t, "Tab"));
    }
    if let Some(command) = line.strip_prefix("another terminal$ ") {
        return Step::Elsewhere(command);
    }
    if let Some(key) = line.strip_prefix('<') {
        return Step::Key(key.trim_end_matches('>'));
    }
    let Some(told) = line.strip_prefix("     ") else { return Step::Shows(line) };
    match told.split_once(' ') {
        Some(("becomes", text)) => Step::Becomes(text),
        Some(("lists", names)) => Step::Lists(names.split(", ").collect()),
        Some(("hints", text)) => Step::Hints(text),
        _ => panic!("not known what this says: {line}"),
    }
}

/// A line with `N` for each number and one character for each bar and gap: what is the same in each run.
fn masked(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { 'N' } else { c };
        // 2K is a number as well, and two letters would be another pattern.
        let unit = "KMGT".contains(c) && out.ends_with('N');
        if !(unit || ("N@ ".contains(c) && out.ends_with(c))) {
            out.push(c);
        }
    }
    out.trim_end().replace("@ |", "@|")
}

#[test]
fn what_is_masked() {
    assert_eq!(masked("[256, 512)           998 |@@@@@@@@|"), "[N, N) N |@|");
    assert_eq!(masked("[1K, 2K)              12 |@@@     |"), "[N, N) N |@|");
    assert_eq!(step("awl> tracep<Tab>"), Step::Type("tracep", "Tab"));
    assert_eq!(step("     lists a, b"), Step::Lists(vec!["a", "b"]));
}

#[test]
fn from_nothing_to_a_histogram() {
    if !ready() {
        return;
    }
    let page = include_str!("../docs/tutorial.md");
    let (_, transcript) = page.split_once("```transcript\n").expect("the tutorial has a transcript");
    let (transcript, _) = transcript.split_once("```").unwrap();
    // wide enough for each of its lines
    let t = Terminal::with("tutorial", 130, 40, "", env!("CARGO_BIN_EXE_awl"));
    // what stands at the prompt already
    let (mut there, mut shown) = (String::new(), Vec::new());
    for line in transcript.lines() {
        match step(line) {
            Step::Type(text, key) => {
                t.until(|_| t.edited().0 == format!("awl> {there}"), &format!("a prompt with `{there}`"));
                let more = text.strip_prefix(there.as_str()).unwrap_or_else(|| panic!("`{there}` stands there, and then: {line}"));
                t.write(more);
                t.until(|_| t.edited().0 == format!("awl> {text}"), text);
                t.keys(&[key]);
                there = if key == "Enter" { String::new() } else { text.to_owned() };
            }
            Step::Becomes(text) => {
                t.until(|_| t.edited().0 == format!("awl> {text}"), line);
                text.clone_into(&mut there);
            }
            Step::Lists(names) => {
                let listed = |s: &str, n: &str| s.lines().any(|l| !l.contains("awl>") && l.split_whitespace().any(|w| w == n));
                t.until(|s| names.iter().all(|n| listed(s, n)), line);
            }
            Step::Hints(text) => drop(t.until(|_| t.edited().1.trim() == text, line)),
            Step::Key(key) => t.keys(&[key]),
            Step::Elsewhere(command) => {
                let done = Command::new("sh").args(["-c", command]).status().unwrap();
                assert!(done.success(), "{line}: {done}");
            }
            Step::Shows(text) => {
                shown.push(masked(text));
                let times = |lines: &[String]| lines.iter().filter(|l| *l == &shown[shown.len() - 1]).count();
                t.until(|s| times(&s.lines().map(masked).collect::<Vec<_>>()) >= times(&shown), line);
            }
        }
    }
    t.keys(&["C-d"]);
    t.wait("left=0");
    assert!(common::awl(&["check", &t.state.join("reads.bt").to_string_lossy()]).status.success());
}
