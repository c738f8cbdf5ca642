//! Signatures of builtins, as they are written in the rows:
//! `pid -> uint32`, `str(p: ptr, len?: int) -> string`, `printf(format: const string, ...)`, `kstack(?mode, limit?)`.
//!
//! Kinds of parameters: `int` (any integer), `const int`, `string`, `const string`, `ptr` (a pointer or an address),
//! `map` (a whole map), `ipv4` (an address), `element` (`@m[k]`), `any`; `...` takes the rest. `?` after the name: may be left out.

use crate::types::{Space, Ty};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    ConstInt,
    Str,
    ConstStr,
    Ptr,
    /// a place in memory, as opposed to what is there
    Address,
    Map,
    Ipv4,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    pub params: Vec<Param<'a>>,
    pub rest: bool,
    pub result: &'a str,
}

/// Parses a row's signature; rows are checked by a test, so a mistake in one shows there.
pub fn parse(text: &str) -> Signature<'_> {
    let (head, result) = text.split_once("->").map_or((text, "void"), |(h, r)| (h, r.trim()));
    let inner = head.split_once('(').map_or("", |(_, r)| r.rsplit_once(')').map_or(r, |(i, _)| i));
    let (mut params, mut rest) = (Vec::new(), false);
    for p in inner.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        if p.starts_with("...") {
            rest = true;
            continue;
        }
        let (name, kind) = p.split_once(':').map_or((p, "any"), |(n, k)| (n.trim(), k.trim()));
        let kind = match kind {
            "int" => Kind::Int,
            "const int" => Kind::ConstInt,
            "string" => Kind::Str,
            "const string" => Kind::ConstStr,
            "ptr" => Kind::Ptr,
            "address" => Kind::Address,
            "map" => Kind::Map,
            "ipv4" => Kind::Ipv4,
            _ => Kind::Any,
        };
        params.push(Param { name: name.trim_end_matches('?').trim_start_matches('?'), kind, optional: name.contains('?') });
    }
    Signature { params, rest, result }
}

/// Type of a result as rows write it; `string` has the capacity that the row's own check gives.
pub fn result_type(name: &str) -> Ty {
    match name {
        "void" => Ty::Void,
        "bool" => Ty::Bool,
        "int32" => Ty::I32,
        "int64" => Ty::I64,
        "uint8" => Ty::U8,
        "uint16" => Ty::Int { bytes: 2, signed: false },
        "uint32" => Ty::U32,
        "uint64" => Ty::U64,
        "ksym_t" => Ty::Ksym,
        "usym_t" => Ty::Usym,
        "timestamp" => Ty::Timestamp,
        "username" => Ty::Username,
        "cgroup_path_t" => Ty::CgroupPath,
        "mac_address" => Ty::Mac,
        "inet" => Ty::Inet,
        "string[16]" => Ty::Str(16),
        "void*" => Ty::ptr(Ty::Void, Space::Kernel),
        _ => Ty::Error,
    }
}

/// In words, for messages.
pub fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "an integer",
        Kind::ConstInt => "a constant integer",
        Kind::Str => "a string",
        Kind::ConstStr => "a string literal",
        Kind::Ptr => "a pointer",
        Kind::Address => "a pointer or an integer",
        Kind::Map => "a map",
        Kind::Ipv4 => "an IPv4 address",
        Kind::Any => "a value",
    }
}
