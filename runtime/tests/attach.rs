//! Each way of attaching, in the running kernel. They need root.

mod common;

use awl_compiler::Span;
use awl_compiler::artifact::*;
use awl_compiler::diagnostic::{Blame, Diagnostic};
use awl_runtime::load::Place;
use awl_runtime::process::Watched;
use awl_runtime::session::{Options, Session};
use common::*;
use std::process::Command;

/// Runs while a command does; what the programs said.
fn during(a: &Artifact, command: &str) -> Vec<(usize, u64)> {
    let watched = Some(Watched::command(command).unwrap_or_else(|d| panic!("{}", words(&d))));
    let options = Options { watched, ..Options::default() };
    let mut seen = Seen::default();
    let mut session = Session::load(a, options).unwrap_or_else(|d| panic!("{}", words(&d)));
    session.run(&mut seen).unwrap_or_else(|d| panic!("{}", words(&d)));
    seen.values
}

fn refused(a: &Artifact) -> Diagnostic {
    match Session::load(a, Options::default()) {
        Ok(mut s) => s.attach().expect_err("attached"),
        Err(d) => d,
    }
}

/// File offset of a function in the C library, by the symbol table's own program.
fn libc_function(name: &str) -> (String, u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps.lines().filter_map(|l| l.split_whitespace().nth(5)).find(|p| p.contains("libc.so")).unwrap().to_owned();
    let table = Command::new("objdump").args(["-T", &path]).output().unwrap();
    let line = String::from_utf8(table.stdout).unwrap();
    let line = line.lines().find(|l| l.ends_with(&format!(" {name}"))).unwrap().to_owned();
    (path, u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap())
}

fn uprobe(names: &[&str], ret: bool, first_point: usize) -> AttachTo {
    let mut binary = String::new();
    let mut sites = Vec::new();
    for (i, n) in names.iter().enumerate() {
        let (path, offset) = libc_function(n);
        binary = path;
        sites.push(UprobeSite { point: first_point + i, offset, semaphore: 0 });
    }
    AttachTo::Uprobe { binary, sites, ret }
}

/// The program tells the cookie, which is the site's point.
const UPROBE: &str =
    r#"SEC("uprobe") int up(void *ctx) { emit(1, bpf_get_attach_cookie(ctx), bpf_get_current_pid_tgid() >> 32); return 0; }"#;

#[test]
fn uprobes_say_their_sites_and_see_one_process() {
    if !clang() {
        return;
    }
    for kind in [ProgramKind::Kprobe, ProgramKind::UprobeMulti] {
        for ret in [false, true] {
            let a = artifact(UPROBE, &[probe("up", kind, uprobe(&["setlocale", "fileno"], ret, 40))]);
            // Somebody else who calls the same functions must not be seen.
            let mut other = Command::new("sh").args(["-c", "while :; do ls / >/dev/null; done"]).spawn().unwrap();
            let watched = Watched::command("ls -d /").unwrap();
            let pid = watched.pid() as u64;
            let mut seen = Seen::default();
            let mut session = Session::load(&a, Options { watched: Some(watched), ..Options::default() })
                .unwrap_or_else(|d| panic!("{kind:?} {}", words(&d)));
            let r = session.run(&mut seen);
            other.kill().unwrap();
            other.wait().unwrap();
            r.unwrap_or_else(|d| panic!("{kind:?} {ret} {}", words(&d)));
            assert!(seen.values.iter().all(|(_, p)| *p == pid), "{kind:?} {ret} {pid} {:?}", seen.values);
            for point in [40, 41] {
                assert!(seen.values.iter().any(|(p, _)| *p == point), "{kind:?} {ret} {point} {:?}", seen.values);
            }
        }
    }
}

#[test]
fn a_bad_site_is_named_and_nothing_stays() {
    if !clang() {
        return;
    }
    for kind in [ProgramKind::Kprobe, ProgramKind::UprobeMulti] {
        let AttachTo::Uprobe { binary, mut sites, ret } = uprobe(&["setlocale", "fileno", "exit"], false, 0) else { panic!() };
        sites.insert(2, UprobeSite { point: 2, offset: 1 << 40, semaphore: 0 });
        sites[3].point = 3;
        let mut a = artifact(UPROBE, &[probe("up", kind, AttachTo::Uprobe { binary, sites, ret })]);
        a.plan.points =
            ["uprobe:libc:setlocale", "uprobe:libc:fileno", "uprobe:libc:nowhere", "uprobe:libc:exit"].map(String::from).to_vec();
        a.programs[0].attach[0].span = Span { start: 3, end: 9, ..Span::default() };
        let d = refused(&a);
        assert_eq!((d.code, d.blame), ("attach", Blame::Environment));
        assert!(d.message.contains("uprobe:libc:nowhere"), "{}", words(&d));
        assert_eq!(d.primary.unwrap().span.start, 3);
    }
}

#[test]
fn a_perf_tracepoint_is_found_without_a_mounted_tracefs() {
    if !clang() {
        return;
    }
    let to = |event: &str| AttachTo::Tracepoint { category: "syscalls".into(), event: event.into() };
    let probe = Probe { name: "tp", kind: ProgramKind::Tracepoint, to: vec![to("sys_enter_exit_group"), to("sys_enter_chdir")] };
    // A name that nobody else has: others exit, too.
    let name = format!("tp{}", std::process::id());
    let same: Vec<String> = name.bytes().enumerate().map(|(i, b)| format!("comm[{i}] == {b}")).collect();
    let text = format!(
        r#"SEC("tracepoint") int tp(void *ctx) {{
               char comm[16]; bpf_get_current_comm(comm, 16);
               if ({}) emit(1, bpf_get_attach_cookie(ctx), 0); return 0; }}"#,
        same.join(" && ")
    );
    let a = artifact(&text, &[probe]);
    let seen = during(&a, &format!("sh -c 'echo {name} >/proc/self/comm; cd /tmp; exit 0'"));
    assert_eq!(seen, [(1, 0), (0, 0)]);

    let a = artifact(
        r#"SEC("tracepoint") int tp(void *ctx) { return 0; }"#,
        &[common::probe("tp", ProgramKind::Tracepoint, to("sys_enter_nothing_of_the_kind"))],
    );
    let d = refused(&a);
    assert!(d.code == "attach" && d.message.contains("no such tracepoint") && d.help.is_some(), "{}", words(&d));
}

#[test]
fn raw_tracepoints_that_do_not_exist_are_told() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("raw_tp") int tp(void *ctx) { return 0; }"#,
        &[probe("tp", ProgramKind::RawTracepoint, AttachTo::RawTracepoint { name: "no_such_thing".into(), module: None })],
    );
    let d = refused(&a);
    assert!(d.message.contains("no such tracepoint"), "{}", words(&d));
}

#[test]
fn software_events_come_by_their_period() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("perf_event") int sw(void *ctx) { if (bpf_get_current_pid_tgid() >> 32 == globals[20]) count(1); return 0; }"#,
        // page faults
        &[probe("sw", ProgramKind::PerfEvent, AttachTo::Software { config: 2, period: 10 })],
    );
    let watched = Watched::command("ls -d /").unwrap();
    let pid = watched.pid() as u64;
    let mut session = Session::load(&a, Options { watched: Some(watched), ..Options::default() }).unwrap();
    session.loaded().globals(&a).unwrap().store(160, pid);
    session.run(&mut Seen::default()).unwrap();
    let rows = session.view().read(0).unwrap();
    let n: u64 = rows.iter().flat_map(|r| r.slots()).map(|s| u64::from_ne_bytes(s.try_into().unwrap())).sum();
    assert!((2..1000).contains(&n), "{n}");
}

/// The verifier's refusals, in words and at the right line.
#[test]
fn refusals_are_explained_at_their_line() {
    if !clang() {
        return;
    }
    let cases = [
        (
            r#"SEC("raw_tp") int p(void *ctx) {
                   __u64 k = 1;
                   __u64 *v = bpf_map_lookup_elem(&counts, &k);
                   return *v; }"#,
            "null pointer",
            Blame::Awl,
            "return *v",
        ),
        (
            r#"SEC("raw_tp") int p(void *ctx) {
                   __u64 i = globals[8];
                   return globals[i]; }"#,
            "beyond the memory",
            Blame::Awl,
            "return globals[i]",
        ),
        (
            r#"SEC("raw_tp") int p(void *ctx) {
                   while (*(volatile __u64 *)&globals[8] != 7) ;
                   return 0; }"#,
            "never end",
            Blame::User,
            "while",
        ),
        (
            r#"SEC("raw_tp") int p(void *ctx) {
                   for (volatile __u64 i = 0; i < 10000000; i++) globals[9] += i;
                   return 0; }"#,
            "a loop never ends",
            Blame::User,
            "for",
        ),
        (
            r#"SEC("raw_tp") int p(void *ctx) {
                   return ((long (*)(int))999)(1); }"#,
            "helper",
            Blame::Environment,
            "999",
        ),
    ];
    for (source, words_of_it, blame, text) in cases {
        let a = artifact(source, &[probe("p", ProgramKind::RawTracepoint, AttachTo::Begin)]);
        let place = std::cell::RefCell::new(None);
        let spans = |p: &Place| {
            *place.borrow_mut() = Some((p.program.to_owned(), p.file.to_owned(), p.line));
            Some(Span { start: p.line, end: p.line, ..Span::default() })
        };
        let d = Session::load(&a, Options { spans: &spans, ..Options::default() }).err().unwrap_or_else(|| panic!("loaded: {source}"));
        assert!(d.message.contains(words_of_it), "{}", words(&d));
        assert_eq!(d.blame, blame, "{}", words(&d));
        let (program, file, line) = place.into_inner().unwrap();
        assert_eq!((program.as_str(), file.ends_with("<stdin>")), ("p", true), "{file}");
        let all = format!("{PRELUDE}{source}");
        let found = all.lines().nth(line as usize - 1).unwrap_or("");
        assert!(found.contains(text), "line {line}: {found}: {}", words(&d));
        assert_eq!(d.primary.unwrap().span.start, line);
    }
}

#[test]
fn the_whole_log_is_there_when_asked_for() {
    if !clang() {
        return;
    }
    let a = artifact(
        r#"SEC("raw_tp") int p(void *ctx) { __u64 k = 1; __u64 *v = bpf_map_lookup_elem(&counts, &k); return *v; }"#,
        &[probe("p", ProgramKind::RawTracepoint, AttachTo::Begin)],
    );
    let log = |whole_log| {
        let options = Options { whole_log, ..Options::default() };
        let d = Session::load(&a, options).err().expect("refused");
        d.notes.iter().any(|n| n.contains("processed ") && n.lines().count() > 5)
    };
    assert!(log(true) && !log(false));
}

#[test]
fn tracepoints_with_types() {
    if !clang() {
        return;
    }
    let btf = match aya_obj::btf::Btf::from_sys_fs() {
        Ok(b) => b,
        Err(e) => return println!("skipped: this kernel has no BTF: {e}"),
    };
    let btf_id = btf.id_by_type_name_kind("btf_trace_sched_process_exec", aya_obj::btf::BtfKind::Typedef).unwrap();
    let a = artifact(
        // the second argument is the process's old pid, the first its task
        r#"SEC("tp_btf/sched_process_exec") int exec(__u64 *ctx) {
               if (ctx[1] == globals[20]) emit(1, 0, ctx[1]); return 0; }"#,
        &[probe("exec", ProgramKind::TpBtf { btf_id }, AttachTo::RawTracepoint { name: "sched_process_exec".into(), module: None })],
    );
    let watched = Watched::command("true").unwrap();
    let pid = watched.pid() as u64;
    let mut seen = Seen::default();
    let mut session =
        Session::load(&a, Options { watched: Some(watched), ..Options::default() }).unwrap_or_else(|d| panic!("{}", words(&d)));
    session.loaded().globals(&a).unwrap().store(160, pid);
    session.run(&mut seen).unwrap();
    assert_eq!(seen.values, [(0, pid)]);
}
