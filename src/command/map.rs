//! `awl map ls|dump|get|set|rm`: maps that outlive their script.

use super::{Subcommand, say};
use crate::Failure;
use crate::repl::kept::Alone;
use awl_compiler::diagnostic::Diagnostic;
use awl_runtime::output::{self, Output, Style};
use awl_runtime::pinned::{self, Kept};
use clap::{Arg, ArgAction, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "map", command, run };

fn command(c: Command) -> Command {
    let name = || Arg::new("name").value_name("NAME").required(true).help("the name in `pin(\"NAME\")`");
    let literal = |id, shown, help| Arg::new(id).value_name(shown).required(true).allow_negative_numbers(true).help(help);
    let key = || literal("key", "KEY", "as a script writes it: `10.0.0.1`, `'\"text\"'`, `'10.0.0.1, 80'`");
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("print JSON");
    c.about("read and edit the maps that scripts keep with `pin(\"NAME\")`").subcommand_required(true).subcommands([
        Command::new("ls").about("list them, with their types"),
        Command::new("dump").about("print all of a map").arg(name()).arg(json()),
        Command::new("get").about("print an entry").arg(name()).arg(key()).arg(json()),
        Command::new("set").about("set an entry").arg(name()).arg(key()).arg(literal("value", "VALUE", "as a script writes it")),
        Command::new("rm").about("remove an entry or, without KEY, the map's name").arg(name()).arg(key().required(false)),
    ])
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    let Some((what, m)) = m.subcommand() else { return Ok(1) };
    let text = |id: &str| m.try_get_one::<String>(id).ok().flatten().map_or("", String::as_str);
    let name = text("name");
    match what {
        "ls" => list(),
        "dump" => {
            let kept = Kept::open(name).map_err(Box::new)?;
            let rows = kept.read().map_err(Box::new)?;
            show(&kept, &rows, m.get_flag("json"))
        }
        "get" => {
            let kept = Kept::open(name).map_err(Box::new)?;
            let rows = kept.get(text("key")).map_err(Box::new)?;
            if rows.is_empty() { Err(no_entry(name, text("key"))) } else { show(&kept, &rows, m.get_flag("json")) }
        }
        "set" => {
            Kept::open(name).and_then(|k| k.set(text("key"), text("value"))).map_err(Box::new)?;
            Ok(0)
        }
        _ if m.contains_id("key") => {
            let there = Kept::open(name).and_then(|k| k.remove(text("key"))).map_err(Box::new)?;
            if there { Ok(0) } else { Err(no_entry(name, text("key"))) }
        }
        _ => {
            pinned::forget(name).map_err(Box::new)?;
            Ok(0)
        }
    }
}

fn no_entry(name: &str, key: &str) -> Failure {
    let d = Diagnostic::usage("pinned-map", format!("`{name}` has no entry `{key}`"));
    Box::new(d.help(format!("`awl map dump {name}` prints those that it has")))
}

fn list() -> Result<u8, Failure> {
    let mut text = String::new();
    for name in pinned::names().map_err(Box::new)? {
        let shape = Kept::open(&name).map_or_else(|d| d.message, |k| k.shape());
        text += &format!("{name:<16} {shape}\n");
    }
    say(&text)
}

fn show(kept: &Kept, rows: &output::Entries, json: bool) -> Result<u8, Failure> {
    let out = output::stdout().map_err(|e| Box::new(Diagnostic::usage("output-file", format!("standard output is closed: {e}"))))?;
    let style = if json { Style::Json } else { Style::Text };
    let mut output = Output::new(out, Box::new(std::io::stderr()), output::Options { style, ..output::Options::default() });
    if !rows.is_empty() {
        output.map(&kept.artifact.plan, 0, rows, output::Selection::default(), &mut Alone::default());
    }
    output.flush();
    Ok(0)
}
