//! Attach points: which there are, and which programs they need.

use super::Options;
use super::follow::{self, Waiting};
use super::uses::Uses;
use crate::artifact::{Attach, AttachTo, ProgramKind};
use crate::config::Missing;
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;
use crate::probe::busy;
use crate::probe::{self, Expanded, Provider, Request};
use crate::target::Target;
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::collections::HashMap;

/// One BPF program to be: a probe of the script, and those of its attach points that look alike to the body.
pub(crate) struct Instance<'a> {
    pub source: &'a ast::Probe,
    pub provider: &'static Provider,
    pub name: String,
    pub kind: ProgramKind,
    pub context: Context,
    pub attach: Vec<Attach>,
    /// numbers of its attach points
    pub points: Vec<usize>,
    pub span: Span,
}

#[derive(Default)]
pub(crate) struct Instances<'a> {
    pub list: Vec<Instance<'a>>,
    pub points: Vec<String>,
    /// those that match nothing yet, and whether their bodies were left out meanwhile
    pub waiting: Vec<Waiting>,
    unread: Vec<String>,
    /// warnings of what runs often, which only a script without errors is worth
    pub busy: Vec<Diagnostic>,
}

impl Instances<'_> {
    /// What is not known because of bodies that wait is not the script's fault.
    pub fn say_unread(&self, diagnostics: &mut [Diagnostic]) {
        let Some(first) = self.unread.first() else { return };
        for d in diagnostics.iter_mut().filter(|d| ["undefined-map", "no-type"].contains(&d.code)) {
            *d = d.clone().note(format!("what `{first}` assigns isn't known before it is there"));
        }
    }
}

pub(crate) fn expand<'a>(
    script: &'a ast::Script,
    target: &dyn Target,
    options: &Options,
    diagnostics: &mut Vec<Diagnostic>,
) -> Instances<'a> {
    let mut out = Instances::default();
    for item in &script.items {
        let ast::Item::Probe(source) = item else { continue };
        let mut uses = Uses::of(source);
        if options.name_points {
            uses.ask_for_point();
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let mut left_out = None;
        for Listed { parts, span } in listed(source, options) {
            let Some(first) = parts.first() else { continue };
            if let Some(missing) = parts.iter().find_map(without_parameter) {
                diagnostics.push(missing);
                continue;
            }
            let Some(provider) = probe::find(&first.text) else {
                diagnostics.push(unknown_provider(&parts, first, target));
                continue;
            };
            let request = Request { provider, parts: &parts, span, uses: &uses, target, options };
            match (provider.expand)(&request) {
                Ok(expanded) => {
                    let before = found.len();
                    for mut e in expanded {
                        if let Some(f) = &options.filter {
                            e.retain(|name| f.keeps(name) || source.name.as_ref().is_some_and(|n| f.keeps(&n.name)));
                            if e.points.is_empty() {
                                left_out.get_or_insert((provider, span, e));
                                continue;
                            }
                        }
                        found.push((provider, span, e));
                    }
                    let places = found[before..].iter().flat_map(|(_, _, e)| &e.points).map(|(name, _)| name.as_str());
                    out.busy.extend(busy::warning(span, &places.collect::<Vec<_>>()));
                }
                Err(d) => {
                    let written = parts[1..].iter().fold(provider.name.to_owned(), |all, p| format!("{all}:{}", p.text));
                    if options.filter.as_ref().is_none_or(|f| f.keeps(&written)) {
                        failures.push((provider, span, written, *d));
                    } else if let Some((kind, context)) = provider.absent.clone() {
                        left_out.get_or_insert((provider, span, Expanded { kind, context, points: Vec::new() }));
                    }
                }
            }
        }
        for (provider, span, e) in probe::kprobe::joined(found, &uses, target) {
            add(&mut out, source, provider, span, e);
        }
        let other = out.list.iter().any(|i| std::ptr::eq(i.source, source));
        let mut attached = other;
        if let Some((provider, span, e)) = left_out.filter(|_| !other && failures.is_empty()) {
            // It is checked even so: it may be the one that assigns a map.
            add(&mut out, source, provider, span, e);
            attached = true;
        }
        for (provider, span, point, d) in failures {
            if options.follow.is_some() && follow::may_appear(provider, d.code) {
                let absent = provider.absent.clone().filter(|_| !attached && !follow::is_open(&uses));
                if let Some((kind, context)) = absent {
                    add(&mut out, source, provider, span, Expanded { kind, context, points: Vec::new() });
                    attached = true;
                } else if !attached {
                    out.unread.push(point.clone());
                }
                out.waiting.push(Waiting { point, span });
                continue;
            }
            if !tolerated(&d, options, other) || !(attached || provider.absent.is_some()) {
                diagnostics.push(d);
                continue;
            }
            if options.config.missing_probes != Missing::Ignore || options.dry_run {
                diagnostics.push(d.as_warning());
            }
            // A body without any place is checked even so: it may be the one that assigns a map.
            if let Some((kind, context)) = provider.absent.clone().filter(|_| !attached) {
                add(&mut out, source, provider, span, Expanded { kind, context, points: Vec::new() });
                attached = true;
            }
        }
    }
    one_xdp_each(&out, diagnostics);
    diagnostics.extend(probe::iter::alone(&out.list.iter().map(|i| (&i.context, i.span)).collect::<Vec<_>>()));
    let limit = options.config.max_probes as usize;
    if out.points.len() > limit {
        let span = out.list.first().map(|i| i.span).unwrap_or_default();
        diagnostics.push(
            Diagnostic::error("too-many-probes", span, format!("{} attach points, the limit is {limit}", out.points.len()))
                .label("matches too much")
                .help(format!("narrow the pattern, or raise the limit: `config = {{ max_probes = {} }}`", out.points.len())),
        );
    }
    if options.filter.is_some() && out.points.is_empty() && !diagnostics.iter().any(Diagnostic::is_error) {
        diagnostics.push(
            Diagnostic::usage("no-match", "`--probe-filter` leaves no probe of the script")
                .help("it is a regular expression for names as `awl -l FILE` prints them"),
        );
    }
    if script.items.iter().all(|i| !matches!(i, ast::Item::Probe(_))) {
        diagnostics
            .push(Diagnostic::usage("no-probes", "the script has no probe").help("for instance: `interval:s:1 { print(\"tick\"); }`"));
    }
    out
}

/// May the script go without this place?
fn tolerated(d: &Diagnostic, options: &Options, other: bool) -> bool {
    let unknown = ["unknown-function", "unknown-event", "no-match", "no-file"].contains(&d.code);
    let missing = unknown || ["no-kprobes", "no-pmu"].contains(&d.code);
    match options.config.missing_probes {
        _ if options.dry_run => missing,
        Missing::Listed => unknown && other,
        Missing::Error => false,
        Missing::Warn | Missing::Ignore => missing,
    }
}

fn add<'a>(out: &mut Instances<'a>, source: &'a ast::Probe, provider: &'static Provider, span: Span, e: Expanded) {
    let base = out.points.len();
    let attach = e
        .points
        .into_iter()
        .filter_map(|(name, to)| {
            out.points.push(name);
            to.map(|to| Attach { point: out.points.len() - 1, span, to: to.numbered(base) })
        })
        .collect();
    let context = e.context.numbered(base);
    let points = (base..out.points.len()).collect();
    let name = format!("{}_{}", provider.name, out.list.len() + 1);
    out.list.push(Instance { source, provider, name, kind: e.kind, context, attach, points, span });
}

/// An interface takes one XDP program.
fn one_xdp_each(out: &Instances, diagnostics: &mut Vec<Diagnostic>) {
    let mut taken: HashMap<u32, Span> = HashMap::new();
    for attach in out.list.iter().flat_map(|i| &i.attach) {
        let AttachTo::Xdp { interface, .. } = &attach.to else { continue };
        if let Some(first) = taken.insert(interface.index, attach.span) {
            let d = Diagnostic::error("xdp-twice", attach.span, format!("`{}` takes one XDP program, this is the second", interface.name));
            diagnostics.push(
                d.label("can't be attached beside the first")
                    .because(first, "the first one")
                    .help("put both bodies into one probe, each in an `if (...) { }`"),
            );
        }
    }
}

/// Types and parts of all attach points, as written.
pub fn written(script: &ast::Script, options: &Options) -> Vec<(&'static str, Vec<String>)> {
    let probes = script.items.iter().filter_map(|i| if let ast::Item::Probe(p) = i { Some(p) } else { None });
    let all = probes.flat_map(|p| listed(p, options)).map(|point| point.parts);
    let named = |parts: Vec<ast::ProbePart>| {
        let (first, rest) = parts.split_first()?;
        Some((probe::find(&first.text)?.name, rest.iter().map(|p| p.text.clone()).collect()))
    };
    all.filter_map(named).collect()
}

/// An attach point, with its parameters filled in.
struct Listed {
    parts: Vec<ast::ProbePart>,
    span: Span,
}

/// The attach points of a probe. `xdp:eth0,eth1` is a list of interfaces, which share what stands before and behind it:
/// `xdp:eth0` and `xdp:eth1`. `lsm:file_open,file_permission` is one of hooks.
fn listed(probe: &ast::Probe, options: &Options) -> Vec<Listed> {
    let takes_list =
        |p: &ast::ProbePart| probe::find(&p.text).is_some_and(|p| [":INTERFACE", ":HOOK"].iter().any(|t| p.syntax.contains(t)));
    let mut out: Vec<Listed> = Vec::new();
    // where the list begins that the last one is in
    let mut begin = 0;
    for point in &probe.points {
        let (mut parts, span) = (parameters(point, options), point.span);
        match (parts.first(), out.last().map(|l| l.parts.as_slice())) {
            (Some(name), Some([provider, _])) if probe::find(&name.text).is_none() && takes_list(provider) => {
                let provider = provider.clone();
                for earlier in &mut out[begin..] {
                    earlier.parts.extend_from_slice(&parts[1..]);
                }
                parts.insert(0, provider);
            }
            _ => begin = out.len(),
        }
        out.push(Listed { parts, span });
    }
    out
}

/// Positional parameters in attach points are text: `uprobe:$1:malloc`.
fn parameters(point: &ast::AttachPoint, options: &Options) -> Vec<ast::ProbePart> {
    point
        .parts
        .iter()
        .map(|p| {
            let mut p = p.clone();
            if !p.quoted && p.text.contains('$') {
                // Longest numbers first, so that $12 isn't taken for $1.
                for (i, value) in options.params.iter().enumerate().rev() {
                    p.text = p.text.replace(&format!("${}", i + 1), value);
                }
            }
            p
        })
        .collect()
}

/// `$1` that is still there, since the command line has no such parameter. Symbols have a `$` inside of their names.
fn without_parameter(part: &ast::ProbePart) -> Option<Diagnostic> {
    let digits = part.text.strip_prefix('$').filter(|_| !part.quoted)?;
    let number = &digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())];
    let d = Diagnostic::error("no-parameter", part.span, format!("parameter `${number}` isn't given"));
    let help = "parameters stand behind the script: `awl --dry-run FILE PARAMETER...` checks, without `--dry-run` it runs";
    (!number.is_empty()).then(|| d.label("needed to know where to attach").help(help))
}

fn unknown_provider(parts: &[ast::ProbePart], part: &ast::ProbePart, target: &dyn Target) -> Diagnostic {
    let names = probe::all().flat_map(|p| p.aliases.iter().copied().chain([p.name]));
    let d = Diagnostic::error("unknown-probe", part.span, format!("unknown probe type `{}`", part.text));
    if let Some(whole) = as_place(parts, target) {
        return d.label("the type of the probe is missing in front of it").help(format!("write `{whole} {{ ... }}`"));
    }
    match nearest(&part.text, names) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => {
            let all: Vec<&str> = probe::all().map(|p| p.name).collect();
            d.label("no such probe type").help(format!("the types are {}", all.join(", ")))
        }
    }
}

/// The probe that somebody means who names an event of the kernel, or one of its functions.
fn as_place(parts: &[ast::ProbePart], target: &dyn Target) -> Option<String> {
    let [ast::ProbePart { text: name, .. }] = parts else {
        // `sched:sched_switch`
        let written = parts.iter().map(|p| p.text.as_str()).collect::<Vec<_>>().join(":");
        return target.tracepoints().ok()?.contains(&written).then(|| format!("tracepoint:{written}"));
    };
    let of_event = |t: &&String| t.split_once(':').is_some_and(|(_, event)| event == name);
    if let Some(t) = target.tracepoints().ok().and_then(|all| all.iter().find(of_event)) {
        return Some(format!("tracepoint:{t}"));
    }
    if target.syscall_number(name).is_some() {
        return Some(format!("syscall:{name}"));
    }
    let there = target.kernel_functions().ok()?.iter().any(|f| f.name == *name);
    there.then(|| format!("{}:{name}", if target.has(crate::target::Feature::Kprobe) { "kprobe" } else { "fentry" }))
}
