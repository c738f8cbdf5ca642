//! Arithmetic, logic, shifts, extension and choice.

use super::Lower;
use super::value::zero_extended;
use crate::bpf::insn::{AluOp, Cond};
use crate::bpf::vcode::{Inst, Src};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, Opcode, Type, Value, types};
use regalloc2::VReg;

/// All bits of a type narrower than 64 bits.
pub fn mask(ty: Type) -> i32 {
    zero_extended(ty, -1) as i32
}

fn is_small(ty: Type) -> bool {
    ty.bits() < 32
}

impl Lower<'_> {
    pub fn alu(&mut self, op: AluOp, wide: bool, dst: VReg, lhs: VReg, rhs: Src) {
        self.emit(Inst::Alu { op, wide, dst, lhs, rhs });
    }

    /// A new register with `lhs op rhs`, 64 bits wide.
    pub fn alu64(&mut self, op: AluOp, lhs: VReg, rhs: Src) -> VReg {
        let dst = self.fresh();
        self.alu(op, true, dst, lhs, rhs);
        dst
    }

    pub fn mov(&mut self, dst: VReg, src: VReg) {
        self.emit(Inst::Mov { dst, src, wide: true });
    }

    /// Runs `f` with the register for a 32-bit result, and cuts that to `ty` where it is narrower.
    fn cut(&mut self, ty: Type, dst: VReg, f: impl FnOnce(&mut Self, VReg)) {
        if is_small(ty) {
            let t = self.fresh();
            f(self, t);
            self.alu(AluOp::And, false, dst, t, Src::Imm(mask(ty)));
        } else {
            f(self, dst);
        }
    }

    fn operand(&mut self, wide: bool, v: Value) -> VReg {
        if wide { self.reg(v) } else { self.low(v) }
    }

    fn const_first(&self, a: Value, b: Value) -> bool {
        self.constant(a).is_some() && self.constant(b).is_none()
    }

    pub fn iadd(&mut self, ty: Type, dst: VReg, a: Value, b: Value) {
        let (a, b) = if self.const_first(a, b) { (b, a) } else { (a, b) };
        let wide = ty == types::I64;
        let lhs = self.operand(wide, a);
        let rhs = self.src(wide, b);
        self.cut(ty, dst, |s, d| s.alu(AluOp::Add, wide, d, lhs, rhs));
    }

    pub fn isub(&mut self, ty: Type, dst: VReg, a: Value, b: Value) {
        let wide = ty == types::I64;
        let lhs = self.operand(wide, a);
        let (op, rhs) = match self.src(wide, b) {
            Src::Imm(i) => match i.checked_neg() {
                Some(n) => (AluOp::Add, Src::Imm(n)),
                None => (AluOp::Sub, Src::Imm(i)),
            },
            r => (AluOp::Sub, r),
        };
        self.cut(ty, dst, |s, d| s.alu(op, wide, d, lhs, rhs));
    }

    pub fn imul(&mut self, ty: Type, dst: VReg, a: Value, b: Value) {
        let (a, b) = if self.const_first(a, b) { (b, a) } else { (a, b) };
        let wide = ty == types::I64;
        let lhs = self.operand(wide, a);
        let rhs = self.src(wide, b);
        self.cut(ty, dst, |s, d| s.alu(AluOp::Mul, wide, d, lhs, rhs));
    }

    /// As BPF has it: `x / 0` is 0, `x % 0` is x.
    pub fn udiv(&mut self, op: Opcode, ty: Type, dst: VReg, a: Value, b: Value) {
        let lhs = self.reg(a);
        // the verifier refuses a zero immediate
        if self.constant(b) == Some(0) {
            match op {
                Opcode::Udiv => self.emit(Inst::Const { dst, value: 0 }),
                _ => self.mov(dst, lhs),
            }
            return;
        }
        let wide = ty == types::I64;
        let rhs = match self.constant(b) {
            Some(_) => self.src(wide, b),
            None => Src::Reg(self.reg(b)),
        };
        let op = if op == Opcode::Udiv { AluOp::Div } else { AluOp::Mod };
        self.alu(op, wide, dst, lhs, rhs);
    }

    /// Through absolute values: signed division came with instruction set v4 (Linux 6.6). Division by zero is as for
    /// unsigned numbers, and the least number divided by -1 is itself.
    pub fn sdiv(&mut self, op: Opcode, ty: Type, dst: VReg, a: Value, b: Value) {
        let (sign_a, abs_a) = self.absolute(ty, a);
        let (sign_b, abs_b) = self.absolute(ty, b);
        let (alu, sign) =
            if op == Opcode::Sdiv { (AluOp::Div, self.alu64(AluOp::Xor, sign_a, Src::Reg(sign_b))) } else { (AluOp::Mod, sign_a) };
        let q = self.alu64(alu, abs_a, Src::Reg(abs_b));
        let flipped = self.alu64(AluOp::Xor, q, Src::Reg(sign));
        if ty == types::I64 {
            self.alu(AluOp::Sub, true, dst, flipped, Src::Reg(sign));
        } else {
            let t = self.alu64(AluOp::Sub, flipped, Src::Reg(sign));
            self.zero_extend(ty, dst, t);
        }
    }

    /// The sign (0 or -1) and the absolute value of a signed number, both 64 bits wide.
    fn absolute(&mut self, ty: Type, v: Value) -> (VReg, VReg) {
        let mut x = if ty == types::I64 { self.reg(v) } else { self.low(v) };
        if ty != types::I64 {
            let t = self.fresh();
            self.sign_extend(ty, types::I64, t, x);
            x = t;
        }
        let sign = self.alu64(AluOp::Arsh, x, Src::Imm(63));
        let t = self.alu64(AluOp::Xor, x, Src::Reg(sign));
        (sign, self.alu64(AluOp::Sub, t, Src::Reg(sign)))
    }

    pub fn iabs(&mut self, ty: Type, dst: VReg, v: Value) {
        let (_, abs) = self.absolute(ty, v);
        if ty == types::I64 {
            self.mov(dst, abs);
        } else {
            self.zero_extend(ty, dst, abs);
        }
    }

    pub fn bitwise(&mut self, op: Opcode, ty: Type, dst: VReg, a: Value, b: Value) {
        let (a, b) = if self.const_first(a, b) { (b, a) } else { (a, b) };
        let alu = match op {
            Opcode::Band => AluOp::And,
            Opcode::Bor => AluOp::Or,
            _ => AluOp::Xor,
        };
        if ty == types::I64 {
            if op == Opcode::Band && self.constant(b) == Some(0xffff_ffff) {
                let src = self.reg(a);
                self.zero_extend(types::I32, dst, src);
                return;
            }
            let lhs = self.reg(a);
            let rhs = self.src64(b);
            self.alu(alu, true, dst, lhs, rhs);
            return;
        }
        // below 32 bits both sides have to be clean, for nothing cuts the result
        let small = is_small(ty);
        let lhs = self.operand(small, a);
        let rhs = match self.constant(b) {
            Some(c) => Src::Imm(c as i32),
            None => Src::Reg(self.operand(small, b)),
        };
        self.alu(alu, false, dst, lhs, rhs);
    }

    pub fn bnot(&mut self, ty: Type, dst: VReg, a: Value) {
        let lhs = self.reg(a);
        let wide = ty == types::I64;
        let all = if wide { -1 } else { mask(ty) };
        self.alu(AluOp::Xor, wide, dst, lhs, Src::Imm(all));
    }

    pub fn ineg(&mut self, ty: Type, dst: VReg, a: Value) {
        let wide = ty == types::I64;
        let src = self.operand(wide, a);
        self.cut(ty, dst, |s, d| s.emit(Inst::Neg { wide, dst: d, src }));
    }

    /// The amount is taken modulo the width of `ty`, by the machine where that has 32 or 64 bits.
    pub fn shift_amount(&mut self, ty: Type, b: Value) -> Src {
        let bits = ty.bits() as i32;
        match self.constant(b) {
            Some(c) => Src::Imm(c as i32 & (bits - 1)),
            None => {
                let r = self.low(b);
                if is_small(ty) { Src::Reg(self.alu64(AluOp::And, r, Src::Imm(bits - 1))) } else { Src::Reg(r) }
            }
        }
    }

    pub fn shift(&mut self, op: Opcode, ty: Type, dst: VReg, a: Value, b: Value) {
        let wide = ty == types::I64;
        match (op, is_small(ty)) {
            (Opcode::Ishl, _) => {
                let lhs = self.operand(wide, a);
                let by = self.shift_amount(ty, b);
                self.cut(ty, dst, |s, d| s.alu(AluOp::Lsh, wide, d, lhs, by));
            }
            (Opcode::Ushr, small) => {
                let lhs = self.operand(wide || small, a);
                let by = self.shift_amount(ty, b);
                self.alu(AluOp::Rsh, wide, dst, lhs, by);
            }
            (_, false) => {
                let lhs = self.operand(wide, a);
                let by = self.shift_amount(ty, b);
                self.alu(AluOp::Arsh, wide, dst, lhs, by);
            }
            (_, true) => {
                let a = self.low(a);
                let t = self.fresh();
                self.sign_extend(ty, types::I32, t, a);
                let by = self.shift_amount(ty, b);
                self.cut(ty, dst, |s, d| s.alu(AluOp::Arsh, false, d, t, by));
            }
        }
    }

    pub fn rotate(&mut self, op: Opcode, ty: Type, dst: VReg, a: Value, b: Value) {
        let wide = ty == types::I64;
        let x = self.reg(a);
        let (first, second) = if op == Opcode::Rotl { (AluOp::Lsh, AluOp::Rsh) } else { (AluOp::Rsh, AluOp::Lsh) };
        let bits = ty.bits() as i32;
        let by = self.shift_amount(ty, b);
        let back = match by {
            Src::Imm(0) => return self.mov(dst, x),
            Src::Imm(n) => Src::Imm(bits - n),
            Src::Reg(n) => {
                let neg = self.fresh();
                self.emit(Inst::Neg { wide: true, dst: neg, src: n });
                if is_small(ty) { Src::Reg(self.alu64(AluOp::And, neg, Src::Imm(bits - 1))) } else { Src::Reg(neg) }
            }
        };
        let (l, r) = (self.fresh(), self.fresh());
        self.alu(first, wide, l, x, by);
        self.alu(second, wide, r, x, back);
        self.cut(ty, dst, |s, d| s.alu(AluOp::Or, wide, d, l, Src::Reg(r)));
    }

    /// `src` needs to have its low bits right only.
    pub fn sign_extend(&mut self, from: Type, to: Type, dst: VReg, src: VReg) {
        let wide = to == types::I64;
        if self.v4 {
            let bits = from.bits();
            self.cut(to, dst, |s, dst| {
                s.emit(Inst::MovSx { dst, src, bits, wide });
            });
            return;
        }
        let by = if wide { 64 } else { 32 } - from.bits() as i32;
        let t = self.fresh();
        self.alu(AluOp::Lsh, wide, t, src, Src::Imm(by));
        self.cut(to, dst, |s, d| {
            s.alu(AluOp::Arsh, wide, d, t, Src::Imm(by));
        });
    }

    /// Cuts to the width of `ty`.
    pub fn zero_extend(&mut self, ty: Type, dst: VReg, src: VReg) {
        match ty {
            types::I32 => self.emit(Inst::Mov { dst, src, wide: false }),
            types::I64 => self.mov(dst, src),
            _ => self.alu(AluOp::And, true, dst, src, Src::Imm(mask(ty))),
        }
    }

    /// `value`, zero-extended from its type, as what a choice moves: the immediate and whether it is sign-extended.
    fn then_imm(&self, v: Value) -> Option<(i32, bool)> {
        let c = self.constant(v)?;
        if let Ok(i) = i32::try_from(c) { Some((i, true)) } else { u32::try_from(c).ok().map(|u| (u as i32, false)) }
    }

    pub fn select(&mut self, ty: Type, dst: VReg, c: Value, a: Value, b: Value) {
        let mut cmp = self.condition(c);
        let (mut then, mut otherwise) = (a, b);
        // an immediate is moved for nothing, so it should be the one that is jumped over
        if self.then_imm(then).is_none()
            && self.then_imm(otherwise).is_some()
            && let Some(inverse) = cmp.cond.inverse()
        {
            cmp.cond = inverse;
            std::mem::swap(&mut then, &mut otherwise);
        }
        debug_assert_eq!(self.ty(then), ty);
        let (then, wide) = match self.then_imm(then) {
            Some((i, wide)) => (Src::Imm(i), wide),
            None => (Src::Reg(self.reg(then)), true),
        };
        let otherwise = self.reg(otherwise);
        self.emit(Inst::Select { cmp, wide, dst, then, otherwise });
    }

    pub fn min_max(&mut self, op: Opcode, _: Type, dst: VReg, a: Value, b: Value) {
        let (a, b) = if self.const_first(a, b) { (b, a) } else { (a, b) };
        let cc = match op {
            Opcode::Umin => IntCC::UnsignedGreaterThan,
            Opcode::Umax => IntCC::UnsignedLessThan,
            Opcode::Smin => IntCC::SignedGreaterThan,
            _ => IntCC::SignedLessThan,
        };
        let otherwise = self.reg(a);
        let mut cmp = self.compare(cc, a, b);
        // both are made from one constant register each, which may differ: compare what is moved
        if self.ty(a) == types::I64 || !cmp.cond.is_signed() {
            cmp.lhs = otherwise;
        }
        let (then, wide) = match self.then_imm(b) {
            Some((i, wide)) => (Src::Imm(i), wide),
            None => (Src::Reg(self.reg(b)), true),
        };
        self.emit(Inst::Select { cmp, wide, dst, then, otherwise });
    }

    /// All bits where `v` is not 0.
    pub fn bmask(&mut self, ty: Type, dst: VReg, v: Value) {
        let cmp = self.condition(v);
        let zero = self.constant_reg(0);
        self.emit(Inst::Select {
            cmp,
            wide: ty == types::I64 || is_small(ty),
            dst,
            then: Src::Imm(if ty == types::I64 { -1 } else { mask(ty) }),
            otherwise: zero,
        });
    }

    pub fn uadd_overflow(&mut self, inst: ir::Inst) -> super::Res {
        let args = self.func.dfg.inst_args(inst);
        let (a, b) = (args[0], args[1]);
        let results = self.func.dfg.inst_results(inst);
        let (sum, over) = (self.regs[results[0]], self.regs[results[1]]);
        let ty = self.ty(a);
        self.check_type(ty)?;
        if self.iconst(b) == Some(0) {
            // a pin: `strip` lets readers of the sum read `a`
            if let Some(dst) = over {
                self.emit(Inst::Const { dst, value: 0 });
            }
            return Ok(());
        }
        if sum.is_none() && over.is_none() {
            return Ok(());
        }
        let dst = match sum {
            Some(d) => d,
            None => self.fresh(),
        };
        self.iadd(ty, dst, a, b);
        if let Some(over) = over {
            let a = self.reg(a);
            let cmp = crate::bpf::vcode::Compare { cond: Cond::Lt, wide: true, lhs: dst, rhs: Src::Reg(a) };
            self.bool_of(cmp, over);
        }
        Ok(())
    }
}
