//! `kprobe` and `kretprobe`: functions of the kernel, by their registers.

use super::{Expanded, Process, Provider, Request, absent, number};
use crate::artifact::{AttachTo, KprobeSite, ProgramKind};
use crate::diagnostic::Diagnostic;
use crate::glob::Glob;
use crate::hir::Context;
use crate::sema::uses::Uses;
use crate::target::{Feature, KernelFunction, KernelVersion, Target};
use awl_grammar::span::Span;
use std::collections::HashSet;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "kprobe",
        aliases: &["k"],
        syntax: "kprobe[:MODULE]:FUNCTION[+OFFSET]",
        doc: "entry of a kernel function (`arg0`, `arg1`, ...), a place in it or, with `--unsafe`, an address",
        example: "kprobe:vfs_read { @[comm] = sum(arg2); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: Some((ProgramKind::Kprobe, Context::Registers { ret: false, user: false, cookie: false, typed: None })),
        expand: |r| expand(r, false),
    },
    Provider {
        name: "kretprobe",
        aliases: &["kr"],
        syntax: "kretprobe[:MODULE]:FUNCTION",
        doc: "return of a kernel function (`retval`)",
        example: "kretprobe:vfs_read { @ = hist((int64)retval); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: Some((ProgramKind::Kprobe, Context::Registers { ret: true, user: false, cookie: false, typed: None })),
        expand: |r| expand(r, true),
    },
];

fn expand(r: &Request, ret: bool) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let (module, function) = match rest {
        [module, function] => (Some(module.text.as_str()), function),
        [function] => (None, function),
        _ => return Ok(Vec::new()),
    };
    if !r.target.has(Feature::Kprobe) {
        return Err(Box::new(
            Diagnostic::environment("no-kprobes", "this kernel was built without kprobes")
                .at(r.span, "needs them")
                .help("use tracepoints (`awl -l 'tracepoint:*'`), or a kernel with CONFIG_KPROBE_EVENTS=y"),
        ));
    }
    let provider = r.provider.name;
    let text = function.text.trim();
    let full = |f: &str| match module {
        Some(m) => format!("{provider}:{m}:{f}"),
        None => format!("{provider}:{f}"),
    };
    if function.is_pattern() || module.is_some_and(|m| m.contains('*')) {
        let found = matching(r, module, text)?;
        if found.is_empty() {
            return Err(absent::functions(r, module, text));
        }
        return Ok(vec![many(r, found, ret, module)]);
    }
    let site = one(r, module, text, function.quoted, ret)?;
    let context = Context::Registers { ret, user: false, cookie: false, typed: None };
    let to = AttachTo::Kprobe { sites: vec![site], ret };
    Ok(vec![Expanded { kind: ProgramKind::Kprobe, context, points: vec![(full(text), Some(to))] }])
}

/// As the kernel looks it up.
fn symbol(module: Option<&str>, function: &str) -> String {
    match module {
        Some(m) if m != "vmlinux" => format!("{m}:{function}"),
        _ => function.to_string(),
    }
}

/// Functions that a pattern means, each name once: the kernel looks them up by name.
fn matching<'a>(r: &Request<'a>, module: Option<&str>, pattern: &str) -> Result<Vec<&'a KernelFunction>, Box<Diagnostic>> {
    let all = r.target.kernel_functions().map_err(|e| r.unavailable(e))?;
    let (names, modules) = (Glob::new(pattern), module.map(Glob::new));
    let home = |f: &KernelFunction| modules.as_ref().is_none_or(|m| m.matches(f.module.as_deref().unwrap_or("vmlinux")));
    let mut found: Vec<&KernelFunction> = all.iter().filter(|f| names.matches(&f.name) && home(f)).collect();
    found.dedup_by(|a, b| a.name == b.name);
    Ok(found)
}

/// The functions that a pattern found.
fn many(r: &Request, found: Vec<&KernelFunction>, ret: bool, module: Option<&str>) -> Expanded {
    let provider = r.provider.name;
    let name = |f: &KernelFunction| match (module, f.module.as_deref()) {
        (None, _) => format!("{provider}:{}", f.name),
        (Some(_), m) => format!("{provider}:{}:{}", m.unwrap_or("vmlinux"), f.name),
    };
    let site = |(point, f): (usize, &&KernelFunction)| KprobeSite {
        point,
        symbol: symbol(module.and(f.module.as_deref()), &f.name),
        offset: 0,
        span: r.span,
    };
    let mut to = Some(AttachTo::Kprobe { sites: found.iter().enumerate().map(site).collect(), ret });
    Expanded {
        kind: ProgramKind::Kprobe,
        context: Context::Registers { ret, user: false, cookie: false, typed: None },
        points: found.iter().map(|f| (name(f), to.take())).collect(),
    }
}

/// Sites that one program serves.
struct Group {
    ret: bool,
    /// by one link, which has to find them by their names alone
    multi: bool,
    named: HashSet<String>,
    points: Vec<(String, KprobeSite)>,
}

/// The attach points of one probe, with those that are the kernel's functions put into as few programs and links as there can be:
/// one link for all whole functions (5.18), one program with an event for each other place.
pub(crate) fn joined(
    all: Vec<(&'static Provider, Span, Expanded)>,
    uses: &Uses,
    target: &dyn Target,
) -> Vec<(&'static Provider, Span, Expanded)> {
    if !all.iter().any(|(_, _, e)| is_kprobe(e)) {
        return all;
    }
    // Where registers are asked for by name: from 6.14 on those links hand over the few that hold arguments.
    let whole = !uses.has("reg") || target.kernel() < KernelVersion(6, 14, 0);
    let multi = whole && target.has(Feature::KprobeMulti);
    // A program that says where it is can only be told so by a cookie.
    let shared = !uses.point() || (target.has(Feature::AttachCookie) && !uses.fixed_point());
    let mut out = Vec::new();
    let mut groups: Vec<(&'static Provider, Span, Group)> = Vec::new();
    for (provider, span, e) in all {
        if !is_kprobe(&e) {
            out.push((provider, span, e));
            continue;
        }
        let mut names = e.points.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>().into_iter();
        for to in e.points.into_iter().filter_map(|(_, to)| to) {
            let AttachTo::Kprobe { sites, ret } = to else { continue };
            for (site, name) in sites.into_iter().zip(names.by_ref()) {
                let multi = multi && site.offset == 0 && !site.symbol.is_empty() && !site.symbol.contains(':');
                // What is named twice runs twice, which takes a second attachment.
                let fits = |g: &Group| shared && g.ret == ret && g.multi == multi && !(multi && g.named.contains(&site.symbol));
                let at = groups.iter().position(|(_, _, g)| fits(g)).unwrap_or_else(|| {
                    groups.push((provider, span, Group { ret, multi, named: HashSet::new(), points: Vec::new() }));
                    groups.len() - 1
                });
                let g = &mut groups[at].2;
                if multi {
                    g.named.insert(site.symbol.clone());
                }
                g.points.push((name, site));
            }
        }
    }
    out.extend(groups.into_iter().map(|(provider, span, g)| (provider, span, g.expanded(uses))));
    out
}

fn is_kprobe(e: &Expanded) -> bool {
    e.points.iter().any(|(_, to)| matches!(to, Some(AttachTo::Kprobe { .. })))
}

impl Group {
    fn expanded(self, uses: &Uses) -> Expanded {
        let many = self.points.len() > 1;
        let (names, mut sites): (Vec<String>, Vec<KprobeSite>) = self.points.into_iter().unzip();
        sites.iter_mut().enumerate().for_each(|(i, s)| s.point = i);
        let mut to = Some(AttachTo::Kprobe { sites, ret: self.ret });
        Expanded {
            kind: if self.multi && many { ProgramKind::KprobeMulti } else { ProgramKind::Kprobe },
            context: Context::Registers { ret: self.ret, user: false, cookie: many && uses.point(), typed: None },
            points: names.into_iter().map(|n| (n, to.take())).collect(),
        }
    }
}

fn one(r: &Request, module: Option<&str>, text: &str, quoted: bool, ret: bool) -> Result<KprobeSite, Box<Diagnostic>> {
    let span = r.parts[r.parts.len() - 1].span;
    if let Some(address) = number(text) {
        if !r.options.allow_unsafe {
            return Err(Box::new(
                Diagnostic::error("needs-unsafe", span, "a probe at a bare address needs `--unsafe`")
                    .label("the kernel doesn't check that an instruction starts there")
                    .help("name a function: `kprobe:FUNCTION+OFFSET`"),
            ));
        }
        return Ok(KprobeSite { point: 0, symbol: String::new(), offset: address, span: r.span });
    }
    let (name, offset) = match text.rsplit_once('+') {
        Some((n, o)) if !quoted => match number(o) {
            Some(o) => (n, o),
            None => {
                let d = Diagnostic::error("probe-syntax", span, format!("`{o}` is not an offset")).label("expected `FUNCTION+0x10`");
                return Err(Box::new(d));
            }
        },
        _ => (text, 0),
    };
    if ret && offset != 0 {
        let d = Diagnostic::error("probe-syntax", span, "a return probe has no offset").label("expected only a function's name");
        return Err(Box::new(d));
    }
    let homes = r.target.homes_of_function(name).map_err(|e| r.unavailable(e))?;
    let wanted = |h: &Option<String>| module.is_none_or(|m| h.as_deref().unwrap_or("vmlinux") == m);
    if !homes.iter().any(wanted) {
        return Err(absent::function(r, module, name, &homes));
    }
    Ok(KprobeSite { point: 0, symbol: symbol(module, name), offset, span: r.span })
}
