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
        &[probe("exec", RAW, AttachTo::RawTracepoint { name: "sched_process_exec".into(), module: None })],
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

#[test]
fn a_burst_arrives_or_is_counted() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("raw_tp/sys_enter") int enter(__u64 *ctx) {
               if (bpf_get_current_pid_tgid() >> 32 == globals[20] && ctx[1] == 1) emit(1, 0, 1);
               return 0; }"#,
        &[probe("enter", RAW, AttachTo::RawTracepoint { name: "sys_enter".into(), module: None })],
    );
    let watched = Watched::command("dd if=/dev/zero of=/dev/null bs=1 count=300000 status=none").unwrap();
    let pid = watched.pid();
    let mut seen = Seen::default();
    let mut session = Session::load(&a, Options { watched: Some(watched), ..Options::default() }).unwrap();
    session.loaded().globals(&a).unwrap().store(8 * 20, pid as u64);
    let outcome = session.run(&mut seen).unwrap();
    assert_eq!(outcome.command, Some(Ended::Exit(0)));
    assert_eq!(outcome.report.lost_events, seen.lost);
    let all = seen.values.len() as u64 + seen.lost;
    assert!((300_000..300_020).contains(&all), "{} arrived, {} lost", seen.values.len(), seen.lost);
    assert!(seen.values.len() > 150_000, "{} arrived", seen.values.len());
}

#[test]
fn many_entries_are_read_at_once_and_cleared() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"static long one(__u32 i, void *ctx) { __u32 v = i + 1; bpf_map_update_elem(&plain, &i, &v, BPF_ANY); return 0; }
           SEC("raw_tp/begin") int begin(void *ctx) { bpf_loop(90000, one, 0, 0); return 0; }"#,
        &[probe("begin", RAW, AttachTo::Begin)],
    );
    let mut session = Session::load(&a, Options::default()).unwrap_or_else(|d| panic!("{}", words(&d)));
    session.run(&mut Seen::default()).unwrap();
    let view = session.view();
    let rows = view.read(3).unwrap();
    let word = |b: &[u8]| u32::from_ne_bytes(b.try_into().unwrap());
    let mut keys: Vec<u32> = rows
        .iter()
        .map(|r| {
            let values: Vec<u32> = r.slots().map(word).collect();
            assert_eq!(values, [word(r.key) + 1]);
            word(r.key)
        })
        .collect();
    keys.sort();
    assert!(keys.iter().copied().eq(0..90000));
    let one = view.get(3, &77u32.to_ne_bytes()).unwrap();
    assert_eq!(one.iter().flat_map(|r| r.slots()).map(word).collect::<Vec<_>>(), [78]);
    assert!(view.get(3, &100_000u32.to_ne_bytes()).unwrap().is_empty());
    view.clear(3).unwrap();
    assert!(view.read(3).unwrap().is_empty());
}

#[test]
fn clear_and_zero_from_the_script() {
    if !clang() {
        return;
    }
    let script = |event: u32| {
        artifact(
            &format!(r#"SEC("raw_tp/begin") int begin(void *ctx) {{ count(1); count(2); emit({event}, 0, 0); return 0; }}"#),
            &[probe("begin", RAW, AttachTo::Begin)],
        )
    };
    for (event, left) in [(2, 0), (3, 2)] {
        let a = script(event);
        let mut session = Session::load(&a, Options::default()).unwrap();
        let mut seen = Seen::default();
        session.run(&mut seen).unwrap();
        assert_eq!(seen.troubles, [""; 0]);
        let rows = session.view().read(0).unwrap();
        assert_eq!(rows.len(), left);
        assert!(rows.iter().flat_map(|r| r.slots()).all(|s| s == [0; 8]));
    }
}

#[test]
fn stacks_are_read_back() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("perf_event") int tick(void *ctx) {
               if (EXIT) return 0;
               globals[8] = bpf_get_stackid(ctx, &stacks, 0);
               globals[9] = 1;
               leave(0);
               return 0; }"#,
        &[probe("tick", PERF, AttachTo::Profile(Rate::Hz(99)))],
    );
    let mut session = Session::load(&a, Options::default()).unwrap();
    let outcome = session.run(&mut Seen::default()).unwrap();
    assert_eq!(outcome.reason, Reason::Exit);
    let view = session.view();
    let id = i64::from_ne_bytes(view.read(1).unwrap().iter().next().unwrap().slots().next().unwrap().try_into().unwrap());
    if id >= 0 {
        let frames = view.stack(STORE, id).unwrap();
        assert!(!frames.is_empty() && frames.iter().all(|f| *f > 1 << 63), "{frames:x?}");
    } else {
        // -EFAULT: the tick met a process in user space, which has no kernel stack.
        assert_eq!(id, -14);
    }
    assert_eq!(view.stack(STORE, -14), None);
    assert_eq!(view.stack(StackStore { limit: 127, ..STORE }, 1), None);
}

#[test]
fn a_command_that_cannot_run_is_told() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("perf_event") int tick(void *ctx) { return 0; }"#,
        &[probe("tick", PERF, AttachTo::Interval { period_ns: 1_000_000_000 })],
    );
    let d = Watched::command("no-such-command-at-all -x").unwrap_err();
    assert_eq!(d.code, "command");
    // A file with the right to be executed that is no program
    let file = std::env::temp_dir().join(format!("awl-no-program-{}", std::process::id()));
    std::fs::write(&file, "\x01\x02 nothing\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let watched = Some(Watched::command(file.to_str().unwrap()).unwrap());
    let (outcome, _) = run(&a, Options { watched, ..Options::default() });
    std::fs::remove_file(&file).unwrap();
    assert_eq!(outcome.reason, Reason::Process);
    let d = outcome.command_failed.unwrap();
    assert!(d.message.contains("Exec format error"), "{}", d.message);
}

#[test]
fn the_command_goes_with_us() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("perf_event") int tick(void *ctx) { if (!EXIT) leave(0); return 0; }"#,
        &[probe("tick", PERF, AttachTo::Interval { period_ns: 1_000_000 })],
    );
    let watched = Watched::command("sleep 60").unwrap();
    let pid = watched.pid();
    let (outcome, _) = run(&a, Options { watched: Some(watched), ..Options::default() });
    assert_eq!((outcome.reason, outcome.command), (Reason::Exit, None));
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    for _ in 0..100 {
        // Dead, but not yet waited for: its parent is this test.
        if state().is_empty() || state().contains(") Z ") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{}", state());
}

#[test]
fn another_process_ends_the_session() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("perf_event") int tick(void *ctx) { return 0; }"#,
        &[probe("tick", PERF, AttachTo::Interval { period_ns: 1_000_000_000 })],
    );
    let mut other = std::process::Command::new("sleep").arg("0.2").spawn().unwrap();
    let watched = Watched::process(other.id() as i32).unwrap();
    let (outcome, seen) = run(&a, Options { watched: Some(watched), ..Options::default() });
    assert_eq!((outcome.reason, seen.attached), (Reason::Process, Some(1)));
    let pid = other.id() as i32;
    other.wait().unwrap();
    assert_eq!(Watched::process(pid).unwrap_err().code, "no-process");
}
