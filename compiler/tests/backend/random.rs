//! Random CLIF functions that the verifier accepts: all widths of arithmetic, branches, bounded loops, memory, calls, and
//! enough live values to spill.

use crate::build::{self, call, data, slot};
use crate::rng::Rng;
use awl_compiler::artifact::MapKind;
use awl_compiler::lowered::{LOCAL, Module};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, StackSlot, Type, Value, types};
use cranelift_frontend::{FunctionBuilder, Switch, Variable};

pub const INPUTS: usize = 12;
/// memory that functions read and write
pub const DATA: u32 = 256;
/// where each function leaves its variables
pub const OUT: u32 = 512;

const TYPES: [Type; 4] = [types::I8, types::I16, types::I32, types::I64];
const CONDS: [IntCC; 10] = [
    IntCC::Equal,
    IntCC::NotEqual,
    IntCC::UnsignedLessThan,
    IntCC::UnsignedLessThanOrEqual,
    IntCC::UnsignedGreaterThan,
    IntCC::UnsignedGreaterThanOrEqual,
    IntCC::SignedLessThan,
    IntCC::SignedLessThanOrEqual,
    IntCC::SignedGreaterThan,
    IntCC::SignedGreaterThanOrEqual,
];

struct Gen<'a, 'b> {
    rng: &'a mut Rng,
    b: &'a mut FunctionBuilder<'b>,
    vars: Vec<(Variable, Type)>,
    scratch: StackSlot,
    key: StackSlot,
    value: StackSlot,
    objects: Objects,
    sub: u32,
    budget: i32,
    depth: u32,
    in_loop: bool,
}

#[derive(Clone, Copy)]
struct Objects {
    data: usize,
    out: usize,
    map: usize,
}

/// A module with one program for each seed, and what they share: sections 0 (`DATA`) and 1 (`OUT`), a map, a subprogram.
pub fn module(seeds: &[u64]) -> Module {
    let mut m = build::empty();
    let objects = Objects {
        map: build::map(&mut m, "table", MapKind::Hash, 8, 8, 64),
        data: build::section(&mut m, ".bss.data", DATA, &[]),
        out: build::section(&mut m, ".bss.out", OUT, &[]),
    };
    for seed in seeds {
        let mut rng = Rng::new(*seed);
        build::program(&mut m, &name(*seed), |b, params| {
            body(b, params[0], &mut rng, objects, seeds.len() as u32);
        });
    }
    build::add(&mut m, "sub", None, 3, |b, p| {
        let x = b.ins().imul(p[0], p[1]);
        let y = b.ins().bxor(x, p[2]);
        let small = b.ins().icmp(IntCC::UnsignedLessThan, y, p[0]);
        let z = b.ins().ushr_imm_u(y, 7);
        let r = b.ins().select(small, z, y);
        b.ins().return_(&[r]);
    });
    m
}

pub fn name(seed: u64) -> String {
    format!("f{seed}")
}

fn body(b: &mut FunctionBuilder<'_>, ctx: Value, rng: &mut Rng, objects: Objects, sub: u32) {
    let flags = MemFlagsData::trusted();
    let (scratch, key, value) = (slot(b, 64), slot(b, 8), slot(b, 8));
    let zero = b.ins().iconst(types::I64, 0);
    for i in 0..8 {
        b.ins().stack_store(types::I64, zero, scratch, 8 * i);
    }
    let mut vars = Vec::new();
    for i in 0..4 + rng.below(20) {
        let ty = if rng.chance(50) { types::I64 } else { rng.pick(&TYPES) };
        let v = b.declare_var(ty);
        let init = if i < INPUTS {
            b.ins().load(ty, flags, ctx, 8 * i as i32)
        } else {
            // a context is read in whole words
            let c = rng.number();
            b.ins().iconst(ty, masked(ty, c))
        };
        b.def_var(v, init);
        vars.push((v, ty));
    }
    // mostly small ones: faults show as well, and more of them are run in the time
    let budget = match rng.below(20) {
        0 => 150,
        1..=5 => 50 + rng.below(60) as i32,
        _ => 5 + rng.below(40) as i32,
    };
    let mut g = Gen { rng, b, vars, scratch, key, value, objects, sub, budget, depth: 0, in_loop: false };
    g.statements(200);
    g.finish();
}

pub fn masked(ty: Type, c: i64) -> i64 {
    match ty {
        types::I8 => c & 0xff,
        types::I16 => c & 0xffff,
        types::I32 => c & 0xffff_ffff,
        _ => c,
    }
}

impl Gen<'_, '_> {
    fn statements(&mut self, most: usize) {
        for _ in 0..most {
            if self.budget <= 0 {
                return;
            }
            self.budget -= 1;
            self.statement();
        }
    }

    fn statement(&mut self) {
        match self.rng.below(100) {
            0..=52 => self.assign(),
            53..=61 => self.load(),
            62..=69 => self.store(),
            70..=75 => self.stack(),
            76..=79 => self.atomic(),
            80..=88 if self.depth < 4 => self.branch(),
            89..=90 if self.depth < 3 && !self.in_loop => self.repeat(),
            91..=92 if self.depth < 3 => self.switch(),
            93..=95 => self.table(),
            96..=97 => self.call(),
            98 if self.depth > 0 && !self.in_loop => self.leave(),
            _ => self.assign(),
        }
    }

    fn variable(&mut self) -> (Variable, Type) {
        let i = self.rng.below(self.vars.len());
        self.vars[i]
    }

    /// A value of that type: a variable, perhaps converted, or a constant.
    fn value(&mut self, ty: Type) -> Value {
        if self.rng.chance(20) {
            let c = self.rng.number();
            return self.b.ins().iconst(ty, masked(ty, c));
        }
        let (v, from) = self.variable();
        let x = self.b.use_var(v);
        self.convert(x, from, ty)
    }

    fn convert(&mut self, x: Value, from: Type, to: Type) -> Value {
        if from == to {
            x
        } else if from.bits() > to.bits() {
            self.b.ins().ireduce(to, x)
        } else if self.rng.chance(50) {
            self.b.ins().uextend(to, x)
        } else {
            self.b.ins().sextend(to, x)
        }
    }

    fn condition(&mut self) -> Value {
        let ty = self.rng.pick(&TYPES);
        let (x, y) = (self.value(ty), self.value(ty));
        let cc = self.rng.pick(&CONDS);
        let c = self.b.ins().icmp(cc, x, y);
        match self.rng.below(6) {
            0 => self.b.ins().icmp_imm_u(IntCC::Equal, c, 0),
            1 => self.b.ins().bxor_imm_u(c, 1),
            2 => {
                let bits = self.b.ins().band(x, y);
                let cc = self.rng.pick(&[IntCC::Equal, IntCC::NotEqual]);
                self.b.ins().icmp_imm_u(cc, bits, 0)
            }
            3 => x,
            _ => c,
        }
    }

    fn expression(&mut self, ty: Type) -> Value {
        let x = self.value(ty);
        let y = self.value(ty);
        let b = &mut *self.b;
        match self.rng.below(33) {
            0 | 1 => b.ins().iadd(x, y),
            2 => b.ins().isub(x, y),
            3 => b.ins().imul(x, y),
            4 => b.ins().udiv(x, y),
            5 => b.ins().urem(x, y),
            6 => b.ins().sdiv(x, y),
            7 => b.ins().srem(x, y),
            8 => b.ins().band(x, y),
            9 => b.ins().bor(x, y),
            10 => b.ins().bxor(x, y),
            11 => b.ins().ishl(x, y),
            12 => b.ins().ushr(x, y),
            13 => b.ins().sshr(x, y),
            14 => b.ins().rotl(x, y),
            15 => b.ins().rotr(x, y),
            16 => b.ins().umin(x, y),
            17 => b.ins().umax(x, y),
            18 => b.ins().smin(x, y),
            19 => b.ins().smax(x, y),
            20 => b.ins().ineg(x),
            21 => b.ins().bnot(x),
            22 if ty.bits() > 8 => b.ins().bswap(x),
            23 => b.ins().clz(x),
            24 => b.ins().ctz(x),
            25 => b.ins().popcnt(x),
            26 => b.ins().iabs(x),
            27 => b.ins().bmask(ty, x),
            28 => {
                let (sum, over) = b.ins().uadd_overflow(x, y);
                let over = if ty == types::I8 { over } else { b.ins().uextend(ty, over) };
                b.ins().bxor(sum, over)
            }
            29 => {
                let zero = b.ins().iconst(ty, 0);
                b.ins().uadd_overflow(x, zero).0
            }
            _ => {
                let c = self.condition();
                if self.rng.chance(30) {
                    let c_ty = self.b.func.dfg.value_type(c);
                    self.convert(c, c_ty, ty)
                } else {
                    self.b.ins().select(c, x, y)
                }
            }
        }
    }

    fn assign(&mut self) {
        let (v, ty) = self.variable();
        let x = self.expression(ty);
        self.b.def_var(v, x);
    }

    /// An address in the data section, 16 bytes from its end or more, and an offset.
    fn address(&mut self, align: i64) -> (Value, i32) {
        let base = data(self.b, self.objects.data);
        let offset = (self.rng.below(96) as i64 / align * align) as i32;
        if self.rng.chance(50) {
            return (base, offset);
        }
        // an index of 0..=127, by a mask or by a minimum
        let x = self.value(types::I64);
        let index = if self.rng.chance(50) {
            self.b.ins().band_imm_u(x, 127 & !(align - 1))
        } else {
            let most = self.b.ins().iconst(types::I64, 120 / align);
            let i = self.b.ins().umin(x, most);
            self.b.ins().imul_imm_u(i, align)
        };
        // what the verifier knows of it should survive
        let at = self.b.ins().iadd(base, index);
        (at, offset)
    }

    fn load(&mut self) {
        let (at, off) = self.address(1);
        let (v, ty) = self.variable();
        let flags = MemFlagsData::trusted();
        let b = &mut *self.b;
        let x = match (self.rng.below(7), ty) {
            (0, types::I16 | types::I32 | types::I64) => b.ins().uload8(ty, flags, at, off),
            (1, types::I16 | types::I32 | types::I64) => b.ins().sload8(ty, flags, at, off),
            (2, types::I32 | types::I64) => b.ins().uload16(ty, flags, at, off),
            (3, types::I32 | types::I64) => b.ins().sload16(ty, flags, at, off),
            (4, types::I64) => b.ins().uload32(flags, at, off),
            (5, types::I64) => b.ins().sload32(flags, at, off),
            _ => b.ins().load(ty, flags, at, off),
        };
        self.b.def_var(v, x);
    }

    fn store(&mut self) {
        let ty = self.rng.pick(&TYPES);
        let x = self.value(ty);
        let (at, off) = self.address(1);
        let flags = MemFlagsData::trusted();
        let b = &mut *self.b;
        match (self.rng.below(6), ty) {
            (0, types::I16 | types::I32 | types::I64) => b.ins().istore8(flags, x, at, off),
            (1, types::I32 | types::I64) => b.ins().istore16(flags, x, at, off),
            (2, types::I64) => b.ins().istore32(flags, x, at, off),
            _ => b.ins().store(flags, x, at, off),
        };
    }

    fn stack(&mut self) {
        let (v, ty) = self.variable();
        let bytes = ty.bytes() as usize;
        let off = (self.rng.below(64 / bytes) * bytes) as i32;
        if self.rng.chance(50) {
            let x = self.value(ty);
            self.b.ins().stack_store(types::I64, x, self.scratch, off);
        } else {
            let x = self.b.ins().stack_load(types::I64, ty, self.scratch, off);
            self.b.def_var(v, x);
        }
    }

    fn atomic(&mut self) {
        let ty = self.rng.pick(&[types::I32, types::I64]);
        let (base, off) = self.address(8);
        let at = self.b.ins().iadd_imm_u(base, i64::from(off));
        let x = self.value(ty);
        let flags = MemFlagsData::trusted();
        let old = if self.rng.chance(25) {
            let expected = if self.rng.chance(60) { self.b.ins().load(ty, flags, at, 0) } else { self.value(ty) };
            self.b.ins().atomic_cas(flags, at, expected, x)
        } else {
            let op = self.rng.pick(&[
                AtomicRmwOp::Add,
                AtomicRmwOp::Sub,
                AtomicRmwOp::And,
                AtomicRmwOp::Or,
                AtomicRmwOp::Xor,
                AtomicRmwOp::Xchg,
            ]);
            self.b.ins().atomic_rmw(ty, flags, op, at, x)
        };
        if self.rng.chance(60) {
            let (v, to) = self.variable();
            let old = self.convert(old, ty, to);
            self.b.def_var(v, old);
        }
    }

    fn branch(&mut self) {
        let c = self.condition();
        let (then, otherwise, end) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let both = self.rng.chance(60);
        let no = if both { otherwise } else { end };
        self.b.ins().brif(c, then, &[], no, &[]);
        self.depth += 1;
        self.b.switch_to_block(then);
        let n = 1 + self.rng.below(6);
        self.statements(n);
        self.b.ins().jump(end, &[]);
        self.b.switch_to_block(otherwise);
        if both {
            let n = 1 + self.rng.below(6);
            self.statements(n);
            self.b.ins().jump(end, &[]);
        } else {
            // left unreachable: such blocks must not be emitted
            let trap = cranelift_codegen::ir::TrapCode::unwrap_user(1);
            self.b.ins().trap(trap);
        }
        self.depth -= 1;
        self.b.switch_to_block(end);
    }

    fn repeat(&mut self) {
        let times = 1 + self.rng.below(5) as i64;
        let i = self.b.declare_var(types::I64);
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.def_var(i, zero);
        let (head, body, end) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let now = self.b.use_var(i);
        let more = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, now, times);
        self.b.ins().brif(more, body, &[], end, &[]);
        self.b.switch_to_block(body);
        self.depth += 1;
        self.in_loop = true;
        let n = 1 + self.rng.below(6);
        self.statements(n);
        self.in_loop = false;
        self.depth -= 1;
        let now = self.b.use_var(i);
        let next = self.b.ins().iadd_imm_u(now, 1);
        self.b.def_var(i, next);
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(end);
    }

    fn switch(&mut self) {
        let x = self.value(types::I32);
        let bits = self.b.ins().band_imm_u(x, 15);
        let cases = 1 + self.rng.below(9);
        let end = self.b.create_block();
        let blocks: Vec<_> = (0..cases).map(|_| self.b.create_block()).collect();
        let mut switch = Switch::new();
        for (i, block) in blocks.iter().enumerate() {
            switch.set_entry(i as u128, *block);
        }
        // a case that leads straight to the end
        switch.set_entry(cases as u128, end);
        switch.emit(self.b, bits, end);
        self.depth += 1;
        for block in blocks {
            self.b.switch_to_block(block);
            let n = 1 + self.rng.below(2);
            self.statements(n);
            self.b.ins().jump(end, &[]);
        }
        self.depth -= 1;
        self.b.switch_to_block(end);
    }

    /// An element of the hash map is set or read.
    fn table(&mut self) {
        let x = self.value(types::I64);
        let k = self.b.ins().band_imm_u(x, 31);
        self.b.ins().stack_store(types::I64, k, self.key, 0);
        if self.rng.chance(50) {
            let v = self.value(types::I64);
            self.b.ins().stack_store(types::I64, v, self.value, 0);
            let map = data(self.b, self.objects.map);
            let key = self.b.ins().stack_addr(types::I64, self.key, 0);
            let value = self.b.ins().stack_addr(types::I64, self.value, 0);
            let any = self.b.ins().iconst(types::I64, 0);
            call(self.b, 2, &[map, key, value, any]);
            return;
        }
        let map = data(self.b, self.objects.map);
        let key = self.b.ins().stack_addr(types::I64, self.key, 0);
        let found = call(self.b, 1, &[map, key]);
        let (hit, end) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(found, hit, &[], end, &[]);
        self.b.switch_to_block(hit);
        let flags = MemFlagsData::trusted();
        let x = self.b.ins().load(types::I64, flags, found, 0);
        let (v, ty) = self.variable();
        let y = self.convert(x, types::I64, ty);
        self.b.def_var(v, y);
        if self.rng.chance(40) {
            let z = self.value(types::I64);
            self.b.ins().store(flags, z, found, 0);
        }
        self.b.ins().jump(end, &[]);
        self.b.switch_to_block(end);
    }

    fn call(&mut self) {
        let args = [self.value(types::I64), self.value(types::I64), self.value(types::I64)];
        let r = call(self.b, LOCAL + self.sub, &args);
        let (v, ty) = self.variable();
        let r = self.convert(r, types::I64, ty);
        self.b.def_var(v, r);
    }

    /// Returns from the middle of the function.
    fn leave(&mut self) {
        let c = self.condition();
        let (out, on) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(c, out, &[], on, &[]);
        self.b.switch_to_block(out);
        if self.rng.chance(30) {
            let trap = cranelift_codegen::ir::TrapCode::unwrap_user(1);
            self.b.ins().trap(trap);
        } else {
            let r = self.value(types::I64);
            self.b.ins().return_(&[r]);
        }
        self.b.switch_to_block(on);
    }

    /// Leaves all variables in memory, and a mixture of them as the result.
    fn finish(&mut self) {
        let flags = MemFlagsData::trusted();
        let mut mix = self.b.ins().iconst(types::I64, 0);
        for (i, (v, ty)) in self.vars.clone().into_iter().enumerate() {
            let x = self.b.use_var(v);
            let out = data(self.b, self.objects.out);
            let x = if ty == types::I64 { x } else { self.b.ins().uextend(types::I64, x) };
            self.b.ins().store(flags, x, out, 8 * i as i32);
            mix = self.b.ins().iadd(mix, x);
        }
        self.b.ins().return_(&[mix]);
    }
}
