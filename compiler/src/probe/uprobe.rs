//! `uprobe` and `uretprobe`: functions of programs and libraries.

use super::{Expanded, Provider, Request, number};
use crate::artifact::{AttachTo, ProgramKind, UprobeSite};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::{Binary, Feature};

pub const ROWS: &[Provider] = &[
    Provider {
        name: "uprobe",
        aliases: &["u"],
        syntax: "uprobe:BINARY:FUNCTION[+OFFSET]",
        doc: "entry of a function of a program or library (`arg0`, `arg1`, ...), or an address in it",
        example: "uprobe:libc:malloc { @ = hist(arg0); } interval:s:1 { exit(); }",
        absent: Some((ProgramKind::Kprobe, Context::Registers { ret: false, user: true, cookie: false })),
        expand: |r| expand(r, false),
    },
    Provider {
        name: "uretprobe",
        aliases: &["ur"],
        syntax: "uretprobe:BINARY:FUNCTION",
        doc: "return of a function of a program or library (`retval`)",
        example: "uretprobe:libc:malloc { @[retval == 0] = count(); } interval:s:1 { exit(); }",
        absent: Some((ProgramKind::Kprobe, Context::Registers { ret: true, user: true, cookie: false })),
        expand: |r| expand(r, true),
    },
];

fn expand(r: &Request, ret: bool) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let process = r.options.pid.or(r.options.child);
    let (path, function) = match rest {
        [function] => match process {
            Some(pid) => (format!("/proc/{pid}/exe"), function),
            None => {
                r.rest(2, 2)?;
                return Ok(Vec::new());
            }
        },
        [path, function] => (path.text.clone(), function),
        _ => return Ok(Vec::new()),
    };
    let binaries = r.target.binaries(&path).map_err(|e| {
        let mut d = r.unavailable(e);
        d.blame = crate::diagnostic::Blame::User;
        d
    })?;
    let provider = r.provider.name;
    let mut out = Vec::new();
    for b in &binaries {
        let mut points = sites(r, b, function.text.trim(), function.quoted, ret)?;
        if points.is_empty() {
            continue;
        }
        let multi = points.len() > 1 && r.target.has(Feature::UprobeMulti);
        let kind = if multi { ProgramKind::UprobeMulti } else { ProgramKind::Kprobe };
        let name = |f: &str| format!("{provider}:{}:{f}", b.path);
        if multi {
            // One link for all of them.
            let sites = points.iter().enumerate().map(|(i, (_, o))| UprobeSite { point: i, offset: *o, semaphore: 0 }).collect();
            let to = AttachTo::Uprobe { binary: b.path.clone(), sites, ret };
            let mut to = Some(to);
            let names = points.drain(..).map(|(f, _)| (name(&f), to.take())).collect();
            let context = Context::Registers { ret, user: true, cookie: r.uses.point() };
            out.push(Expanded { kind, context, points: names });
            continue;
        }
        for (f, offset) in points {
            let to = AttachTo::Uprobe { binary: b.path.clone(), sites: vec![UprobeSite { point: 0, offset, semaphore: 0 }], ret };
            out.push(Expanded {
                kind: ProgramKind::Kprobe,
                context: Context::Registers { ret, user: true, cookie: false },
                points: vec![(name(&f), Some(to))],
            });
        }
    }
    if out.is_empty() {
        return Err(Box::new(
            Diagnostic::error("no-match", function.span, format!("no function matches `{}` in `{path}`", function.text))
                .label("matches nothing")
                .help(format!("`awl -l 'uprobe:{path}:*'` lists the functions")),
        ));
    }
    Ok(out)
}

/// Names and file offsets of the functions that a pattern, a name with an offset, or an address means.
fn sites(r: &Request, b: &Binary, function: &str, quoted: bool, ret: bool) -> Result<Vec<(String, u64)>, Box<Diagnostic>> {
    let span = r.parts[r.parts.len() - 1].span;
    if let Some(address) = number(function) {
        let inside = b.segments.iter().find(|(a, _, size)| (*a..a + size).contains(&address));
        return match inside {
            Some((a, offset, _)) => Ok(vec![(function.to_string(), address - a + offset)]),
            None => Err(Box::new(
                Diagnostic::error("no-match", span, format!("address {function} is not in the code of `{}`", b.path))
                    .label("outside of the code"),
            )),
        };
    }
    if function.contains('*') && !quoted {
        let glob = Glob::new(function);
        let mut seen = std::collections::HashSet::new();
        return Ok(b
            .functions
            .iter()
            .filter(|f| glob.matches(&f.name))
            .filter(|f| seen.insert(f.offset))
            .map(|f| (f.name.clone(), f.offset))
            .collect());
    }
    let (name, offset) = match function.rsplit_once('+') {
        Some((n, o)) if !quoted => match number(o) {
            Some(o) => (n, o),
            None => {
                let d = Diagnostic::error("probe-syntax", span, format!("`{o}` is not an offset")).label("expected `FUNCTION+0x10`");
                return Err(Box::new(d));
            }
        },
        _ => (function, 0),
    };
    if ret && offset != 0 {
        let d = Diagnostic::error("probe-syntax", span, "a return probe has no offset").label("expected only a function's name");
        return Err(Box::new(d));
    }
    let at = b.functions.partition_point(|f| f.name.as_str() < name);
    match b.functions.get(at).filter(|f| f.name == name) {
        Some(f) if offset > 0 && offset >= f.size.max(1) => Err(Box::new(
            Diagnostic::error("no-match", span, format!("offset {offset} is behind the end of `{name}`, which has {} bytes", f.size))
                .label("outside of the function"),
        )),
        Some(f) => Ok(vec![(function.to_string(), f.offset + offset)]),
        None => {
            let d = Diagnostic::error("unknown-function", span, format!("`{}` has no function `{name}`", b.path));
            Err(Box::new(match nearest(name, b.functions.iter().map(|f| f.name.as_str())) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None if b.stripped => d
                    .label("not among the symbols that it exports, and it has no others")
                    .help("it is stripped: install its debug symbols, or give an address (`uprobe:BINARY:0x1234`)"),
                None => d
                    .label("not among its symbols (inlined, or another name)")
                    .help(format!("`awl -l 'uprobe:{}:*{name}*'` searches", b.path)),
            }))
        }
    }
}
