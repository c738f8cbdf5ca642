//! `awl help [SUBCOMMAND]`.

use super::{ROWS, Subcommand, say};
use crate::Failure;
use clap::{Arg, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "help", command, run };

fn command(c: Command) -> Command {
    c.about("describe the command line, or a subcommand")
        .arg(Arg::new("of").value_name("SUBCOMMAND").value_parser(ROWS.iter().map(|r| r.name).collect::<Vec<_>>()))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    if let Some(row) = m.get_one::<String>("of").and_then(|n| ROWS.iter().find(|r| r.name == n)) {
        return say(&super::command(row).render_help().to_string());
    }
    let mut text = crate::cli::command().render_help().to_string();
    text += "\nSubcommands:\n";
    for row in ROWS {
        let about = super::command(row).get_about().map(ToString::to_string).unwrap_or_default();
        text += &format!("  {:12} {about}\n", row.name);
    }
    text += "\nA file of that name in the current directory is a script and comes first; `awl :check` is the subcommand in any case.\n";
    say(&text)
}
