//! `awl ps`, `awl stop NAME`: what awl has in the kernel.

use super::{Subcommand, say};
use awl_runtime::living;
use clap::Arg;

pub const PS: Subcommand = Subcommand {
    name: "ps",
    command: |c| {
        c.about("list the programs that awl has in the kernel, with the name they were left under (`--pin NAME`, `iter:task:NAME`)")
    },
    run: |_| {
        let mut text = format!("{:<16} {:>8} {:<16} {:>12}\n", "NAME", "ID", "PROGRAM", "RUNS");
        for l in living::list() {
            let runs = if l.runs > 0 { l.runs.to_string() } else { "-".into() };
            text += &format!("{:<16} {:>8} {:<16} {runs:>12}\n", l.name.as_deref().unwrap_or("-"), l.id, l.program);
        }
        say(&text)
    },
};

pub const STOP: Subcommand = Subcommand {
    name: "stop",
    command: |c| {
        c.about("end what `--pin NAME` or a pinned iterator left in the kernel").arg(Arg::new("name").value_name("NAME").required(true))
    },
    run: |m| {
        living::stop(m.get_one::<String>("name").map_or("", String::as_str)).map_err(Box::new)?;
        Ok(0)
    },
};
