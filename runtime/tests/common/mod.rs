//! Objects made by clang and the artifacts around them, so that the runtime can be tested without the compiler.
#![allow(dead_code)]

use awl_compiler::Span;
use awl_compiler::artifact::*;
use awl_compiler::types::Ty;
use awl_runtime::events::Header;
use awl_runtime::maps::View;
use awl_runtime::session::Handler;
use std::process::Command;

/// What every test program starts with. `.bss.awl` is 4096 bytes, a slot is at 64; `.bss.percpu` has 4 parts of 128 bytes.
pub const PRELUDE: &str = r#"
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 20); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __type(key, __u64); __type(value, __u64); __uint(max_entries, 10000); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); __type(value, __u32); __uint(max_entries, 100000); } plain SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(key_size, 4); __uint(value_size, 8 * 16); __uint(max_entries, 1024); } stacks SEC(".maps");
__u64 globals[512] SEC(".bss.awl");
__u64 percpu[16 * 4] SEC(".bss.percpu");
#define EXIT globals[0]
struct event { __u32 event, point; __u64 value; };
static __always_inline void emit(__u32 kind, __u32 point, __u64 value)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) { percpu[(bpf_get_smp_processor_id() & 3) * 16] += 1; return; }
	e->event = kind; e->point = point; e->value = value;
	bpf_ringbuf_submit(e, 0);
}
static __always_inline void leave(__u64 code) { globals[1] = code; EXIT = 1; emit(0, 0, code); }
static __always_inline void count(__u64 key)
{
	__u64 *v = bpf_map_lookup_elem(&counts, &key), one = 1;
	if (v) *v += 1; else bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
}
"#;

/// Is clang there with libbpf's headers? Says so where it isn't.
pub fn clang() -> bool {
    let there = Command::new("clang").arg("--version").output().is_ok() && std::path::Path::new("/usr/include/bpf/bpf_helpers.h").exists();
    if !there {
        println!("skipped: needs clang and libbpf's headers");
    }
    there
}

pub fn compile(source: &str) -> Vec<u8> {
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let n = NUMBER.fetch_add(1, Ordering::Relaxed);
    let out = std::env::temp_dir().join(format!("awl-test-{}-{n}.o", std::process::id()));
    let mut clang = Command::new("clang")
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-I/usr/include/x86_64-linux-gnu", "-x", "c", "-c", "-", "-o"])
        .arg(&out)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = clang.stdin.take().unwrap();
    stdin.write_all(PRELUDE.as_bytes()).unwrap();
    stdin.write_all(source.as_bytes()).unwrap();
    drop(stdin);
    assert!(clang.wait().unwrap().success());
    let object = std::fs::read(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    object
}

/// One program of the script, attached to `to`.
pub struct Probe {
    pub name: &'static str,
    pub kind: ProgramKind,
    pub to: Vec<AttachTo>,
}

pub fn probe(name: &'static str, kind: ProgramKind, to: AttachTo) -> Probe {
    Probe { name, kind, to: vec![to] }
}

/// What the map `stacks` holds.
#[allow(dead_code)] // not every test file takes stacks
pub const STORE: StackStore = StackStore { frames: FrameForm::Address, limit: 16 };

/// Maps of the script: 0 is `counts`, 1 a slot of `.bss.awl` at 64, 2 a per-CPU slot at 112, 3 is `plain`.
/// Events: 0 exit, 1 a value, 2 clear of map 0, 3 zero of map 0.
pub fn artifact(source: &str, probes: &[Probe]) -> Artifact {
    let mut plan = Plan { cpu_slots: 4, ..Plan::default() };
    let kernel = |name: &str, kind, key_size, value_size, max_entries| KernelMap {
        name: name.into(),
        kind,
        key_size,
        value_size,
        max_entries,
        pin: None,
        stacks: None,
    };
    plan.kernel_maps = vec![
        kernel("ring", MapKind::Ringbuf, 0, 0, 1 << 20),
        kernel("counts", MapKind::PercpuHash, 8, 8, 10000),
        kernel("plain", MapKind::Hash, 4, 4, 100_000),
        KernelMap { stacks: Some(STORE), ..kernel("stacks", MapKind::StackTrace, 4, 128, 1024) },
    ];
    let section = |name: &str, size, per_cpu| Section { name: name.into(), size, per_cpu, init: Vec::new(), readonly: false, mapped: true };
    plan.sections = vec![section(".bss.awl", 4096, 0), section(".bss.percpu", 512, 128)];
    let map = |name: &str, key: Option<Ty>, value, storage| Map {
        name: name.into(),
        keys: key.into_iter().collect(),
        value,
        storage,
        span: Span::default(),
    };
    plan.maps = vec![
        map("counts", Some(Ty::U64), Ty::U64, Storage::Kernel(1)),
        map("slot", None, Ty::U64, Storage::Slot { section: 0, offset: 64 }),
        map("percpu", None, Ty::U64, Storage::Slot { section: 1, offset: 112 }),
        map("plain", Some(Ty::U32), Ty::U32, Storage::Kernel(2)),
    ];
    let event = |kind| Event { kind, size: 16, args: Vec::new(), span: Span::default() };
    plan.events = vec![event(EventKind::Exit), event(EventKind::PrintValue), event(EventKind::Clear(0)), event(EventKind::Zero(0))];
    let mut programs = Vec::new();
    for p in probes {
        let attach =
            p.to.iter()
                .map(|to| {
                    plan.points.push(format!("{to:?}"));
                    Attach { point: plan.points.len() - 1, span: Span::default(), to: to.clone() }
                })
                .collect();
        programs.push(Program { name: p.name.into(), kind: p.kind, span: Span::default(), attach, insns: 0, frame: 0 });
    }
    Artifact { object: compile(source), programs, plan }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Seen {
    pub values: Vec<(usize, u64)>,
    pub lost: u64,
    pub attached: Option<usize>,
    pub troubles: Vec<String>,
}

impl Handler for Seen {
    fn attached(&mut self, count: usize) {
        self.attached = Some(count);
    }
    fn event(&mut self, _: View, header: Header, record: &[u8]) {
        assert_eq!(header.event, 1);
        let value = u64::from_ne_bytes(record[8..16].try_into().unwrap());
        self.values.push((header.point, value));
    }
    fn lost(&mut self, count: u64) {
        self.lost += count;
    }
    fn trouble(&mut self, what: awl_compiler::diagnostic::Diagnostic) {
        self.troubles.push(what.message);
    }
}

/// Text of a diagnostic, for messages of failing tests.
pub fn words(d: &awl_compiler::diagnostic::Diagnostic) -> String {
    format!("{}[{}] {:?} {:?} {:?}", d.message, d.code, d.blame, d.notes, d.help)
}
