//! `awl man`: the manual page, made from the command line's own description.

use super::{ROWS, Subcommand, say};
use crate::Failure;
use awl_compiler::diagnostic::Diagnostic;
use clap::{Arg, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "man", command, run };

fn command(c: Command) -> Command {
    c.about("print the manual page (roff): `awl man | man -l -`")
        .arg(Arg::new("of").value_name("SUBCOMMAND").value_parser(ROWS.iter().map(|r| r.name).collect::<Vec<_>>()))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    let about = match m.get_one::<String>("of").and_then(|n| ROWS.iter().find(|r| r.name == n)) {
        Some(row) => super::command(row).display_name(format!("awl-{}", row.name)),
        None => crate::cli::whole(),
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(about.version(env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|e| Box::new(Diagnostic::environment("output-file", format!("the page could not be made: {e}"))))?;
    say(&String::from_utf8_lossy(&page))
}
