//! A session that ticks each millisecond until it is told to stop: for the tests of signals. `tick slow` takes its time at the
//! end; `tick load` only loads.

#[path = "../tests/common/mod.rs"]
mod common;

use awl_compiler::artifact::*;
use awl_compiler::diagnostic::Diagnostic;
use awl_runtime::events::Header;
use awl_runtime::maps::View;
use awl_runtime::session::{Handler, Options, Session};
use std::time::Duration;

#[derive(Default)]
struct Tick {
    ticks: u64,
    slow: bool,
}

impl Handler for Tick {
    fn attached(&mut self, _: usize) {
        println!("attached");
    }
    fn event(&mut self, _: View, header: Header, _: &[u8]) {
        match header.point {
            0 => self.ticks += 1,
            1 => println!("self"),
            _ => {
                println!("end");
                if self.slow {
                    std::thread::sleep(Duration::from_secs(20));
                }
            }
        }
    }
    fn lost(&mut self, _: u64) {}
    fn trouble(&mut self, _: Diagnostic) {}
}

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    let a = common::artifact(
        r#"SEC("perf_event") int tick(void *ctx) { if (!EXIT) emit(1, 0, 1); return 0; }
           SEC("raw_tp/self") int self(void *ctx) { emit(1, 1, 1); return 0; }
           SEC("raw_tp/end") int end(void *ctx) { emit(1, 2, 1); return 0; }"#,
        &[
            common::probe("tick", ProgramKind::PerfEvent, AttachTo::Interval { period_ns: 1_000_000 }),
            common::probe("self", ProgramKind::RawTracepoint, AttachTo::SelfSignal(libc::SIGUSR1)),
            common::probe("end", ProgramKind::RawTracepoint, AttachTo::End),
        ],
    );
    let mut session = match Session::load(&a, Options::default()) {
        Ok(s) => s,
        Err(d) => {
            println!("{}", common::words(&d));
            std::process::exit(2);
        }
    };
    if how == "load" {
        return;
    }
    let mut tick = Tick { slow: how == "slow", ..Tick::default() };
    let outcome = session.run(&mut tick).unwrap();
    println!("{:?} {}", outcome.reason, tick.ticks > 5);
    // As the command does: what is left, the kernel frees. A second signal has no effect then.
    std::process::exit(0);
}
