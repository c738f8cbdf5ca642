//! `software:EVENT[:COUNT]` and `hardware:EVENT[:COUNT]`: counters of the kernel and of the processor;
//! `hardware:PMU/EVENT/:COUNT`: those of any source that sysfs describes.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::Context;
use crate::target::pmu::{Pmu, Wrong};
use awl_grammar::ast::ProbePart;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "software",
        aliases: &["s"],
        syntax: "software:EVENT[:COUNT]",
        doc: "runs on every COUNTth event: page faults, context switches, CPU migrations and others",
        example: "software:page-faults:100 { @[comm] = count(); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: None,
        expand: |r| expand(r, r.rest_or_default(1, 2)?, EVENTS, |config, period| AttachTo::Software { config, period }),
    },
    Provider {
        name: "hardware",
        aliases: &["h"],
        syntax: "hardware:EVENT[:COUNT]|PMU/EVENT/:COUNT",
        doc: "runs on every COUNTth event that the processor counts: cycles, instructions, misses of caches and branches, or an event of a PMU as perf writes it (`cpu/event=0x3c,umask=1/`)",
        example: "hardware:cycles:1000000 { @[comm] = count(); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: None,
        expand: |r| match r.rest_or_default(1, 2)? {
            [event, count] if event.text.ends_with('/') => raw(r, event, count),
            [event] if event.text.ends_with('/') => {
                let d =
                    Diagnostic::error("probe-syntax", event.span, format!("`{}` needs a count", event.text)).label("of how many events?");
                Err(Box::new(d.help(format!("for instance: `{}:{}:1000000`", r.provider.name, event.text))))
            }
            rest => expand(r, rest, COUNTERS, |config, period| AttachTo::Hardware { config, period }),
        },
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

fn expand(
    r: &Request,
    rest: &[ProbePart],
    events: &[(&str, &str, u64, u64)],
    to: fn(u64, u64) -> AttachTo,
) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let wanted = &rest[0].text;
    let Some((name, _, config, default)) = events.iter().find(|(n, a, ..)| n == wanted || (!a.is_empty() && a == wanted)) else {
        let d = Diagnostic::error("unknown-event", rest[0].span, format!("unknown {} event `{wanted}`", r.provider.name));
        let names: Vec<&str> = events.iter().map(|e| e.0).collect();
        return Err(Box::new(match nearest(wanted, names.iter().copied()) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None if r.target.pmus().contains(wanted) => d
                .label("a PMU: it has events of its own")
                .help(format!("name the event and a count: `{}:{wanted}/EVENT/:1000000`", r.provider.name)),
            None => d.label("no such event").help(format!("the events are {}", names.join(", "))),
        }));
    };
    let period = match rest.get(1) {
        None => *default,
        Some(p) => count(p)?,
    };
    let full = match rest.get(1) {
        Some(p) => format!("{}:{name}:{}", r.provider.name, p.text),
        None => format!("{}:{name}:", r.provider.name),
    };
    let to = to(*config, period);
    Ok(vec![Expanded { kind: ProgramKind::PerfEvent, context: Context::PerfEvent, points: vec![(full, Some(to))] }])
}

fn count(p: &ProbePart) -> Result<u64, Box<Diagnostic>> {
    super::number(&p.text).filter(|n| *n > 0).ok_or_else(|| {
        let d = Diagnostic::error("probe-syntax", p.span, format!("`{}` is not a count", p.text));
        Box::new(d.label("expected a number from 1"))
    })
}

/// `cpu/event=0x3c/:1000`: the name of a source, and what its files say of the terms.
fn raw(r: &Request, event: &ProbePart, period: &ProbePart) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let Some((name, terms)) = event.text.trim_end_matches('/').split_once('/') else {
        return r.rest(3, 3).map(|_| Vec::new());
    };
    let pmu = match r.target.pmu(name) {
        Ok(Some(pmu)) => pmu,
        Ok(None) => return Err(no_pmu(r, event, name)),
        Err(e) => return Err(r.unavailable(e)),
    };
    let config = pmu.config(terms).map_err(|w| wrong(r, event, &pmu, w))?;
    let to = AttachTo::Pmu { name: pmu.name, kind: pmu.kind, config, period: count(period)? };
    let full = format!("{}:{}:{}", r.provider.name, event.text, period.text);
    Ok(vec![Expanded { kind: ProgramKind::PerfEvent, context: Context::PerfEvent, points: vec![(full, Some(to))] }])
}

fn no_pmu(r: &Request, event: &ProbePart, name: &str) -> Box<Diagnostic> {
    let all = r.target.pmus();
    let d = Diagnostic::environment("no-pmu", format!("this machine has no PMU `{name}`"));
    let there = || match all.is_empty() {
        true => "it has none at all".to_owned(),
        false => format!("those that it has are {}", all.join(", ")),
    };
    Box::new(match nearest(name, all.iter().map(String::as_str)) {
        Some(n) => d.at(event.span, format!("did you mean `{n}`?")),
        None if name == "cpu" => d
            .at(event.span, "the processor's own counters are not there")
            .help("virtual machines often hide them; `profile:hz:99` samples by the clock"),
        None => d.at(event.span, "no such source of counters").help(there()),
    })
}

fn wrong(r: &Request, event: &ProbePart, pmu: &Pmu, wrong: Wrong) -> Box<Diagnostic> {
    let d = |message: String| Diagnostic::error("unknown-event", event.span, message);
    let name = &pmu.name;
    Box::new(match wrong {
        Wrong::Unknown(term) => {
            let d = d(format!("`{name}` has no event and no term `{term}`"));
            match nearest(&term, pmu.names()) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None if pmu.names().next().is_none() => {
                    d.label("it describes none").help(format!("give the number: `{}:{name}/config=0x1/:1000000`", r.provider.name))
                }
                None => d.label("no such name").help(format!("there are {}", pmu.names().collect::<Vec<_>>().join(", "))),
            }
        }
        Wrong::Value(term) => d(format!("`{term}` needs a value")).label(format!("expected `{term}=NUMBER`")),
        Wrong::Wide(term, value) => d(format!("`{value}` is no value for `{term}`")).label("not a number, or one with too many bits"),
        Wrong::Format(text) => d(format!("`{name}` describes a term in a way that awl can't read: `{text}`")).label("can't be used"),
    })
}
