//! awl's grammar: text to `ast::Script`, syntax errors in plain words, the canonical printer.
//!
//! `scan` cuts a text into items and pairs its brackets, `awl.pest` says what an item looks like, `build` makes the tree of
//! it, and `errors` says what is wrong in the words of the person who wrote it. Texts of any content are read in a time that
//! grows with their length, without a panic, and trees are never higher than [`MAX_DEPTH`].

pub mod ast;
mod build;
mod dump;
mod errors;
mod explain;
mod literal;
pub mod ops;
mod parse;
mod print;
mod scan;
pub mod span;

pub use dump::{dump, dump_expr, dump_spans};
pub use errors::SyntaxError;
pub use parse::{ReplLine, is_incomplete, parse, parse_expr, parse_line, parse_points, parse_type};
pub use print::print;
pub use scan::MAX_DEPTH;

/// The value of a number as the language writes it: `42`, `0x2a`, `052`, `1e6`, `1_000`.
pub fn number(text: &str) -> Option<u64> {
    literal::number(text).ok().map(|(value, _)| value)
}

/// A number of bytes, as settings have it: `4096`, `64k`, `1M`.
pub fn size(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        _ => return number(text),
    };
    number(&text[..text.len() - 1])?.checked_mul(1 << shift)
}
