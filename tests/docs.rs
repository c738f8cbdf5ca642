//! The tables of LANGUAGE.md are those of the code. `UPDATE_GOLDENS=1` writes them.

use awl_compiler::{agg, builtin, config, probe};
use std::fmt::Write;

fn tables() -> Vec<(&'static str, String)> {
    let cell = |s: &str| s.replace('|', "\\|");
    let mut probes = "| probe | is written | |\n|---|---|---|\n".to_string();
    for p in probe::all() {
        let later = if p.example.is_empty() { " (not yet)" } else { "" };
        let names = std::iter::once(p.name).chain(p.aliases.iter().copied()).collect::<Vec<_>>().join("`, `");
        let _ = writeln!(probes, "| `{names}` | `{}` | {}{later} |", cell(p.syntax), cell(p.doc));
    }
    let row = |out: &mut String, signature: &str, doc: &str, example: &str| {
        let _ = writeln!(out, "| `{}` | {} | `{}` |", cell(signature), cell(doc), cell(example));
    };
    let head = "| signature | | example |\n|---|---|---|\n";
    let (mut aggregations, mut builtins) = (head.to_string(), head.to_string());
    agg::ROWS.iter().for_each(|r| row(&mut aggregations, r.signature, r.doc, r.example));
    for b in builtin::all() {
        let doc = if b.is_unsafe { format!("{} (needs `--unsafe`)", b.doc) } else { b.doc.to_string() };
        row(&mut builtins, b.signature, &doc, b.example);
    }
    let mut keys = "| key | |\n|---|---|\n".to_string();
    for k in config::KEYS {
        let _ = writeln!(keys, "| `{}` | {} |", k.name, cell(k.doc));
    }
    vec![("probes", probes), ("aggregations", aggregations), ("builtins", builtins), ("config", keys)]
}

#[test]
fn tables_of_the_reference_are_those_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/LANGUAGE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut made = text.clone();
    for (name, table) in tables() {
        let start = format!("<!-- {name} -->\n");
        let from = made.find(&start).unwrap_or_else(|| panic!("no place for {name}")) + start.len();
        let to = from + made[from..].find("<!-- end -->").unwrap();
        made.replace_range(from..to, &table);
    }
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &made).unwrap();
    } else {
        assert!(made == text, "LANGUAGE.md is behind the code: run `UPDATE_GOLDENS=1 cargo test --test docs`");
    }
}
