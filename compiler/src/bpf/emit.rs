//! Allocated code to instructions: spill code, frame offsets, jumps.

use super::insn::{self, AluOp, Insn, Operand, Size};
use super::vcode::{Base, Callee, Compare, Inst, Loc, NO_LOC, Src, Symbol, VCode};
use super::{Compiled, Error, Reloc, Target};
use regalloc2::{Allocation, Block, Edit, InstOrEdit, Output};
use std::collections::{HashMap, VecDeque};

/// What a block consists of after allocation.
#[derive(Clone, Copy)]
enum Step {
    Inst(usize),
    Move(Allocation, Allocation),
}

struct Emit<'a> {
    name: &'a str,
    vcode: &'a VCode,
    out: &'a Output,
    /// bytes of the explicit slots; spill slots lie below
    slots: u32,
    insns: Vec<Insn>,
    relocs: Vec<Reloc>,
    lines: Vec<(u32, u32)>,
    /// jumps whose offset is open, in their order: (instruction, block that it jumps to)
    open: VecDeque<(usize, usize)>,
    /// those to a block that has its place
    placed: Vec<(usize, usize)>,
    /// first instruction of each block that has its place
    starts: Vec<Option<usize>>,
    loc: Loc,
}

/// A forward jump that has come so far gets a stepping stone: offsets have 16 bits (`gotol` is of Linux 6.6).
const FAR: usize = 30_000;
/// Jumps of this age get theirs along with it.
const MIDDLE: usize = 15_000;

pub fn emit(name: &str, vcode: &VCode, out: &Output, slots: u32) -> Result<Compiled, Error> {
    let blocks: Vec<Vec<Step>> = (0..vcode.blocks())
        .map(|b| {
            out.block_insts_and_edits(vcode, Block::new(b))
                .filter_map(|s| match s {
                    InstOrEdit::Inst(i) => Some(Step::Inst(i.index())),
                    InstOrEdit::Edit(Edit::Move { from, to }) if from == to => None,
                    InstOrEdit::Edit(Edit::Move { from, to }) => Some(Step::Move(*from, *to)),
                })
                .collect()
        })
        .collect();
    let mut e = Emit {
        name,
        vcode,
        out,
        slots,
        insns: Vec::new(),
        relocs: Vec::new(),
        lines: Vec::new(),
        open: VecDeque::new(),
        placed: Vec::new(),
        starts: vec![None; blocks.len()],
        loc: NO_LOC,
    };
    let mut forward = e.forward(&blocks);
    let tails = e.tails(&blocks, &forward)?;
    share(&mut forward, &tails);
    let reached = e.reached(&forward, &tails);
    // a function starts with a line of its own (Linux `check_btf_line`: "missing bpf_line_info for func")
    if let Some(first) = vcode.locs.iter().find(|l| **l != NO_LOC) {
        e.loc = *first;
        e.lines.push((0, *first));
    }
    let order: Vec<usize> = (0..blocks.len()).filter(|b| reached[*b]).collect();
    for (i, b) in order.iter().enumerate() {
        e.starts[*b] = Some(e.insns.len());
        let next = order.get(i + 1).copied();
        e.block(*b, &blocks[*b], next, &forward, &tails)?;
    }
    e.placed.extend(std::mem::take(&mut e.open));
    for (at, to) in std::mem::take(&mut e.placed) {
        let Some(to) = e.starts[to] else {
            return Err(e.internal("a jump to a block that isn't there"));
        };
        let off = to as i64 - at as i64 - 1;
        e.insns[at].off = i16::try_from(off).map_err(|_| Error::TooLarge {
            function: name.to_owned(),
            what: format!("a jump over {} instructions; 32767 is the limit", off.abs()),
        })?;
    }
    Ok(Compiled {
        name: name.to_owned(),
        insns: e.insns,
        frame: slots + 8 * out.num_spillslots as u32,
        relocs: e.relocs,
        lines: e.lines,
        vcode: String::new(),
    })
}

/// Of equal tails branches take the last one.
fn share(forward: &mut [usize], tails: &[Option<Vec<Insn>>]) {
    let mut last: HashMap<&[Insn], usize> = HashMap::new();
    for (b, code) in tails.iter().enumerate() {
        last.extend(code.as_deref().map(|code| (code, b)));
    }
    for to in forward {
        if let Some(code) = &tails[*to] {
            *to = last[code.as_slice()];
        }
    }
}

impl Emit<'_> {
    fn internal(&self, message: impl Into<String>) -> Error {
        Error::Internal { function: self.name.to_owned(), message: message.into() }
    }

    /// Where a jump to each block really leads: blocks that only jump on are passed over. The first block stays.
    fn forward(&self, blocks: &[Vec<Step>]) -> Vec<usize> {
        let next = |b: usize| match blocks[b].as_slice() {
            [Step::Inst(i)] if b != 0 && matches!(self.vcode.insts[*i], Inst::Jump) => Some(self.vcode.successors(b)[0].index()),
            _ => None,
        };
        (0..blocks.len())
            .map(|b| {
                let (mut at, mut steps) = (b, 0);
                while let Some(n) = next(at) {
                    at = n;
                    steps += 1;
                    // an endless loop of nothing
                    if steps > blocks.len() {
                        return b;
                    }
                }
                at
            })
            .collect()
    }

    /// The code of blocks that return within two instructions: it is repeated instead of jumped to, which saves an
    /// instruction at run time and keeps early exits of long programs in reach.
    fn tails(&mut self, blocks: &[Vec<Step>], forward: &[usize]) -> Result<Vec<Option<Vec<Insn>>>, Error> {
        let mut tails: Vec<Option<Vec<Insn>>> = vec![None; blocks.len()];
        // From the last one on: what jumps to a tail may be one.
        for (b, steps) in blocks.iter().enumerate().skip(1).rev() {
            let [first @ .., Step::Inst(last)] = steps.as_slice() else {
                continue;
            };
            let plain = match first {
                [] => true,
                [Step::Inst(i)] => matches!(self.vcode.insts[*i], Inst::Const { .. }),
                [Step::Move(..)] => true,
                _ => false,
            };
            let end = match &self.vcode.insts[*last] {
                Inst::Return { .. } => vec![Insn::exit()],
                Inst::Jump => match &tails[forward[self.vcode.successors(b)[0].index()]] {
                    Some(code) => code.clone(),
                    None => continue,
                },
                _ => continue,
            };
            if !plain {
                continue;
            }
            for s in first {
                self.step(*s)?;
            }
            self.insns.extend(end);
            let code = std::mem::take(&mut self.insns);
            if code.len() <= 2 {
                tails[b] = Some(code);
            }
        }
        Ok(tails)
    }

    fn reached(&self, forward: &[usize], tails: &[Option<Vec<Insn>>]) -> Vec<bool> {
        let mut reached = vec![false; forward.len()];
        let mut stack = vec![0];
        while let Some(b) = stack.pop() {
            if std::mem::replace(&mut reached[b], true) {
                continue;
            }
            let jump = self.vcode.successors(b).len() == 1;
            for s in self.vcode.successors(b) {
                let to = forward[s.index()];
                if !(jump && tails[to].is_some()) {
                    stack.push(to);
                }
            }
        }
        reached
    }

    fn line(&mut self, loc: Loc) {
        if loc != NO_LOC && loc != self.loc {
            self.loc = loc;
            let at = self.insns.len() as u32;
            // one line for an instruction (Linux `check_btf_line`: offsets ascend)
            match self.lines.last_mut() {
                Some(last) if last.0 == at => last.1 = loc,
                _ => self.lines.push((at, loc)),
            }
        }
    }

    fn block(
        &mut self,
        b: usize,
        steps: &[Step],
        next: Option<usize>,
        forward: &[usize],
        tails: &[Option<Vec<Insn>>],
    ) -> Result<(), Error> {
        let mut last_loc = self.loc;
        for (i, step) in steps.iter().enumerate() {
            // a move belongs to the instruction that it is made for
            let loc = steps[i..].iter().find_map(|s| match s {
                Step::Inst(i) => Some(self.vcode.locs[*i]),
                Step::Move(..) => None,
            });
            last_loc = loc.unwrap_or(last_loc);
            self.stepping_stones();
            let at = self.insns.len();
            self.line(last_loc);
            match step {
                Step::Inst(i) if self.vcode.insts[*i].is_terminator() => {
                    self.terminator(b, *i, next, forward, tails)?;
                }
                s => self.step(*s)?,
            }
            // nothing was emitted: the line starts with what comes next
            if self.insns.len() == at && self.lines.len() > 1 && self.lines.last().is_some_and(|l| l.0 as usize == at) {
                self.lines.pop();
                self.loc = self.lines.last().map_or(NO_LOC, |l| l.1);
            }
        }
        Ok(())
    }

    /// Before open jumps get out of reach, lets them jump to jumps at this place.
    fn stepping_stones(&mut self) {
        while let Some((_, to)) = self.open.front()
            && self.starts[*to].is_some()
        {
            self.placed.extend(self.open.pop_front());
        }
        let here = self.insns.len();
        if self.open.front().is_none_or(|(at, _)| here - at < FAR) {
            return;
        }
        // those who come along walk past
        self.insns.push(Insn::jump(0));
        let mut stones: HashMap<usize, usize> = HashMap::new();
        for (at, to) in std::mem::take(&mut self.open) {
            if self.starts[to].is_some() || here - at < MIDDLE {
                self.open.push_back((at, to));
                continue;
            }
            let stone = *stones.entry(to).or_insert_with(|| {
                self.insns.push(Insn::jump(0));
                self.insns.len() - 1
            });
            // what doesn't fit is found when the offsets of the placed jumps are set
            match i16::try_from(stone - at - 1) {
                Ok(off) => self.insns[at].off = off,
                Err(_) => self.placed.push((at, to)),
            }
        }
        let mut stones: Vec<(usize, usize)> = stones.into_iter().map(|(to, at)| (at, to)).collect();
        stones.sort_unstable();
        self.open.extend(stones);
        let over = self.insns.len() - here - 1;
        self.insns[here].off = i16::try_from(over).unwrap_or(i16::MAX);
    }

    fn goto(&mut self, to: usize, next: Option<usize>, tails: &[Option<Vec<Insn>>], copy: bool) {
        match &tails[to] {
            Some(code) if copy => self.insns.extend(code),
            _ if next == Some(to) => {}
            _ => self.jump(to),
        }
    }

    fn jump(&mut self, to: usize) {
        self.open.push_back((self.insns.len(), to));
        self.insns.push(Insn::jump(0));
    }

    fn branch(&mut self, cond: insn::Cond, wide: bool, lhs: u8, rhs: Operand, to: usize) {
        self.open.push_back((self.insns.len(), to));
        self.insns.push(Insn::branch(cond, wide, lhs, rhs, 0));
    }

    fn terminator(&mut self, b: usize, i: usize, next: Option<usize>, forward: &[usize], tails: &[Option<Vec<Insn>>]) -> Result<(), Error> {
        let vcode = self.vcode;
        let succs: Vec<usize> = vcode.successors(b).iter().map(|s| forward[s.index()]).collect();
        let mut allocs = self.out.inst_allocs(regalloc2::Inst::new(i)).iter();
        match &vcode.insts[i] {
            Inst::Jump => self.goto(succs[0], next, tails, true),
            Inst::Return { .. } => self.insns.push(Insn::exit()),
            Inst::Branch { cmp } => {
                let (lhs, rhs) = self.compare(cmp, &mut allocs)?;
                let (yes, no) = (succs[0], succs[1]);
                match cmp.cond.inverse() {
                    _ if yes == no => self.goto(yes, next, tails, false),
                    Some(inverse) if next == Some(yes) => {
                        self.branch(inverse, cmp.wide, lhs, rhs, no);
                    }
                    _ => {
                        self.branch(cmp.cond, cmp.wide, lhs, rhs, yes);
                        self.goto(no, next, tails, false);
                    }
                }
            }
            Inst::Switch { targets, .. } => {
                let index = self.reg(allocs.next())?;
                let default = succs[succs.len() - 1];
                let cases: Vec<(i32, usize)> =
                    targets.iter().enumerate().map(|(v, s)| (v as i32, succs[*s])).filter(|(_, to)| *to != default).collect();
                self.search(index, &cases, default, next, true);
            }
            _ => return Err(self.internal("a block without a terminator")),
        }
        Ok(())
    }

    /// Finds the case by halving; `last`: the code behind is `next`.
    fn search(&mut self, index: u8, cases: &[(i32, usize)], default: usize, next: Option<usize>, last: bool) {
        if cases.len() <= 4 {
            for (v, to) in cases {
                self.branch(insn::Cond::Eq, true, index, Operand::Imm(*v), *to);
            }
            if !(last && next == Some(default)) {
                self.jump(default);
            }
            return;
        }
        let (low, high) = cases.split_at(cases.len() / 2);
        let at = self.insns.len();
        self.insns.push(Insn::branch(insn::Cond::Ge, true, index, Operand::Imm(high[0].0), 0));
        self.search(index, low, default, next, false);
        // far less than 32768: a half has at most as many instructions as it has cases, and a few
        let off = self.insns.len() - at - 1;
        self.insns[at].off = i16::try_from(off).unwrap_or(i16::MAX);
        self.search(index, high, default, next, last);
    }

    fn reg(&self, a: Option<&Allocation>) -> Result<u8, Error> {
        match a.and_then(|a| a.as_reg()) {
            Some(r) => Ok(r.hw_enc() as u8),
            None => Err(self.internal("an operand without a register")),
        }
    }

    fn spill(&self, slot: regalloc2::SpillSlot) -> i16 {
        // a frame beyond 512 bytes is refused before emission
        -((self.slots + 8 * (slot.index() as u32 + 1)) as i16)
    }

    fn base(&self, base: &Base, allocs: &mut std::slice::Iter<'_, Allocation>) -> Result<u8, Error> {
        match base {
            Base::Reg(_) => self.reg(allocs.next()),
            Base::Frame => Ok(insn::FP),
        }
    }

    fn src(&self, src: &Src, allocs: &mut std::slice::Iter<'_, Allocation>) -> Result<Operand, Error> {
        Ok(match src {
            Src::Reg(_) => Operand::Reg(self.reg(allocs.next())?),
            Src::Imm(i) => Operand::Imm(*i),
        })
    }

    fn compare(&self, cmp: &Compare, allocs: &mut std::slice::Iter<'_, Allocation>) -> Result<(u8, Operand), Error> {
        let lhs = self.reg(allocs.next())?;
        Ok((lhs, self.src(&cmp.rhs, allocs)?))
    }

    fn constant(&mut self, dst: u8, value: i64) {
        if let Ok(i) = i32::try_from(value) {
            self.insns.push(Insn::mov(true, dst, Operand::Imm(i)));
        } else if let Ok(u) = u32::try_from(value) {
            self.insns.push(Insn::mov(false, dst, Operand::Imm(u as i32)));
        } else {
            self.insns.extend(Insn::lddw(dst, value));
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Error> {
        let i = match step {
            Step::Inst(i) => i,
            Step::Move(from, to) => {
                let insn = match (from.as_reg(), to.as_reg(), from.as_stack(), to.as_stack()) {
                    (Some(f), Some(t), ..) => Insn::mov(true, t.hw_enc() as u8, Operand::Reg(f.hw_enc() as u8)),
                    (Some(f), None, _, Some(t)) => Insn::store(Size::Dw, insn::FP, self.spill(t), Operand::Reg(f.hw_enc() as u8)),
                    (None, Some(t), Some(f), _) => Insn::load(Size::Dw, t.hw_enc() as u8, insn::FP, self.spill(f)),
                    _ => return Err(self.internal("a move from memory to memory")),
                };
                self.insns.push(insn);
                return Ok(());
            }
        };
        let vcode = self.vcode;
        let mut allocs = self.out.inst_allocs(regalloc2::Inst::new(i)).iter();
        let allocs = &mut allocs;
        match &vcode.insts[i] {
            Inst::Args { .. } => {}
            Inst::Const { value, .. } => {
                let dst = self.reg(allocs.next())?;
                self.constant(dst, *value);
            }
            Inst::Symbol { symbol, .. } => {
                let dst = self.reg(allocs.next())?;
                let (target, addend) = match *symbol {
                    Symbol::Map(m) => (Target::Map(m), 0),
                    Symbol::Section(s, off) => (Target::Section(s), off),
                    Symbol::Func(f) => (Target::FuncAddr(f), 0),
                };
                self.reloc(target);
                let [mut first, second] = Insn::lddw(dst, 0);
                first.imm = addend;
                self.insns.extend([first, second]);
            }
            Inst::FrameAddr { off, .. } => {
                let dst = self.reg(allocs.next())?;
                self.insns.push(Insn::mov(true, dst, Operand::Reg(insn::FP)));
                if *off != 0 {
                    self.insns.push(Insn::alu(AluOp::Add, true, dst, Operand::Imm(*off)));
                }
            }
            Inst::Mov { wide, .. } => {
                let src = self.reg(allocs.next())?;
                let dst = self.reg(allocs.next())?;
                if !wide || src != dst {
                    self.insns.push(Insn::mov(*wide, dst, Operand::Reg(src)));
                }
            }
            Inst::MovSx { bits, wide, .. } => {
                let src = self.reg(allocs.next())?;
                let dst = self.reg(allocs.next())?;
                self.insns.push(Insn::movsx(*wide, *bits, dst, src));
            }
            Inst::Alu { op, wide, lhs, rhs, .. } => {
                let dst = self.reg(allocs.next())?;
                let rhs = if *rhs == Src::Reg(*lhs) { Operand::Reg(dst) } else { self.src(rhs, allocs)? };
                self.insns.push(Insn::alu(*op, *wide, dst, rhs));
            }
            Inst::Neg { wide, .. } => {
                let dst = self.reg(allocs.next())?;
                self.insns.push(Insn::neg(*wide, dst));
            }
            Inst::Bswap { bits, .. } => {
                let dst = self.reg(allocs.next())?;
                self.insns.push(Insn::to_be(*bits, dst));
            }
            Inst::Load { size, signed, base, off, .. } => {
                let base = self.base(base, allocs)?;
                let dst = self.reg(allocs.next())?;
                self.insns.push(if *signed { Insn::load_signed(*size, dst, base, *off) } else { Insn::load(*size, dst, base, *off) });
            }
            Inst::Store { size, base, off, src } => {
                let base = self.base(base, allocs)?;
                let src = self.src(src, allocs)?;
                self.insns.push(Insn::store(*size, base, *off, src));
            }
            Inst::Atomic { op, size, base, off, .. } => {
                let src = self.reg(allocs.next())?;
                let base = self.base(base, allocs)?;
                self.insns.push(Insn::atomic(*op, *size, base, *off, src));
            }
            Inst::Cas { size, base, off, .. } => {
                self.reg(allocs.next())?;
                let src = self.reg(allocs.next())?;
                let base = self.base(base, allocs)?;
                self.insns.push(Insn::atomic(insn::atomic::CMPXCHG, *size, base, *off, src));
            }
            Inst::Select { cmp, wide, then, otherwise, .. } => {
                let dst = self.reg(allocs.next())?;
                let lhs = if cmp.lhs == *otherwise { dst } else { self.reg(allocs.next())? };
                let rhs = if cmp.rhs == Src::Reg(*otherwise) { Operand::Reg(dst) } else { self.src(&cmp.rhs, allocs)? };
                let then = self.src(then, allocs)?;
                let Some(skip) = cmp.cond.inverse() else {
                    return Err(self.internal("a choice by a test of bits"));
                };
                self.insns.push(Insn::branch(skip, cmp.wide, lhs, rhs, 1));
                self.insns.push(Insn::mov(*wide, dst, then));
            }
            Inst::Call { callee, .. } => {
                let insn = match *callee {
                    Callee::Helper(n) => Insn::call(0, n as i32),
                    Callee::Kfunc(k) => {
                        self.reloc(Target::Kfunc(k));
                        // The loader puts its BTF id in the place of our number for it.
                        Insn::call(insn::PSEUDO_KFUNC_CALL, k as i32)
                    }
                    Callee::Local(f) => {
                        self.reloc(Target::Func(f));
                        Insn::call(insn::PSEUDO_CALL, -1)
                    }
                };
                self.insns.push(insn);
            }
            Inst::Jump | Inst::Branch { .. } | Inst::Switch { .. } | Inst::Return { .. } => {
                return Err(self.internal("a terminator inside a block"));
            }
        }
        Ok(())
    }

    fn reloc(&mut self, target: Target) {
        self.relocs.push(Reloc { insn: self.insns.len() as u32, target });
    }
}
