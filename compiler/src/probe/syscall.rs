//! `syscall:NAME` and `syscall:NAME:return`: a system call by its name, whatever the kernel offers to see it by. The places are
//! those of `tracepoint:syscalls:sys_enter_NAME` and `sys_exit_NAME`, with their arguments and their cheap attachment.

use super::{Expanded, Process, Provider, Request, tracepoint};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::target::Target;

pub const ROWS: &[Provider] = &[Provider {
    name: "syscall",
    aliases: &[],
    syntax: "syscall:NAME[:return]",
    doc: "a system call with its arguments by name and type (`args.NAME`), or with `:return` its end (`retval`)",
    example: "syscall:openat { @[str(args.filename)] = count(); } interval:s:1 { exit(); }",
    process: Process::Any,
    absent: None,
    expand,
}];

/// Category of the kernel's tracepoints of system calls, and what stands in front of the name at the entry and the end.
pub const CATEGORY: &str = "syscalls";
const ENTRY: &str = "sys_enter_";
const END: &str = "sys_exit_";
const RETURN: &str = "return";

/// All system calls that can be probed, by name.
pub fn names(target: &dyn Target) -> Result<Vec<&str>, crate::target::Unavailable> {
    let prefix = format!("{CATEGORY}:{ENTRY}");
    let mut names: Vec<&str> = target.tracepoints()?.iter().filter_map(|t| t.strip_prefix(prefix.as_str())).collect();
    names.sort_unstable();
    Ok(names)
}

/// The tracepoint that `NAME` or `NAME:return` stands for.
pub fn event(place: &str) -> String {
    match place.strip_suffix(RETURN).and_then(|p| p.strip_suffix(':')) {
        Some(name) => format!("{END}{name}"),
        None => format!("{ENTRY}{place}"),
    }
}

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let at_end = rest.len() == 2;
    if at_end && rest[1].text != RETURN {
        return Err(Box::new(
            Diagnostic::error("probe-syntax", rest[1].span, format!("`{}` is no side of a system call", rest[1].text))
                .label("expected `return`, or nothing for the entry")
                .help(format!("write `syscall:{}` or `syscall:{}:return`", rest[0].text, rest[0].text)),
        ));
    }
    let (before, behind) = if at_end { (END, format!(":{RETURN}")) } else { (ENTRY, String::new()) };
    let wild = rest[0].is_pattern();
    let name = &rest[0].text;
    // One name is asked for by itself: the list of all events takes longer.
    let there = !wild && matches!(r.target.tracepoint_format(CATEGORY, &format!("{before}{name}")), Ok(Some(_)));
    let known = if there { vec![name.as_str()] } else { names(r.target).map_err(|e| r.unavailable(e))? };
    let glob = Glob::new(name);
    let wanted: Vec<&str> = known.iter().copied().filter(|n| if wild { glob.matches(n) } else { n == name }).collect();
    if wanted.is_empty() {
        // names of the kernel's functions and of tracepoints
        let bare =
            ["__x64_sys_", "sys_enter_", "sys_exit_", "sys_"].iter().find_map(|p| name.strip_prefix(p)).filter(|n| known.contains(n));
        let d = match wild {
            true => Diagnostic::error("no-match", rest[0].span, format!("no system call matches `{name}`")),
            false => Diagnostic::error("unknown-event", rest[0].span, format!("this kernel has no system call `{name}`")),
        };
        return Err(Box::new(match bare.or_else(|| nearest(name, known)) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such call").help("`awl -l 'syscall:*'` lists those that there are"),
        }));
    }
    let mut out = Vec::new();
    for name in wanted {
        tracepoint::one(r, CATEGORY, &format!("{before}{name}"), format!("{}:{name}{behind}", r.provider.name), wild, &mut out)?;
    }
    Ok(out)
}
