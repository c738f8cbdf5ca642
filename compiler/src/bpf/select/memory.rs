//! Loads, stores and atomics.

use super::{Lower, Res};
use crate::bpf::insn::{Size, atomic};
use crate::bpf::vcode::{Inst, Src};
use cranelift_codegen::ir::{self, AtomicRmwOp, InstructionData, Opcode, Type, types};

impl Lower<'_> {
    fn size(&self, ty: Type) -> Res<Size> {
        Ok(match ty {
            types::I8 => Size::B,
            types::I16 => Size::H,
            types::I32 => Size::W,
            types::I64 => Size::Dw,
            t => return Err(self.unsupported(format!("an access of type {t}"))),
        })
    }

    pub fn load(&mut self, inst: ir::Inst) -> Res {
        let InstructionData::Load { opcode, arg, offset, .. } = self.func.dfg.insts[inst] else {
            return Err(self.unsupported("a malformed load"));
        };
        let Some(dst) = self.wanted(inst) else {
            return Ok(());
        };
        let ty = self.ty(self.func.dfg.first_result(inst));
        let (size, signed_from) = match opcode {
            Opcode::Uload8 => (Size::B, None),
            Opcode::Uload16 => (Size::H, None),
            Opcode::Uload32 => (Size::W, None),
            Opcode::Sload8 => (Size::B, Some(types::I8)),
            Opcode::Sload16 => (Size::H, Some(types::I16)),
            Opcode::Sload32 => (Size::W, Some(types::I32)),
            _ => (self.size(ty)?, None),
        };
        let (base, off) = self.base(arg, i32::from(offset));
        let load = |signed, dst| Inst::Load { size, signed, dst, base, off };
        match signed_from {
            None => self.emit(load(false, dst)),
            Some(_) if self.v4 && ty == types::I64 => self.emit(load(true, dst)),
            Some(from) => {
                let raw = self.fresh();
                self.emit(load(false, raw));
                self.sign_extend(from, ty, dst, raw);
            }
        }
        Ok(())
    }

    pub fn store(&mut self, inst: ir::Inst) -> Res {
        let InstructionData::Store { opcode, args: [value, address], offset, .. } = self.func.dfg.insts[inst] else {
            return Err(self.unsupported("a malformed store"));
        };
        let size = match opcode {
            Opcode::Istore8 => Size::B,
            Opcode::Istore16 => Size::H,
            Opcode::Istore32 => Size::W,
            _ => self.size(self.ty(value))?,
        };
        let src = match self.constant(value) {
            // the immediate is sign-extended, which shorter stores don't see
            Some(c) if size != Size::Dw => Src::Imm(c as i32),
            Some(_) => self.src64(value),
            None => Src::Reg(self.low(value)),
        };
        let (base, off) = self.base(address, i32::from(offset));
        self.emit(Inst::Store { size, base, off, src });
        Ok(())
    }

    pub fn atomic_rmw(&mut self, inst: ir::Inst) -> Res {
        let InstructionData::AtomicRmw { op, args: [address, value], .. } = self.func.dfg.insts[inst] else {
            return Err(self.unsupported("a malformed atomic"));
        };
        let ty = self.ty(value);
        let size = self.size(ty)?;
        if !matches!(size, Size::W | Size::Dw) {
            return Err(self.unsupported(format!("an atomic access of type {ty}")));
        }
        let dst = self.wanted(inst);
        let (code, src) = match op {
            AtomicRmwOp::Add => (atomic::ADD, self.low(value)),
            AtomicRmwOp::Sub => {
                let src = self.low(value);
                let neg = self.fresh();
                self.emit(Inst::Neg { wide: size == Size::Dw, dst: neg, src });
                (atomic::ADD, neg)
            }
            AtomicRmwOp::And => (atomic::AND, self.low(value)),
            AtomicRmwOp::Or => (atomic::OR, self.low(value)),
            AtomicRmwOp::Xor => (atomic::XOR, self.low(value)),
            AtomicRmwOp::Xchg => (atomic::XCHG, self.low(value)),
            op => return Err(self.unsupported(format!("an atomic `{op}`"))),
        };
        // the exchange exists in the fetching form only
        let dst = match (op, dst) {
            (AtomicRmwOp::Xchg, None) => Some(self.fresh()),
            (_, d) => d,
        };
        let code = if dst.is_some() { code | atomic::FETCH } else { code };
        let (base, off) = self.base(address, 0);
        self.emit(Inst::Atomic { op: code, size, base, off, src, dst });
        Ok(())
    }

    pub fn atomic_cas(&mut self, inst: ir::Inst) -> Res {
        let InstructionData::AtomicCas { args: [address, expected, value], .. } = self.func.dfg.insts[inst] else {
            return Err(self.unsupported("a malformed atomic"));
        };
        let ty = self.ty(value);
        let size = self.size(ty)?;
        if !matches!(size, Size::W | Size::Dw) {
            return Err(self.unsupported(format!("an atomic access of type {ty}")));
        }
        let dst = match self.wanted(inst) {
            Some(d) => d,
            None => self.fresh(),
        };
        let expected = self.reg(expected);
        let src = self.low(value);
        let (base, off) = self.base(address, 0);
        self.emit(Inst::Cas { size, base, off, expected, src, dst });
        Ok(())
    }
}
