//! `rawtracepoint:EVENT`: a tracepoint's arguments as the kernel passes them, before they are made into a record.

use super::{Expanded, Provider, Request, absent};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::types::Space;

pub const ROWS: &[Provider] = &[Provider {
    name: "rawtracepoint",
    aliases: &["rt"],
    syntax: "rawtracepoint[:MODULE]:EVENT",
    doc: "a tracepoint with its raw arguments (`args.NAME`, `arg0`, ...), cheaper than `tracepoint`",
    example: "rawtracepoint:sched_switch { @[args.preempt] = count(); } interval:s:1 { exit(); }",
    absent: None,
    expand,
}];

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let event = &rest[rest.len() - 1];
    let names: Vec<String> = if event.text.contains('*') && !event.quoted {
        let glob = Glob::new(&event.text);
        let all = r.target.tracepoints().map_err(|e| r.unavailable(e))?;
        let mut names: Vec<String> =
            all.iter().filter_map(|t| t.split_once(':')).map(|(_, e)| e.to_string()).filter(|e| glob.matches(e)).collect();
        names.retain(|n| r.target.btf_trace_id(n).is_some());
        names.sort();
        names.dedup();
        names
    } else {
        vec![event.text.clone()]
    };
    if names.is_empty() {
        return Err(Box::new(
            Diagnostic::error("no-match", event.span, format!("no raw tracepoint matches `{}`", event.text)).label("matches nothing"),
        ));
    }
    let mut out: Vec<Expanded> = Vec::new();
    for name in names {
        let id = r.target.btf_trace_id(&name);
        // Those of modules aren't described with the kernel's own; where nothing is read, the name is enough.
        let of_module = || r.target.tracepoints().is_ok_and(|all| all.iter().any(|t| t.ends_with(&format!(":{name}"))));
        if id.is_none() && r.target.btf().is_ok() && (r.uses.args() || r.uses.tasks() || !of_module()) {
            return Err(unknown(r, &name));
        }
        let full = format!("rawtracepoint:{name}");
        let to = AttachTo::RawTracepoint { name: name.clone() };
        if !r.uses.args() && !r.uses.tasks() {
            // Nothing is read: one program serves all that don't ask where they are.
            if let Some(shared) = out.first_mut()
                && !r.uses.point()
            {
                shared.points.push((full, Some(to)));
                continue;
            }
            out.push(Expanded { kind: ProgramKind::RawTracepoint, context: Context::RawArgs(Vec::new()), points: vec![(full, Some(to))] });
            continue;
        }
        let btf = r.target.btf().map_err(|e| r.unavailable(e))?;
        let Some(btf_id) = id else { return Err(unknown(r, &name)) };
        let args = btf.trace_args(&name).unwrap_or_default();
        let args = args.into_iter().map(|p| (p.name, btf.ty(p.id, Space::Btf))).collect();
        out.push(Expanded { kind: ProgramKind::TpBtf { btf_id }, context: Context::RawArgs(args), points: vec![(full, Some(to))] });
    }
    Ok(out)
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
