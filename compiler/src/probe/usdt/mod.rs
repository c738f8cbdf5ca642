//! `usdt`: places that a program's authors chose for tracing, described in notes of its file.

pub mod argument;

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind, UprobeSite};
use crate::diagnostic::{Blame, Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::{Binary, StaticProbe};
use awl_grammar::ast::ProbePart;

pub const ROWS: &[Provider] = &[Provider {
    name: "usdt",
    aliases: &["U"],
    syntax: "usdt:BINARY:[PROVIDER:]NAME",
    doc: "a static probe of a program or library, with the arguments that its authors gave it (`arg0`, `arg1`, ...)",
    example: "usdt:libstdc++:throw { @ = count(); } interval:s:1 { exit(); }",
    process: Process::Program,
    absent: None,
    expand,
}];

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    // A part that is left empty (`usdt::NAME`, `usdt:BINARY::NAME`) isn't there.
    let said = |p: &ProbePart| !p.text.is_empty();
    let own = r.options.pid.or(r.options.child).map(|pid| format!("/proc/{pid}/exe"));
    let (path, provider, name) = match (&r.parts[1..], own) {
        ([name], Some(own)) if said(name) => (own, None, name),
        ([path, name], Some(own)) if !said(path) && said(name) => (own, None, name),
        ([path, provider, name], Some(own)) if !said(path) && said(name) => (own, Some(provider).filter(|p| said(p)), name),
        ([path, name], _) if said(path) && said(name) => (path.text.clone(), None, name),
        ([path, provider, name], _) if said(path) && said(name) => (path.text.clone(), Some(provider).filter(|p| said(p)), name),
        _ => {
            r.rest(2, 3)?;
            return Ok(Vec::new());
        }
    };
    let binaries = r.target.binaries(&path).map_err(|e| {
        let mut d = r.unavailable(e);
        d.blame = Blame::User;
        d
    })?;
    let mut out = Vec::new();
    for b in &binaries {
        let found = b.statics.iter().filter(|p| fits(name, &p.name) && provider.is_none_or(|x| fits(x, &p.provider)));
        for p in found {
            add(r, b, p, &mut out);
        }
    }
    if out.is_empty() { Err(missing(&binaries, &path, name)) } else { Ok(out) }
}

fn fits(pattern: &ProbePart, name: &str) -> bool {
    let text = pattern.text.trim();
    if text.contains('*') && !pattern.quoted { Glob::new(text).matches(name) } else { text == name }
}

/// A probe may have several sites. One program serves those whose arguments are at the same places, or are not read.
fn add(r: &Request, b: &Binary, p: &StaticProbe, out: &mut Vec<Expanded>) {
    let full = format!("{}:{}:{}:{}", r.provider.name, b.path, p.provider, p.name);
    let arguments = argument::parse(&p.arguments, r.target.arch());
    let site = UprobeSite { point: 0, offset: p.offset, semaphore: p.semaphore };
    let read = r.uses.args();
    for e in out.iter_mut() {
        let Expanded { context: Context::Static(known), points, .. } = e else { continue };
        if let [(name, Some(AttachTo::Uprobe { sites, .. }))] = points.as_mut_slice()
            && *name == full
            && (!read || *known == arguments)
            && !r.uses.place()
        {
            if sites.iter().all(|s| s.offset != site.offset) {
                sites.push(site);
            }
            return;
        }
    }
    let to = AttachTo::Uprobe { binary: b.path.clone(), sites: vec![site], ret: false };
    out.push(Expanded { kind: ProgramKind::Kprobe, context: Context::Static(arguments), points: vec![(full, Some(to))] });
}

fn missing(binaries: &[Binary], path: &str, name: &ProbePart) -> Box<Diagnostic> {
    let d = Diagnostic::error("no-match", name.span, format!("no static probe matches `{}` in `{path}`", name.text));
    let all = || binaries.iter().flat_map(|b| &b.statics);
    Box::new(match nearest(name.text.trim(), all().map(|p| p.name.as_str())) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None if all().next().is_none() => d.label("it has none").help(format!("`awl -l 'uprobe:{path}:*'` lists its functions")),
        None => d.label("matches nothing").help(format!("`awl -l 'usdt:{path}:*'` lists those that there are")),
    })
}
