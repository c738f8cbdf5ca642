//! `awl explain CODE`: the page of a diagnostic. Pages are `docs/errors/CODE.md`, embedded by the build script.

use super::{Subcommand, say};
use crate::Failure;
use awl_compiler::diagnostic::{Diagnostic, nearest};
use clap::{Arg, ArgMatches, Command};

pub const ROW: Subcommand = Subcommand { name: "explain", command, run };

include!(concat!(env!("OUT_DIR"), "/errors.rs"));

fn command(c: Command) -> Command {
    c.about("explain a diagnostic by its code; without one, list them").arg(Arg::new("code").value_name("CODE"))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    let Some(code) = m.get_one::<String>("code") else {
        let mut list = String::new();
        for (code, page) in PAGES {
            list += &format!("{code:20} {}\n", summary(page));
        }
        return say(&list);
    };
    // As it is shown: `error[arg-type]`.
    let name = code.split_once('[').map_or(code.as_str(), |(_, c)| c.trim_end_matches(']'));
    match page(name) {
        Some(page) => say(page),
        None => {
            let d = Diagnostic::usage("unknown-code", format!("there is no diagnostic `{name}`"));
            Err(Box::new(match nearest(name, PAGES.iter().map(|p| p.0)) {
                Some(n) => d.help(format!("did you mean `awl explain {n}`?")),
                None => d.help("`awl explain` lists them"),
            }))
        }
    }
}

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.binary_search_by_key(&code, |p| p.0).ok().map(|i| PAGES[i].1)
}

/// All codes.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|p| p.0)
}

/// The first sentence below the heading.
fn summary(page: &str) -> &str {
    page.lines().skip(1).find(|l| !l.is_empty()).unwrap_or("")
}
