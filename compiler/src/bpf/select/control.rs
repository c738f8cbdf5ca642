//! Order of blocks, edges, terminators, calls and conditions.

use super::{Lower, Res};
use crate::bpf::insn::{AluOp, Cond};
use crate::bpf::vcode::{BlockCode, Callee, Compare, Inst, Src};
use crate::lowered::{KFUNC, LOCAL};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{self, Block, BlockCall, InstructionData, Opcode, Value, ValueDef, types};
use regalloc2::VReg;

/// Reachable blocks in reverse post-order, so that definitions stand before uses and, where there is a choice, the
/// first successor follows its branch.
pub struct Order {
    pub blocks: Vec<Block>,
    /// position in `blocks`
    pub position: SecondaryMap<Block, usize>,
    /// edges that come in
    pub preds: SecondaryMap<Block, usize>,
}

/// The constant that decides a branch, without which a side of it would be unreachable code to the verifier.
fn branch_constant(func: &ir::Function, v: Value) -> Option<i64> {
    let v = func.dfg.resolve_aliases(v);
    let ValueDef::Result(inst, _) = func.dfg.value_def(v) else {
        return None;
    };
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(super::value::zero_extended(func.dfg.value_type(v), imm.bits())),
        _ => None,
    }
}

/// Where control can go from a terminator.
fn targets(func: &ir::Function, inst: ir::Inst) -> Vec<BlockCall> {
    match &func.dfg.insts[inst] {
        InstructionData::Jump { destination, .. } => vec![*destination],
        InstructionData::Brif { arg, blocks: [then, otherwise], .. } => match branch_constant(func, *arg) {
            Some(0) => vec![*otherwise],
            Some(_) => vec![*then],
            None => vec![*then, *otherwise],
        },
        InstructionData::BranchTable { arg, table, .. } => {
            let table = &func.stencil.dfg.jump_tables[*table];
            match branch_constant(func, *arg) {
                Some(i) => {
                    let hit = usize::try_from(i).ok().and_then(|i| table.as_slice().get(i));
                    vec![*hit.unwrap_or(&table.default_block())]
                }
                None => {
                    let mut all = table.as_slice().to_vec();
                    all.push(table.default_block());
                    all
                }
            }
        }
        _ => Vec::new(),
    }
}

impl Order {
    pub fn new(func: &ir::Function) -> Order {
        let mut order = Order { blocks: Vec::new(), position: SecondaryMap::new(), preds: SecondaryMap::new() };
        let succs = |b: Block| -> Vec<Block> {
            let Some(last) = func.layout.last_inst(b) else {
                return Vec::new();
            };
            let pool = &func.dfg.value_lists;
            targets(func, last).iter().map(|t| t.block(pool)).collect()
        };
        let Some(entry) = func.layout.entry_block() else {
            return order;
        };
        let mut seen: SecondaryMap<Block, bool> = SecondaryMap::new();
        seen[entry] = true;
        let mut stack = vec![(entry, succs(entry))];
        while let Some((block, rest)) = stack.last_mut() {
            // the last successor is taken first, and so ends up farthest
            match rest.pop() {
                Some(next) => {
                    order.preds[next] += 1;
                    if !seen[next] {
                        seen[next] = true;
                        stack.push((next, succs(next)));
                    }
                }
                None => {
                    order.blocks.push(*block);
                    stack.pop();
                }
            }
        }
        order.blocks.reverse();
        for (i, b) in order.blocks.iter().enumerate() {
            order.position[*b] = i;
        }
        order
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// position in the order
    Block(usize),
    /// one of the block's own edges
    Edge(usize),
}

/// A block's code with the blocks on its outgoing edges, before blocks have numbers.
#[derive(Default)]
pub struct Lowered {
    pub code: BlockCode,
    pub targets: Vec<Target>,
    /// edge blocks end in a jump to the block of that position
    pub edges: Vec<(BlockCode, usize)>,
}

/// Lays each block's edges right behind it and numbers everything.
pub fn number(lowered: Vec<Lowered>) -> Vec<BlockCode> {
    let mut starts = Vec::with_capacity(lowered.len());
    let mut n = 0;
    for l in &lowered {
        starts.push(n);
        n += 1 + l.edges.len();
    }
    let mut out = Vec::with_capacity(n);
    for (l, start) in lowered.into_iter().zip(starts.clone()) {
        let mut code = l.code;
        code.succs = l
            .targets
            .iter()
            .map(|t| match t {
                Target::Block(p) => starts[*p],
                Target::Edge(e) => start + 1 + e,
            })
            .collect();
        out.push(code);
        for (mut edge, to) in l.edges {
            edge.succs = vec![starts[to]];
            out.push(edge);
        }
    }
    out
}

fn cond_of(cc: IntCC) -> Cond {
    match cc {
        IntCC::Equal => Cond::Eq,
        IntCC::NotEqual => Cond::Ne,
        IntCC::UnsignedLessThan => Cond::Lt,
        IntCC::UnsignedLessThanOrEqual => Cond::Le,
        IntCC::UnsignedGreaterThan => Cond::Gt,
        IntCC::UnsignedGreaterThanOrEqual => Cond::Ge,
        IntCC::SignedLessThan => Cond::Slt,
        IntCC::SignedLessThanOrEqual => Cond::Sle,
        IntCC::SignedGreaterThan => Cond::Sgt,
        IntCC::SignedGreaterThanOrEqual => Cond::Sge,
    }
}

impl Lower<'_> {
    fn call_args(&mut self, call: BlockCall) -> Res<Vec<VReg>> {
        let values: Vec<_> = call.args(&self.func.dfg.value_lists).collect();
        let mut regs = Vec::with_capacity(values.len());
        for v in values {
            match v.as_value() {
                Some(v) => {
                    self.check_type(self.ty(v))?;
                    regs.push(self.reg(v));
                }
                None => return Err(self.unsupported("an exception's block argument")),
            }
        }
        Ok(regs)
    }

    fn position(&self, order: &Order, call: BlockCall) -> usize {
        order.position[call.block(&self.func.dfg.value_lists)]
    }

    fn goto(&mut self, call: BlockCall, order: &Order, out: &mut Lowered) -> Res {
        out.code.args = self.call_args(call)?;
        out.targets = vec![Target::Block(self.position(order, call))];
        self.emit(Inst::Jump);
        Ok(())
    }

    /// One way out of a branch: a block of its own where the edge is critical or passes arguments.
    fn edge(&mut self, call: BlockCall, order: &Order, out: &mut Lowered) -> Res<Target> {
        let to = self.position(order, call);
        let block = call.block(&self.func.dfg.value_lists);
        if order.preds[block] == 1 && call.len(&self.func.dfg.value_lists) == 0 {
            return Ok(Target::Block(to));
        }
        let before = std::mem::take(&mut self.seq);
        let args = self.call_args(call)?;
        self.emit(Inst::Jump);
        let loc = self.loc;
        let insts = std::mem::replace(&mut self.seq, before);
        let code = BlockCode { insts: insts.into_iter().map(|i| (i, loc)).collect(), args, ..BlockCode::default() };
        out.edges.push((code, to));
        Ok(Target::Edge(out.edges.len() - 1))
    }

    pub fn terminator(&mut self, inst: ir::Inst, order: &Order, out: &mut Lowered) -> Res {
        let ways = targets(self.func, inst);
        match (&self.func.dfg.insts[inst], ways.as_slice()) {
            (InstructionData::Jump { .. } | InstructionData::Brif { .. } | InstructionData::BranchTable { .. }, [only]) => {
                self.goto(*only, order, out)
            }
            (InstructionData::Brif { arg, .. }, [then, otherwise]) => {
                let arg = *arg;
                let (cmp, swap) = self.branch_condition(arg);
                let (yes, no) = if swap { (*otherwise, *then) } else { (*then, *otherwise) };
                // the way that is likely to follow comes last
                let (yes, no) = (self.edge(yes, order, out)?, self.edge(no, order, out)?);
                out.targets = vec![yes, no];
                self.emit(Inst::Branch { cmp });
                Ok(())
            }
            (InstructionData::BranchTable { arg, .. }, [table @ .., default]) => {
                let index = self.reg(*arg);
                let mut known: Vec<(BlockCall, usize)> = Vec::new();
                let mut numbers = Vec::with_capacity(table.len());
                for call in table {
                    let n = match known.iter().find(|(c, _)| c == call) {
                        Some((_, n)) => *n,
                        None => {
                            let t = self.edge(*call, order, out)?;
                            // a block with several entries in the table has an edge of its own anyway
                            out.targets.push(t);
                            known.push((*call, out.targets.len() - 1));
                            out.targets.len() - 1
                        }
                    };
                    numbers.push(n);
                }
                let t = self.edge(*default, order, out)?;
                out.targets.push(t);
                self.emit(Inst::Switch { index, targets: numbers });
                Ok(())
            }
            (InstructionData::MultiAry { opcode: Opcode::Return, .. }, _) => {
                let value = match self.func.dfg.inst_args(inst) {
                    [] => self.constant_reg(0),
                    [v, ..] => {
                        let v = *v;
                        self.check_type(self.ty(v))?;
                        self.reg(v)
                    }
                };
                self.emit(Inst::Return { value });
                Ok(())
            }
            (InstructionData::Trap { .. }, _) => {
                let value = self.constant_reg(0);
                self.emit(Inst::Return { value });
                Ok(())
            }
            (data, _) => Err(self.unsupported(format!("the instruction `{}`", data.opcode()))),
        }
    }

    pub fn call(&mut self, inst: ir::Inst) -> Res {
        let InstructionData::Call { func_ref, .. } = self.func.dfg.insts[inst] else {
            return Err(self.unsupported("a malformed call"));
        };
        let Some(index) = self.func_index(func_ref) else {
            return Err(self.unsupported("a call of a function without a number"));
        };
        let callee = if let Some(i) = index.checked_sub(LOCAL) {
            let i = i as usize;
            if i >= self.module.functions.len() {
                return Err(self.unsupported(format!("a call of function {i}, which isn't there")));
            }
            self.callees.push(i);
            Callee::Local(i)
        } else if let Some(i) = index.checked_sub(KFUNC) {
            if i as usize >= self.module.kfuncs.len() {
                return Err(self.unsupported(format!("a call of kfunc {i}, which isn't there")));
            }
            Callee::Kfunc(i as usize)
        } else {
            Callee::Helper(index)
        };
        let args = self.func.dfg.inst_args(inst).to_vec();
        if args.len() > 5 {
            return Err(self.unsupported("a call with more than five arguments"));
        }
        if self.func.dfg.inst_results(inst).len() > 1 {
            return Err(self.unsupported("a call with more than one result"));
        }
        let dst = match self.wanted(inst) {
            Some(d) => d,
            None => self.fresh(),
        };
        let mut regs = Vec::with_capacity(args.len());
        for a in args {
            self.check_type(self.ty(a))?;
            regs.push(self.reg(a));
        }
        self.emit(Inst::Call { callee, args: regs, dst });
        Ok(())
    }

    /// `lhs cc rhs` as one comparison. Unsigned comparisons of narrow values are made 64 bits wide: registers are
    /// zero-extended, and the verifier learns bounds of the whole register.
    pub fn compare(&mut self, cc: IntCC, a: Value, b: Value) -> Compare {
        let (cc, a, b) = if self.constant(a).is_some() && self.constant(b).is_none() { (cc.swap_args(), b, a) } else { (cc, a, b) };
        let cond = cond_of(cc);
        let ty = self.ty(a);
        if ty == types::I64 {
            let lhs = self.reg(a);
            let rhs = self.src64(b);
            return Compare { cond, wide: true, lhs, rhs };
        }
        if !cond.is_signed() {
            let c = self.constant(b);
            let wide = c.is_none_or(|c| c <= i64::from(i32::MAX));
            let lhs = self.reg(a);
            let rhs = match c {
                Some(c) => Src::Imm(c as i32),
                None => Src::Reg(self.reg(b)),
            };
            return Compare { cond, wide, lhs, rhs };
        }
        // the sign of a narrow value goes to bit 31
        let shift = 32 - ty.bits() as i32;
        let lhs = self.low(a);
        let lhs = self.shifted_left(lhs, shift);
        let rhs = match self.constant(b) {
            Some(c) => Src::Imm((c as i32) << shift),
            None => {
                let r = self.low(b);
                Src::Reg(self.shifted_left(r, shift))
            }
        };
        Compare { cond, wide: false, lhs, rhs }
    }

    fn shifted_left(&mut self, r: VReg, by: i32) -> VReg {
        if by == 0 {
            return r;
        }
        let dst = self.fresh();
        self.emit(Inst::Alu { op: AluOp::Lsh, wide: false, dst, lhs: r, rhs: Src::Imm(by) });
        dst
    }

    /// The comparison that is true where `v` is not 0.
    pub fn condition(&mut self, v: Value) -> Compare {
        let (mut v, mut negate) = (v, false);
        loop {
            v = self.strip(v);
            let Some((op, inst)) = self.def_of(v) else {
                break;
            };
            match self.func.dfg.insts[inst] {
                InstructionData::IntCompare { args: [a, b], cond, .. } => {
                    // `(a < b) == 0`
                    let zero = self.constant(b) == Some(0);
                    if zero && matches!(cond, IntCC::Equal | IntCC::NotEqual) && self.is_truth(a) {
                        negate ^= cond == IntCC::Equal;
                        v = a;
                        continue;
                    }
                    let cond = if negate { cond.complement() } else { cond };
                    return self.compare(cond, a, b);
                }
                // `(a < b) ^ 1`
                InstructionData::Binary { args: [a, b], .. } if op == Opcode::Bxor && self.constant(b) == Some(1) && self.is_truth(a) => {
                    negate = !negate;
                    v = a;
                }
                _ => break,
            }
        }
        let lhs = self.reg(v);
        Compare { cond: if negate { Cond::Eq } else { Cond::Ne }, wide: true, lhs, rhs: Src::Imm(0) }
    }

    /// Is it a comparison, whose value is 0 or 1?
    fn is_truth(&self, v: Value) -> bool {
        match self.def_of(v) {
            Some((Opcode::Icmp, _)) => true,
            Some((Opcode::Bxor, inst)) => {
                let args = self.func.dfg.inst_args(inst);
                self.constant(args[1]) == Some(1) && self.is_truth(args[0])
            }
            _ => false,
        }
    }

    /// As `condition`, with the test of bits that only branches have; true: with the ways exchanged.
    fn branch_condition(&mut self, v: Value) -> (Compare, bool) {
        let (mut bits, mut swap) = (self.strip(v), false);
        if let Some((Opcode::Icmp, inst)) = self.def_of(bits)
            && let InstructionData::IntCompare { args: [a, b], cond, .. } = self.func.dfg.insts[inst]
            && self.constant(b) == Some(0)
            && matches!(cond, IntCC::Equal | IntCC::NotEqual)
        {
            bits = self.strip(a);
            swap = cond == IntCC::Equal;
        }
        // where the masked value is read anyway, comparing it costs less
        if let Some((Opcode::Band, inst)) = self.def_of(bits)
            && self.regs[bits].is_none()
        {
            let args = self.func.dfg.inst_args(inst);
            let (a, b) = (args[0], args[1]);
            let c = self.constant(b);
            let fits = c.is_none_or(|c| (0..=i64::from(i32::MAX)).contains(&c));
            if fits && self.constant(a).is_none() {
                let lhs = self.reg(a);
                let rhs = self.src64(b);
                let cmp = Compare { cond: Cond::Set, wide: true, lhs, rhs };
                return (cmp, swap);
            }
        }
        (self.condition(v), false)
    }

    /// 1 where the comparison holds, else 0.
    pub fn bool_of(&mut self, cmp: Compare, dst: VReg) {
        let zero = self.constant_reg(0);
        self.emit(Inst::Select { cmp, wide: true, dst, then: Src::Imm(1), otherwise: zero });
    }
}
