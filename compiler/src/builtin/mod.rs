//! Builtin variables and functions: one row each, in the file of its topic. The rows are the only list of names: the
//! checker, completion, help and the reference all read them.

mod actions;
mod maps;
mod memory;
mod meta;
mod objects;
mod output;
mod packet;
mod params;
mod process;
pub(crate) mod seq_file;
pub mod signature;
mod stacks;
mod strings;
mod tables;
mod task;
mod text;
mod time;

use crate::hir::Expr;
use crate::lower::body::{Addr, Body, Operand};
use crate::sema::{Call, Checker};
use std::collections::HashMap;
use std::sync::OnceLock;

pub struct Builtin {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// in the language's own notation; see `signature`
    pub signature: &'static str,
    /// it changes the traced system: refused without `--unsafe`
    pub is_unsafe: bool,
    pub doc: &'static str,
    /// a whole script that compiles
    pub example: &'static str,
    pub check: Check,
    pub lower: Lower,
}

/// How a call becomes typed.
pub enum Check {
    /// by the signature alone
    Signature,
    Custom(fn(&mut Checker, &Call) -> Expr),
}

/// Code of a call whose arguments are checked. A value that lives in memory is written to the given place, if there is one.
pub type LowerFn = fn(&mut Body, call: &Expr, args: &[Expr], into: Option<Addr>) -> Operand;

pub enum Lower {
    Code(LowerFn),
    /// a string or bytes that the code fills with zeros up to their capacity, as keys need it
    Padded(LowerFn),
    /// the checker replaces every call by something else
    Never,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// How soon the values of a variable are of no use as keys any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// another one at each event
    Event,
    /// when a thread ends
    Object,
}

const PASSING: &[(&str, Passing)] = &[
    ("curtask", Passing::Object),
    ("elapsed", Passing::Event),
    ("jiffies", Passing::Event),
    ("nsecs", Passing::Event),
    ("rand", Passing::Event),
    ("tid", Passing::Object),
];

/// Does the variable of that name pass?
pub fn passing(name: &str) -> Option<Passing> {
    PASSING.iter().find(|(n, _)| *n == name).map(|(_, p)| *p)
}

/// Those with a value that do something as well.
const ACTING: &[&str] = &[
    "delete",
    "find",
    "pop",
    "peek",
    "write_user",
    "skboutput",
    "mirror",
    "redirect",
    "adjust_head",
    "adjust_tail",
    "vlan_push",
    "vlan_pop",
    "ipip_push",
    "ipip_pop",
];

/// Functions that take elements out of a map.
const TAKE_OUT: &[&str] = &["delete", "pop"];

impl Builtin {
    /// It takes elements out of the map that is its first argument.
    pub fn takes_out(&self) -> bool {
        TAKE_OUT.contains(&self.name)
    }

    /// It does something even where nobody looks at its value.
    pub fn acts(&self) -> bool {
        self.signature.ends_with("-> void") || ACTING.contains(&self.name)
    }

    /// May be written without parentheses.
    pub fn is_variable(&self) -> bool {
        !self.signature.contains('(') || self.signature.contains("()") || self.signature.contains("(?")
    }
}

/// Every row, topic by topic.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    [
        process::ROWS,
        task::ROWS,
        time::ROWS,
        output::ROWS,
        maps::ROWS,
        meta::ROWS,
        strings::ROWS,
        text::ROWS,
        tables::ROWS,
        memory::ROWS,
        objects::ROWS,
        stacks::ROWS,
        actions::ROWS,
        params::ROWS,
        packet::ROWS,
    ]
    .into_iter()
    .flatten()
}

pub fn find(name: &str) -> Option<&'static Builtin> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Builtin>> = OnceLock::new();
    INDEX.get_or_init(|| all().flat_map(|b| b.aliases.iter().chain([&b.name]).map(move |n| (*n, b))).collect()).get(name).copied()
}
