//! `tracepoint:CATEGORY:EVENT`: the kernel's own, stable places.
//!
//! Attaching one by perf costs 65-75 ms to undo (it waits for every CPU), a raw tracepoint 0.1 ms. So wherever the meaning
//! is the same a raw one is used: system calls by number under `sys_enter` and `sys_exit` (one program for any number of
//! them), and every tracepoint whose record isn't read.

use super::{Expanded, Process, Provider, Request, absent};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
use crate::target::tracefs;
use crate::types::RecordDef;
use std::sync::Arc;

pub const ROWS: &[Provider] = &[Provider {
    name: "tracepoint",
    aliases: &["t"],
    syntax: "tracepoint:CATEGORY:EVENT",
    doc: "a place that the kernel's authors chose for tracing, with named arguments (`args.NAME`)",
    example: "tracepoint:sched:sched_switch { @[args.next_comm] = count(); } interval:s:1 { exit(); }",
    process: Process::Any,
    absent: None,
    expand,
}];

fn expand(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(2, 2).map_err(|d| match without_category(r) {
        Some(event) => Box::new(Diagnostic { help: Some(format!("write `tracepoint:{event}`")), ..*d }),
        None => d,
    })?;
    let (category, event) = (&rest[0], &rest[1]);
    let wild = category.is_pattern() || event.is_pattern();
    let names: Vec<(String, String)> = if wild {
        let (c, e) = (Glob::new(&category.text), Glob::new(&event.text));
        let all = r.target.tracepoints().map_err(|e| r.unavailable(e))?;
        all.iter()
            .filter_map(|t| t.split_once(':'))
            .filter(|(x, y)| c.matches(x) && e.matches(y))
            .map(|(x, y)| (x.to_string(), y.to_string()))
            .collect()
    } else {
        vec![(category.text.clone(), event.text.clone())]
    };
    if names.is_empty() {
        return Err(Box::new(
            Diagnostic::error("no-match", r.span, format!("no tracepoint matches `{}:{}`", category.text, event.text))
                .label("matches nothing")
                .help(format!("`awl -l 'tracepoint:*{}*'` searches", event.text.trim_matches('*'))),
        ));
    }
    let mut out = Vec::new();
    for (category, event) in names {
        one(r, &category, &event, format!("tracepoint:{category}:{event}"), wild, &mut out)?;
    }
    Ok(out)
}

/// One tracepoint, in the cheapest way that means the same; `full` is what its attach point is called.
pub(super) fn one(
    r: &Request,
    category: &str,
    event: &str,
    full: String,
    wild: bool,
    out: &mut Vec<Expanded>,
) -> Result<(), Box<Diagnostic>> {
    if let Some(e) = system_call(r, category, event, &full)? {
        // One program, attached once, serves any number of system calls as long as it reads none of their arguments.
        if !r.uses.args()
            && let Context::Syscall { exit, numbers, .. } = &e.context
            && let Some((number, _)) = numbers.first()
        {
            let same = out.iter_mut().find(|o| matches!(&o.context, Context::Syscall { exit: x, .. } if x == exit));
            if let Some(Expanded { context: Context::Syscall { numbers, .. }, points, .. }) = same {
                numbers.push((*number, points.len()));
                points.push((full, None));
                return Ok(());
            }
        }
        out.push(e);
        return Ok(());
    }
    if !r.uses.args() && !r.uses.has("kstack") && r.target.btf_trace_id(event).is_some() {
        // BTF knows events alone. Where tracefs can't be asked, the category is taken as written.
        if !wild && matches!(r.target.tracepoint_format(category, event), Ok(None)) {
            return Err(unknown(r, category, event));
        }
        let to = AttachTo::RawTracepoint { name: event.into(), module: None };
        if let Some(btf_id) = r.target.btf_trace_id(event).filter(|_| r.uses.tasks()) {
            let context = Context::RawArgs(Vec::new());
            out.push(Expanded { kind: ProgramKind::TpBtf { btf_id }, context, points: vec![(full, Some(to))] });
            return Ok(());
        }
        if !r.uses.point()
            && let Some(shared) = out.iter_mut().find(|o| o.kind == ProgramKind::RawTracepoint)
        {
            shared.points.push((full, Some(to)));
            return Ok(());
        }
        out.push(Expanded { kind: ProgramKind::RawTracepoint, context: Context::RawArgs(Vec::new()), points: vec![(full, Some(to))] });
        return Ok(());
    }
    let to = AttachTo::Tracepoint { category: category.into(), event: event.into() };
    let record = if r.uses.args() || !wild { record(r, category, event)? } else { Arc::new(nothing()) };
    if !r.uses.args()
        && !r.uses.point()
        && let Some(shared) = out.iter_mut().find(|o| o.kind == ProgramKind::Tracepoint)
    {
        shared.points.push((full, Some(to)));
        return Ok(());
    }
    out.push(Expanded { kind: ProgramKind::Tracepoint, context: Context::Record(record), points: vec![(full, Some(to))] });
    Ok(())
}

/// `syscalls:sys_enter_NAME`, `syscalls:sys_exit_NAME` and `raw_syscalls:*` by the raw tracepoint below them, where that
/// can be typed by BTF.
fn system_call(r: &Request, category: &str, event: &str, full: &str) -> Result<Option<Expanded>, Box<Diagnostic>> {
    let exit = event.starts_with("sys_exit");
    let raw = if exit { "sys_exit" } else { "sys_enter" };
    let to = AttachTo::RawTracepoint { name: raw.into(), module: None };
    match category {
        "raw_syscalls" if event == raw && r.uses.args() => {
            let Some(btf_id) = r.target.btf_trace_id(raw) else { return Ok(None) };
            let record = record(r, category, event)?;
            let context = Context::RawSyscall { exit, record };
            Ok(Some(Expanded { kind: ProgramKind::TpBtf { btf_id }, context, points: vec![(full.into(), Some(to))] }))
        }
        "syscalls" if !r.uses.has("ctx") => {
            let Some(name) = event.strip_prefix("sys_enter_").or_else(|| event.strip_prefix("sys_exit_")) else { return Ok(None) };
            let (Some(number), Some(btf_id)) = (r.target.syscall_number(name), r.target.btf_trace_id(raw)) else { return Ok(None) };
            let reads = r.uses.args() || r.uses.has("retval");
            let record = if reads { record(r, category, event)? } else { Arc::new(nothing()) };
            let context = Context::Syscall { exit, numbers: vec![(number, 0)], record };
            Ok(Some(Expanded { kind: ProgramKind::TpBtf { btf_id }, context, points: vec![(full.into(), Some(to))] }))
        }
        _ => Ok(None),
    }
}

/// Stands for a record that no one reads.
fn nothing() -> RecordDef {
    RecordDef { name: "args".into(), union: false, size: 0, align: 8, fields: Vec::new(), btf_id: None }
}

fn record(r: &Request, category: &str, event: &str) -> Result<Arc<RecordDef>, Box<Diagnostic>> {
    let text = r.target.tracepoint_format(category, event).map_err(|e| r.unavailable(e))?;
    let Some(text) = text else { return Err(unknown(r, category, event)) };
    tracefs::parse(category, event, &text).map(|f| f.record).map_err(|why| {
        Box::new(
            Diagnostic::internal("tracepoint-format", format!("the format of {category}:{event} can't be read: {why}"))
                .at(r.span, "needed here"),
        )
    })
}

/// `tracepoint:sched_switch`: the event that is meant.
fn without_category<'a>(r: &Request<'a>) -> Option<&'a String> {
    let [_, event] = r.parts else { return None };
    r.target.tracepoints().ok()?.iter().find(|t| t.split_once(':').is_some_and(|(_, e)| e == event.text))
}

fn unknown(r: &Request, category: &str, event: &str) -> Box<Diagnostic> {
    let all = r.target.tracepoints().unwrap_or_default();
    let categories: Vec<&str> = all.iter().filter_map(|t| t.split_once(':')).map(|(c, _)| c).collect();
    let wanted = format!("{category}:{event}");
    if !categories.contains(&category) {
        if let Some(d) = absent::events(r, category) {
            return d;
        }
        let d = Diagnostic::error("unknown-event", r.parts[1].span, format!("this kernel has no tracepoints in `{category}`"));
        return Box::new(match nearest(category, categories.iter().copied()) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such category").help(format!("`awl -l 'tracepoint:*{event}*'` searches all of them")),
        });
    }
    let d = Diagnostic::error("unknown-event", r.parts[2].span, format!("this kernel has no tracepoint `{wanted}`"));
    let events = all.iter().filter_map(|t| t.split_once(':')).filter(|(c, _)| *c == category).map(|(_, e)| e);
    Box::new(match nearest(event, events) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => d.label("no such event").help(format!("`awl -l 'tracepoint:{category}:*'` lists those that there are")),
    })
}
