//! Instructions as text, in the notation of `llvm-objdump` and `bpftool`.

use super::insn::{self, Cond, Insn, Operand, atomic, class};
use super::{Compiled, Target, helpers};
use crate::lowered::Module;
use std::fmt::Write;

/// One instruction a line with its index, and the source line above the code that it became.
pub fn disassemble(function: &Compiled, module: &Module) -> String {
    let mut out = String::new();
    let mut lines = function.lines.iter().peekable();
    let mut relocs = function.relocs.iter().peekable();
    let mut i = 0;
    while let Some(insn) = function.insns.get(i) {
        while let Some((_, line)) = lines.next_if(|l| l.0 as usize <= i) {
            if let Some(l) = module.lines.get(*line as usize) {
                let _ = writeln!(out, "; {} @ {}:{}", l.text.trim(), l.file, l.line);
            }
        }
        let target = relocs.next_if(|r| r.insn as usize == i).map(|r| r.target);
        let next = function.insns.get(i + 1);
        let _ = writeln!(out, "{i:5}: {}", text(*insn, next, i, target, module));
        i += if insn.is_lddw() { 2 } else { 1 };
    }
    out
}

pub fn atomic_name(op: i32) -> &'static str {
    match op & !atomic::FETCH {
        atomic::ADD => "add",
        atomic::OR => "or",
        atomic::AND => "and",
        atomic::XOR => "xor",
        o if o == atomic::XCHG & !atomic::FETCH => "xchg",
        o if o == atomic::CMPXCHG & !atomic::FETCH => "cmpxchg",
        _ => "?",
    }
}

fn size_name(code: u8) -> &'static str {
    match code & 0x18 {
        0x10 => "u8",
        0x08 => "u16",
        0x00 => "u32",
        _ => "u64",
    }
}

fn offset(off: i16) -> String {
    let sign = if off < 0 { '-' } else { '+' };
    format!("{sign} {:#x}", off.unsigned_abs())
}

fn name_of<T>(items: &[T], i: usize, name: impl Fn(&T) -> String) -> String {
    items.get(i).map_or_else(|| format!("#{i}"), name)
}

fn symbol(target: Target, addend: i32, module: &Module) -> String {
    match target {
        Target::Map(i) => format!("map {}", name_of(&module.maps, i, |m| m.name.clone())),
        Target::Section(i) => {
            let name = name_of(&module.sections, i, |s| s.name.clone());
            if addend == 0 { name } else { format!("{name} + {addend:#x}") }
        }
        Target::FuncAddr(i) | Target::Func(i) => name_of(&module.functions, i, |f| f.name.clone()),
        Target::Kfunc(i) => name_of(&module.kfuncs, i, String::clone),
    }
}

/// `next` is the slot behind, for 64-bit immediates; `at` the index of this one.
fn text(insn: Insn, next: Option<&Insn>, at: usize, target: Option<Target>, m: &Module) -> String {
    let (dst, src, imm) = (insn.dst, insn.src, insn.imm);
    let operand = if insn.code & insn::X != 0 { Operand::Reg(src) } else { Operand::Imm(imm) };
    let with = |letter: char| match operand {
        Operand::Reg(r) => format!("{letter}{r}"),
        Operand::Imm(i) => format!("{i}"),
    };
    let goto = |off: i64| format!("goto {off:+} <{}>", at as i64 + 1 + off);
    match insn.class() {
        class::ALU | class::ALU64 => {
            let r = if insn.class() == class::ALU64 { 'r' } else { 'w' };
            match insn.code & 0xf0 {
                insn::MOV if insn.off != 0 => {
                    format!("{r}{dst} = (s{}){r}{src}", insn.off)
                }
                insn::MOV => format!("{r}{dst} = {}", with(r)),
                insn::NEG => format!("{r}{dst} = -{r}{dst}"),
                insn::END => format!("r{dst} = be{imm} r{dst}"),
                op => format!("{r}{dst} {} {}", alu_symbol(op), with(r)),
            }
        }
        class::LD if insn.is_lddw() => match target {
            Some(t) => format!("r{dst} = {} ll", symbol(t, imm, m)),
            None => {
                let high = next.map_or(0, |n| n.imm);
                let value = (i64::from(high) << 32) | i64::from(imm as u32);
                format!("r{dst} = {value:#x} ll")
            }
        },
        class::LDX => {
            let size = size_name(insn.code);
            let size = if insn.is_signed_load() { size.replace('u', "s") } else { size.to_owned() };
            format!("r{dst} = *({size} *)(r{src} {})", offset(insn.off))
        }
        class::STX if insn.is_atomic() => atomic_text(insn),
        class::STX | class::ST => {
            let value = if insn.class() == class::STX { format!("r{src}") } else { format!("{imm}") };
            format!("*({} *)(r{dst} {}) = {value}", size_name(insn.code), offset(insn.off))
        }
        class::JMP | class::JMP32 => match insn.code {
            insn::JA => goto(i64::from(insn.off)),
            insn::EXIT => "exit".to_owned(),
            insn::CALL => match (target, src) {
                (Some(t), _) => format!("call {}", symbol(t, 0, m)),
                (None, 0) => match helpers::name(imm as u32) {
                    Some(n) => format!("call {n}#{imm}"),
                    None => format!("call {imm}"),
                },
                (None, _) => format!("call pc{imm:+}"),
            },
            code => {
                let r = if insn.class() == class::JMP { 'r' } else { 'w' };
                format!("if {r}{dst} {} {} {}", cond_symbol(code), with(r), goto(i64::from(insn.off)))
            }
        },
        _ => format!("unknown instruction {:#04x}", insn.code),
    }
}

fn atomic_text(insn: Insn) -> String {
    let (dst, src) = (insn.dst, insn.src);
    let size = size_name(insn.code);
    let place = format!("({size} *)(r{dst} {})", offset(insn.off));
    match insn.imm {
        atomic::CMPXCHG => format!("r0 = cmpxchg({place}, r0, r{src})"),
        op if op & atomic::FETCH != 0 => {
            let name = atomic_name(op);
            let name = if op == atomic::XCHG { name.to_owned() } else { format!("atomic_fetch_{name}") };
            format!("r{src} = {name}({place}, r{src})")
        }
        op => {
            let sign = match op {
                atomic::ADD => "+=",
                atomic::OR => "|=",
                atomic::AND => "&=",
                atomic::XOR => "^=",
                _ => "?=",
            };
            format!("lock *{place} {sign} r{src}")
        }
    }
}

fn alu_symbol(op: u8) -> &'static str {
    use super::insn::AluOp::*;
    for a in [Add, Sub, Mul, Div, Or, And, Lsh, Rsh, Mod, Xor, Arsh] {
        if a as u8 == op {
            return a.symbol();
        }
    }
    "?="
}

fn cond_symbol(code: u8) -> &'static str {
    use Cond::*;
    for c in [Eq, Gt, Ge, Set, Ne, Sgt, Sge, Lt, Le, Slt, Sle] {
        if c as u8 == code & 0xf0 {
            return c.symbol();
        }
    }
    "?"
}
