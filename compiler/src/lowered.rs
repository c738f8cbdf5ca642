//! What lowering hands to a backend (`bpf`, `host`): CLIF functions, and what their symbols mean.

use crate::artifact::{KernelMap, ProgramKind, Section};
use cranelift_codegen::ir;
use std::sync::Arc;

/// External function names (`UserExternalName`) have namespace 0: a BPF helper by its number, a kfunc by
/// `KFUNC + index into Module::kfuncs`, a function of ours by `LOCAL + index into Module::functions`.
pub const NAMESPACE_FUNC: u32 = 0;
pub const KFUNC: u32 = 0x1_0000;
pub const LOCAL: u32 = 0x2_0000;
/// Global values (`GlobalValueData::Symbol`) have namespace 1: `index` into `Module::objects`.
/// `symbol_value` gives the map (for helpers) or the address of the section's first byte.
pub const NAMESPACE_DATA: u32 = 1;

#[derive(Clone, Debug)]
pub struct Module {
    /// programs and their subprograms and callbacks; a program comes before what it calls
    pub functions: Vec<Function>,
    pub kfuncs: Vec<String>,
    pub objects: Vec<Object>,
    /// copied into the object by name
    pub maps: Vec<KernelMap>,
    pub sections: Vec<Section>,
    /// what `SourceLoc` bits index: where a piece of code comes from
    pub lines: Vec<Line>,
}

/// What an index of namespace 1 stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    Map(usize),
    Section(usize),
}

#[derive(Clone, Debug)]
pub struct Function {
    /// symbol in the object
    pub name: String,
    /// `None`: a subprogram or callback
    pub program: Option<ProgramKind>,
    /// All parameters and results are i64. A program has one parameter (the context) and one result; pointers and scalars
    /// look alike in CLIF, the kernel's verifier tells them apart.
    pub clif: ir::Function,
    /// names of the explicit stack slots, by slot number, for the message about a frame that is too large
    pub slots: Vec<String>,
}

/// One place in the user's source, for the BTF line table and messages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Line {
    pub file: String,
    /// from 1
    pub line: u32,
    /// from 1, bytes
    pub column: u32,
    /// the line's text, which all places in it share: a line may be long
    pub text: Arc<str>,
    pub span: awl_grammar::span::Span,
}
