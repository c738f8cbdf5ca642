//! `watchpoint:ADDRESS:LENGTH:MODE`: the processor itself tells who touches a place in memory.

use super::{Expanded, Process, Provider, Request, number};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::Diagnostic;
use crate::hir::Context;

pub const ROWS: &[Provider] = &[Provider {
    name: "watchpoint",
    aliases: &["w", "asyncwatchpoint", "aw"],
    syntax: "watchpoint:ADDRESS:LENGTH:MODE",
    doc: "runs when 1, 2, 4 or 8 bytes at an address, or at a kernel variable of that name, are read (`r`), written (`w`) or executed (`x`)",
    example: "watchpoint:0xffffffff81000000:8:w { @[comm] = count(); } interval:s:1 { exit(); }",
    process: Process::Memory,
    absent: None,
    expand,
}];

/// `HW_BREAKPOINT_*` of `hw_breakpoint.h`.
const MODES: &[(char, u32)] = &[('r', 1), ('w', 2), ('x', 4)];

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    // In bpftrace 0.11 the address stood behind two colons.
    let rest = match &r.parts[1..] {
        [empty, rest @ ..] if empty.text.is_empty() && rest.len() == 3 && rest.iter().all(|p| !p.text.is_empty()) => rest,
        _ => r.rest(3, 3)?,
    };
    let [place, length, mode] = rest else { return Ok(Vec::new()) };
    let wrong = |at: awl_grammar::span::Span, what: String, expected: &str| {
        Box::new(Diagnostic::error("probe-syntax", at, what).label(format!("expected {expected}")).help(r.provider.syntax))
    };
    if let Some((function, argument)) = place.text.split_once("+arg")
        && argument.parse::<u32>().is_ok()
    {
        let what = format!("an argument of a function (`{}`) can't be watched", place.text);
        return Err(Box::new(
            Diagnostic::error("probe-syntax", place.span, what)
                .label("expected an address or a variable of the kernel")
                .note("bpftrace had this until 0.25")
                .help(format!("learn the address first: `uprobe:PROGRAM:{function} {{ print(arg{argument}); }}`")),
        ));
    }
    let address = match number(&place.text) {
        Some(a) => a,
        None => match r.target.kernel_symbol(&place.text).map_err(|e| r.unavailable(e))? {
            Some(a) => a,
            None => {
                return Err(wrong(
                    place.span,
                    format!("the kernel has no variable `{}`", place.text),
                    "an address or a variable of the kernel",
                ));
            }
        },
    };
    let bytes = match length.text.parse() {
        Ok(n @ (1 | 2 | 4 | 8)) => n,
        _ => return Err(wrong(length.span, format!("`{}` is not a length that can be watched", length.text), "1, 2, 4 or 8")),
    };
    let mut bits = 0;
    for c in mode.text.chars() {
        match MODES.iter().find(|(m, b)| *m == c && bits & b == 0) {
            Some((_, b)) => bits |= b,
            None => return Err(wrong(mode.span, format!("`{}` is not a mode", mode.text), "`r`, `w`, `rw` or `x`")),
        }
    }
    if bits == 1 && r.target.arch() == crate::target::Arch::X86_64 {
        return Err(wrong(mode.span, "this processor can't watch reads alone".into(), "`w` or `rw`"));
    }
    if bits & 4 != 0 && bits != 4 {
        return Err(wrong(mode.span, "execution can't be watched together with reads or writes".into(), "`x` alone"));
    }
    if bits != 4 && address % bytes != 0 {
        return Err(wrong(place.span, format!("{bytes} bytes are watched at a multiple of {bytes} only"), "an aligned address"));
    }
    let full = format!("watchpoint:{}:{}:{}", place.text, length.text, mode.text);
    let to = AttachTo::Watchpoint { address, bytes, mode: bits };
    Ok(vec![Expanded { kind: ProgramKind::PerfEvent, context: Context::PerfEvent, points: vec![(full, Some(to))] }])
}
