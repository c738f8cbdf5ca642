//! Every row of the language's tables has a case: a script of `tests/kernel`, `tests/vm`, `tests/packets` or `tests/golden` (those of
//! refusals don't count) that uses it. Options have one where a test, or a row of `docs/parity.md`, gives them to the command.

mod common;

use awl_compiler::FileId;
use std::collections::BTreeSet;
use std::path::Path;

/// Names of the variants of an enum as its file defines it.
fn variants(source: &str, name: &str) -> Vec<String> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let names = body.lines().filter_map(|l| l.strip_prefix("    ")).filter(|l| l.starts_with(char::is_uppercase));
    names.map(|l| l.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()).collect()
}

fn texts(dir: &Path, wanted: impl Fn(&str) -> bool, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if wanted(&path.file_name().unwrap().to_string_lossy()) {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// The names of an option, as a line of the help has them: `  -o, --output <FILE>`.
fn option(line: &str) -> Option<Vec<String>> {
    let names = line.trim_start().split([',', ' ', '.']).map(str::trim).filter(|w| !w.is_empty());
    let names: Vec<String> = names.take_while(|w| w.starts_with('-')).map(str::to_owned).collect();
    (!names.is_empty() && !names.iter().any(|n| n == "--help")).then_some(names)
}

#[test]
fn every_row_has_a_case() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut scripts = Vec::new();
    for dir in ["kernel", "vm", "golden"] {
        texts(&tests.join(dir), |n| n.ends_with(".bt") && !n.starts_with("err."), &mut scripts);
    }
    assert!(scripts.len() > 150, "the cases are gone: {}", scripts.len());
    // A comment shows nothing.
    let code: Vec<String> =
        scripts.iter().map(|s| s.lines().filter(|l| !l.starts_with("//")).fold(String::new(), |all, l| all + l + "\n")).collect();
    let mut packets = Vec::new();
    texts(&tests.join("packets"), |n| n.ends_with(".rs"), &mut packets);
    let used: BTreeSet<&str> = code.iter().chain(&packets).flat_map(|s| words(s)).collect();
    let trees: Vec<String> = scripts.iter().map(|s| format!("{:?}", awl_grammar::parse(s, FileId::default()).0)).collect();
    let nodes: BTreeSet<&str> = trees.iter().flat_map(|t| words(t)).collect();

    let mut missing = Vec::new();
    let mut ask = |table: &str, names: Vec<String>, there: &BTreeSet<&str>| {
        assert!(names.len() > 4, "the {table} are no longer read: {names:?}");
        missing.extend(names.into_iter().filter(|n| !there.contains(n.as_str())).map(|n| format!("{table}: {n}")));
    };
    ask("builtins", awl_compiler::builtin::all().map(|r| r.name.to_owned()).collect(), &used);
    ask("aggregations", awl_compiler::agg::ROWS.iter().map(|r| r.name.to_owned()).collect(), &used);
    ask("probes", awl_compiler::probe::all().map(|r| r.name.to_owned()).collect(), &used);
    ask("settings", awl_compiler::config::KEYS.iter().map(|r| r.name.to_owned()).collect(), &used);
    let tree = include_str!("../grammar/src/ast.rs");
    for name in ["StmtKind", "ExprKind", "BinOp", "UnOp", "TypeKind"] {
        // The first stands in the place of what could not be read, the second is made by later passes.
        ask(name, variants(tree, name).into_iter().filter(|v| v != "Error" && v != "Expansion").collect(), &nodes);
    }
    let said = common::text(&common::awl(&["--help"]).stdout);
    let options: Vec<Vec<String>> = said.lines().filter_map(option).collect();
    assert!(options.len() > 20, "{options:?}");
    let mut sources = packets;
    texts(&tests, |n| n.ends_with(".rs") && n != "coverage.rs", &mut sources);
    texts(&tests.join("../docs"), |n| n == "parity.md", &mut sources);
    sources.extend(scripts);
    // As a string of a test, or as a word of a command.
    let given = |o: &str| sources.iter().any(|s| [format!("\"{o}\""), format!(" {o} "), format!(" {o}=")].iter().any(|w| s.contains(w)));
    missing.extend(options.into_iter().filter(|o| !o.iter().any(|o| given(o))).map(|o| format!("options: {}", o.join(", "))));
    assert!(missing.is_empty(), "no case shows\n{}", missing.join("\n"));
}
