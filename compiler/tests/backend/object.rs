//! Objects that the kernel, aya-obj, libbpf and LLVM's tools take.

use crate::build::{self, call, data, slot};
use crate::kernel;
use awl_compiler::artifact::MapKind;
use awl_compiler::bpf;
use awl_compiler::lowered::Module;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, condcodes::IntCC, types};

/// Counts runs in a hash by key 7 and adds them to a section; two lines of source.
fn counter() -> Module {
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
