//! CLIF to a BPF object: select -> allocate -> emit -> package.
//!
//! * `select`: CLIF to machine instructions over virtual registers (`vcode`)
//! * `alloc`: regalloc2
//! * `emit`: registers, spill slots and jumps to instructions (`insn`)
//! * `described`: types of maps that outlive the script
//! * `elf`, `btf`: the object with its types, maps, data sections and line table
//!
//! Division by zero follows BPF (`x / 0` is 0, `x % 0` is x), and a CLIF `trap` returns 0.

mod alloc;
pub mod btf;
pub mod described;
pub mod disasm;
mod elf;
mod emit;
pub mod helpers;
pub mod insn;
mod select;
pub mod vcode;

pub use disasm::disassemble;
pub use insn::Insn;

use crate::lowered::Module;
use std::fmt;

/// Linux `MAX_BPF_STACK`, for a function together with what it calls.
pub const MAX_STACK: u32 = 512;
/// Linux `BPF_COMPLEXITY_LIMIT_INSNS`, 5.2: instructions of a program
const MAX_INSNS: usize = 1_000_000;

#[derive(Clone, Debug)]
pub struct Options {
    /// run CLIF's verifier and the register allocator's checker
    pub check: bool,
    /// fill `Compiled::vcode`
    pub vcode: bool,
    /// sign-extending loads and moves, which came with instruction set v4 (Linux 6.6). Its signed division is left out:
    /// before 6.12 the least number divided by -1 traps on x86.
    pub v4: bool,
    /// sections named as libbpf wants them, where aya-obj differs: for objects that are loaded by others
    pub portable: bool,
    pub license: &'static str,
}

impl Default for Options {
    fn default() -> Options {
        Options { check: cfg!(debug_assertions), vcode: false, v4: false, portable: false, license: crate::config::LICENSES[0] }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Output {
    /// relocatable ELF file
    pub object: Vec<u8>,
    /// in the order of `Module::functions`
    pub functions: Vec<Compiled>,
}

#[derive(Clone, Debug, Default)]
pub struct Compiled {
    pub name: String,
    /// before relocation
    pub insns: Vec<Insn>,
    /// bytes of the stack, without those of the functions that it calls
    pub frame: u32,
    pub relocs: Vec<Reloc>,
    /// (instruction, index into `Module::lines`): the line from that instruction on
    pub lines: Vec<(u32, u32)>,
    /// machine code before register allocation, only if asked for
    pub vcode: String,
}

/// What an instruction's immediate stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// index of the instruction
    pub insn: u32,
    pub target: Target,
}

/// Indices are those of `Module`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `lddw`: the map
    Map(usize),
    /// `lddw`: the section's address plus the immediate
    Section(usize),
    /// `lddw`: a function's address
    FuncAddr(usize),
    /// `call`
    Func(usize),
    /// `call`
    Kfunc(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// More stack than the kernel allows for `function` and what it calls; culprits are largest first.
    FrameTooLarge { function: String, bytes: u32, culprits: Vec<(String, u32)> },
    /// too many instructions, or a jump that is too far
    TooLarge { function: String, what: String },
    /// CLIF that BPF can't express
    Unsupported {
        function: String,
        what: String,
        /// index into `Module::lines`
        line: Option<usize>,
    },
    /// a broken rule of CLIF, of the register allocator, or of the object's format: a defect of awl
    Internal { function: String, message: String },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::FrameTooLarge { function, bytes, culprits } => {
                write!(f, "`{function}` needs {bytes} bytes of stack, {MAX_STACK} is the limit")?;
                for (i, (name, bytes)) in culprits.iter().take(3).enumerate() {
                    let sep = if i == 0 { ": " } else { ", " };
                    write!(f, "{sep}{name} takes {bytes}")?;
                }
                Ok(())
            }
            Error::TooLarge { function, what } => write!(f, "`{function}` is too large: {what}"),
            Error::Unsupported { function, what, .. } => {
                write!(f, "BPF has no way to express {what} in `{function}`")
            }
            Error::Internal { function, message } => write!(f, "in `{function}`: {message}"),
        }
    }
}

impl std::error::Error for Error {}

/// The same module gives the same bytes.
pub fn compile(module: &Module, options: &Options) -> Result<Output, Error> {
    let mut ctx = regalloc2::Ctx::default();
    let mut functions = Vec::with_capacity(module.functions.len());
    let mut frames = Vec::with_capacity(module.functions.len());
    for i in 0..module.functions.len() {
        let (compiled, frame) = function(module, i, options, &mut ctx)?;
        functions.push(compiled);
        frames.push(frame);
    }
    alloc::check_frames(module, &frames)?;
    check_sizes(module, &functions, &frames)?;
    let object = elf::write(module, &functions, options)?;
    Ok(Output { object, functions })
}

fn function(module: &Module, i: usize, options: &Options, ctx: &mut regalloc2::Ctx) -> Result<(Compiled, alloc::Frame), Error> {
    let f = &module.functions[i];
    if options.check {
        let flags = cranelift_codegen::settings::Flags::new(cranelift_codegen::settings::builder());
        cranelift_codegen::verify_function(&f.clif, &flags)
            .map_err(|e| Error::Internal { function: f.name.clone(), message: format!("CLIF: {e}") })?;
    }
    let selected = select::select(module, i, options.v4)?;
    // Before registers are allocated, which for so long a program takes a gigabyte. Moves may go.
    let least = selected.vcode.insts.iter().filter(|i| !matches!(i, vcode::Inst::Mov { .. })).count();
    if least > MAX_INSNS {
        return Err(Error::TooLarge { function: f.name.clone(), what: format!("{least} instructions; {MAX_INSNS} is the limit") });
    }
    let out = alloc::allocate(&f.name, &selected.vcode, options.check, ctx)?;
    let frame = alloc::Frame::new(&selected, out.num_spillslots);
    // beyond that, offsets of spill slots mean nothing
    if frame.bytes > MAX_STACK {
        return Err(frame.too_large(&f.name));
    }
    let mut compiled = emit::emit(&f.name, &selected.vcode, out, selected.slots)?;
    if options.vcode {
        compiled.vcode = selected.vcode.to_string();
    }
    Ok((compiled, frame))
}

/// A program is linked with all functions that it reaches.
fn check_sizes(module: &Module, functions: &[Compiled], frames: &[alloc::Frame]) -> Result<(), Error> {
    for (i, f) in module.functions.iter().enumerate() {
        if f.program.is_none() {
            continue;
        }
        let mut seen = vec![false; functions.len()];
        let (mut stack, mut total) = (vec![i], 0);
        while let Some(i) = stack.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                total += functions[i].insns.len();
                stack.extend(&frames[i].callees);
            }
        }
        if total > MAX_INSNS {
            return Err(Error::TooLarge { function: f.name.clone(), what: format!("{total} instructions; {MAX_INSNS} is the limit") });
        }
    }
    Ok(())
}
