//! What a builtin, an aggregation or a probe does is said by its row: the passes don't ask for names.

#[allow(dead_code)] // the codes themselves are for another test
#[path = "common/codes.rs"]
mod codes;

use codes::sources;
use std::path::Path;

/// Comparisons that stay, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("sema/only.rs", "begin", "not a process's: `-p` leaves it alone"),
    ("sema/only.rs", "end", "not a process's: `-p` leaves it alone"),
    ("sema/only.rs", "self", "not a process's: `-p` leaves it alone"),
    ("sema/only.rs", "interval", "not a process's: `-p` leaves it alone"),
    ("sema/only.rs", "iter", "not a process's: `-p` leaves it alone"),
];

/// Texts in quotes that a line compares with: behind `==`, `!=`, or as a pattern (`"a" | "b" =>`, `matches!(n, "a")`).
fn compared(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or(line);
    let parts: Vec<&str> = code.split('"').collect();
    let mut out = Vec::new();
    for i in (1..parts.len()).step_by(2) {
        let before = parts[i - 1].trim_end();
        let after = parts.get(i + 1).map_or("", |p| p.trim_start());
        let pattern = after.starts_with("=>") || after.starts_with("| ") || before.ends_with('|') && !before.ends_with("||");
        if before.ends_with("==") || before.ends_with("!=") || pattern || before.contains("matches!(") {
            out.push(parts[i]);
        }
    }
    out
}

#[test]
fn passes_ask_rows_and_not_for_names() {
    let names: Vec<&str> = awl_compiler::builtin::all()
        .flat_map(|b| std::iter::once(b.name).chain(b.aliases.iter().copied()))
        .chain(awl_compiler::agg::ROWS.iter().map(|r| r.name))
        .chain(awl_compiler::probe::all().flat_map(|p| std::iter::once(p.name).chain(p.aliases.iter().copied())))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("compiler/src");
    let mut files = Vec::new();
    for dir in ["sema", "lower"] {
        sources(&root.join(dir), &mut files);
    }
    assert!(files.len() > 30, "the passes are no longer found");
    let (mut wrong, mut used) = (String::new(), vec![false; ALLOWED.len()]);
    for path in files {
        let file = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.split("#[cfg(test)]").next().unwrap().lines().enumerate() {
            for name in compared(line).into_iter().filter(|n| names.contains(n)) {
                match ALLOWED.iter().position(|(f, n, _)| *f == file && *n == name) {
                    Some(i) => used[i] = true,
                    None => wrong += &format!("{file}:{}: `{name}`: {}\n", number + 1, line.trim()),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "a name is asked for where its row should say it:\n{wrong}");
    let idle: Vec<_> = ALLOWED.iter().zip(used).filter(|(_, u)| !u).map(|(a, _)| a).collect();
    assert!(idle.is_empty(), "no longer needed: {idle:?}");
}

#[test]
fn comparisons_are_seen() {
    assert_eq!(compared(r#"if b.name == "comm" && x != "y" {"#), ["comm", "y"]);
    assert_eq!(compared(r#""str" | "buf" => 1, // == "z""#), ["str", "buf"]);
    assert_eq!(compared(r#"matches!(n, "a" | "b")"#), ["a", "b"]);
    assert!(compared(r#"b.call("comm", "x")"#).is_empty());
}
