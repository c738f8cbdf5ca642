//! `awl new NAME`: a script to start from.

use super::{Subcommand, say};
use crate::Failure;
use awl_compiler::diagnostic::Diagnostic;
use clap::{Arg, ArgMatches, Command};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

pub const ROW: Subcommand = Subcommand { name: "new", command, run };

fn command(c: Command) -> Command {
    c.about("make a script to start from: shebang, help, parameter, settings")
        .arg(Arg::new("name").value_name("NAME").required(true).help("file to make; `.bt` is added where it has no ending"))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    let name = m.get_one::<String>("name").map_or("script", String::as_str);
    let path = std::path::PathBuf::from(name);
    let path = if path.extension().is_none() { path.with_extension("bt") } else { path };
    let shown = path.display();
    let title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&path);
    made.and_then(|mut f| f.write_all(script(&title).as_bytes())).map_err(|e| {
        let d = Diagnostic::usage("output-file", format!("`{shown}` can't be made: {e}"));
        Box::new(d.help("choose another name; a file that is there already is left alone"))
    })?;
    let dir = if path.parent().is_none_or(|p| p.as_os_str().is_empty()) { "./" } else { "" };
    say(&format!("made {shown}: try `sudo {dir}{shown} 1`\n"))
}

/// In canonical form, so that `awl fmt` leaves it alone.
fn script(title: &str) -> String {
    format!(
        r#"#!/usr/bin/env awl
// {title}: counts system calls by program.
//
// usage: {title} [SECONDS]
//   SECONDS  how long to look; until Ctrl-C when it is left out

config = {{
  // entries of a map; what finds no room is counted and told at the end
  max_map_keys = 4096;
}}

begin {{
  printf("Counting system calls, Ctrl-C ends.\n");
}}

tracepoint:raw_syscalls:sys_enter {{
  @calls[comm] = count();
}}

interval:s:1 /$# > 0 && elapsed / 1000000000 >= $1/ {{
  exit();
}}
"#
    )
}
