//! Too much stack, too many instructions, what BPF can't express; and how long compiling takes.

use crate::build::{self, call, data, slot};
use crate::kernel;
use awl_compiler::artifact::MapKind;
use awl_compiler::bpf::{self, Error};
use awl_compiler::lowered::{LOCAL, Module};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, types};

fn error(m: &Module) -> Error {
    match bpf::compile(m, &bpf::Options::default()) {
        Err(e) => e,
        Ok(_) => panic!("it compiled"),
    }
}

#[test]
fn a_frame_that_is_too_large_names_its_culprits() {
    let mut m = build::empty();
    build::program(&mut m, "p", |b, p| {
        let (small, large) = (slot(b, 16), slot(b, 500));
        let unused = slot(b, 4000);
        let _ = unused;
        b.ins().stack_store(types::I64, p[0], small, 0);
        b.ins().stack_store(types::I64, p[0], large, 0);
        b.ins().return_(&[p[0]]);
    });
    m.functions[0].slots = vec!["$key".to_owned(), "$path".to_owned(), "unused".to_owned()];
    let e = error(&m);
    assert_eq!(
        e,
        Error::FrameTooLarge { function: "p".to_owned(), bytes: 520, culprits: vec![("$path".to_owned(), 504), ("$key".to_owned(), 16)] }
    );
    assert_eq!(e.to_string(), "`p` needs 520 bytes of stack, 512 is the limit: $path takes 504, $key takes 16");
}

/// A chain of calls shares the 512 bytes; the kernel agrees about where the limit lies.
#[test]
fn frames_of_a_chain_add_up() {
    let chain = |bytes: u32| {
        let mut m = build::empty();
        build::program(&mut m, "p", |b, p| {
            let s = slot(b, bytes);
            b.ins().stack_store(types::I64, p[0], s, 0);
            let zero = b.ins().iconst(types::I64, 0);
            b.ins().stack_store(types::I64, zero, s, bytes as i32 - 8);
            let r = call(b, LOCAL + 1, &[zero]);
            b.ins().return_(&[r]);
        });
        build::add(&mut m, "callee", None, 1, |b, p| {
            let s = slot(b, 256);
            b.ins().stack_store(types::I64, p[0], s, 0);
            let r = b.ins().stack_load(types::I64, types::I64, s, 0);
            b.ins().return_(&[r]);
        });
        m
    };
    assert_eq!(
        error(&chain(264)),
        Error::FrameTooLarge {
            function: "p".to_owned(),
            bytes: 544,
            culprits: vec![("ss0".to_owned(), 264), ("the function callee".to_owned(), 256)],
        }
    );
    let fits = bpf::compile(&chain(256), &bpf::Options::default()).unwrap();
    if kernel::available() {
        kernel::load(&fits.object).unwrap();
    }
}

#[test]
fn what_bpf_cant_express_has_a_place() {
    let mut m = build::empty();
    let line = build::line(&mut m, 1, "x");
    build::program(&mut m, "p", |b, p| {
        b.set_srcloc(line);
        let x = b.ins().umulhi(p[0], p[0]);
        b.ins().return_(&[x]);
    });
    assert_eq!(error(&m), Error::Unsupported { function: "p".to_owned(), what: "the instruction `umulhi`".to_owned(), line: Some(0) });
    let mut m = build::empty();
    build::program(&mut m, "p", |b, p| {
        let r = call(b, LOCAL + 7, &[p[0]]);
        b.ins().return_(&[r]);
    });
    assert!(matches!(error(&m), Error::Unsupported { .. }));
    let mut m = build::empty();
    build::program(&mut m, "p", |b, p| {
        let r = call(b, 1, &[p[0]; 6]);
        b.ins().return_(&[r]);
    });
    assert!(matches!(error(&m), Error::Unsupported { .. }));
}

/// `statements` times: look a key up, compute with what is there, or leave the program early.
fn long(statements: usize, length: i64) -> Module {
    let mut m = build::empty();
    let map = build::map(&mut m, "m", MapKind::Hash, 8, 8, 1024);
    let lines: Vec<_> = (0..statements).map(|i| build::line(&mut m, i as u32 + 1, "@m[1] += 2")).collect();
    build::program(&mut m, "p", |b, p| {
        let flags = MemFlagsData::trusted();
        let leave = b.create_block();
        let key = slot(b, 8);
        for (i, line) in lines.into_iter().enumerate() {
            b.set_srcloc(line);
            let x = b.ins().load(types::I64, flags, p[0], 8 * (i % 12) as i32);
            let stop = b.ins().icmp_imm_u(IntCC::Equal, x, 0x1234);
            let on = b.create_block();
            b.ins().brif(stop, leave, &[], on, &[]);
            b.switch_to_block(on);
            let k = b.ins().iadd_imm_u(x, i as i64);
            b.ins().stack_store(types::I64, k, key, 0);
            let at = data(b, map);
            let key_at = b.ins().stack_addr(types::I64, key, 0);
            let found = call(b, 1, &[at, key_at]);
            let (hit, next) = (b.create_block(), b.create_block());
            b.ins().brif(found, hit, &[], next, &[]);
            b.switch_to_block(hit);
            let v = b.ins().load(types::I64, flags, found, 0);
            let mut w = b.ins().bxor(v, x);
            for i in 0..length {
                w = b.ins().imul_imm_u(w, 3);
                w = b.ins().iadd_imm_u(w, i + 2);
            }
            b.ins().store(flags, w, found, 0);
            b.ins().jump(next, &[]);
            b.switch_to_block(next);
        }
        let zero = b.ins().iconst(types::I64, 0);
        b.ins().return_(&[zero]);
        b.switch_to_block(leave);
        // more than two instructions, which are not repeated
        let at = data(b, map);
        let seven = b.ins().iconst(types::I64, 7);
        b.ins().stack_store(types::I64, seven, key, 0);
        let key_at = b.ins().stack_addr(types::I64, key, 0);
        call(b, 3, &[at, key_at]);
        b.ins().return_(&[seven]);
    });
    m
}

/// Jumps out of 16 bits go by stepping stones.
#[test]
fn far_jumps_arrive() {
    // the verifier follows at most 8192 open branches (Linux `BPF_COMPLEXITY_LIMIT_JMP_SEQ`)
    let m = long(2500, 10);
    let out = bpf::compile(&m, &bpf::Options::default()).unwrap();
    assert!(out.functions[0].insns.len() > 70_000);
    if !kernel::available() {
        return;
    }
    let k = kernel::load(&out.object).unwrap();
    for i in 0..12 {
        let mut ctx = [5u64; 12];
        ctx[i] = 0x1234;
        let ctx: Vec<u8> = ctx.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(k.run("p", &ctx), 7, "input {i}");
    }
    assert_eq!(k.run("p", &[0; 96]), 0);
}

/// CPU time of this thread: other tests run beside it.
fn cpu_ms() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) }, 0);
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

/// The time goes with the length of the program.
#[test]
fn compiling_is_fast_and_linear() {
    let time = |n: usize| {
        let m = long(n, 1);
        let options = bpf::Options { check: false, ..bpf::Options::default() };
        let mut best = f64::MAX;
        for _ in 0..3 {
            let start = cpu_ms();
            let out = bpf::compile(&m, &options).unwrap();
            best = best.min(cpu_ms() - start);
            assert!(out.object.len() > 64 * n);
        }
        best
    };
    let (one, few, many) = (time(1), time(200), time(2000));
    println!("1 statement {one:.3} ms, 200 {few:.1} ms, 2000 {many:.1} ms");
    // a noisy machine, and no optimisation in debug builds
    assert!(many < 40.0 * few, "2000 statements take {many} ms, 200 take {few} ms");
    if !cfg!(debug_assertions) {
        assert!(one < 1.0, "{one} ms");
        assert!(many < 1000.0, "{many} ms");
    }
}

#[test]
fn the_same_module_gives_the_same_bytes() {
    let m = crate::random::module(&[1, 2, 3, 4, 5]);
    let a = bpf::compile(&m, &bpf::Options::default()).unwrap();
    let b = bpf::compile(&m, &bpf::Options::default()).unwrap();
    assert!(a.object == b.object);
}
