//! `awl completions SHELL`: what a shell needs to complete awl's command line.

use super::{Subcommand, say};
use crate::Failure;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

pub const ROW: Subcommand = Subcommand { name: "completions", command, run };

fn command(c: Command) -> Command {
    c.about("print a shell's completions: `source <(awl completions bash)`")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    let shell = m.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::whole(), "awl", &mut text);
    say(&String::from_utf8_lossy(&text))
}
