//! Subcommands: one row each, in the file of its name. The rows are the only list of them: help, man pages, completions and
//! the choice between a subcommand and a script read it.
//!
//! The first word of the command line decides. `awl check` is the subcommand unless there is a file `check` here: then it is
//! a script like any other, as `awl FILE` has always meant. `awl :check` is the subcommand in any case, `awl ./check` the file.

mod check;
mod completions;
mod doc;
mod doctor;
mod explain;
mod fmt;
mod help;
mod living;
mod man;
mod map;
mod new;

pub use doc::{describe, names};
pub use doctor::may_load;
pub use explain::{codes, page};
pub use fmt::canonical;

use crate::Failure;
use awl_compiler::diagnostic::Diagnostic;
use clap::{Arg, ArgMatches, Command};
use std::io::Write;
use std::path::Path;

pub struct Subcommand {
    pub name: &'static str,
    pub command: fn(Command) -> Command,
    pub run: fn(&ArgMatches) -> Result<u8, Failure>,
}

pub const ROWS: &[&Subcommand] = &[
    &check::ROW,
    &fmt::ROW,
    &explain::ROW,
    &doc::ROW,
    &doctor::ROW,
    &new::ROW,
    &man::ROW,
    &completions::ROW,
    &crate::lsp::ROW,
    &living::PS,
    &living::STOP,
    &map::ROW,
    &help::ROW,
];

/// What a command line whose first word is a subcommand's asks for; `None`: it is for the tracer itself.
pub fn find(first: &str) -> Option<&'static Subcommand> {
    let (name, surely) = first.strip_prefix(':').map_or((first, false), |n| (n, true));
    let row = ROWS.iter().find(|r| r.name == name)?;
    (surely || !Path::new(name).is_file()).then_some(row)
}

/// The subcommand's own command line.
pub fn command(row: &Subcommand) -> Command {
    (row.command)(Command::new(row.name)).bin_name(format!("awl {}", row.name)).disable_version_flag(true)
}

/// Runs a subcommand with the arguments behind its name; gives the exit status.
pub fn run(row: &Subcommand, args: &[String]) -> Result<u8, Failure> {
    let words = std::iter::once(row.name.to_owned()).chain(args.iter().cloned());
    match command(row).try_get_matches_from(words) {
        Ok(m) => (row.run)(&m),
        Err(e) => {
            // Nobody to tell when the stream is closed.
            let _ = e.print();
            Ok(u8::from(e.use_stderr()))
        }
    }
}

/// `--message-format`, for the subcommands that complain about texts.
fn message_format() -> Arg {
    crate::cli::message_format()
}

/// Prints to standard output; nobody who reads is no mistake.
pub fn say(text: &str) -> Result<u8, Failure> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Box::new(Diagnostic::environment("output-file", format!("the output could not be written: {e}"))))
        }
        _ => Ok(0),
    }
}
