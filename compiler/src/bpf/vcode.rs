//! Machine instructions over virtual registers, as regalloc2 sees them. How they are printed is in `text`.

mod text;

use super::insn::{AluOp, Cond, Size};
use regalloc2::{Block, Function, Inst as InstId, InstRange, Operand, PReg, PRegSet, RegClass, VReg};

/// A virtual register or an immediate (sign-extended where the operation is 64 bits wide).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Src {
    Reg(VReg),
    Imm(i32),
}

/// What an address starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Reg(VReg),
    /// r10, the end of the frame
    Frame,
}

/// What the loader fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Symbol {
    /// index into `Module::maps`
    Map(usize),
    /// index into `Module::sections`, bytes from its start
    Section(usize, i32),
    /// index into `Module::functions`: its address, for callbacks
    Func(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// helper number
    Helper(u32),
    /// index into `Module::kfuncs`
    Kfunc(usize),
    /// index into `Module::functions`
    Local(usize),
}

/// `lhs cond rhs`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compare {
    pub cond: Cond,
    /// 64 bits, or the low 32
    pub wide: bool,
    pub lhs: VReg,
    pub rhs: Src,
}

/// 32-bit operations (`wide` false) clear the upper half of their result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inst {
    /// defines the parameters: r1, r2, ...
    Args {
        dsts: Vec<VReg>,
    },
    Const {
        dst: VReg,
        value: i64,
    },
    Symbol {
        dst: VReg,
        symbol: Symbol,
    },
    /// r10 + `off`
    FrameAddr {
        dst: VReg,
        off: i32,
    },
    /// `wide` false: the low half of `src`
    Mov {
        dst: VReg,
        src: VReg,
        wide: bool,
    },
    /// the low `bits` of `src`, sign-extended; `wide` false: to 32 bits
    MovSx {
        dst: VReg,
        src: VReg,
        bits: u32,
        wide: bool,
    },
    /// `dst` takes the register of `lhs`
    Alu {
        op: AluOp,
        wide: bool,
        dst: VReg,
        lhs: VReg,
        rhs: Src,
    },
    Neg {
        wide: bool,
        dst: VReg,
        src: VReg,
    },
    /// exchanges the bytes of the low `bits`, clears the rest
    Bswap {
        bits: u32,
        dst: VReg,
        src: VReg,
    },
    Load {
        size: Size,
        /// sign-extends to 64 bits
        signed: bool,
        dst: VReg,
        base: Base,
        off: i16,
    },
    Store {
        size: Size,
        base: Base,
        off: i16,
        src: Src,
    },
    /// `op` as in `insn::atomic`; with a `dst` the fetching form, whose old value lands in the register of `src`
    Atomic {
        op: i32,
        size: Size,
        base: Base,
        off: i16,
        src: VReg,
        dst: Option<VReg>,
    },
    /// `expected` and `dst` are in r0
    Cas {
        size: Size,
        base: Base,
        off: i16,
        expected: VReg,
        src: VReg,
        dst: VReg,
    },
    /// `dst` starts as `otherwise` and becomes `then` where the comparison holds: a jump over a move
    Select {
        cmp: Compare,
        /// `then` as an immediate is 64 bits wide, or zero-extended from 32
        wide: bool,
        dst: VReg,
        then: Src,
        otherwise: VReg,
    },
    Call {
        callee: Callee,
        args: Vec<VReg>,
        /// r0
        dst: VReg,
    },
    /// to the only successor
    Jump,
    /// to the first successor where the comparison holds, else to the second
    Branch {
        cmp: Compare,
    },
    /// to the successor `targets[i]` where `index` is i, else to the last successor
    Switch {
        index: VReg,
        targets: Vec<usize>,
    },
    /// `value` in r0
    Return {
        value: VReg,
    },
}

pub const fn preg(n: u8) -> PReg {
    PReg::new(n as usize, RegClass::Int)
}

pub fn vreg(n: usize) -> VReg {
    VReg::new(n, RegClass::Int)
}

impl Inst {
    /// The operands in a fixed order, in which emission takes their allocations back.
    pub fn operands(&self, f: &mut impl FnMut(Operand)) {
        let base_of = |base: &Base, f: &mut dyn FnMut(Operand)| {
            if let Base::Reg(r) = base {
                f(Operand::reg_use(*r));
            }
        };
        let src_of = |src: &Src, f: &mut dyn FnMut(Operand)| {
            if let Src::Reg(r) = src {
                f(Operand::reg_use(*r));
            }
        };
        match self {
            Inst::Args { dsts } => {
                for (i, d) in dsts.iter().enumerate() {
                    f(Operand::reg_fixed_def(*d, preg(i as u8 + 1)));
                }
            }
            Inst::Const { dst, .. } | Inst::Symbol { dst, .. } | Inst::FrameAddr { dst, .. } => {
                f(Operand::reg_def(*dst));
            }
            Inst::Mov { dst, src, .. } | Inst::MovSx { dst, src, .. } => {
                f(Operand::reg_use(*src));
                f(Operand::reg_def(*dst));
            }
            Inst::Neg { dst, src, .. } | Inst::Bswap { dst, src, .. } => {
                f(Operand::reg_use(*src));
                f(Operand::reg_reuse_def(*dst, 0));
            }
            Inst::Alu { dst, lhs, rhs, .. } => {
                f(Operand::reg_use(*lhs));
                // mentioned twice, the register would be copied for nothing
                if *rhs != Src::Reg(*lhs) {
                    src_of(rhs, f);
                }
                f(Operand::reg_reuse_def(*dst, 0));
            }
            Inst::Load { dst, base, .. } => {
                base_of(base, f);
                f(Operand::reg_def(*dst));
            }
            Inst::Store { base, src, .. } => {
                base_of(base, f);
                src_of(src, f);
            }
            Inst::Atomic { base, src, dst, .. } => {
                f(Operand::reg_use(*src));
                base_of(base, f);
                if let Some(d) = dst {
                    f(Operand::reg_reuse_def(*d, 0));
                }
            }
            Inst::Cas { base, expected, src, dst, .. } => {
                f(Operand::reg_fixed_use(*expected, preg(0)));
                f(Operand::reg_use(*src));
                base_of(base, f);
                f(Operand::reg_fixed_def(*dst, preg(0)));
            }
            Inst::Select { cmp, dst, then, otherwise, .. } => {
                f(Operand::reg_use(*otherwise));
                // the comparison reads the result's register, so that what it says is said about that
                if cmp.lhs != *otherwise {
                    f(Operand::reg_use(cmp.lhs));
                }
                if cmp.rhs != Src::Reg(*otherwise) {
                    src_of(&cmp.rhs, f);
                }
                src_of(then, f);
                f(Operand::reg_reuse_def(*dst, 0));
            }
            Inst::Call { args, dst, .. } => {
                for (i, a) in args.iter().enumerate() {
                    f(Operand::reg_fixed_use(*a, preg(i as u8 + 1)));
                }
                f(Operand::reg_fixed_def(*dst, preg(0)));
            }
            Inst::Jump => {}
            Inst::Branch { cmp } => {
                f(Operand::reg_use(cmp.lhs));
                src_of(&cmp.rhs, f);
            }
            Inst::Switch { index, .. } => f(Operand::reg_use(*index)),
            Inst::Return { value } => f(Operand::reg_fixed_use(*value, preg(0))),
        }
    }

    /// Replaces the registers that are read.
    pub fn map_uses(&mut self, f: &mut impl FnMut(VReg) -> VReg) {
        let mut reg = |r: &mut VReg| *r = f(*r);
        match self {
            Inst::Args { .. } | Inst::Const { .. } | Inst::Symbol { .. } | Inst::FrameAddr { .. } | Inst::Jump => {}
            Inst::Mov { src, .. } | Inst::MovSx { src, .. } | Inst::Neg { src, .. } | Inst::Bswap { src, .. } => reg(src),
            Inst::Alu { lhs, rhs, .. } => {
                reg(lhs);
                if let Src::Reg(r) = rhs {
                    reg(r);
                }
            }
            Inst::Load { base, .. } => {
                if let Base::Reg(r) = base {
                    reg(r);
                }
            }
            Inst::Store { base, src, .. } => {
                if let Base::Reg(r) = base {
                    reg(r);
                }
                if let Src::Reg(r) = src {
                    reg(r);
                }
            }
            Inst::Atomic { base, src, .. } => {
                if let Base::Reg(r) = base {
                    reg(r);
                }
                reg(src);
            }
            Inst::Cas { base, expected, src, .. } => {
                if let Base::Reg(r) = base {
                    reg(r);
                }
                reg(expected);
                reg(src);
            }
            Inst::Select { cmp, then, otherwise, .. } => {
                reg(&mut cmp.lhs);
                if let Src::Reg(r) = &mut cmp.rhs {
                    reg(r);
                }
                if let Src::Reg(r) = then {
                    reg(r);
                }
                reg(otherwise);
            }
            Inst::Call { args, .. } => args.iter_mut().for_each(reg),
            Inst::Branch { cmp } => {
                reg(&mut cmp.lhs);
                if let Src::Reg(r) = &mut cmp.rhs {
                    reg(r);
                }
            }
            Inst::Switch { index, .. } => reg(index),
            Inst::Return { value } => reg(value),
        }
    }

    pub fn is_terminator(&self) -> bool {
        matches!(self, Inst::Jump | Inst::Branch { .. } | Inst::Switch { .. } | Inst::Return { .. })
    }
}

/// A block before the code is laid out flat.
#[derive(Clone, Debug, Default)]
pub struct BlockCode {
    pub insts: Vec<(Inst, Loc)>,
    pub params: Vec<VReg>,
    pub succs: Vec<usize>,
    /// for the parameters of the only successor; blocks with more successors pass none
    pub args: Vec<VReg>,
}

/// Index into `Module::lines`, or `u32::MAX`.
pub type Loc = u32;
pub const NO_LOC: Loc = u32::MAX;

/// A function's code, in the order in which it is emitted. No edge is critical, and every block can be reached.
#[derive(Clone, Debug, Default)]
pub struct VCode {
    pub insts: Vec<Inst>,
    pub locs: Vec<Loc>,
    /// first instruction of each block, and the end
    block_starts: Vec<usize>,
    succs: Vec<Vec<Block>>,
    preds: Vec<Vec<Block>>,
    params: Vec<Vec<VReg>>,
    args: Vec<Vec<VReg>>,
    operands: Vec<Operand>,
    operand_starts: Vec<usize>,
    num_vregs: usize,
}

impl VCode {
    pub fn new(blocks: Vec<BlockCode>, num_vregs: usize) -> VCode {
        let mut v = VCode { num_vregs, preds: vec![Vec::new(); blocks.len()], operand_starts: vec![0], ..VCode::default() };
        for (i, b) in blocks.into_iter().enumerate() {
            v.block_starts.push(v.insts.len());
            for (inst, loc) in b.insts {
                inst.operands(&mut |o| v.operands.push(o));
                v.operand_starts.push(v.operands.len());
                v.insts.push(inst);
                v.locs.push(loc);
            }
            for s in &b.succs {
                v.preds[*s].push(Block::new(i));
            }
            v.succs.push(b.succs.into_iter().map(Block::new).collect());
            v.params.push(b.params);
            v.args.push(b.args);
        }
        v.block_starts.push(v.insts.len());
        v
    }

    pub fn blocks(&self) -> usize {
        self.succs.len()
    }

    pub fn successors(&self, block: usize) -> &[Block] {
        &self.succs[block]
    }

    pub fn range(&self, block: usize) -> std::ops::Range<usize> {
        self.block_starts[block]..self.block_starts[block + 1]
    }
}

impl Function for VCode {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }
    fn num_blocks(&self) -> usize {
        self.succs.len()
    }
    fn entry_block(&self) -> Block {
        Block::new(0)
    }
    fn block_insns(&self, block: Block) -> InstRange {
        let r = self.range(block.index());
        InstRange::new(InstId::new(r.start), InstId::new(r.end))
    }
    fn block_succs(&self, block: Block) -> &[Block] {
        &self.succs[block.index()]
    }
    fn block_preds(&self, block: Block) -> &[Block] {
        &self.preds[block.index()]
    }
    fn block_params(&self, block: Block) -> &[VReg] {
        &self.params[block.index()]
    }
    fn is_ret(&self, insn: InstId) -> bool {
        matches!(self.insts[insn.index()], Inst::Return { .. })
    }
    fn is_branch(&self, insn: InstId) -> bool {
        matches!(self.insts[insn.index()], Inst::Jump | Inst::Branch { .. } | Inst::Switch { .. })
    }
    fn branch_blockparams(&self, block: Block, _: InstId, _: usize) -> &[VReg] {
        &self.args[block.index()]
    }
    fn inst_operands(&self, insn: InstId) -> &[Operand] {
        let i = insn.index();
        &self.operands[self.operand_starts[i]..self.operand_starts[i + 1]]
    }
    fn inst_clobbers(&self, insn: InstId) -> PRegSet {
        match self.insts[insn.index()] {
            Inst::Call { .. } => (1..=5).map(preg).collect(),
            _ => PRegSet::empty(),
        }
    }
    fn num_vregs(&self) -> usize {
        self.num_vregs
    }
    fn spillslot_size(&self, _: RegClass) -> usize {
        1
    }
}
