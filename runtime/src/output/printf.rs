//! Formats compiled to short lists of operations: what each argument's type and conversion decide is decided once, and
//! integers and strings go from the record to the buffer without a `Value` between.

use super::Env;
use super::number::{self, Base, Spec};
use super::text::{self, Escape};
use awl_compiler::artifact::{EventArg, Format, Piece, Verb};
use awl_compiler::types::Ty;
use awl_compiler::value::{self, Value};

#[derive(Debug, Default)]
pub struct Program {
    ops: Vec<Op>,
    /// all text pieces, one after another
    text: Vec<u8>,
}

#[derive(Debug)]
enum Op {
    /// a range of `text`
    Text {
        start: usize,
        end: usize,
    },
    /// plain decimal
    Decimal {
        at: usize,
        bytes: u8,
        signed: bool,
    },
    /// any other conversion of an integer
    Number {
        from: Integer,
        spec: Spec,
        base: Base,
    },
    /// up to a NUL
    Str {
        at: usize,
        cap: usize,
    },
    PaddedStr {
        at: usize,
        cap: usize,
        spec: Spec,
    },
    Other {
        arg: EventArg,
        spec: Spec,
        as_: As,
    },
    /// an argument that isn't there: the checker lets none through
    Missing,
}

/// An integer in the record, and how many bits of it a conversion shows.
#[derive(Clone, Copy, Debug)]
struct Integer {
    at: usize,
    bytes: u8,
    signed: bool,
    bits: u32,
}

#[derive(Clone, Copy, Debug)]
enum As {
    Text,
    Number {
        base: Base,
        bits: u32,
    },
    Pointer,
    Char,
    /// names of the flags that an allocation is made with
    Allocation,
    Bytes(Escape),
}

impl Program {
    pub fn new(format: &Format, args: &[EventArg]) -> Program {
        let mut program = Program::default();
        let mut args = args.iter();
        for piece in &format.pieces {
            match piece {
                Piece::Text(text) => {
                    let start = program.text.len();
                    program.text.extend_from_slice(text.as_bytes());
                    let end = program.text.len();
                    program.ops.push(Op::Text { start, end });
                }
                Piece::Verb(verb) => {
                    let op = args.next().map_or(Op::Missing, |arg| op(verb, arg));
                    program.ops.push(op);
                }
            }
        }
        program
    }

    /// Appends the formatted record.
    pub fn run(&self, out: &mut Vec<u8>, record: &[u8], env: &mut Env) {
        for op in &self.ops {
            match op {
                Op::Text { start, end } => {
                    out.extend_from_slice(self.text.get(*start..*end).unwrap_or(&[]));
                }
                Op::Decimal { at, bytes, signed } => {
                    let word = load(record, *at, *bytes);
                    if *signed {
                        number::signed(out, value::sign_extend(word, *bytes));
                    } else {
                        number::unsigned(out, word);
                    }
                }
                Op::Number { from, spec, base } => {
                    let word = load(record, from.at, from.bytes);
                    let word = if from.signed { value::sign_extend(word, from.bytes) as u64 } else { word };
                    number::formatted(out, spec, *base, narrow(word, from.bits, *base));
                }
                Op::Str { at, cap } => out.extend_from_slice(&env.cut.mark(string(record, *at, *cap))),
                Op::PaddedStr { at, cap, spec } => {
                    number::text(out, spec, &env.cut.mark(string(record, *at, *cap)));
                }
                Op::Other { arg, spec, as_ } => other(out, record, arg, spec, *as_, env),
                Op::Missing => {}
            }
        }
    }
}

#[inline]
fn load(record: &[u8], at: usize, bytes: u8) -> u64 {
    match (bytes, record.get(at..at + usize::from(bytes))) {
        (8, Some(b)) => b.try_into().map_or(0, u64::from_le_bytes),
        (4, Some(b)) => b.try_into().map_or(0, |b| u64::from(u32::from_le_bytes(b))),
        _ => value::uint(record, at, bytes),
    }
}

#[inline]
fn string(record: &[u8], at: usize, cap: usize) -> &[u8] {
    let rest = record.get(at..).unwrap_or(&[]);
    value::until_nul(&rest[..rest.len().min(cap)])
}

/// The `bits` low bits that C's conversion would look at.
fn narrow(word: u64, bits: u32, base: Base) -> u64 {
    if base == Base::Signed { value::sign_extend(word, (bits / 8) as u8) as u64 } else { word & (u64::MAX >> (64 - bits)) }
}

fn op(verb: &Verb, arg: &EventArg) -> Op {
    let at = arg.offset as usize;
    let spec = Spec {
        minus: verb.minus,
        plus: verb.plus,
        space: verb.space,
        alt: verb.alt,
        zero: verb.zero,
        width: verb.width.unwrap_or(0) as usize,
        precision: verb.precision.map(|p| p as usize),
    };
    let plain = spec == Spec::default();
    let as_ = conversion(verb, &arg.ty);
    match (as_, &arg.ty) {
        (As::Text, Ty::Str(cap)) => {
            let cap = *cap as usize;
            if plain { Op::Str { at, cap } } else { Op::PaddedStr { at, cap, spec } }
        }
        (As::Number { base, bits }, ty) if memory(ty).is_some() => {
            let (bytes, signed) = memory(ty).unwrap_or((8, false));
            let natural = bits >= 32 && bits >= 8 * u32::from(bytes);
            match base {
                // shown as its own type: the bits above it are its sign, or zeros
                Base::Signed if plain && natural && (bits > 8 * u32::from(bytes) || signed) => Op::Decimal { at, bytes, signed },
                Base::Signed if plain && natural => Op::Decimal { at, bytes, signed: true },
                Base::Decimal if plain && natural && !signed => Op::Decimal { at, bytes, signed },
                _ => {
                    let from = Integer { at, bytes, signed, bits };
                    Op::Number { from, spec, base }
                }
            }
        }
        _ => Op::Other { arg: arg.clone(), spec, as_ },
    }
}

/// Bytes and sign of what lies in the record as one integer.
fn memory(ty: &Ty) -> Option<(u8, bool)> {
    match ty {
        Ty::Int { bytes, signed } => Some((*bytes, *signed)),
        Ty::Enum(def) => Some((def.bytes, def.signed)),
        Ty::Ptr(..) | Ty::Ksym | Ty::Usym => Some((8, false)),
        _ => None,
    }
}

fn conversion(verb: &Verb, ty: &Ty) -> As {
    let base = match verb.conversion.as_str() {
        "d" | "i" => Base::Signed,
        "u" => Base::Decimal,
        "o" => Base::Octal,
        "x" => Base::Hex,
        "X" => Base::UpperHex,
        "c" => return As::Char,
        "p" => return As::Pointer,
        "gr" => return As::Allocation,
        "r" => return As::Bytes(Escape::Unprintable),
        "rx" => return As::Bytes(Escape::All),
        "rh" => return As::Bytes(Escape::Spaced),
        _ => return As::Text,
    };
    // as in C a value is at least an int; unlike there it is never cut by a length that isn't written
    let bits = match verb.length.as_str() {
        "hh" => 8,
        "h" => 16,
        "" => match memory(ty) {
            Some((bytes, _)) => 8 * u32::from(bytes.clamp(4, 8)),
            None if *ty == Ty::Bool => 32,
            None => 64,
        },
        _ => 64,
    };
    As::Number { base, bits }
}

/// The conversions that aren't worth an operation of their own.
fn other(out: &mut Vec<u8>, record: &[u8], arg: &EventArg, spec: &Spec, as_: As, env: &mut Env) {
    let bytes = record.get(arg.offset as usize..).unwrap_or(&[]);
    let bytes = &bytes[..bytes.len().min(arg.ty.size() as usize)];
    let value = value::decode(&arg.ty, bytes);
    match (as_, value.as_word()) {
        (As::Number { base, bits }, Some(word)) => {
            number::formatted(out, spec, base, narrow(word, bits, base));
        }
        (As::Pointer, Some(word)) => number::pointer(out, spec, word),
        (As::Char, Some(word)) => number::text(out, spec, &[word as u8]),
        (As::Allocation, Some(word)) => number::text(out, spec, allocation(word).as_bytes()),
        (As::Bytes(escape), _) => {
            let raw = match value {
                Value::Buf(b) | Value::Str(b) => b,
                _ => bytes,
            };
            let mut shown = Vec::new();
            text::buffer(&mut shown, raw, escape);
            number::text(out, spec, &shown);
        }
        _ if *spec == Spec::default() => text::value(out, &value, env),
        _ => {
            let mut shown = Vec::new();
            text::value(&mut shown, &value, env);
            number::text(out, spec, &shown);
        }
    }
}

/// `GFP_KERNEL|__GFP_ZERO`; bits without a name are a number.
fn allocation(flags: u64) -> String {
    let (mut left, mut names) = (flags, Vec::new());
    for (bits, name) in awl_stdlib::allocation_flags() {
        if left & bits == bits {
            left &= !bits;
            names.push(name.to_owned());
        }
    }
    if left != 0 || flags == 0 {
        names.push(if left == 0 { "0".into() } else { format!("{left:#x}") });
    }
    names.join("|")
}
