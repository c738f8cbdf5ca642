//! Whole sessions in the running kernel. They need root.

mod common;

use awl_compiler::artifact::*;
use awl_runtime::process::Watched;
use awl_runtime::session::{Options, Outcome, Reason, Session};
use awl_runtime::sys::process::Ended;
use common::*;

fn run(a: &Artifact, options: Options) -> (Outcome, Seen) {
    let mut seen = Seen::default();
    let mut session = Session::load(a, options).unwrap_or_else(|d| panic!("{}", words(&d)));
    let outcome = session.run(&mut seen).unwrap_or_else(|d| panic!("{}", words(&d)));
    (outcome, seen)
}

const RAW: ProgramKind = ProgramKind::RawTracepoint;
const PERF: ProgramKind = ProgramKind::PerfEvent;

#[test]
fn begin_and_end_run_without_anything_attached() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("raw_tp/begin") int begin(void *ctx) { emit(1, 7, 1); return 0; }
           SEC("raw_tp/end") int end(void *ctx) { emit(1, 8, 2); return 0; }"#,
        &[probe("begin", RAW, AttachTo::Begin), probe("end", RAW, AttachTo::End)],
    );
    let (outcome, seen) = run(&a, Options::default());
    assert_eq!(seen.values, [(7, 1), (8, 2)]);
    assert_eq!(outcome.reason, Reason::NothingToWaitFor);
    assert_eq!((outcome.exit_code, seen.attached), (0, None));
}

#[test]
fn an_interval_counts_until_it_exits() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("perf_event") int tick(void *ctx) {
               if (EXIT) return 0;
               globals[8] += 1; globals[9] = 1;
               percpu[(bpf_get_smp_processor_id() & 3) * 16 + 14] += 5;
               percpu[(bpf_get_smp_processor_id() & 3) * 16 + 15] = 1;
               count(globals[8]);
               emit(1, 0, globals[8]);
               if (globals[8] == 5) leave(3);
               return 0; }"#,
        &[probe("tick", PERF, AttachTo::Interval { period_ns: 1_000_000 })],
    );
    let mut seen = Seen::default();
    let mut session = Session::load(&a, Options::default()).unwrap_or_else(|d| panic!("{}", words(&d)));
    let outcome = session.run(&mut seen).unwrap();
    assert_eq!(seen.values, [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]);
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::Exit, 3));
    assert_eq!(outcome.report, Default::default());

    let view = session.view();
    let counts = view.read(0).unwrap();
    let mut sums: Vec<(u64, u64)> = counts
        .iter()
        .map(|r| {
            let word = |b: &[u8]| u64::from_ne_bytes(b.try_into().unwrap());
            (word(r.key), r.slots().map(word).sum())
        })
        .collect();
    sums.sort();
    assert_eq!(sums, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    let slot = view.read(1).unwrap();
    assert_eq!(slot.iter().map(|r| r.slots().map(<[u8]>::to_vec).collect()).collect::<Vec<Vec<_>>>(), [[5u64.to_ne_bytes().to_vec()]]);
    let percpu: u64 = view.read(2).unwrap().iter().flat_map(|r| r.slots()).map(|s| u64::from_ne_bytes(s.try_into().unwrap())).sum();
    assert_eq!(percpu, 25);

    view.zero(0).unwrap();
    assert_eq!(view.read(0).unwrap().len(), 5);
    assert!(view.read(0).unwrap().iter().all(|r| r.slots().all(|s| s == [0; 8])));
    assert!(view.delete(0, &3u64.to_ne_bytes()).unwrap());
    assert!(!view.delete(0, &3u64.to_ne_bytes()).unwrap());
    view.clear(0).unwrap();
    view.zero(1).unwrap();
    assert_eq!((view.read(0).unwrap().len(), view.read(1).unwrap().len()), (0, 1));
    view.clear(1).unwrap();
    view.clear(2).unwrap();
    assert!(view.read(1).unwrap().is_empty() && view.read(2).unwrap().is_empty());
}

#[test]
fn the_command_ends_the_session() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("raw_tp/sched_process_exec") int exec(__u64 *ctx) {
               __u32 pid = bpf_get_current_pid_tgid() >> 32;
               if (pid == globals[20]) emit(1, 0, pid);
               return 0; }"#,
        &[probe("exec", RAW, AttachTo::RawTracepoint { name: "sched_process_exec".into() })],
    );
    let watched = Watched::command("sh -c 'exit 5'").unwrap();
    let pid = watched.pid();
    let mut seen = Seen::default();
    let mut session = Session::load(&a, Options { watched: Some(watched), ..Options::default() }).unwrap();
    session.loaded().globals(&a).unwrap().store(8 * 20, pid as u64);
    let outcome = session.run(&mut seen).unwrap();
    assert_eq!((outcome.reason, outcome.command), (Reason::Process, Some(Ended::Exit(5))));
    assert_eq!(seen.values, [(0, pid as u64)]);
    assert!(outcome.command_failed.is_none());
}
