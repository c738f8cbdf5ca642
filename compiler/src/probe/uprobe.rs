//! `uprobe` and `uretprobe`: functions of programs and libraries.

use super::convention::{Signature, signature};
use super::mangled::{Language, Wanted, readable};
use super::{Expanded, Process, Provider, Request, number};
use crate::artifact::{AttachTo, ProgramKind, UprobeSite};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::{Binary, Feature, Target, UserLine};
use awl_grammar::ast::ProbePart;
use awl_grammar::span::Span;
use std::sync::Arc;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "uprobe",
        aliases: &["u"],
        syntax: "uprobe:BINARY:[cpp:|rust:]FUNCTION[+OFFSET]|BINARY@FILE:LINE[:COLUMN]",
        doc: "entry of a function of a program or library (`arg0`, `arg1`, ...; with debug information `args.NAME`), or an address or a line in it",
        example: "uprobe:libc:malloc { @ = hist(arg0); } interval:s:1 { exit(); }",
        process: Process::Program,
        absent: Some((ProgramKind::Kprobe, Context::Registers { ret: false, user: true, cookie: false, typed: None })),
        expand: |r| expand(r, false),
    },
    Provider {
        name: "uretprobe",
        aliases: &["ur"],
        syntax: "uretprobe:BINARY:[cpp:|rust:]FUNCTION",
        doc: "return of a function of a program or library (`retval`, with its type where there is debug information)",
        example: "uretprobe:libc:malloc { @[retval == 0] = count(); } interval:s:1 { exit(); }",
        process: Process::Program,
        absent: Some((ProgramKind::Kprobe, Context::Registers { ret: true, user: true, cookie: false, typed: None })),
        expand: |r| expand(r, true),
    },
];

fn expand(r: &Request, ret: bool) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let process = r.options.pid.or(r.options.child);
    if let Some(line) = source_line(r, process) {
        return at_line(r, &line, ret);
    }
    // `uprobe::f` is `uprobe:f`.
    let given = match &r.parts[1..] {
        [empty, rest @ ..] if empty.text.is_empty() && !rest.is_empty() => rest,
        given => given,
    };
    let (path, wanted) = match given {
        [path, tail @ ..] if tail.len() > 1 => match written(tail) {
            Some(w) if !path.text.is_empty() => (path.text.clone(), w),
            _ => return r.rest(1, 2).map(|_| Vec::new()),
        },
        [path, function] if !path.text.is_empty() && !function.text.is_empty() => (path.text.clone(), plain(function)),
        [function] if !function.text.is_empty() && process.is_some() => {
            (format!("/proc/{}/exe", process.unwrap_or_default()), plain(function))
        }
        _ => return r.rest(2, 2).map(|_| Vec::new()),
    };
    let binaries = r.target.binaries(&path).map_err(|e| {
        let mut d = r.unavailable(e);
        d.blame = crate::diagnostic::Blame::User;
        d
    })?;
    let mut out = Vec::new();
    let many = path.contains('*');
    for b in &binaries {
        let points = match sites(b, &wanted, ret) {
            // Among many files those are meant that have it.
            Err(d) if many && d.code == "unknown-function" => continue,
            found => found?,
        };
        if ret && b.go {
            unmoved(b, &points, &wanted)?;
        }
        for (typed, points) in typed(r, b, &wanted, points, ret)? {
            attach(r, b, typed, points, ret, &mut out);
        }
    }
    if out.is_empty() {
        return Err(Box::new(
            Diagnostic::error("no-match", wanted.span, format!("no function matches `{}` in `{path}`", wanted.text))
                .label("matches nothing")
                .help(format!("`awl -l 'uprobe:{path}:*'` lists the functions")),
        ));
    }
    Ok(out)
}

type Points = Vec<(String, u64)>;

/// The points by what their functions are like, where the body asks: the same program serves those that are alike.
fn typed(
    r: &Request,
    b: &Binary,
    wanted: &Written,
    points: Points,
    ret: bool,
) -> Result<Vec<(Option<Arc<Signature>>, Points)>, Box<Diagnostic>> {
    if points.is_empty() {
        return Ok(Vec::new());
    }
    if !r.uses.has(if ret { "retval" } else { "args" }) {
        return Ok(vec![(None, points)]);
    }
    let offsets: Vec<u64> = points.iter().map(|(_, o)| *o).collect();
    let known = match r.target.user_functions(&b.path, &offsets) {
        Ok(known) => known,
        // The register is there all the same.
        Err(_) if ret => return Ok(vec![(None, points)]),
        Err(e) => return Err(r.unavailable(e)),
    };
    let single = points.len() == 1;
    let mut groups: Vec<(Option<Arc<Signature>>, Points)> = Vec::new();
    // Clones lack parameters that their callers all give the same.
    let clone = |name: &str| [".constprop", ".isra", ".part"].iter().any(|c| name.contains(c));
    for (point, f) in points.into_iter().zip(&known.functions) {
        let signature = match f.as_ref().filter(|_| ret || !clone(&point.0)) {
            Some(f) => Some(signature(f, &known.types, r.target.arch())).filter(|s| !ret || s.ret.is_some()),
            None if ret => None,
            None if single => return Err(undescribed(b, wanted)),
            // Among many some have none: those are meant by no one.
            None => continue,
        };
        match groups.iter_mut().find(|(s, _)| s.as_deref() == signature.as_ref()) {
            Some((_, points)) => points.push(point),
            None => groups.push((signature.map(Arc::new), vec![point])),
        }
    }
    if groups.is_empty() { Err(undescribed(b, wanted)) } else { Ok(groups) }
}

/// Name and declaration of what a function is given, or gives back, as far as its debug information tells.
pub fn declared(target: &dyn Target, path: &str, function: &str, ret: bool) -> Vec<(String, String)> {
    let Ok(Some(b)) = target.binaries(path).map(|b| b.into_iter().next()) else { return Vec::new() };
    let part = |text: &str, quoted| ProbePart { text: text.to_owned(), quoted, span: Span::default() };
    let wanted = match function.split_once(':') {
        Some((language, name)) => written(&[part(language, false), part(name.trim_matches('"'), true)]),
        None => Some(plain(&part(function, true))),
    };
    let Some(offset) = wanted.and_then(|w| sites(&b, &w, ret).ok()?.first().map(|(_, o)| *o)) else { return Vec::new() };
    let Ok(known) = target.user_functions(&b.path, &[offset]) else { return Vec::new() };
    let Some(Some(f)) = known.functions.first() else { return Vec::new() };
    match ret {
        true if f.ret == 0 => Vec::new(),
        true => vec![("retval".to_owned(), known.types.declare(f.ret, "retval"))],
        false => f.parameters.iter().map(|p| (p.name.clone(), known.types.declare(p.id, &p.name))).collect(),
    }
}

fn undescribed(b: &Binary, wanted: &Written) -> Box<Diagnostic> {
    let d =
        Diagnostic::error("no-debuginfo", wanted.span, format!("the debug information of `{}` has no function `{}`", b.path, wanted.text));
    Box::new(
        d.label("its arguments have no names here")
            .help("they are known at the entry of functions compiled with `-g`; without, use `arg0`, `arg1`, ..."),
    )
}

fn attach(r: &Request, b: &Binary, typed: Option<Arc<Signature>>, mut points: Points, ret: bool, out: &mut Vec<Expanded>) {
    let name = |f: &str| format!("{}:{}:{f}", r.provider.name, b.path);
    if points.len() > 1 && !r.uses.place() && r.target.has(Feature::UprobeMulti) {
        // One link for all of them.
        let sites = points.iter().enumerate().map(|(i, (_, o))| UprobeSite { point: i, offset: *o, semaphore: 0 }).collect();
        let to = AttachTo::Uprobe { binary: b.path.clone(), sites, ret };
        let mut to = Some(to);
        let names = points.drain(..).map(|(f, _)| (name(&f), to.take())).collect();
        let context = Context::Registers { ret, user: true, cookie: r.uses.point(), typed };
        return out.push(Expanded { kind: ProgramKind::UprobeMulti, context, points: names });
    }
    for (f, offset) in points {
        let to = AttachTo::Uprobe { binary: b.path.clone(), sites: vec![UprobeSite { point: 0, offset, semaphore: 0 }], ret };
        let context = Context::Registers { ret, user: true, cookie: false, typed: typed.clone() };
        out.push(Expanded { kind: ProgramKind::Kprobe, context, points: vec![(name(&f), Some(to))] });
    }
}

/// `BINARY@file.c:12:5`
struct SourceLine {
    path: String,
    file: String,
    line: u64,
    column: Option<u64>,
    span: Span,
}

/// What follows the `@` is a file where nothing but numbers follows, and no binary has all of it for its name.
fn source_line(r: &Request, process: Option<u32>) -> Option<SourceLine> {
    let [first, numbers @ ..] = &r.parts[1..] else { return None };
    let (path, file) = first.text.rsplit_once('@').filter(|(_, f)| !f.is_empty() && !first.quoted)?;
    let number = |p: &ProbePart| p.text.trim().parse::<u64>().ok();
    let (line, column) = match numbers {
        [line] => (number(line)?, None),
        [line, column] => (number(line)?, Some(number(column)?)),
        _ => return None,
    };
    if r.target.binaries(&first.text).is_ok() {
        return None;
    }
    let path = match process {
        Some(pid) if path.is_empty() => format!("/proc/{pid}/exe"),
        _ => path.to_owned(),
    };
    let span = first.span.to(numbers.last()?.span);
    Some(SourceLine { path, file: file.to_owned(), line, column, span })
}

fn at_line(r: &Request, at: &SourceLine, ret: bool) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let SourceLine { path, file, line, column, span } = at;
    if ret {
        let d = Diagnostic::error("probe-syntax", *span, "a return probe has no line").label("expected a function's name");
        return Err(Box::new(d.help(format!("`uprobe:{path}@{file}:{line}` is the line"))));
    }
    let (mut out, mut why) = (Vec::new(), None);
    for b in r.target.binaries(path).map_err(|e| r.unavailable(e))? {
        match r.target.user_line(&b.path, file, *line, *column).map_err(|e| r.unavailable(e))? {
            UserLine::Code(offsets) => {
                let points = offsets.into_iter().map(|o| (place_name(&b, o), o)).collect();
                let wanted = Written { language: None, text: format!("{file}:{line}"), quoted: true, span: *span };
                for (typed, points) in typed(r, &b, &wanted, points, false)? {
                    attach(r, &b, typed, points, false, &mut out);
                }
            }
            other => why = Some((b.path, other)),
        }
    }
    match why {
        Some((binary, line)) if out.is_empty() => Err(no_line(at, &binary, line)),
        _ => Ok(out),
    }
}

/// The function that a place is in, as an attach point names it, or its file offset.
fn place_name(b: &Binary, offset: u64) -> String {
    let inside = b.functions.iter().find(|f| offset.checked_sub(f.offset).is_some_and(|o| o < f.size.max(1)));
    match inside {
        Some(f) => {
            let name = readable(&f.name).map_or_else(|| f.name.clone(), |r| r.part());
            if offset == f.offset { name } else { format!("{name}+{}", offset - f.offset) }
        }
        None => format!("{offset:#x}"),
    }
}

fn no_line(at: &SourceLine, binary: &str, found: UserLine) -> Box<Diagnostic> {
    let SourceLine { path, file, line, column, span } = at;
    let error = |message: String| Diagnostic::error("no-match", *span, message);
    Box::new(match found {
        UserLine::NoFile(files) => {
            let d = error(format!("no file `{file}` went into `{binary}`"));
            // As many last parts of their paths as were written.
            let parts = file.split('/').count();
            let ends =
                |f: &'_ String| f.rsplitn(parts + 1, '/').take(parts).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
            let ends: Vec<String> = files.iter().map(ends).collect();
            match nearest(file, ends.iter().map(String::as_str)) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None => d.label("its debug information names other files").help(match ends.as_slice() {
                    [] => "it names none at all".to_owned(),
                    some => format!("among them {}", some.iter().take(8).cloned().collect::<Vec<_>>().join(", ")),
                }),
            }
        }
        UserLine::NoCode { next, columns } => {
            let d = match column {
                Some(c) => error(format!("there is no code for column {c} of line {line} of `{file}` in `{binary}`")),
                None => error(format!("there is no code for line {line} of `{file}` in `{binary}`")),
            };
            let d = d.label("nothing to run here, or optimized away");
            match next {
                _ if !columns.is_empty() => {
                    let columns: Vec<String> = columns.iter().map(u64::to_string).collect();
                    d.help(format!("columns of it that have: {}; without one the line's beginning is meant", columns.join(", ")))
                }
                Some(n) => d.help(format!("the next line with code is {n}: `uprobe:{path}@{file}:{n}`")),
                None => d.help("no line behind it has any"),
            }
        }
        UserLine::Code(_) => error(format!("nothing of `{file}:{line}` can be probed")).label("matches nothing"),
    })
}

/// A function as an attach point names it.
struct Written {
    language: Option<Language>,
    text: String,
    quoted: bool,
    span: Span,
}

fn plain(part: &ProbePart) -> Written {
    Written { language: None, text: part.text.trim().to_owned(), quoted: part.quoted, span: part.span }
}

/// `cpp:"grow(int)"`, and names with colons, which came in pieces: `rust:app::work`, `app::work`.
fn written(tail: &[ProbePart]) -> Option<Written> {
    let language = Language::find(&tail[0].text).filter(|_| !tail[0].quoted && !tail[1].text.is_empty());
    let parts = if language.is_some() { &tail[1..] } else { tail };
    let (first, last) = (parts.first()?, parts.last()?);
    let colons = parts.len() % 2 == 1 && parts.iter().enumerate().all(|(i, p)| p.text.is_empty() == (i % 2 == 1));
    let text = parts.iter().map(|p| p.text.trim()).collect::<Vec<_>>().join(":");
    colons.then(|| Written { language, text, quoted: parts.iter().any(|p| p.quoted), span: first.span.to(last.span) })
}

/// Go moves a goroutine's stack when it grows, and with it the changed return address, which the kernel then takes for an
/// attack: the process dies. Functions of C in the same program have a stack that stays.
fn unmoved(b: &Binary, points: &[(String, u64)], wanted: &Written) -> Result<(), Box<Diagnostic>> {
    let of_go = |offset: u64| b.functions.iter().filter(|f| f.offset == offset).all(|f| f.name.contains('.'));
    let Some((name, _)) = points.iter().find(|(_, o)| of_go(*o)) else { return Ok(()) };
    Err(Box::new(
        Diagnostic::error("go-return", wanted.span, format!("`{name}` is compiled by Go, where a return probe would crash the program"))
            .label("Go moves stacks, and the return address with them")
            .help("probe the function's `ret` instructions (`objdump -d`): `uprobe:BINARY:FUNCTION+OFFSET`"),
    ))
}

/// Those whose names, as their authors wrote them, are the ones that are meant.
fn readable_sites(b: &Binary, wanted: &Wanted) -> Vec<(String, u64)> {
    let mut seen = std::collections::HashSet::new();
    let all = b.functions.iter().filter_map(|f| Some((readable(&f.name)?, f.offset)));
    all.filter(|(r, o)| wanted.is(r) && seen.insert(*o)).map(|(r, o)| (r.part(), o)).collect()
}

/// A place in each function of that name.
fn readable_inside(b: &Binary, wanted: &Written, name: &str, offset: u64, ret: bool) -> Result<Points, Box<Diagnostic>> {
    let found = readable_sites(b, &Wanted::new(name, wanted.language, false));
    if found.is_empty() {
        return Err(unknown(b, name, wanted.span));
    }
    if ret && offset != 0 {
        return Err(no_offset(wanted.span));
    }
    let size = |at: u64| b.functions.iter().filter(|f| f.offset == at).map(|f| f.size).max().unwrap_or(0);
    match found.iter().find(|(_, at)| offset > 0 && offset >= size(*at).max(1)) {
        Some((name, at)) => Err(behind_the_end(name, offset, size(*at), wanted.span)),
        None => Ok(found.into_iter().map(|(n, at)| (format!("{n}+{offset}"), at + offset)).collect()),
    }
}

fn no_offset(span: Span) -> Box<Diagnostic> {
    let d = Diagnostic::error("probe-syntax", span, "a return probe has no offset");
    Box::new(d.label("expected only a function's name"))
}

fn behind_the_end(name: &str, offset: u64, size: u64, span: Span) -> Box<Diagnostic> {
    let d = Diagnostic::error("no-match", span, format!("offset {offset} is behind the end of `{name}`, which has {size} bytes"));
    Box::new(d.label("outside of the function"))
}

/// Names and file offsets of the functions that a pattern, a name with an offset, or an address means.
fn sites(b: &Binary, wanted: &Written, ret: bool) -> Result<Vec<(String, u64)>, Box<Diagnostic>> {
    let Written { text: function, quoted, span, .. } = wanted;
    let (function, quoted, span) = (function.as_str(), *quoted, *span);
    let pattern = function.contains('*') && !quoted;
    if wanted.language.is_some() {
        let found = readable_sites(b, &Wanted::new(function, wanted.language, pattern));
        // `operator+` is a name.
        let inside = function.rsplit_once('+').filter(|_| found.is_empty() && !pattern).and_then(|(f, o)| Some((f, number(o)?)));
        return match inside {
            Some((name, offset)) => readable_inside(b, wanted, name, offset, ret),
            None if found.is_empty() && !pattern => Err(unknown(b, function, span)),
            None => Ok(found),
        };
    }
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
    if pattern {
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
        return Err(no_offset(span));
    }
    let at = b.functions.partition_point(|f| f.name.as_str() < name);
    match b.functions.get(at).filter(|f| f.name == name) {
        Some(f) if offset > 0 && offset >= f.size.max(1) => Err(behind_the_end(name, offset, f.size, span)),
        Some(f) => Ok(vec![(function.to_string(), f.offset + offset)]),
        None => {
            let found = match function.contains("::") || quoted {
                true => readable_sites(b, &Wanted::new(function, None, false)),
                false => Vec::new(),
            };
            if found.is_empty() { Err(unknown(b, name, span)) } else { Ok(found) }
        }
    }
}

fn unknown(b: &Binary, name: &str, span: Span) -> Box<Diagnostic> {
    let d = Diagnostic::error("unknown-function", span, format!("`{}` has no function `{name}`", b.path));
    // `grow` of `box::grow(int)`
    let last = |r: &super::mangled::Readable| {
        let base = r.base.split('<').next().unwrap_or_default();
        base == name || base.rsplit("::").next() == Some(name)
    };
    if let Some(r) = b.functions.iter().filter_map(|f| readable(&f.name)).find(last) {
        return Box::new(d.label(format!("did you mean `{}`?", r.part())));
    }
    Box::new(match nearest(name, b.functions.iter().map(|f| f.name.as_str())) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None if b.stripped => d
            .label("not among the symbols that it exports, and it has no others")
            .help("it is stripped: install its debug symbols, or give an address (`uprobe:BINARY:0x1234`)"),
        None => d.label("not among its symbols (inlined, or another name)").help(format!(
            "`awl -l 'uprobe:{}:*{}*'` searches",
            b.path,
            core(name)
        )),
    })
}

/// `grow` of `box::grow(int)`: what is worth looking for.
fn core(name: &str) -> &str {
    let base = name.split(['(', '<']).next().unwrap_or(name);
    base.rsplit("::").next().filter(|n| !n.is_empty()).unwrap_or(base)
}
