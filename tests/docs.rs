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

/// Addresses of links in a text, but for those in other places of the world and in code.
fn links(text: &str) -> Vec<&str> {
    let mut code = false;
    let lines = text.lines().filter(|l| {
        code ^= l.starts_with("```");
        !code && !l.starts_with("    ")
    });
    lines
        .flat_map(|l| l.split("](").skip(1))
        .filter_map(|l| l.split(')').next())
        .filter(|l| !l.contains("://") && !l.starts_with('#'))
        .collect()
}

/// Every link leads to a file; those of the book stay in the book, and all of its pages and included texts are there.
#[test]
fn links_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders, mut wrong, mut tried) = (Vec::new(), vec![root.join("docs")], String::new(), 0);
    let pages = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    files.extend(pages(root).into_iter().filter(|p| p.is_file()));
    while let Some(folder) = folders.pop() {
        for path in pages(&folder) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|f| f.extension().is_some_and(|e| e == "md"));
    let summary = std::fs::read_to_string(root.join("docs/SUMMARY.md")).unwrap();
    let book = std::fs::read_to_string(root.join("book.toml")).unwrap();
    for file in &files {
        let (text, folder) = (std::fs::read_to_string(file).unwrap(), file.parent().unwrap());
        let name = file.strip_prefix(root).unwrap();
        for link in links(&text) {
            tried += 1;
            let to = folder.join(link.split('#').next().unwrap());
            let leaves =
                name.starts_with("docs") && to.canonicalize().is_ok_and(|t| !t.starts_with(root.canonicalize().unwrap().join("docs")));
            if !to.is_file() || leaves {
                let _ = writeln!(wrong, "{}: {link}", name.display());
            }
        }
        for included in text.split("{{#include ").skip(1).filter_map(|t| t.split("}}").next()) {
            tried += 1;
            let Ok(text) = std::fs::read_to_string(folder.join(included)) else {
                let _ = writeln!(wrong, "{}: {included}", name.display());
                continue;
            };
            // A text of the top folder leads to where the book's pages aren't: each such place has a redirection.
            for page in links(&text).iter().filter_map(|l| l.split('#').next()?.strip_suffix(".md")) {
                if included.starts_with("../") && !book.contains(&format!("\n\"/{page}.html\" = ")) {
                    let _ = writeln!(wrong, "book.toml lacks a redirection for {page}.html");
                }
            }
        }
        let page = name.strip_prefix("docs").ok().filter(|p| !p.starts_with("editors") && p.as_os_str() != "SUMMARY.md");
        if page.is_some_and(|p| !summary.contains(&format!("({})", p.display()))) {
            let _ = writeln!(wrong, "docs/SUMMARY.md lacks {}", name.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(tried > 100, "links are no longer found: {tried}");
}
