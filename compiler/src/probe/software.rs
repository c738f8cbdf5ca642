//! `software:EVENT[:COUNT]` and `hardware:EVENT[:COUNT]`: counters of the kernel and of the processor.

use super::{Expanded, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "software",
        aliases: &["s"],
        syntax: "software:EVENT[:COUNT]",
        doc: "runs on every COUNTth event: page faults, context switches, CPU migrations and others",
        example: "software:page-faults:100 { @[comm] = count(); } interval:s:1 { exit(); }",
        absent: None,
        expand: |r| expand(r, EVENTS, |config, period| AttachTo::Software { config, period }),
    },
    Provider {
        name: "hardware",
        aliases: &["h"],
        syntax: "hardware:EVENT[:COUNT]",
        doc: "runs on every COUNTth event that the processor counts: cycles, instructions, misses of caches and branches",
        example: "hardware:cycles:1000000 { @[comm] = count(); } interval:s:1 { exit(); }",
        absent: None,
        expand: |r| expand(r, COUNTERS, |config, period| AttachTo::Hardware { config, period }),
    },
];

/// Name, other name, `PERF_COUNT_HW_*` of `perf_event.h`, default count.
pub const COUNTERS: &[(&str, &str, u64, u64)] = &[
    ("cpu-cycles", "cycles", 0, 1_000_000),
    ("instructions", "", 1, 1_000_000),
    ("cache-references", "", 2, 1_000_000),
    ("cache-misses", "", 3, 1_000_000),
    ("branch-instructions", "branches", 4, 100_000),
    ("branch-misses", "", 5, 100_000),
    ("bus-cycles", "", 6, 100_000),
    ("frontend-stalls", "", 7, 1_000_000),
    ("backend-stalls", "", 8, 1_000_000),
    ("ref-cycles", "", 9, 1_000_000),
];

/// Name, other name, `PERF_COUNT_SW_*` of `perf_event.h`, default count.
pub const EVENTS: &[(&str, &str, u64, u64)] = &[
    ("cpu-clock", "cpu", 0, 1_000_000),
    ("task-clock", "", 1, 1_000_000),
    ("page-faults", "faults", 2, 100),
    ("context-switches", "cs", 3, 1000),
    ("cpu-migrations", "", 4, 1),
    ("minor-faults", "", 5, 100),
    ("major-faults", "", 6, 1),
    ("alignment-faults", "", 7, 1),
    ("emulation-faults", "", 8, 1),
    ("dummy", "", 9, 1),
    ("bpf-output", "", 10, 1),
];

fn expand(r: &Request, events: &[(&str, &str, u64, u64)], to: fn(u64, u64) -> AttachTo) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let wanted = &rest[0].text;
    let Some((name, _, config, default)) = events.iter().find(|(n, a, ..)| n == wanted || (!a.is_empty() && a == wanted)) else {
        let d = Diagnostic::error("unknown-event", rest[0].span, format!("unknown {} event `{wanted}`", r.provider.name));
        let names: Vec<&str> = events.iter().map(|e| e.0).collect();
        return Err(Box::new(match nearest(wanted, names.iter().copied()) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such event").help(format!("the events are {}", names.join(", "))),
        }));
    };
    let period = match rest.get(1) {
        None => *default,
        Some(p) => match super::number(&p.text) {
            Some(n) if n > 0 => n,
            _ => {
                let d = Diagnostic::error("probe-syntax", p.span, format!("`{}` is not a count", p.text)).label("expected a number from 1");
                return Err(Box::new(d));
            }
        },
    };
    let full = match rest.get(1) {
        Some(p) => format!("{}:{name}:{}", r.provider.name, p.text),
        None => format!("{}:{name}:", r.provider.name),
    };
    let to = to(*config, period);
    Ok(vec![Expanded { kind: ProgramKind::PerfEvent, context: Context::PerfEvent, points: vec![(full, Some(to))] }])
}
