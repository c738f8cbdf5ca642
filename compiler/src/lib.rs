//! awl's compiler: a pure function from a script and a `Target` to an `Artifact` and diagnostics. It touches no file,
//! process, clock, terminal or kernel.

pub mod agg;
pub mod artifact;
pub mod assemble;
pub mod bpf;
pub mod builtin;
pub mod compile;
pub mod config;
pub mod ctypes;
pub mod diagnostic;
pub mod emit;
mod expand;
pub mod format;
pub mod glob;
pub mod hir;
pub mod host;
pub mod lower;
pub mod lowered;
pub mod packet;
pub mod probe;
pub mod sema;
pub mod source;
pub mod target;
pub mod types;
pub mod unwind;
pub mod value;

pub use awl_grammar::span::{FileId, Span};
