//! awl's compiler: a pure function from a script and a `Target` to an `Artifact` and diagnostics. It touches no file,
//! process, clock, terminal or kernel.

pub mod agg;
pub mod artifact;
pub mod bpf;
pub mod diagnostic;
pub mod host;
pub mod lowered;
pub mod target;
pub mod types;

pub use awl_grammar::span::{FileId, Span};
