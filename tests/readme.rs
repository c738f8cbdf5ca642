//! README's one-liners, run as they stand there: the output has the lines that are shown, in their order, but for numbers and for
//! how many rows a histogram has.

mod common;

use common::{may_load, text};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a line looks like whatever was measured; `None` for rows of which there are more or fewer each time.
fn shape(line: &str) -> Option<String> {
    if line.is_empty() || line == "..." || line.contains('|') {
        return None;
    }
    let mut out = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !out.ends_with('#') {
            out.push(c);
        }
    }
    Some(out)
}

#[test]
fn one_liners_print_what_is_shown() {
    if !may_load() {
        return;
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = page.split("\n## ").find(|s| s.starts_with("Ten one-liners")).expect("the section");
    let bin = Path::new(env!("CARGO_BIN_EXE_awl")).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let folder = std::env::temp_dir().join(format!("awl-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (mut run, mut wrong) = (0, String::new());
    let mut lines = section.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("    # ") else { continue };
        let mut expected = Vec::new();
        while let Some(l) = lines.next_if(|l| l.is_empty() || (l.starts_with("    ") && !l.starts_with("    # "))) {
            expected.extend(l.strip_prefix("    ").and_then(shape));
        }
        let got = Command::new("sh").args(["-c", command]).env("PATH", &path).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
        let out = text(&got.stdout);
        // Who started awl depends on who asks.
        let same = |have: &str, want: &str| {
            have == want || want.split(" by ").next().is_some_and(|w| want.contains(" by ") && have.starts_with(w))
        };
        let mut shapes = out.lines().filter_map(shape);
        let missing: Vec<&String> = expected.iter().filter(|e| !shapes.any(|s| same(&s, e))).collect();
        run += 1;
        if !got.status.success() || expected.is_empty() || !missing.is_empty() {
            wrong += &format!("{command}\nmissing: {missing:?}\n{out}{}\n", text(&got.stderr));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(run >= 10, "the one-liners are gone: {run}");
    assert!(wrong.is_empty(), "{wrong}");
}
