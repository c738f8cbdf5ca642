//! Counting bits, without tables and without branches: a branch would double the verifier's paths.

use super::Lower;
use super::arith::mask;
use crate::bpf::insn::AluOp;
use crate::bpf::vcode::{Inst, Src};
use cranelift_codegen::ir::{Type, Value, types};
use regalloc2::VReg;

impl Lower<'_> {
    pub fn bswap(&mut self, ty: Type, dst: VReg, v: Value) {
        let src = self.low(v);
        self.emit(Inst::Bswap { bits: ty.bits(), dst, src });
    }

    fn neg64(&mut self, src: VReg) -> VReg {
        let dst = self.fresh();
        self.emit(Inst::Neg { wide: true, dst, src });
        dst
    }

    /// Halves the range from which the highest bit can come until one bit is left.
    pub fn clz(&mut self, ty: Type, dst: VReg, v: Value) {
        let start = self.reg(v);
        let (mut x, mut log) = (start, None);
        let mut step = ty.bits() as i32 / 2;
        while step > 1 {
            // k is `step` where something is left above, else 0
            let high = self.alu64(AluOp::Rsh, x, Src::Imm(step));
            let neg = self.neg64(high);
            let bit = self.alu64(AluOp::Rsh, neg, Src::Imm(63));
            let k = self.alu64(AluOp::Lsh, bit, Src::Imm(step.trailing_zeros() as i32));
            x = self.alu64(AluOp::Rsh, x, Src::Reg(k));
            log = Some(match log {
                Some(l) => self.alu64(AluOp::Or, l, Src::Reg(k)),
                None => k,
            });
            step /= 2;
        }
        // x is 0..=3
        let last = self.alu64(AluOp::Rsh, x, Src::Imm(1));
        let log = match log {
            Some(l) => self.alu64(AluOp::Or, l, Src::Reg(last)),
            None => last,
        };
        // width - log - (v is not 0)
        let neg = self.neg64(start);
        let any = if ty == types::I64 { self.alu64(AluOp::Or, neg, Src::Reg(start)) } else { neg };
        let some = self.alu64(AluOp::Rsh, any, Src::Imm(63));
        let sum = self.alu64(AluOp::Add, log, Src::Reg(some));
        let neg = self.neg64(sum);
        self.alu(AluOp::Add, true, dst, neg, Src::Imm(ty.bits() as i32));
    }

    /// The zeros below the lowest bit, counted as ones.
    pub fn ctz(&mut self, ty: Type, dst: VReg, v: Value) {
        let wide = ty == types::I64;
        let x = self.reg(v);
        let (not, less, both) = (self.fresh(), self.fresh(), self.fresh());
        let all = if wide { -1 } else { mask(ty) };
        self.alu(AluOp::Xor, wide, not, x, Src::Imm(all));
        self.alu(AluOp::Add, wide, less, x, Src::Imm(-1));
        // `not` is clean above the width, and so is the result
        self.alu(AluOp::And, wide, both, less, Src::Reg(not));
        self.count_ones(wide, dst, both);
    }

    pub fn popcnt(&mut self, ty: Type, dst: VReg, v: Value) {
        let x = self.reg(v);
        self.count_ones(ty == types::I64, dst, x);
    }

    /// Sums of neighbours: of 2, of 4, of 8 bits; a multiplication adds the bytes.
    fn count_ones(&mut self, wide: bool, dst: VReg, x: VReg) {
        let constant = |s: &mut Self, byte: u8| {
            let c = i64::from_le_bytes([byte; 8]);
            if wide { Src::Reg(s.constant_reg(c)) } else { Src::Imm(c as i32) }
        };
        let alu = |s: &mut Self, op, lhs, rhs| {
            let dst = s.fresh();
            s.alu(op, wide, dst, lhs, rhs);
            dst
        };
        let odd = alu(self, AluOp::Rsh, x, Src::Imm(1));
        let c = constant(self, 0x55);
        let odd = alu(self, AluOp::And, odd, c);
        let x = alu(self, AluOp::Sub, x, Src::Reg(odd));
        let c = constant(self, 0x33);
        let low = alu(self, AluOp::And, x, c);
        let high = alu(self, AluOp::Rsh, x, Src::Imm(2));
        let high = alu(self, AluOp::And, high, c);
        let x = alu(self, AluOp::Add, high, Src::Reg(low));
        let high = alu(self, AluOp::Rsh, x, Src::Imm(4));
        let x = alu(self, AluOp::Add, high, Src::Reg(x));
        let c = constant(self, 0x0f);
        let x = alu(self, AluOp::And, x, c);
        let c = constant(self, 0x01);
        let x = alu(self, AluOp::Mul, x, c);
        self.alu(AluOp::Rsh, wide, dst, x, Src::Imm(if wide { 56 } else { 24 }));
    }
}
