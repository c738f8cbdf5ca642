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
    Test { name: String, failure: Option<String>, took: Duration },
    /// ns of one run
    Benchmark { name: String, ns: u64, runs: u64 },
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
        let all = artifact.programs.iter().enumerate().flat_map(|(i, p)| p.attach.iter().map(move |place| (i, place)));
        let all: Vec<_> = all
            .filter(|(_, place)| matches!((&place.to, kind), (AttachTo::Test, Kind::Tests) | (AttachTo::Bench, Kind::Benchmarks)))
            .collect();
        let name = |place: &Attach| {
            let point = artifact.plan.points.get(place.point).map_or("", |p| p.as_str());
            point.split_once(':').map_or(point, |(_, name)| name).to_owned()
        };
        self.handler.trials(all.iter().map(|(_, place)| name(place)).collect());
        for (i, place) in all {
            while self.take_events() > 0 {}
            self.handler.trying();
            let name = name(place);
            let begin = Instant::now();
            let trial = match kind {
                Kind::Tests => Trial::Test { name, failure: self.test(i, place)?, took: begin.elapsed() },
                Kind::Benchmarks => {
                    let (ns, runs) = self.benchmark(i, place)?;
                    Trial::Benchmark { name, ns, runs }
                }
            };
            self.handler.tried(trial);
        }
        Ok(())
    }

    fn test(&mut self, program: usize, place: &Attach) -> Result<Option<String>, Diagnostic> {
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

    fn benchmark(&mut self, program: usize, place: &Attach) -> Result<(u64, u64), Diagnostic> {
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
        let runs = after.1 - before.1;
        Ok(((after.0 - before.0) / runs.max(1), runs))
    }

    /// Did the program call `exit()`? The next one runs all the same.
    fn forget_exit(&self) -> bool {
        let Some(globals) = self.loaded.globals(self.artifact) else { return false };
        let exits = exit_flag(globals);
        globals.store(global::EXIT as usize, 0);
        exits
    }
}
