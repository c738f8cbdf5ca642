//! What a session of nothing but `begin` costs, from the object to its end: microseconds of each part, medians of 50.

#[path = "../tests/common/mod.rs"]
mod common;

use awl_compiler::artifact::*;
use awl_runtime::session::{Options, Session};
use std::time::Instant;

fn main() {
    let interval = AttachTo::Interval { period_ns: 1_000_000_000 };
    let scripts = [
        (
            "begin exits",
            common::artifact(
                r#"SEC("raw_tp/begin") int begin(void *ctx) { leave(0); return 0; }"#,
                &[common::probe("begin", ProgramKind::RawTracepoint, AttachTo::Begin)],
            ),
        ),
        (
            "and an interval",
            common::artifact(
                r#"SEC("raw_tp/begin") int begin(void *ctx) { leave(0); return 0; }
                   SEC("perf_event") int tick(void *ctx) { count(1); return 0; }"#,
                &[
                    common::probe("begin", ProgramKind::RawTracepoint, AttachTo::Begin),
                    common::probe("tick", ProgramKind::PerfEvent, interval),
                ],
            ),
        ),
    ];
    for (name, a) in &scripts {
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..50 {
            let mut seen = common::Seen::default();
            let mut at = Instant::now();
            let mut lap = |i: usize| {
                times[i].push(at.elapsed().as_micros());
                at = Instant::now();
            };
            let object = aya_obj::Object::parse(&a.object).unwrap();
            lap(0);
            drop(object);
            let mut session = Session::load(a, Options::default()).unwrap();
            lap(1);
            session.run(&mut seen).unwrap();
            lap(2);
            drop(session);
            lap(3);
        }
        let median = times.map(|mut t| {
            t.sort();
            t[t.len() / 2]
        });
        println!("{name}: parse (part of load) {} load {} run {} free {} us", median[0], median[1], median[2], median[3]);
    }
}
