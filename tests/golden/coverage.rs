//! The cases show every statement, expression, aggregation, probe and context.

use super::cases;
use std::collections::BTreeSet;

/// Names of the variants of an enum as its file defines it.
fn variants(source: &str, name: &str) -> Vec<String> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let names = body.lines().filter_map(|l| l.strip_prefix("    ")).filter(|l| l.starts_with(char::is_uppercase));
    names.map(|l| l.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()).collect()
}

#[test]
fn cases_cover_the_language() {
    let (mut words, mut texts) = (BTreeSet::new(), String::new());
    for case in cases::all() {
        if let Some(p) = &case.compiled.program {
            let dump = format!("{p:?}");
            words.extend(dump.split(|c: char| !c.is_alphanumeric()).filter(|w| w.starts_with(char::is_uppercase)).map(str::to_owned));
            texts += &case.sources.files().first().unwrap().text;
        }
    }
    let hir = include_str!("../../compiler/src/hir.rs");
    let mut missing = Vec::new();
    for name in ["StmtKind", "ExprKind", "Context"] {
        let all = variants(hir, name);
        assert!(all.len() > 9, "{name} is no longer read: {all:?}");
        missing.extend(all.into_iter().filter(|v| v != "Error" && !words.contains(v)).map(|v| format!("{name}::{v}")));
    }
    let written = |name: &str, before: &str, after: &str| texts.contains(&format!("{before}{name}{after}"));
    missing.extend(awl_compiler::agg::rows::ROWS.iter().map(|r| r.name).filter(|n| !written(n, "= ", "(")).map(str::to_owned));
    let probes = awl_compiler::probe::all().map(|r| r.name);
    missing.extend(probes.filter(|n| !written(n, "\n", ":") && !written(n, "\n", " {")).map(str::to_owned));
    assert!(missing.is_empty(), "no case of tests/golden shows {missing:?}");
}
