//! Machine code as text: the stage of `--emit vcode`.

use super::{Base, Callee, Compare, Inst, Src, Symbol, VCode};
use crate::bpf::insn::Size;
use regalloc2::VReg;
use std::fmt::{self, Write};

fn bits(wide: bool) -> u32 {
    if wide { 64 } else { 32 }
}

struct Access(Base, i16, Size);

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{} [", self.2.bits())?;
        match self.0 {
            Base::Reg(r) => write!(f, "{r}")?,
            Base::Frame => write!(f, "fp")?,
        }
        if self.1 != 0 {
            write!(f, "{:+}", self.1)?;
        }
        write!(f, "]")
    }
}

impl fmt::Display for Src {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Src::Reg(r) => write!(f, "{r}"),
            Src::Imm(i) => write!(f, "{i}"),
        }
    }
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.lhs, self.cond.symbol(), self.rhs)?;
        if !self.wide {
            write!(f, " (32 bits)")?;
        }
        Ok(())
    }
}

fn list(regs: &[VReg]) -> String {
    regs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Inst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Inst::Args { dsts } => write!(f, "{} = args", list(dsts)),
            Inst::Const { dst, value } => write!(f, "{dst} = {value}"),
            Inst::Symbol { dst, symbol } => match symbol {
                Symbol::Map(i) => write!(f, "{dst} = map {i}"),
                Symbol::Section(i, 0) => write!(f, "{dst} = section {i}"),
                Symbol::Section(i, off) => write!(f, "{dst} = section {i}{off:+}"),
                Symbol::Func(i) => write!(f, "{dst} = function {i}"),
            },
            Inst::FrameAddr { dst, off } => write!(f, "{dst} = fp{off:+}"),
            Inst::Mov { dst, src, wide } => write!(f, "{dst} = mov{} {src}", bits(*wide)),
            Inst::Alu { op, wide, dst, lhs, rhs } => write!(f, "{dst} = {}{} {lhs}, {rhs}", op.name(), bits(*wide)),
            Inst::MovSx { dst, src, bits: from, wide } => write!(f, "{dst} = movsx{} {from} {src}", bits(*wide)),
            Inst::Neg { wide, dst, src } => write!(f, "{dst} = neg{} {src}", bits(*wide)),
            Inst::Bswap { bits, dst, src } => write!(f, "{dst} = bswap{bits} {src}"),
            Inst::Load { size, signed, dst, base, off } => {
                let sign = if *signed { "signed " } else { "" };
                write!(f, "{dst} = {sign}{}", Access(*base, *off, *size))
            }
            Inst::Store { size, base, off, src } => write!(f, "{} = {src}", Access(*base, *off, *size)),
            Inst::Atomic { op, size, base, off, src, dst } => {
                if let Some(d) = dst {
                    write!(f, "{d} = fetch ")?;
                }
                write!(f, "atomic {} {}, {src}", crate::bpf::disasm::atomic_name(*op), Access(*base, *off, *size))
            }
            Inst::Cas { size, base, off, expected, src, dst } => {
                write!(f, "{dst} = cmpxchg {}, {expected}, {src}", Access(*base, *off, *size))
            }
            Inst::Select { cmp, dst, then, otherwise, .. } => write!(f, "{dst} = if {cmp} then {then} else {otherwise}"),
            Inst::Call { callee, args, dst } => {
                write!(f, "{dst} = call ")?;
                match callee {
                    Callee::Helper(n) => match crate::bpf::helpers::name(*n) {
                        Some(name) => write!(f, "{name}")?,
                        None => write!(f, "helper {n}")?,
                    },
                    Callee::Kfunc(i) => write!(f, "kfunc {i}")?,
                    Callee::Local(i) => write!(f, "function {i}")?,
                }
                write!(f, "({})", list(args))
            }
            Inst::Jump => write!(f, "goto"),
            Inst::Branch { cmp } => write!(f, "if {cmp}"),
            Inst::Switch { index, .. } => write!(f, "switch {index}"),
            Inst::Return { value } => write!(f, "return {value}"),
        }
    }
}

impl fmt::Display for VCode {
    /// Blocks with their parameters, an instruction a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in 0..self.blocks() {
            write!(f, "b{b}")?;
            if !self.params[b].is_empty() {
                write!(f, "({})", list(&self.params[b]))?;
            }
            writeln!(f, ":")?;
            for i in self.range(b) {
                let inst = &self.insts[i];
                let succ = |n: usize| self.succs[b].get(n).map_or(0, |s| s.index());
                let mut line = inst.to_string();
                match inst {
                    Inst::Jump => {
                        write!(line, " b{}", succ(0))?;
                        if !self.args[b].is_empty() {
                            write!(line, "({})", list(&self.args[b]))?;
                        }
                    }
                    Inst::Branch { .. } => write!(line, " goto b{} else b{}", succ(0), succ(1))?,
                    Inst::Switch { targets, .. } => {
                        for (i, t) in targets.iter().enumerate() {
                            write!(line, " {i}: b{},", succ(*t))?;
                        }
                        write!(line, " else b{}", succ(self.succs[b].len() - 1))?;
                    }
                    _ => {}
                }
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}
