//! Small functions with their machine code: `golden/NAME.clif`, `.vcode`, `.bpf`. `AWL_BLESS=1` rewrites them.

use crate::build::{self, call, data, func, slot};
use awl_compiler::artifact::MapKind;
use awl_compiler::bpf;
use awl_compiler::lowered::{LOCAL, Module};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::{FunctionBuilder, Switch};
use std::path::PathBuf;

fn flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

fn arg(b: &mut FunctionBuilder<'_>, ctx: Value, ty: Type, i: i32) -> Value {
    b.ins().load(ty, flags(), ctx, 8 * i)
}

fn check(name: &str, m: &Module) {
    check_as(name, m, bpf::Options::default());
}

fn check_as(name: &str, m: &Module, options: bpf::Options) {
    let options = bpf::Options { vcode: true, check: true, ..options };
    let out = bpf::compile(m, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (mut clif, mut vcode, mut insns) = (String::new(), String::new(), String::new());
    for (f, c) in m.functions.iter().zip(&out.functions) {
        clif += &format!("{}\n", f.clif.display());
        vcode += &format!("{}:\n{}\n", c.name, c.vcode);
        let text = bpf::disassemble(c, m);
        insns += &format!("{}: # stack: {}\n{text}\n", c.name, c.frame);
    }
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/backend/golden");
    for (ext, text) in [("clif", clif), ("vcode", vcode), ("bpf", insns)] {
        let path = dir.join(format!("{name}.{ext}"));
        if std::env::var_os("AWL_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let want = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; AWL_BLESS=1 writes it", path.display()));
        assert!(text == want, "{} differs; AWL_BLESS=1 accepts what it is now:\n{text}", path.display());
    }
    if crate::kernel::available() && (!options.v4 || crate::kernel::has_v4()) {
        crate::kernel::load(&out.object).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

fn one(name: &str, f: impl FnOnce(&mut FunctionBuilder<'_>, Value)) {
    let mut m = build::empty();
    build::program(&mut m, name, |b, p| f(b, p[0]));
    check(name, &m);
}

#[test]
fn return_zero() {
    one("return_zero", |b, _| {
        let z = b.ins().iconst(types::I64, 0);
        b.ins().return_(&[z]);
    });
}

/// Immediates of each size, and what folds into them.
#[test]
fn constants() {
    one("constants", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let x = b.ins().iadd_imm_s(x, -5);
        let x = b.ins().isub(x, x);
        let c = b.ins().iconst(types::I64, 0xffff_fff0);
        let x = b.ins().bor(x, c);
        let c = b.ins().iconst(types::I64, 0x1234_5678_9abc);
        let x = b.ins().bxor(x, c);
        let x = b.ins().iadd(c, x);
        let x = b.ins().band_imm_u(x, 0xffff_ffff);
        let x = b.ins().imul_imm_s(x, 1_000_000_007);
        b.ins().return_(&[x]);
    });
}

/// 8, 16 and 32 bits.
#[test]
fn narrow() {
    one("narrow", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let y = arg(b, ctx, types::I8, 1);
        let x8 = b.ins().ireduce(types::I8, x);
        let sum = b.ins().iadd(x8, y);
        let shifted = b.ins().sshr_imm_u(sum, 3);
        let wide = b.ins().sextend(types::I32, shifted);
        let x32 = b.ins().ireduce(types::I32, x);
        let prod = b.ins().imul(x32, wide);
        let c = b.ins().icmp_imm_s(IntCC::SignedLessThan, prod, -3);
        let d = b.ins().icmp(IntCC::SignedGreaterThan, sum, y);
        let both = b.ins().band(c, d);
        let r = b.ins().select(both, wide, prod);
        let r = b.ins().uextend(types::I64, r);
        b.ins().return_(&[r]);
    });
}

/// Compares in branches; a constant one leaves no unreachable code.
#[test]
fn branches() {
    one("branches", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let y = arg(b, ctx, types::I32, 1);
        let (a, c, d, e, never, end) =
            (b.create_block(), b.create_block(), b.create_block(), b.create_block(), b.create_block(), b.create_block());
        let r = b.append_block_param(end, types::I64);
        let less = b.ins().icmp_imm_u(IntCC::UnsignedLessThan, x, 10);
        let not = b.ins().bxor_imm_u(less, 1);
        b.ins().brif(not, a, &[], c, &[]);
        b.switch_to_block(a);
        let bits = b.ins().band_imm_u(y, 0x40);
        b.ins().brif(bits, d, &[], e, &[]);
        b.switch_to_block(c);
        let always = b.ins().iconst(types::I8, 1);
        b.ins().brif(always, end, &[x.into()], never, &[]);
        b.switch_to_block(never);
        b.ins().jump(end, &[x.into()]);
        b.switch_to_block(d);
        let signed = b.ins().icmp_imm_s(IntCC::SignedLessThan, y, -1);
        let one = b.ins().iconst(types::I64, 1);
        b.ins().brif(signed, end, &[one.into()], e, &[]);
        b.switch_to_block(e);
        let two = b.ins().iconst(types::I64, 2);
        b.ins().return_(&[two]);
        b.switch_to_block(end);
        let r = b.ins().iadd_imm_u(r, 7);
        b.ins().return_(&[r]);
    });
}

/// Clamps and choices: jumps over a move, on the register that is clamped.
#[test]
fn choices() {
    one("choices", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let y = arg(b, ctx, types::I64, 1);
        let seven = b.ins().iconst(types::I64, 7);
        let i = b.ins().umin(x, seven);
        let m = b.ins().smax(i, y);
        let c = b.ins().icmp(IntCC::Equal, y, m);
        let s = b.ins().select(c, y, i);
        let d = b.ins().icmp_imm_u(IntCC::NotEqual, s, 0);
        let d = b.ins().uextend(types::I64, d);
        let r = b.ins().iadd(d, m);
        b.ins().return_(&[r]);
    });
}

#[test]
fn counted_loop() {
    one("counted_loop", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let (head, body, end) = (b.create_block(), b.create_block(), b.create_block());
        let i = b.append_block_param(head, types::I64);
        let sum = b.append_block_param(head, types::I64);
        let zero = b.ins().iconst(types::I64, 0);
        b.ins().jump(head, &[zero.into(), x.into()]);
        b.switch_to_block(head);
        let more = b.ins().icmp_imm_u(IntCC::UnsignedLessThan, i, 8);
        b.ins().brif(more, body, &[], end, &[]);
        b.switch_to_block(body);
        let t = b.ins().imul_imm_u(sum, 31);
        let t = b.ins().iadd(t, i);
        let next = b.ins().iadd_imm_u(i, 1);
        b.ins().jump(head, &[next.into(), t.into()]);
        b.switch_to_block(end);
        b.ins().return_(&[sum]);
    });
}

#[test]
fn switches() {
    one("switches", |b, ctx| {
        let x = arg(b, ctx, types::I32, 0);
        let end = b.create_block();
        let r = b.append_block_param(end, types::I64);
        let other = b.create_block();
        let blocks: Vec<_> = (0..7).map(|_| b.create_block()).collect();
        let mut s = Switch::new();
        for (i, block) in blocks.iter().enumerate() {
            s.set_entry(i as u128, *block);
        }
        s.emit(b, x, other);
        for (i, block) in blocks.into_iter().enumerate() {
            b.switch_to_block(block);
            let c = b.ins().iconst(types::I64, 100 + i as i64);
            b.ins().jump(end, &[c.into()]);
        }
        b.switch_to_block(other);
        let c = b.ins().iconst(types::I64, -1);
        b.ins().jump(end, &[c.into()]);
        b.switch_to_block(end);
        b.ins().return_(&[r]);
    });
}

/// Offsets fold; one address of a section serves its neighbours.
#[test]
fn memory() {
    let mut m = build::empty();
    let bss = build::section(&mut m, ".bss.awl", 128, &[]);
    let text = build::section(&mut m, ".rodata.awl", 8, b"hello");
    build::program(&mut m, "memory", |b, p| {
        let s = slot(b, 16);
        let x = arg(b, p[0], types::I64, 0);
        b.ins().stack_store(types::I64, x, s, 0);
        let five = b.ins().iconst(types::I32, 5);
        b.ins().stack_store(types::I64, five, s, 12);
        let base = data(b, bss);
        let at = b.ins().iadd_imm_u(base, 64);
        let old = b.ins().load(types::I64, flags(), at, 8);
        let low = b.ins().sload16(types::I64, flags(), at, 2);
        let base = data(b, bss);
        b.ins().store(flags(), old, base, 0);
        b.ins().istore8(flags(), low, base, 8);
        let index = b.ins().band_imm_u(x, 31);
        let base = data(b, bss);
        let at = b.ins().iadd(base, index);
        b.ins().istore16(flags(), x, at, 32);
        let r = data(b, text);
        let r = b.ins().load(types::I8, flags(), r, 1);
        let back = b.ins().stack_load(types::I64, types::I32, s, 4);
        let back = b.ins().uextend(types::I64, back);
        let r = b.ins().uextend(types::I64, r);
        let r = b.ins().iadd(r, back);
        b.ins().return_(&[r]);
    });
    check("memory", &m);
}

#[test]
fn atomics() {
    let mut m = build::empty();
    let bss = build::section(&mut m, ".bss.awl", 64, &[]);
    build::program(&mut m, "atomics", |b, p| {
        let x = arg(b, p[0], types::I64, 0);
        let w = arg(b, p[0], types::I32, 1);
        let base = data(b, bss);
        b.ins().atomic_rmw(types::I64, flags(), AtomicRmwOp::Add, base, x);
        let at = b.ins().iadd_imm_u(base, 8);
        let a = b.ins().atomic_rmw(types::I32, flags(), AtomicRmwOp::Or, at, w);
        b.ins().atomic_rmw(types::I64, flags(), AtomicRmwOp::Xchg, base, x);
        b.ins().atomic_rmw(types::I64, flags(), AtomicRmwOp::Sub, base, x);
        let c = b.ins().atomic_cas(flags(), base, x, x);
        let a = b.ins().uextend(types::I64, a);
        let r = b.ins().iadd(a, c);
        b.ins().return_(&[r]);
    });
    check("atomics", &m);
}

/// The shape of `@[7] = count()`: look-up and null check side by side.
#[test]
fn map_and_lines() {
    check("map_and_lines", &crate::object::counter());
}

/// Callback and subprogram; the context lives across the call.
#[test]
fn functions() {
    let mut m = build::empty();
    let map = build::map(&mut m, "m", MapKind::Array, 4, 8, 4);
    build::program(&mut m, "main", |b, p| {
        let zero = b.ins().iconst(types::I64, 0);
        let s = slot(b, 8);
        b.ins().stack_store(types::I64, zero, s, 0);
        let mp = data(b, map);
        let f = func(b, LOCAL + 1, 4);
        let f = b.ins().func_addr(types::I64, f);
        let at = b.ins().stack_addr(types::I64, s, 0);
        call(b, 164, &[mp, f, at, zero]);
        let x = arg(b, p[0], types::I64, 0);
        let y = arg(b, p[0], types::I64, 1);
        let r = call(b, LOCAL + 2, &[x, y]);
        b.ins().return_(&[r]);
    });
    build::add(&mut m, "each", None, 4, |b, p| {
        let v = b.ins().load(types::I64, flags(), p[2], 0);
        b.ins().store(flags(), v, p[3], 0);
        let r = call(b, LOCAL + 2, &[v, v]);
        let r = b.ins().band_imm_u(r, 1);
        b.ins().return_(&[r]);
    });
    build::add(&mut m, "multiply", None, 2, |b, p| {
        let r = b.ins().imul(p[0], p[1]);
        b.ins().return_(&[r]);
    });
    check("functions", &m);
}

#[test]
fn division() {
    one("division", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let y = arg(b, ctx, types::I64, 1);
        let q = b.ins().udiv(x, y);
        let r = b.ins().urem_imm_u(q, 10);
        let s = b.ins().sdiv(r, y);
        let z = b.ins().iconst(types::I64, 0);
        let n = b.ins().udiv(s, z);
        let t = b.ins().iadd(s, n);
        b.ins().return_(&[t]);
    });
}

#[test]
fn bits() {
    one("bits", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let a = b.ins().clz(x);
        let c = b.ins().ctz(x);
        let d = b.ins().bswap(x);
        let e = b.ins().rotl_imm_u(d, 13);
        let s = b.ins().iadd(a, c);
        let s = b.ins().iadd(s, e);
        b.ins().return_(&[s]);
    });
}

/// More values than registers, across a call.
#[test]
fn spills() {
    one("spills", |b, ctx| {
        let xs: Vec<Value> = (0..8).map(|i| arg(b, ctx, types::I64, i)).collect();
        let t = call(b, 5, &[]);
        let mut sum = t;
        for x in xs {
            sum = b.ins().bxor(sum, x);
            sum = b.ins().imul_imm_u(sum, 3);
        }
        b.ins().return_(&[sum]);
    });
}

/// A pinned value is the value itself.
#[test]
fn pin() {
    one("pin", |b, ctx| {
        let x = arg(b, ctx, types::I64, 0);
        let zero = b.ins().iconst(types::I64, 0);
        let (p, _) = b.ins().uadd_overflow(x, zero);
        let (small, end) = (b.create_block(), b.create_block());
        let c = b.ins().icmp_imm_u(IntCC::UnsignedLessThan, p, 16);
        b.ins().brif(c, small, &[], end, &[]);
        b.switch_to_block(small);
        let r = b.ins().iadd_imm_u(p, 1);
        b.ins().return_(&[r]);
        b.switch_to_block(end);
        b.ins().trap(cranelift_codegen::ir::TrapCode::unwrap_user(1));
    });
}

/// Sign extension with instruction set v4.
#[test]
fn v4() {
    let mut m = build::empty();
    let bss = build::section(&mut m, ".bss.awl", 64, &[]);
    build::program(&mut m, "v4", |b, _| {
        let base = data(b, bss);
        let x = b.ins().sload32(flags(), base, 4);
        let y = b.ins().sload8(types::I32, flags(), base, 8);
        let z = b.ins().sextend(types::I64, y);
        let w = b.ins().ireduce(types::I8, x);
        let w = b.ins().sextend(types::I64, w);
        let r = b.ins().iadd(x, z);
        let r = b.ins().bxor(r, w);
        b.ins().return_(&[r]);
    });
    let options = bpf::Options { v4: true, ..bpf::Options::default() };
    check_as("v4", &m, options);
}
