//! `test` and `bench` probes: run one after another, in source order, with nothing attached.

use crate::load::exit_flag;
use crate::session::{Handler, Live, failed};
use crate::sys::bpf;
use awl_compiler::artifact::{Attach, AttachTo, global};
use awl_compiler::diagnostic::Diagnostic;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Which of them are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tests,
    Benchmarks,
}

/// One that ran, by the name in its probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// why it failed, if it did
    Test { name: String, failure: Option<String> },
    /// of one run
    Benchmark { name: String, ns: u64 },
}

/// A benchmark ends after so long, or so many runs.
const LONGEST: Duration = Duration::from_millis(500);
const MOST_RUNS: u32 = 100_000;
/// runs before events are taken: what they record has to fit into the ring buffer
const BATCH: u32 = 64;

impl<H: Handler> Live<'_, H> {
    pub(crate) fn try_all(&mut self, kind: Kind) -> Result<(), Diagnostic> {
        let artifact = self.artifact;
        // The kernel's own clock around each run, without the system call.
        let _measured = match kind {
            Kind::Tests => None,
            Kind::Benchmarks => Some(bpf::enable_stats().map_err(|e| failed("measure programs", &e))?),
        };
        for (i, p) in artifact.programs.iter().enumerate() {
            for place in &p.attach {
                let point = artifact.plan.points.get(place.point).map_or("", |p| p.as_str());
                let name = point.split_once(':').map_or(point, |(_, name)| name).to_owned();
                let trial = match (&place.to, kind) {
                    (AttachTo::Test, Kind::Tests) => Trial::Test { name, failure: self.test(i, place)? },
                    (AttachTo::Bench, Kind::Benchmarks) => Trial::Benchmark { name, ns: self.benchmark(i, place)? },
                    _ => continue,
                };
                self.handler.tried(trial);
            }
        }
        Ok(())
    }

    fn test(&mut self, program: usize, place: &Attach) -> Result<Option<String>, Diagnostic> {
        while self.take_events() > 0 {}
        let before = self.errors;
        let returned = self.run_once(program, place)?;
        while self.take_events() > 0 {}
        let errors = self.errors - before;
        Ok(match (self.forget_exit(), errors, returned as i32) {
            (true, ..) => Some("it called exit()".into()),
            (false, 0, 0) => None,
            (false, 0, n) => Some(format!("it returned {n}")),
            (false, 1, _) => Some("errorf() was called".into()),
            (false, n, _) => Some(format!("errorf() was called {n} times")),
        })
    }

    fn benchmark(&mut self, program: usize, place: &Attach) -> Result<u64, Diagnostic> {
        let cost = |fd: Option<BorrowedFd>| fd.and_then(|fd| bpf::prog_info(fd).ok()).map_or((0, 0), |i| (i.run_time_ns, i.run_count));
        let fd = self.loaded.program(program);
        let (begin, before) = (Instant::now(), cost(fd));
        for run in 1..=MOST_RUNS {
            self.run_once(program, place)?;
            if run % BATCH == 0 {
                self.take_events();
                if begin.elapsed() > LONGEST {
                    break;
                }
            }
            // A program that exits does nothing in its next run.
            self.forget_exit();
        }
        while self.take_events() > 0 {}
        let after = cost(fd);
        Ok((after.0 - before.0) / (after.1 - before.1).max(1))
    }

    /// Did the program call `exit()`? The next one runs all the same.
    fn forget_exit(&self) -> bool {
        let Some(globals) = self.loaded.globals(self.artifact) else { return false };
        let exits = exit_flag(globals);
        globals.store(global::EXIT as usize, 0);
        exits
    }
}
