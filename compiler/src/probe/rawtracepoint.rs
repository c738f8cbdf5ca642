//! `rawtracepoint:EVENT`: a tracepoint's arguments as the kernel passes them, before they are made into a record.

use super::{Expanded, Process, Provider, Request, absent};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::Module;
use crate::target::btf::Btf;
use crate::types::{Space, Ty};

pub const ROWS: &[Provider] = &[Provider {
    name: "rawtracepoint",
    aliases: &["rt"],
    syntax: "rawtracepoint[:MODULE]:EVENT",
    doc: "a tracepoint with its raw arguments (`args.NAME`, `arg0`, ...), cheaper than `tracepoint`",
    example: "rawtracepoint:sched_switch { @[args.preempt] = count(); } interval:s:1 { exit(); }",
    process: Process::Any,
    absent: None,
    expand,
}];

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let event = &rest[rest.len() - 1];
    let module = (rest.len() == 2).then(|| rest[0].text.as_str()).filter(|m| *m != "vmlinux");
    let names: Vec<String> = if event.is_pattern() {
        let glob = Glob::new(&event.text);
        let all = r.target.tracepoints().map_err(|e| r.unavailable(e))?;
        let mut names: Vec<String> =
            all.iter().filter_map(|t| t.split_once(':')).map(|(_, e)| e.to_string()).filter(|e| glob.matches(e)).collect();
        // Where a module is named, its own alone.
        names.retain(|n| described(r, module, n).is_some_and(|d| d.module.as_deref() == module));
        names.sort();
        names.dedup();
        names
    } else {
        vec![event.text.clone()]
    };
    if names.is_empty() {
        return Err(module.and_then(|m| absent::events(r, m)).unwrap_or_else(|| {
            let d = Diagnostic::error("no-match", event.span, format!("no raw tracepoint matches `{}`", event.text));
            Box::new(d.label("matches nothing"))
        }));
    }
    let mut out: Vec<Expanded> = Vec::new();
    for name in names {
        let full = format!("rawtracepoint:{name}");
        if !r.uses.args() && !r.uses.tasks() {
            if described(r, module, &name).is_none() && r.target.btf().is_ok() && !exists(r, &name) {
                return Err(unknown(r, &name));
            }
            // Nothing is read: one program serves all that don't ask where they are.
            let to = AttachTo::RawTracepoint { name, module: None };
            if let Some(shared) = out.first_mut()
                && !r.uses.point()
            {
                shared.points.push((full, Some(to)));
                continue;
            }
            out.push(Expanded { kind: ProgramKind::RawTracepoint, context: Context::RawArgs(Vec::new()), points: vec![(full, Some(to))] });
            continue;
        }
        r.target.btf().map_err(|e| r.unavailable(e))?;
        // Those of modules are described with the module.
        let found = described(r, module, &name);
        let home = if found.is_none() && module.is_none() && exists(r, &name) { home(r, &name) } else { module.map(str::to_owned) };
        let found = found.or_else(|| described(r, home.as_deref(), &name));
        let Some(Described { btf_id, module, args }) = found else {
            return Err(match home.filter(|_| exists(r, &name)).map(|h| r.target.module_btf(&h)) {
                Some(Err(why)) => r.unavailable(why),
                _ => unknown(r, &name),
            });
        };
        let to = AttachTo::RawTracepoint { name, module };
        out.push(Expanded { kind: ProgramKind::TpBtf { btf_id }, context: Context::RawArgs(args()), points: vec![(full, Some(to))] });
    }
    Ok(out)
}

/// The typedef `btf_trace_EVENT`, in the kernel's own types or in a module's.
struct Described<'a> {
    btf_id: u32,
    module: Option<String>,
    /// names and types of the arguments
    args: Box<dyn Fn() -> Vec<(String, Ty)> + 'a>,
}

fn described<'a>(r: &Request<'a>, module: Option<&str>, name: &str) -> Option<Described<'a>> {
    let list = |btf: &Btf, name: &str, space: Space| -> Vec<(String, Ty)> {
        let args = btf.trace_args(name).unwrap_or_default();
        args.into_iter().map(|p| (p.name, btf.ty(p.id, space))).collect()
    };
    let event = name.to_owned();
    if let Some(btf_id) = r.target.btf_trace_id(name) {
        let (target, space) = (r.target, r.typed_space());
        let args = Box::new(move || target.btf().map(|btf| list(btf, &event, space)).unwrap_or_default());
        return Some(Described { btf_id, module: None, args });
    }
    let module = module.filter(|m| r.target.module(m) == Module::Loaded)?;
    let btf = r.target.module_btf(module).ok()?;
    let btf_id = btf.trace_typedef(name)?;
    // The verifier takes each argument of a module's event for one that may be null, which it lets no plain load follow.
    let args = Box::new(move || list(&btf, &event, Space::Kernel));
    Some(Described { btf_id, module: Some(module.into()), args })
}

fn exists(r: &Request, name: &str) -> bool {
    r.target.tracepoints().is_ok_and(|all| all.iter().any(|t| t.split_once(':').is_some_and(|(_, e)| e == name)))
}

/// The module of an event: each event has a function that calls what is attached to it.
fn home(r: &Request, name: &str) -> Option<String> {
    r.target.homes_of_function(&format!("__traceiter_{name}")).ok()?.into_iter().flatten().next()
}

fn unknown(r: &Request, name: &str) -> Box<Diagnostic> {
    let span = r.parts[r.parts.len() - 1].span;
    if let Some(d) = r.parts.get(1).filter(|_| r.parts.len() > 2).and_then(|m| absent::events(r, &m.text)) {
        return d;
    }
    let d = Diagnostic::error("unknown-event", span, format!("this kernel has no raw tracepoint `{name}`"));
    let all = r.target.tracepoints().unwrap_or_default();
    Box::new(match nearest(name, all.iter().filter_map(|t| t.split_once(':')).map(|(_, e)| e)) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => d.label("not in this kernel").help("`awl -l 'rawtracepoint:*'` lists them"),
    })
}
