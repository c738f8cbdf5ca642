//! awl's grammar: text to `ast::Script`, syntax errors in plain words, the canonical printer.

pub mod ast;
pub mod span;
