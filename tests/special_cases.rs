//! What a builtin, an aggregation or a probe does is said by its row: the passes don't ask for names.

#[allow(dead_code)] // the codes themselves are for another test
#[path = "common/codes.rs"]
mod codes;

use codes::sources;
use std::path::Path;

/// Texts in quotes that a line compares with: behind `==`, `!=`, as a pattern (`"a" | "b" =>`, `matches!(n, "a")`), or in a list (`["a", "b"].contains(n)`).
fn compared(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or(line);
    let parts: Vec<&str> = code.split('"').collect();
    let mut out = Vec::new();
    for i in (1..parts.len()).step_by(2) {
        let before = parts[i - 1].trim_end();
        let after = parts.get(i + 1).map_or("", |p| p.trim_start());
        let pattern = after.starts_with("=>") || after.starts_with("| ") || before.ends_with('|') && !before.ends_with("||");
        let listed = parts[i + 1..].iter().step_by(2).find(|p| p.trim() != ",").is_some_and(|p| p.trim_start().starts_with("].contains("));
        if listed || before.ends_with("==") || before.ends_with("!=") || pattern || before.contains("matches!(") {
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
    let mut wrong = String::new();
    for path in files {
        let file = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.split("#[cfg(test)]").next().unwrap().lines().enumerate() {
            for name in compared(line).into_iter().filter(|n| names.contains(n)) {
                wrong += &format!("{file}:{}: `{name}`: {}\n", number + 1, line.trim());
            }
        }
    }
    assert!(wrong.is_empty(), "a name is asked for where its row should say it:\n{wrong}");
}

#[test]
fn comparisons_are_seen() {
    assert_eq!(compared(r#"if b.name == "comm" && x != "y" {"#), ["comm", "y"]);
    assert_eq!(compared(r#""str" | "buf" => 1, // == "z""#), ["str", "buf"]);
    assert_eq!(compared(r#"matches!(n, "a" | "b")"#), ["a", "b"]);
    assert_eq!(compared(r#"!["a", "b"].contains(&n)"#), ["a", "b"]);
    assert!(compared(r#"["a", "b"].iter()"#).is_empty());
    assert!(compared(r#"b.call("comm", "x")"#).is_empty());
}
