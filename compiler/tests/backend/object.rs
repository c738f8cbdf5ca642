//! Objects that the kernel, aya-obj, libbpf and LLVM's tools take.

use crate::build::{self, call, data, slot};
use crate::kernel;
use awl_compiler::artifact::{MapKind, ProgramKind};
use awl_compiler::bpf;
use awl_compiler::lowered::{KFUNC, Module};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, condcodes::IntCC, types};

/// Counts runs in a hash by key 7 and adds them to a section; two lines of source.
pub fn counter() -> Module {
    let mut m = build::empty();
    let counts = build::map(&mut m, "counts", MapKind::Hash, 8, 8, 64);
    let bss = build::section(&mut m, ".bss.awl", 64, &[]);
    let l1 = build::line(&mut m, 1, "@counts[7] = count();");
    let l2 = build::line(&mut m, 2, "@total += ctx->arg0;");
    build::program(&mut m, "count", |b, params| {
        let flags = MemFlagsData::trusted();
        b.set_srcloc(l1);
        let key = slot(b, 8);
        let seven = b.ins().iconst(types::I64, 7);
        b.ins().stack_store(types::I64, seven, key, 0);
        let map = data(b, counts);
        let key_addr = b.ins().stack_addr(types::I64, key, 0);
        let found = call(b, 1, &[map, key_addr]);
        let (hit, miss, end) = (b.create_block(), b.create_block(), b.create_block());
        b.ins().brif(found, hit, &[], miss, &[]);
        b.switch_to_block(hit);
        let one = b.ins().iconst(types::I64, 1);
        let flags_ = flags;
        b.ins().atomic_rmw(types::I64, flags_, cranelift_codegen::ir::AtomicRmwOp::Add, found, one);
        b.ins().jump(end, &[]);
        b.switch_to_block(miss);
        let value = slot(b, 8);
        let one = b.ins().iconst(types::I64, 1);
        b.ins().stack_store(types::I64, one, value, 0);
        let map = data(b, counts);
        let key_addr = b.ins().stack_addr(types::I64, key, 0);
        let value_addr = b.ins().stack_addr(types::I64, value, 0);
        let zero = b.ins().iconst(types::I64, 0);
        call(b, 2, &[map, key_addr, value_addr, zero]);
        b.ins().jump(end, &[]);
        b.switch_to_block(end);
        b.set_srcloc(l2);
        let arg = b.ins().load(types::I64, flags, params[0], 8);
        let total = data(b, bss);
        let old = b.ins().load(types::I64, flags, total, 16);
        let new = b.ins().iadd(old, arg);
        b.ins().store(flags, new, total, 16);
        let big = b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, new, 10);
        let r = b.ins().uextend(types::I64, big);
        b.ins().return_(&[r]);
    });
    m
}

#[test]
fn a_program_with_a_map_and_a_section_runs() {
    let m = counter();
    let out = bpf::compile(&m, &bpf::Options::default()).unwrap();
    println!("{}", bpf::disassemble(&out.functions[0], &m));
    if !kernel::available() {
        return;
    }
    let k = kernel::load(&out.object).unwrap();
    let ctx: Vec<u8> = [3u64, 5].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(k.run("count", &ctx), 0);
    assert_eq!(k.run("count", &ctx), 0);
    assert_eq!(k.run("count", &ctx), 1);
    assert_eq!(k.lookup("counts", &7u64.to_le_bytes(), 8), Some(3u64.to_le_bytes().to_vec()));
    assert_eq!(k.section(".bss.awl")[16..24], 15u64.to_le_bytes());
}

/// Runs a tool on the object; `None` with a printed reason where there is no such tool.
fn tool(name: &str, args: &[&str]) -> Option<(bool, String)> {
    match std::process::Command::new(name).args(args).output() {
        Ok(o) => {
            let mut text = String::from_utf8_lossy(&o.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&o.stderr));
            Some((o.status.success(), text))
        }
        Err(e) => {
            eprintln!("skipped: {name}: {e}");
            None
        }
    }
}

fn write_object(name: &str, bytes: &[u8]) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn portable(m: &Module) -> Vec<u8> {
    let options = bpf::Options { portable: true, ..bpf::Options::default() };
    bpf::compile(m, &options).unwrap().object
}

#[test]
fn other_readers_take_the_object() {
    let plain = bpf::compile(&counter(), &bpf::Options::default()).unwrap();
    for (name, object) in [("counter.o", plain.object), ("portable.o", portable(&counter()))] {
        let path = write_object(name, &object);
        if let Some((ok, text)) = tool("readelf", &["-SsrW", &path]) {
            assert!(ok, "{text}");
            assert!(!text.to_lowercase().contains("warning"), "{text}");
            assert!(text.contains("FUNC    GLOBAL DEFAULT    1 count"), "{text}");
        }
        if let Some((ok, text)) = tool("llvm-objdump", &["-dr", &path]) {
            assert!(ok, "{text}");
            assert!(text.contains("<count>:"), "{text}");
            assert!(text.contains("R_BPF_64_64\tcounts"), "{text}");
        }
        if let Some((ok, text)) = tool("bpftool", &["btf", "dump", "file", &path]) {
            assert!(ok, "{text}");
            assert!(text.contains("FUNC 'count'"), "{text}");
        }
    }
}

/// libbpf opens, relocates and loads it.
#[test]
fn libbpf_loads_a_portable_object() {
    let path = write_object("libbpf.o", &portable(&counter()));
    if let Some((ok, text)) = tool("bpftool", &["gen", "skeleton", &path]) {
        assert!(ok, "{text}");
        assert!(text.contains("bss_awl"), "{text}");
    }
    if !kernel::available() {
        return;
    }
    let pin = format!("/sys/fs/bpf/awl-test-{}", std::process::id());
    if let Some((ok, text)) = tool("bpftool", &["prog", "load", &path, &pin]) {
        assert!(ok, "{text}");
        let dump = tool("bpftool", &["prog", "dump", "xlated", "pinned", &pin]);
        std::fs::remove_file(&pin).unwrap();
        let (ok, text) = dump.unwrap();
        assert!(ok, "{text}");
        // the line table
        assert!(text.contains("; @counts[7] = count();"), "{text}");
    }
}

/// Maps of every kind, and a program of each kind that uses one.
fn kinds(all: bool) -> Module {
    let mut m = build::empty();
    use MapKind::*;
    for (i, (kind, key, value, entries)) in [
        (Hash, 8, 8, 16),
        (Array, 4, 16, 4),
        (PercpuHash, 12, 24, 16),
        (PercpuArray, 4, 7, 4),
        (StackTrace, 4, 8 * 127, 16),
        (LruHash, 1, 1, 16),
        (LruPercpuHash, 2, 2, 16),
        (LpmTrie, 8, 8, 16),
        (TaskStorage, 4, 8, 0),
        (Queue, 0, 8, 16),
        (Stack, 0, 8, 16),
        (Ringbuf, 0, 0, 4096),
        (BloomFilter, 0, 8, 16),
    ]
    .into_iter()
    .enumerate()
    {
        build::map(&mut m, &format!("map{i}"), kind, key, value, entries);
    }
    build::section(&mut m, ".rodata.awl", 16, b"text");
    build::section(&mut m, ".data.awl", 16, &[1, 2, 3]);
    build::section(&mut m, ".bss.awl", 64, &[]);
    build::section(&mut m, ".bss.scratch", 4096, &[]);
    let last = m.objects.len() - 1;
    for (i, kind) in [
        ProgramKind::RawTracepoint,
        ProgramKind::Tracepoint,
        ProgramKind::Kprobe,
        ProgramKind::PerfEvent,
        ProgramKind::PerfEvent,
        ProgramKind::UprobeMulti,
    ]
    .into_iter()
    // libbpf has `uprobe.multi` from 1.3
    .take(if all { 6 } else { 5 })
    .enumerate()
    {
        build::add(&mut m, &format!("program{i}"), Some(kind), 1, |b, _| {
            let flags = MemFlagsData::trusted();
            let at = data(b, last);
            let x = b.ins().load(types::I64, flags, at, 4088);
            let at = data(b, last - 2);
            let y = b.ins().load(types::I64, flags, at, 8);
            let z = b.ins().iadd(x, y);
            let at = data(b, last - 3);
            let w = b.ins().uload8(types::I64, flags, at, 1);
            let z = b.ins().iadd(z, w);
            let zero = b.ins().iconst(types::I64, 0);
            let r = b.ins().band(z, zero);
            b.ins().return_(&[r]);
        });
    }
    m
}

#[test]
fn maps_and_programs_of_every_kind_load() {
    let m = kinds(true);
    let out = bpf::compile(&m, &bpf::Options::default()).unwrap();
    let path = write_object("kinds.o", &portable(&kinds(false)));
    if let Some((ok, text)) = tool("bpftool", &["gen", "skeleton", &path]) {
        assert!(ok, "{text}");
    }
    if !kernel::available() {
        return;
    }
    let k = kernel::load(&out.object).unwrap();
    assert_eq!(k.maps.len(), m.maps.len() + m.sections.len());
    assert_eq!(k.programs.len(), m.functions.len());
    assert_eq!(k.section(".rodata.awl"), b"text\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(k.section(".data.awl")[..4], [1, 2, 3, 0]);
    let pin = format!("/sys/fs/bpf/awl-test-kinds-{}", std::process::id());
    if let Some((ok, text)) = tool("bpftool", &["prog", "loadall", &path, &pin]) {
        // what was pinned before a failure goes, too
        let _ = std::fs::remove_dir_all(&pin);
        assert!(ok, "{text}");
    }
}

/// A program of the running kernel's BTF type is found by its section's name.
#[test]
fn aya_takes_tp_btf() {
    let mut m = build::empty();
    let kind = ProgramKind::TpBtf { btf_id: 1 };
    build::add(&mut m, "sched_switch", Some(kind), 1, |b, _| {
        let z = b.ins().iconst(types::I64, 0);
        b.ins().return_(&[z]);
    });
    let out = bpf::compile(&m, &bpf::Options::default()).unwrap();
    let obj = aya_obj::Object::parse(&out.object).unwrap();
    assert!(matches!(obj.programs["sched_switch"].section, aya_obj::ProgramSection::BtfTracePoint));
}

/// Calls of kernel functions are undefined symbols, which aya passes over; what stands in the call is the number in the plan.
#[test]
fn kernel_functions_are_undefined_symbols() {
    let mut m = build::empty();
    m.kfuncs.extend(["bpf_other".to_owned(), "bpf_rdonly_cast".to_owned()]);
    build::program(&mut m, "p", |b, p| {
        let x = b.ins().load(types::I64, MemFlagsData::trusted(), p[0], 0);
        let id = b.ins().iconst(types::I64, 0);
        call(b, KFUNC + 1, &[x, id]);
        let z = b.ins().iconst(types::I64, 0);
        b.ins().return_(&[z]);
    });
    let out = bpf::compile(&m, &bpf::Options::default()).unwrap();
    let mut obj = aya_obj::Object::parse(&out.object).unwrap();
    let text = std::collections::HashSet::new();
    obj.relocate_maps(std::iter::empty(), &text).unwrap();
    obj.relocate_calls(&text).unwrap();
    let key = obj.programs["p"].function_key();
    let calls: Vec<_> = obj.functions[&key].instructions.iter().filter(|i| i.code == 0x85).collect();
    assert_eq!(calls.len(), 1);
    // BPF_PSEUDO_KFUNC_CALL, with its BTF id still to come
    assert_eq!((calls[0].src_reg(), calls[0].imm), (2, 1));
    assert_eq!(out.functions[0].relocs, [bpf::Reloc { insn: 2, target: bpf::Target::Kfunc(1) }]);
}

/// Names that a loader would confuse are refused.
#[test]
fn names_are_checked() {
    let mut m = build::empty();
    build::section(&mut m, ".scratch", 8, &[]);
    assert!(bpf::compile(&m, &bpf::Options::default()).is_err());
    let mut m = build::empty();
    build::map(&mut m, "x", MapKind::Hash, 8, 8, 1);
    build::map(&mut m, "x", MapKind::Hash, 8, 8, 1);
    assert!(bpf::compile(&m, &bpf::Options::default()).is_err());
    let mut m = build::empty();
    build::section(&mut m, ".bss.x", 8, &[1]);
    assert!(bpf::compile(&m, &bpf::Options::default()).is_err());
}

/// Sign-extending loads from contexts: whether the verifier takes them is not said by its documentation.
#[test]
fn contexts_take_signed_loads() {
    if !kernel::available() || !kernel::has_v4() {
        return;
    }
    // a perf event's registers are read in whole words, whatever the sign
    for kind in [ProgramKind::RawTracepoint, ProgramKind::Tracepoint, ProgramKind::Kprobe] {
        let mut m = build::empty();
        build::add(&mut m, "p", Some(kind), 1, |b, p| {
            let flags = MemFlagsData::trusted();
            let x = b.ins().sload32(flags, p[0], 16);
            let y = b.ins().sload16(types::I64, flags, p[0], 24);
            let z = b.ins().band(x, y);
            let zero = b.ins().iconst(types::I64, 0);
            let r = b.ins().band(z, zero);
            b.ins().return_(&[r]);
        });
        let options = bpf::Options { v4: true, ..bpf::Options::default() };
        let out = bpf::compile(&m, &options).unwrap();
        kernel::load(&out.object).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    }
}
