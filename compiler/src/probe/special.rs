//! `begin`, `end`, `self:signal:NAME`, `test:NAME`, `bench:NAME`: run by awl itself.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::Diagnostic;
use crate::hir::Context;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "begin",
        aliases: &["BEGIN"],
        syntax: "begin",
        doc: "runs once, before the other probes are attached",
        example: "begin { printf(\"tracing\\n\"); exit(); }",
        process: Process::Nobody,
        absent: None,
        expand: |r| once(r, AttachTo::Begin, "begin"),
    },
    Provider {
        name: "end",
        aliases: &["END"],
        syntax: "end",
        doc: "runs once, after the other probes are detached",
        example: "begin { exit(); } end { printf(\"done\\n\"); }",
        process: Process::Nobody,
        absent: None,
        expand: |r| once(r, AttachTo::End, "end"),
    },
    Provider {
        name: "self",
        aliases: &[],
        syntax: "self:signal:SIGUSR1",
        doc: "runs when awl itself gets the signal",
        example: "self:signal:SIGUSR1 { print(@x); } begin { @x = 1; exit(); }",
        process: Process::Nobody,
        absent: None,
        expand: signal,
    },
    Provider {
        name: "test",
        aliases: &[],
        syntax: "test:NAME",
        doc: "a test of a script: runs with `--test` only; passes when it returns 0, without `exit` and `errorf`",
        example: "test:addition { if (1 + 1 != 2) { errorf(\"wrong\"); } }",
        process: Process::Nobody,
        absent: None,
        expand: |r| named(r, AttachTo::Test),
    },
    Provider {
        name: "bench",
        aliases: &[],
        syntax: "bench:NAME",
        doc: "a benchmark of a script: runs, many times, with `--bench` only",
        example: "bench:counting { @ = count(); }",
        process: Process::Nobody,
        absent: None,
        expand: |r| named(r, AttachTo::Bench),
    },
];

fn once(r: &Request, to: AttachTo, name: &str) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    r.rest(0, 0)?;
    Ok(vec![Expanded { kind: ProgramKind::RawTracepoint, context: Context::None, points: vec![(name.into(), Some(to))] }])
}

fn named(r: &Request, to: AttachTo) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let name = &r.rest(1, 1)?[0].text;
    let point = (format!("{}:{name}", r.provider.name), Some(to));
    Ok(vec![Expanded { kind: ProgramKind::RawTracepoint, context: Context::None, points: vec![point] }])
}

fn signal(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let rest = r.rest(2, 2)?;
    if rest[0].text != "signal" || rest[1].text != "SIGUSR1" {
        return Err(Box::new(
            Diagnostic::error("probe-syntax", r.span, "`self` probes watch one signal").label("expected `self:signal:SIGUSR1`"),
        ));
    }
    Ok(vec![Expanded {
        kind: ProgramKind::RawTracepoint,
        context: Context::None,
        points: vec![("self:signal:SIGUSR1".into(), Some(AttachTo::SelfSignal(10)))],
    }])
}
