//! CLIF to machine instructions over virtual registers.
//!
//! Blocks are taken in reverse post-order from the last to the first, and instructions backward, so that every use
//! is seen before its definition: what nobody reads is not emitted, and a value that folds into all of its uses (a
//! compare into its branch, an addition into a load's offset) vanishes by itself.
//!
//! Values narrower than 64 bits are kept zero-extended in their register.

mod arith;
mod bits;
mod control;
mod memory;
mod value;

use super::Error;
use super::vcode::{BlockCode, Inst, Loc, NO_LOC, Src, Symbol, VCode, vreg};
use crate::lowered::Module;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{self, Opcode, Type, Value, types};
use regalloc2::VReg;
use std::collections::HashMap;

pub struct Selected {
    pub vcode: VCode,
    /// bytes of the explicit stack slots, a multiple of 8; they end at r10
    pub slots: u32,
    /// name and bytes of each slot in use
    pub slot_names: Vec<(String, u32)>,
    /// functions of the module that are called, or whose address is taken
    pub callees: Vec<usize>,
}

/// `v4`: may use instructions of the fourth instruction set.
pub fn select(module: &Module, function: usize, v4: bool) -> Result<Selected, Error> {
    let f = &module.functions[function];
    let order = control::Order::new(&f.clif);
    let mut lower = Lower::new(module, function, v4)?;
    lower.place_slots(&order);
    let blocks = lower.blocks(&order)?;
    Ok(Selected { vcode: VCode::new(blocks, lower.next), slots: lower.slot_bytes, slot_names: lower.slot_names, callees: lower.callees })
}

pub(super) struct Lower<'a> {
    module: &'a Module,
    name: &'a str,
    func: &'a ir::Function,
    v4: bool,
    slot_labels: &'a [String],
    /// the register of each value that is read by code already selected
    regs: SecondaryMap<Value, Option<VReg>>,
    /// number of the next virtual register
    next: usize,
    /// code of the CLIF instruction at hand, forward
    seq: Vec<Inst>,
    loc: Loc,
    /// offset of each slot from r10
    slot_offsets: SecondaryMap<ir::StackSlot, i32>,
    slot_bytes: u32,
    slot_names: Vec<(String, u32)>,
    callees: Vec<usize>,
    /// parameters that are read behind a call
    crossing: Vec<Value>,
}

type Res<T = ()> = Result<T, Error>;

impl<'a> Lower<'a> {
    fn new(module: &'a Module, function: usize, v4: bool) -> Res<Lower<'a>> {
        let f = &module.functions[function];
        let lower = Lower {
            module,
            name: &f.name,
            func: &f.clif,
            v4,
            slot_labels: &f.slots,
            regs: SecondaryMap::new(),
            next: 0,
            seq: Vec::new(),
            loc: NO_LOC,
            slot_offsets: SecondaryMap::new(),
            slot_bytes: 0,
            slot_names: Vec::new(),
            callees: Vec::new(),
            crossing: Vec::new(),
        };
        let sig = &f.clif.signature;
        if sig.params.len() > 5 {
            return Err(lower.unsupported("more than five parameters"));
        }
        if sig.returns.len() > 1 {
            return Err(lower.unsupported("more than one result"));
        }
        Ok(lower)
    }

    fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::Unsupported { function: self.name.to_owned(), what: what.into(), line: (self.loc != NO_LOC).then_some(self.loc as usize) }
    }

    /// Gives the slots that reachable code names their places: the first one ends at r10.
    fn place_slots(&mut self, order: &control::Order) {
        let mut used: SecondaryMap<ir::StackSlot, bool> = SecondaryMap::new();
        for b in &order.blocks {
            for i in self.func.layout.block_insts(*b) {
                if let Some(slot) = self.func.dfg.insts[i].stack_slot() {
                    used[slot] = true;
                }
            }
        }
        for (slot, data) in self.func.sized_stack_slots.iter() {
            if !used[slot] {
                continue;
            }
            // eight bytes is the alignment of everything that BPF can load
            let bytes = data.size.div_ceil(8).saturating_mul(8);
            self.slot_bytes = self.slot_bytes.saturating_add(bytes);
            self.slot_offsets[slot] = 0i32.saturating_sub_unsigned(self.slot_bytes);
            let name = match self.slot_labels.get(slot.as_u32() as usize) {
                Some(n) => n.clone(),
                None => slot.to_string(),
            };
            self.slot_names.push((name, bytes));
        }
    }

    fn blocks(&mut self, order: &control::Order) -> Res<Vec<BlockCode>> {
        let mut lowered: Vec<control::Lowered> = Vec::with_capacity(order.blocks.len());
        for (position, block) in order.blocks.iter().enumerate().rev() {
            let mut out = control::Lowered::default();
            for inst in self.func.layout.block_insts(*block).rev() {
                self.loc = self.func.srcloc(inst).bits();
                self.seq.clear();
                if self.func.dfg.insts[inst].opcode().is_terminator() {
                    self.terminator(inst, order, &mut out)?;
                } else {
                    self.inst(inst)?;
                }
                let loc = self.loc;
                out.code.insts.extend(self.seq.drain(..).rev().map(|i| (i, loc)));
            }
            let params = self.func.dfg.block_params(*block).to_vec();
            for p in &params {
                self.check_type(self.ty(*p))?;
            }
            if position == 0 {
                if order.preds[*block] > 0 {
                    return Err(self.unsupported("a jump to the entry block"));
                }
                self.seq.clear();
                self.parameters(&params);
                let insts = self.seq.drain(..).rev().map(|i| (i, NO_LOC));
                out.code.insts.extend(insts);
            } else {
                out.code.params = params.iter().map(|p| self.reg_of(*p)).collect();
            }
            out.code.insts.reverse();
            lowered.push(out);
        }
        lowered.reverse();
        let mut blocks = control::number(lowered);
        for b in &mut blocks {
            share_wide_constants(b);
        }
        Ok(blocks)
    }

    /// Defines the parameters, which come in r1, r2, ...
    fn parameters(&mut self, params: &[Value]) {
        if params.is_empty() {
            return;
        }
        let (mut dsts, mut moves) = (Vec::new(), Vec::new());
        for p in params {
            match self.regs[*p] {
                // tied to its register, a value that lives across calls would be moved back there behind them
                Some(r) if self.crossing.contains(p) => {
                    let tied = self.fresh();
                    dsts.push(tied);
                    moves.push((r, tied));
                }
                Some(r) => dsts.push(r),
                None => dsts.push(self.fresh()),
            }
        }
        self.emit(Inst::Args { dsts });
        for (dst, src) in moves {
            self.mov(dst, src);
        }
    }

    /// At a call: what has a register by now is read behind it, or on another way.
    fn note_crossing(&mut self) {
        let Some(entry) = self.func.layout.entry_block() else {
            return;
        };
        for p in self.func.dfg.block_params(entry) {
            if self.regs[*p].is_some() && !self.crossing.contains(p) {
                self.crossing.push(*p);
            }
        }
    }

    fn fresh(&mut self) -> VReg {
        self.next += 1;
        vreg(self.next - 1)
    }

    /// The register of a value that is not rematerialised.
    fn reg_of(&mut self, v: Value) -> VReg {
        match self.regs[v] {
            Some(r) => r,
            None => {
                let r = self.fresh();
                self.regs[v] = Some(r);
                r
            }
        }
    }

    /// The first result's register, when something reads it.
    fn wanted(&self, inst: ir::Inst) -> Option<VReg> {
        self.regs[*self.func.dfg.inst_results(inst).first()?]
    }

    fn ty(&self, v: Value) -> Type {
        self.func.dfg.value_type(v)
    }

    fn emit(&mut self, inst: Inst) {
        self.seq.push(inst);
    }

    fn check_type(&self, ty: Type) -> Res {
        match ty {
            types::I8 | types::I16 | types::I32 | types::I64 => Ok(()),
            t => Err(self.unsupported(format!("a value of type {t}"))),
        }
    }

    fn inst(&mut self, inst: ir::Inst) -> Res {
        let data = &self.func.dfg.insts[inst];
        let op = data.opcode();
        for r in self.func.dfg.inst_results(inst) {
            self.check_type(self.ty(*r))?;
        }
        match op {
            Opcode::Call => {
                self.note_crossing();
                return self.call(inst);
            }
            Opcode::Load | Opcode::Uload8 | Opcode::Uload16 | Opcode::Uload32 | Opcode::Sload8 | Opcode::Sload16 | Opcode::Sload32 => {
                return self.load(inst);
            }
            Opcode::Store | Opcode::Istore8 | Opcode::Istore16 | Opcode::Istore32 => {
                return self.store(inst);
            }
            Opcode::AtomicRmw => return self.atomic_rmw(inst),
            Opcode::AtomicCas => return self.atomic_cas(inst),
            Opcode::Nop | Opcode::Fence | Opcode::SequencePoint => return Ok(()),
            // made where they are read
            Opcode::Iconst | Opcode::StackAddr | Opcode::SymbolValue | Opcode::FuncAddr | Opcode::Uextend
                if self.wanted(inst).is_none() =>
            {
                return Ok(());
            }
            _ => {}
        }
        if op == Opcode::UaddOverflow {
            return self.uadd_overflow(inst);
        }
        let Some(dst) = self.wanted(inst) else {
            return Ok(());
        };
        self.pure(inst, dst)
    }

    /// An instruction without side effects, into `dst`.
    fn pure(&mut self, inst: ir::Inst, dst: VReg) -> Res {
        let op = self.func.dfg.insts[inst].opcode();
        let args: Vec<Value> = self.func.dfg.inst_args(inst).to_vec();
        for a in &args {
            self.check_type(self.ty(*a))?;
        }
        let result = self.func.dfg.first_result(inst);
        let ty = self.ty(result);
        match (op, args.as_slice()) {
            (Opcode::Iadd, [a, b]) => self.iadd(ty, dst, *a, *b),
            (Opcode::Isub, [a, b]) => self.isub(ty, dst, *a, *b),
            (Opcode::Imul, [a, b]) => self.imul(ty, dst, *a, *b),
            (Opcode::Udiv | Opcode::Urem, [a, b]) => self.udiv(op, ty, dst, *a, *b),
            (Opcode::Sdiv | Opcode::Srem, [a, b]) => self.sdiv(op, ty, dst, *a, *b),
            (Opcode::Band | Opcode::Bor | Opcode::Bxor, [a, b]) => {
                self.bitwise(op, ty, dst, *a, *b);
            }
            (Opcode::Bnot, [a]) => self.bnot(ty, dst, *a),
            (Opcode::Ineg, [a]) => self.ineg(ty, dst, *a),
            (Opcode::Iabs, [a]) => self.iabs(ty, dst, *a),
            (Opcode::Ishl | Opcode::Ushr | Opcode::Sshr, [a, b]) => {
                self.shift(op, ty, dst, *a, *b);
            }
            (Opcode::Rotl | Opcode::Rotr, [a, b]) => self.rotate(op, ty, dst, *a, *b),
            (Opcode::Icmp, _) => {
                let cmp = self.condition(result);
                self.bool_of(cmp, dst);
            }
            (Opcode::Select, [c, a, b]) => self.select(ty, dst, *c, *a, *b),
            (Opcode::Umin | Opcode::Umax | Opcode::Smin | Opcode::Smax, [a, b]) => {
                self.min_max(op, ty, dst, *a, *b);
            }
            (Opcode::Sextend, [a]) => {
                let src = self.low(*a);
                self.sign_extend(self.ty(*a), ty, dst, src);
            }
            (Opcode::Ireduce, [a]) => {
                let src = self.reg(*a);
                self.zero_extend(ty, dst, src);
            }
            (Opcode::Bmask, [a]) => self.bmask(ty, dst, *a),
            (Opcode::Bswap, [a]) => self.bswap(ty, dst, *a),
            (Opcode::Clz, [a]) => self.clz(ty, dst, *a),
            (Opcode::Ctz, [a]) => self.ctz(ty, dst, *a),
            (Opcode::Popcnt, [a]) => self.popcnt(ty, dst, *a),
            _ => return Err(self.unsupported(format!("the instruction `{op}`"))),
        }
        Ok(())
    }
}

/// Within a block and between calls, a constant of two slots or a section's address is made once.
fn share_wide_constants(block: &mut BlockCode) {
    #[derive(PartialEq, Eq, Hash)]
    enum Key {
        Const(i64),
        Symbol(Symbol),
    }
    // farther apart, keeping the register busy costs more than a second `lddw`
    const WINDOW: usize = 48;
    let mut known: HashMap<Key, (VReg, usize)> = HashMap::new();
    let mut renamed: HashMap<VReg, VReg> = HashMap::new();
    let mut kept = Vec::with_capacity(block.insts.len());
    for (mut inst, loc) in block.insts.drain(..) {
        if !renamed.is_empty() {
            inst.map_uses(&mut |r| renamed.get(&r).copied().unwrap_or(r));
        }
        let found = match &inst {
            Inst::Const { dst, value } if i32::try_from(*value).is_err() => Some((Key::Const(*value), *dst)),
            Inst::Symbol { dst, symbol } if !matches!(symbol, Symbol::Func(_)) => Some((Key::Symbol(*symbol), *dst)),
            Inst::Call { .. } => {
                known.clear();
                None
            }
            _ => None,
        };
        if let Some((key, dst)) = found {
            match known.get(&key) {
                Some((first, at)) if kept.len() - at <= WINDOW => {
                    renamed.insert(dst, *first);
                    continue;
                }
                _ => {
                    known.insert(key, (dst, kept.len()));
                }
            }
        }
        kept.push((inst, loc));
    }
    block.insts = kept;
    for a in &mut block.args {
        *a = renamed.get(a).copied().unwrap_or(*a);
    }
}

/// The 32-bit immediate that stands for `c`, an `i64` constant.
fn imm64(c: i64) -> Option<Src> {
    i32::try_from(c).ok().map(Src::Imm)
}
