//! `awl doc [NAME]`: what the rows say of a function, variable, probe type, setting or statement.

use super::{Subcommand, say};
use crate::Failure;
use awl_compiler::diagnostic::{Diagnostic, nearest};
use awl_compiler::{agg, builtin, config, probe};
use clap::{Arg, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "doc", command, run };

fn command(c: Command) -> Command {
    c.about("describe a function, variable, probe type or setting; without a name, list them").arg(Arg::new("name").value_name("NAME"))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    let Some(name) = m.get_one::<String>("name") else { return say(&list()) };
    match describe(name) {
        Some(text) => say(&text),
        None => {
            let d = Diagnostic::usage("unknown-name", format!("there is nothing called `{name}` in the language"));
            Err(Box::new(match nearest(name, names()) {
                Some(n) => d.help(format!("did you mean `awl doc {n}`?")),
                None => d.help("`awl doc` lists everything; `awl -l` lists places to probe"),
            }))
        }
    }
}

/// Every name that has a description.
pub fn names() -> impl Iterator<Item = &'static str> {
    let probes = probe::all().flat_map(|p| std::iter::once(p.name).chain(p.aliases.iter().copied()));
    let builtins = builtin::all().flat_map(|b| std::iter::once(b.name).chain(b.aliases.iter().copied()));
    let macros = awl_stdlib::macros().map(|m| m.name);
    probes.chain(agg::rows::ROWS.iter().map(|a| a.name)).chain(builtins).chain(macros).chain(config::KEYS.iter().map(|k| k.name))
}

/// One line each: name and what it is.
fn list() -> String {
    let mut text = String::from("Probes\n");
    let row = |text: &mut String, name: &str, doc: &str| *text += &format!("  {name:18} {doc}\n");
    for p in probe::all() {
        row(&mut text, p.name, p.doc);
    }
    text += "\nAggregations\n";
    for a in agg::rows::ROWS.iter() {
        row(&mut text, a.name, a.doc);
    }
    text += "\nFunctions and variables\n";
    for b in builtin::all() {
        row(&mut text, b.name, b.doc);
    }
    text += "\nMacros of the library\n";
    for m in awl_stdlib::macros() {
        row(&mut text, m.name, m.head);
    }
    text += "\nSettings\n";
    for k in config::KEYS {
        row(&mut text, k.name, k.doc);
    }
    text
}

/// What there is to say of a name, some lines; `None` when it isn't one of the language's.
pub fn describe(name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches("()");
    let also = |aliases: &[&str]| match aliases {
        [] => String::new(),
        _ => format!("also written {}\n", aliases.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ")),
    };
    if let Some(b) = builtin::find(name) {
        let rights = if b.is_unsafe { "needs --unsafe\n" } else { "" };
        return Some(format!("{}\n\n{}\n{}{rights}\n    awl -e '{}'\n", b.signature, b.doc, also(b.aliases), b.example));
    }
    if let Some(a) = agg::rows::ROWS.iter().find(|a| a.name == name) {
        return Some(format!("{}\n\n{}\n\n    awl -e '{}'\n", a.signature, a.doc, a.example));
    }
    if let Some(p) = probe::find(name) {
        return Some(format!("{}\n\n{}\n{}\n    awl -e '{}'\n", p.syntax, p.doc, also(p.aliases), p.example));
    }
    let macros: Vec<String> = awl_stdlib::macros().filter(|m| m.name == name).map(|m| format!("{}\n\n{}\n", m.head, m.doc)).collect();
    if !macros.is_empty() {
        return Some(macros.join("\n"));
    }
    let k = config::find(name)?;
    Some(format!("config = {{ {} = ... }}\n\n{}\n{}", k.name, k.doc, also(k.aliases)))
}
