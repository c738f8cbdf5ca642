//! Commands of the documentation, run: a block ```` ```sh ```` is a command, the block ```` ```text ```` behind it lines of its
//! output (`...` stands for others). Numbers, blanks and bars may differ. Commands that trace what they start themselves, or end
//! at once, are run; the others are compiled.

mod common;

use common::{may_load, text};
use std::path::Path;
use std::process::{Command, Stdio};

struct Block {
    command: String,
    expected: Vec<String>,
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```sh\n") {
        let (command, behind) = after.split_once("\n```").unwrap();
        let expected = behind.strip_prefix("\n```text\n").and_then(|t| t.split_once("\n```")).map_or("", |t| t.0);
        let lines = expected.lines().filter(|l| !l.is_empty() && *l != "...").map(str::to_owned);
        found.push(Block { command: command.to_owned(), expected: lines.collect() });
        rest = behind;
    }
    found
}

/// A line without what differs from run to run.
fn shape(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars().map(|c| {
        if c.is_ascii_digit() {
            '0'
        } else if c.is_whitespace() {
            ' '
        } else {
            c
        }
    }) {
        let repeats = matches!(c, '0' | ' ' | '@') && out.ends_with(c);
        if !repeats {
            out.push(c);
        }
    }
    match out.split_once('|') {
        Some((head, _)) if out.starts_with('[') => head.trim().to_owned(),
        _ => out.trim().to_owned(),
    }
}

/// Runs or compiles a command; says what is wrong.
fn problem(block: &Block) -> Option<String> {
    let runs = !block.command.contains("-e ") || block.command.contains(" -c ") || block.command.contains("exit()");
    let dry = if runs { "" } else { "--dry-run " };
    // Whoever is asked for in a real command is not here.
    let script = format!("awl() {{ \"$AWL\" {dry}\"$@\"; }}; pgrep() {{ echo $$; }}; cd \"$(mktemp -d)\"; {}", block.command);
    let mut shell = Command::new("timeout");
    shell.args(["60", "bash", "-c", &script]).env("AWL", env!("CARGO_BIN_EXE_awl")).env("NO_COLOR", "1");
    let got = shell.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (text(&got.stdout), text(&got.stderr));
    let shapes: Vec<String> = out.lines().map(shape).collect();
    let missing: Vec<&String> = block.expected.iter().filter(|e| !shapes.contains(&shape(e))).collect();
    let lacks = !runs && err.contains("error[no-");
    if (got.status.success() || lacks) && missing.is_empty() && (lacks || !err.contains("error[")) {
        return None;
    }
    Some(format!("{}\n{}, missing {missing:?}\n--- output\n{out}--- stderr\n{err}\n", block.command, got.status))
}

fn check(name: &str, least: usize) {
    if !may_load() {
        return;
    }
    let blocks = blocks(&read(name));
    assert!(blocks.len() >= least, "{name} has {} commands", blocks.len());
    let wrong: Vec<String> = blocks.iter().filter_map(problem).collect();
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

#[test]
fn the_tutorial() {
    check("docs/tutorial.md", 12);
}

#[test]
fn the_cookbook() {
    check("docs/cookbook.md", 30);
}

#[test]
fn coming_from_bpftrace() {
    check("docs/from-bpftrace.md", 3);
}

/// The last column of a table's row, when it is a script.
fn example(line: &str) -> Option<String> {
    let cell = line.strip_prefix("| `")?.strip_suffix("` |")?.rsplit_once("| `")?.1;
    let script = cell.replace("\\|", "|");
    script.contains('{').then_some(script)
}

#[test]
fn examples_of_the_reference() {
    if !may_load() {
        return;
    }
    let reference = read("LANGUAGE.md");
    let scripts: Vec<String> = reference.lines().filter_map(example).collect();
    assert!(scripts.len() > 80, "examples are no longer found: {}", scripts.len());
    let mut wrong = String::new();
    for script in scripts {
        // Those that end by themselves and change nothing are run.
        let runs = script.contains("exit()") && !["system(", "signal", "override(", "write_user("].iter().any(|w| script.contains(w));
        let mut c = Command::new("timeout");
        c.args(["20", env!("CARGO_BIN_EXE_awl"), "--unsafe"]).args(if runs { &["-q"][..] } else { &["--dry-run"] }).args(["-e", &script]);
        // One of them writes a file.
        let got = c.env("NO_COLOR", "1").current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null()).output().unwrap();
        let said = text(&got.stderr);
        // A kernel without something is no fault of an example.
        let excused = said.contains("error[no-") || said.contains("kernel-feature");
        if !got.status.success() && !excused {
            wrong += &format!("{script}\n{}: {said}\n", got.status);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
