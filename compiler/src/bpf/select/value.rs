//! Reading values: what is an alias of something else, what is a constant, what is made anew at each use.

use super::{Lower, imm64};
use crate::bpf::vcode::{Base, Inst, Src, Symbol};
use crate::lowered::{LOCAL, NAMESPACE_DATA, NAMESPACE_FUNC, Object};
use cranelift_codegen::ir::{self, ExternalName, GlobalValueData, InstructionData, Opcode, Type, Value, ValueDef, types};
use regalloc2::VReg;

/// What an address is computed from, where that costs nothing to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    Value(Value),
    /// bytes from r10
    Frame(i32),
    Symbol(Symbol),
}

/// `c` cut to the width of `ty` and zero-extended.
pub fn zero_extended(ty: Type, c: i64) -> i64 {
    match ty {
        types::I8 => c & 0xff,
        types::I16 => c & 0xffff,
        types::I32 => c & 0xffff_ffff,
        _ => c,
    }
}

fn sign_extended(from: Type, c: i64) -> i64 {
    match from {
        types::I8 => i64::from(c as i8),
        types::I16 => i64::from(c as i16),
        types::I32 => i64::from(c as i32),
        _ => c,
    }
}

impl Lower<'_> {
    fn def(&self, v: Value) -> Option<(Opcode, ir::Inst)> {
        match self.func.dfg.value_def(v) {
            ValueDef::Result(inst, 0) => Some((self.func.dfg.insts[inst].opcode(), inst)),
            _ => None,
        }
    }

    /// The instruction that gives `v` by opcode, after aliases.
    pub fn def_of(&self, v: Value) -> Option<(Opcode, ir::Inst)> {
        self.def(self.strip(v))
    }

    /// Looks through what costs no code: zero extension (registers are kept so), an added zero, and a pin:
    /// `uadd_overflow(x, 0)`, which hides a value from optimisation.
    pub fn strip(&self, v: Value) -> Value {
        let dfg = &self.func.dfg;
        let mut v = dfg.resolve_aliases(v);
        while let Some((op, inst)) = self.def(v) {
            let args = dfg.inst_args(inst);
            if op == Opcode::Ireduce {
                // cutting what was extended from no more bits
                let inner = self.strip(args[0]);
                if self.ty(inner).bits() <= self.ty(v).bits() {
                    v = inner;
                }
                break;
            }
            let through = match op {
                Opcode::Uextend => true,
                Opcode::Iadd if self.iconst(args[0]) == Some(0) => {
                    v = dfg.resolve_aliases(args[1]);
                    continue;
                }
                Opcode::Iadd | Opcode::UaddOverflow => self.iconst(args[1]) == Some(0),
                _ => false,
            };
            if !through {
                break;
            }
            v = dfg.resolve_aliases(args[0]);
        }
        v
    }

    /// The value of an `iconst`, zero-extended from its type.
    pub fn iconst(&self, v: Value) -> Option<i64> {
        let v = self.func.dfg.resolve_aliases(v);
        let (_, inst) = self.def(v)?;
        match self.func.dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(zero_extended(self.ty(v), imm.bits())),
            _ => None,
        }
    }

    /// The value of a constant, zero-extended from its type.
    pub fn constant(&self, v: Value) -> Option<i64> {
        let v = self.strip(v);
        if let Some(c) = self.iconst(v) {
            return Some(c);
        }
        let (op, inst) = self.def(v)?;
        let arg = *self.func.dfg.inst_args(inst).first()?;
        match op {
            Opcode::Ireduce => Some(zero_extended(self.ty(v), self.constant(arg)?)),
            Opcode::Sextend => Some(zero_extended(self.ty(v), sign_extended(self.ty(arg), self.constant(arg)?))),
            _ => None,
        }
    }

    /// An `i64` address as a root and what is added to it.
    pub fn address(&self, v: Value) -> (Root, i64) {
        let (mut v, mut sum) = (self.strip(v), 0i64);
        while let Some((op, inst)) = self.def(v) {
            // an addition of narrow values wraps at their width
            if self.ty(v) != types::I64 {
                break;
            }
            let args = self.func.dfg.inst_args(inst);
            match op {
                Opcode::Iadd => {
                    let (rest, c) = if let Some(c) = self.constant(args[1]) {
                        (args[0], c)
                    } else if let Some(c) = self.constant(args[0]) {
                        (args[1], c)
                    } else {
                        break;
                    };
                    sum = sum.wrapping_add(c);
                    v = self.strip(rest);
                }
                Opcode::Isub => {
                    let Some(c) = self.constant(args[1]) else {
                        break;
                    };
                    sum = sum.wrapping_sub(c);
                    v = self.strip(args[0]);
                }
                Opcode::StackAddr => {
                    let InstructionData::StackAddr { stack_slot, offset, .. } = self.func.dfg.insts[inst] else {
                        break;
                    };
                    let off = self.slot_offsets[stack_slot].wrapping_add(i32::from(offset));
                    return (Root::Frame(off), sum);
                }
                Opcode::SymbolValue => match self.symbol(inst) {
                    Some((s, off)) => return (Root::Symbol(s), sum.wrapping_add(off)),
                    None => break,
                },
                Opcode::FuncAddr => match self.func_addr(inst) {
                    Some(s) => return (Root::Symbol(s), sum),
                    None => break,
                },
                _ => break,
            }
        }
        (Root::Value(v), sum)
    }

    fn symbol(&self, inst: ir::Inst) -> Option<(Symbol, i64)> {
        let InstructionData::UnaryGlobalValue { global_value, .. } = self.func.dfg.insts[inst] else {
            return None;
        };
        let GlobalValueData::Symbol { name, offset, .. } = &self.func.global_values[global_value] else {
            return None;
        };
        let ExternalName::User(r) = name else {
            return None;
        };
        let name = self.func.params.user_named_funcs().get(*r)?;
        if name.namespace != NAMESPACE_DATA {
            return None;
        }
        let symbol = match *self.module.objects.get(name.index as usize)? {
            Object::Map(i) if i < self.module.maps.len() => Symbol::Map(i),
            Object::Section(i) if i < self.module.sections.len() => Symbol::Section(i, 0),
            _ => return None,
        };
        Some((symbol, offset.bits()))
    }

    /// Index in namespace 0 of an external function.
    pub fn func_index(&self, f: ir::FuncRef) -> Option<u32> {
        let ExternalName::User(r) = self.func.dfg.ext_funcs.get(f)?.name else {
            return None;
        };
        let name = self.func.params.user_named_funcs().get(r)?;
        (name.namespace == NAMESPACE_FUNC).then_some(name.index)
    }

    fn func_addr(&self, inst: ir::Inst) -> Option<Symbol> {
        let InstructionData::FuncAddr { func_ref, .. } = self.func.dfg.insts[inst] else {
            return None;
        };
        let i = self.func_index(func_ref)?.checked_sub(LOCAL)? as usize;
        (i < self.module.functions.len()).then_some(Symbol::Func(i))
    }

    /// A register that holds `v`, zero-extended. Constants and addresses of the frame and of sections are made here.
    pub fn reg(&mut self, v: Value) -> VReg {
        let v = self.strip(v);
        if let Some(c) = self.constant(v) {
            return self.constant_reg(c);
        }
        if self.ty(v) == types::I64 {
            match self.address(v) {
                (Root::Frame(off), sum) => {
                    if let Ok(off) = i32::try_from(i64::from(off).wrapping_add(sum)) {
                        let dst = self.fresh();
                        self.emit(Inst::FrameAddr { dst, off });
                        return dst;
                    }
                }
                (Root::Symbol(symbol), sum) => {
                    if let Some(symbol) = self.symbol_at(symbol, sum) {
                        return self.symbol_reg(symbol);
                    }
                }
                (Root::Value(_), _) => {}
            }
        }
        self.reg_of(v)
    }

    /// A section's address may have an offset, which must stay inside (Linux `check_pseudo_...`: "direct value offset").
    fn symbol_at(&self, symbol: Symbol, sum: i64) -> Option<Symbol> {
        match symbol {
            _ if sum == 0 => Some(symbol),
            Symbol::Section(i, _) => {
                let off = i32::try_from(sum).ok().filter(|o| *o >= 0)?;
                let size = self.module.sections.get(i)?.size;
                (off.unsigned_abs() < size).then_some(Symbol::Section(i, off))
            }
            _ => None,
        }
    }

    pub fn constant_reg(&mut self, value: i64) -> VReg {
        let dst = self.fresh();
        self.emit(Inst::Const { dst, value });
        dst
    }

    fn symbol_reg(&mut self, symbol: Symbol) -> VReg {
        if let Symbol::Func(i) = symbol {
            self.callees.push(i);
        }
        let dst = self.fresh();
        self.emit(Inst::Symbol { dst, symbol });
        dst
    }

    /// An operand of a 64-bit operation.
    pub fn src64(&mut self, v: Value) -> Src {
        match self.constant(v).and_then(imm64) {
            Some(i) => i,
            None => Src::Reg(self.reg(v)),
        }
    }

    /// An operand of an operation that reads the low half only.
    pub fn src32(&mut self, v: Value) -> Src {
        match self.constant(v) {
            Some(c) => Src::Imm(c as i32),
            None => Src::Reg(self.low(v)),
        }
    }

    pub fn src(&mut self, wide: bool, v: Value) -> Src {
        if wide { self.src64(v) } else { self.src32(v) }
    }

    /// A register whose low bits, as many as `v` has, are `v`'s: what lies above is anything.
    pub fn low(&mut self, v: Value) -> VReg {
        let want = self.ty(v).bits();
        let mut v = self.strip(v);
        while self.constant(v).is_none() {
            match self.def(v) {
                Some((Opcode::Ireduce, inst)) if self.ty(v).bits() >= want => {
                    v = self.strip(self.func.dfg.inst_args(inst)[0]);
                }
                _ => break,
            }
        }
        self.reg(v)
    }

    /// Base and offset of an access at `v + offset`.
    pub fn base(&mut self, v: Value, offset: i32) -> (Base, i16) {
        let (root, sum) = self.address(v);
        let sum = sum.wrapping_add(i64::from(offset));
        match root {
            Root::Frame(f) => {
                let at = sum.wrapping_add(i64::from(f));
                if let Ok(off) = i16::try_from(at) {
                    return (Base::Frame, off);
                }
            }
            Root::Symbol(Symbol::Section(i, _)) => {
                // one address serves the accesses within 32 KiB of it
                let (high, low) = (sum & !0x7fff, sum & 0x7fff);
                if let Some(s) = self.symbol_at(Symbol::Section(i, 0), high) {
                    return (Base::Reg(self.symbol_reg(s)), low as i16);
                }
            }
            Root::Symbol(_) => {}
            Root::Value(root) => {
                if let Ok(off) = i16::try_from(sum) {
                    return (Base::Reg(self.reg(root)), off);
                }
            }
        }
        match i16::try_from(offset) {
            Ok(off) => (Base::Reg(self.reg(v)), off),
            Err(_) => {
                let base = self.reg(v);
                let dst = self.fresh();
                self.emit(Inst::Alu { op: crate::bpf::insn::AluOp::Add, wide: true, dst, lhs: base, rhs: Src::Imm(offset) });
                (Base::Reg(dst), 0)
            }
        }
    }
}
