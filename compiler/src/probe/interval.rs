//! `interval` and `profile`: by the clock, on one CPU or on all.

use super::{Expanded, Process, Provider, Request};
use crate::artifact::{AttachTo, ProgramKind, Rate};
use crate::diagnostic::Diagnostic;
use crate::hir::Context;

pub const ROWS: &[Provider] = &[
    Provider {
        name: "interval",
        aliases: &["i"],
        syntax: "interval:UNIT:COUNT",
        doc: "runs on one CPU every COUNT of UNIT (s, ms, us, or hz times a second), or every DURATION (`interval:1s`)",
        example: "interval:s:1 { printf(\"tick\\n\"); exit(); }",
        process: Process::Nobody,
        absent: None,
        expand: interval,
    },
    Provider {
        name: "profile",
        aliases: &["p"],
        syntax: "profile:UNIT:COUNT",
        doc: "runs on every CPU, COUNT times a second (hz) or every COUNT of UNIT (s, ms, us)",
        example: "profile:hz:99 { @[comm] = count(); } interval:s:1 { exit(); }",
        process: Process::Any,
        absent: None,
        expand: profile,
    },
];

fn interval(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let (rate, name) = rate(r)?;
    let period_ns = match rate {
        Rate::Hz(hz) => 1_000_000_000 / hz,
        Rate::PeriodNs(ns) => ns,
    };
    Ok(one(AttachTo::Interval { period_ns }, name))
}

fn profile(r: &Request) -> Result<Vec<Expanded>, Box<Diagnostic>> {
    let (rate, name) = rate(r)?;
    Ok(one(AttachTo::Profile(rate), name))
}

fn one(to: AttachTo, name: String) -> Vec<Expanded> {
    vec![Expanded { kind: ProgramKind::PerfEvent, context: Context::PerfEvent, points: vec![(name, Some(to))] }]
}

/// `hz:99`, `s:1`, `ms:10`, `us:100`, a duration `10ms`, or a number of nanoseconds.
fn rate(r: &Request) -> Result<(Rate, String), Box<Diagnostic>> {
    let rest = r.rest(1, 2)?;
    let bad = |what: String| {
        Box::new(
            Diagnostic::error("probe-syntax", r.span, what)
                .label(format!("expected `{}`", r.provider.syntax))
                .help(format!("for instance: {}", r.provider.example)),
        )
    };
    let (unit, digits) = match rest {
        [unit, count] => (unit.text.clone(), count.text.clone()),
        [one] => {
            let at = one.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(one.text.len());
            if at == 0 {
                return Err(bad(format!("`{}` has no number", one.text)));
            }
            let unit = if at == one.text.len() { "ns" } else { &one.text[at..] };
            (unit.to_string(), one.text[..at].to_string())
        }
        _ => return Err(bad("too many parts".into())),
    };
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b'e');
    let count = match super::number(&digits).filter(|_| plain) {
        Some(n) if n > 0 => n,
        _ => return Err(bad(format!("`{digits}` is not a rate: expected a number from 1"))),
    };
    let ns: u64 = match unit.as_str() {
        "hz" if count <= 1_000_000 => return Ok((Rate::Hz(count), name(r))),
        "hz" => return Err(bad(format!("{count} times a second is more than a clock can do"))),
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" => 1_000,
        "ns" => 1,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        other => return Err(bad(format!("unknown unit `{other}`: expected hz, s, ms or us"))),
    };
    match ns.checked_mul(count) {
        Some(p) if p >= 1000 => Ok((Rate::PeriodNs(p), name(r))),
        Some(p) => Err(bad(format!("{p} ns is less than the 1,000 that lie between two runs: say the unit"))),
        None => Err(bad("a longer time than the clock holds".into())),
    }
}

fn name(r: &Request) -> String {
    let parts: Vec<&str> = r.parts[1..].iter().map(|p| p.text.as_str()).collect();
    format!("{}:{}", r.provider.name, parts.join(":"))
}
