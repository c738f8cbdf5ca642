//! Values as the runtime prints them: what bytes of a type stand for. Decoding is total: any bytes give a value, and what is
//! missing reads as zero.

use crate::agg::{self, View};
use crate::artifact::StackStore;
use crate::types::{EnumDef, Field, FieldTy, RecordDef, StackKind, StackMode, Ty, struct_layout};
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Borrows its strings and names from the bytes and the type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Int(i64),
    Uint(u64),
    Bool(bool),
    Ptr(u64),
    /// up to the first NUL; any bytes
    Str(&'a [u8]),
    Buf(&'a [u8]),
    Enum {
        value: i64,
        signed: bool,
        name: Option<&'a str>,
    },
    Tuple(Vec<Value<'a>>),
    /// `(a=1, b=2)`
    Named(Vec<(&'a str, Value<'a>)>),
    /// a C struct or union
    Record(Vec<(&'a str, Value<'a>)>),
    Array(Vec<Value<'a>>),
    Stack(Stack),
    Ksym(u64),
    Usym {
        addr: u64,
        tgid: u32,
    },
    Inet(IpAddr),
    Mac([u8; 6]),
    Username(u32),
    Timestamp(Timestamp),
    CgroupPath {
        id: u64,
        /// index into the plan's strings
        filter: u32,
    },
    Agg(View),
    /// something whose type the plan doesn't spell out: the type's name
    Opaque(&'a str),
}

/// A stack's place: its frames are in the map that `store` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    pub kind: StackKind,
    pub mode: StackMode,
    pub limit: u16,
    /// negative: the kernel could not take it
    pub id: i64,
    /// 0 for kernel stacks
    pub tgid: u32,
}

impl Stack {
    pub fn store(&self) -> StackStore {
        StackStore::of(self.kind, self.mode, self.limit)
    }

    /// Do its frames get names?
    pub fn is_named(&self) -> bool {
        matches!(self.mode, StackMode::Bpftrace | StackMode::Perf)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    pub ns: u64,
    /// index into the plan's strings
    pub format: u32,
    /// 0: since boot; 1: since 1970
    pub clock: u32,
}

/// What `bytes` of type `ty` stand for. Of an aggregation, one CPU's slot; all of them: `decode_slots`.
pub fn decode<'a>(ty: &'a Ty, bytes: &'a [u8]) -> Value<'a> {
    match ty {
        Ty::Error | Ty::Void => Value::Opaque("void"),
        Ty::Bool => Value::Bool(uint(bytes, 0, 1) != 0),
        Ty::Int { bytes: n, signed } => int(uint(bytes, 0, *n), *n, *signed),
        Ty::Enum(def) => enumeration(def, uint(bytes, 0, def.bytes)),
        Ty::Str(n) => Value::Str(until_nul(within(bytes, *n))),
        Ty::Buf(n) => {
            let len = (uint(bytes, 0, 4) as u32).min(*n);
            Value::Buf(within(bytes.get(4..).unwrap_or(&[]), len))
        }
        Ty::Ptr(..) => Value::Ptr(uint(bytes, 0, 8)),
        Ty::Record(def) => record(def, bytes),
        Ty::Array(of, n) => array(of, *n, bytes),
        Ty::Tuple(tys) => Value::Tuple(sequence(tys, bytes)),
        Ty::NamedTuple(fields) => {
            let (offsets, _) = struct_layout(fields.iter().map(|(_, t)| t));
            let fields = fields.iter().zip(offsets);
            Value::Named(fields.map(|((name, ty), at)| (name.as_str(), decode(ty, after(bytes, at)))).collect())
        }
        Ty::Stack { kind, mode, limit } => Value::Stack(Stack {
            kind: *kind,
            mode: *mode,
            limit: *limit,
            id: uint(bytes, 0, 8) as i64,
            tgid: if kind.is_user() { uint(bytes, 8, 4) as u32 } else { 0 },
        }),
        Ty::Ksym => Value::Ksym(uint(bytes, 0, 8)),
        Ty::Usym => Value::Usym { addr: uint(bytes, 0, 8), tgid: uint(bytes, 8, 4) as u32 },
        Ty::Inet => {
            let mut octets = [0; 16];
            fill(&mut octets, after(bytes, 4));
            Value::Inet(if uint(bytes, 0, 4) == 6 {
                IpAddr::V6(Ipv6Addr::from(octets))
            } else {
                IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
            })
        }
        Ty::Mac => {
            let mut mac = [0; 6];
            fill(&mut mac, bytes);
            Value::Mac(mac)
        }
        Ty::Ipv4 => {
            let mut octets = [0; 4];
            fill(&mut octets, bytes);
            Value::Inet(IpAddr::V4(octets.into()))
        }
        Ty::Ipv6 => {
            let mut octets = [0; 16];
            fill(&mut octets, bytes);
            Value::Inet(IpAddr::V6(octets.into()))
        }
        Ty::Be(n) => Value::Uint(uint(bytes, 0, *n).swap_bytes() >> (64 - 8 * u32::from((*n).clamp(1, 8)))),
        Ty::Username => Value::Username(uint(bytes, 0, 4) as u32),
        Ty::Timestamp => {
            Value::Timestamp(Timestamp { ns: uint(bytes, 0, 8), format: uint(bytes, 8, 4) as u32, clock: uint(bytes, 12, 4) as u32 })
        }
        Ty::CgroupPath => Value::CgroupPath { id: uint(bytes, 0, 8), filter: uint(bytes, 8, 4) as u32 },
        Ty::Agg(agg) => Value::Agg(agg::view(agg, [bytes])),
    }
}

/// A map's value: for an aggregation all CPUs' slots, for anything else the only one.
pub fn decode_slots<'a>(ty: &'a Ty, slots: impl IntoIterator<Item = &'a [u8]>) -> Value<'a> {
    match ty {
        Ty::Agg(agg) => Value::Agg(agg::view(agg, slots)),
        _ => decode(ty, slots.into_iter().next().unwrap_or(&[])),
    }
}

/// The order of two values of type `ty` in a printed map, as `Value::order` has it; keys of the usual types are compared where
/// they lie.
pub fn compare(ty: &Ty, a: &[u8], b: &[u8]) -> Ordering {
    match ty {
        Ty::Int { bytes, signed: true } => {
            let signed = |x: &[u8]| sign_extend(uint(x, 0, *bytes), *bytes);
            signed(a).cmp(&signed(b))
        }
        Ty::Int { bytes, .. } => uint(a, 0, *bytes).cmp(&uint(b, 0, *bytes)),
        Ty::Str(n) => {
            let text = |x| until_nul(within(x, *n));
            text(a).cmp(text(b))
        }
        Ty::Tuple(tys) => compare_all(tys, a, b),
        _ => decode(ty, a).order(&decode(ty, b)),
    }
}

/// `compare` for values laid out as a C struct: a map's keys, a tuple.
pub fn compare_all(tys: &[Ty], a: &[u8], b: &[u8]) -> Ordering {
    let mut at = 0u32;
    for ty in tys {
        at = at.next_multiple_of(ty.align());
        let order = compare(ty, after(a, at), after(b, at));
        if order.is_ne() {
            return order;
        }
        at = at.saturating_add(ty.size());
    }
    Ordering::Equal
}

/// A number whose order never contradicts `compare`: where two differ, comparing the values can be saved.
pub fn prefix(ty: &Ty, bytes: &[u8]) -> u64 {
    match ty {
        Ty::Int { bytes: n, signed: true } => sign_extend(uint(bytes, 0, *n), *n) as u64 ^ (1 << 63),
        Ty::Int { bytes: n, .. } => uint(bytes, 0, *n),
        Ty::Str(n) => {
            let mut first = [0; 8];
            fill(&mut first, until_nul(within(bytes, (*n).min(8))));
            u64::from_be_bytes(first)
        }
        Ty::Tuple(tys) => tys.first().map_or(0, |ty| prefix(ty, bytes)),
        _ => 0,
    }
}

/// Values laid out as a C struct: a map's keys, a tuple.
pub fn sequence<'a>(tys: &'a [Ty], bytes: &'a [u8]) -> Vec<Value<'a>> {
    let (offsets, _) = struct_layout(tys.iter());
    let each = tys.iter().zip(offsets);
    each.map(|(ty, at)| decode(ty, after(bytes, at))).collect()
}

/// Up to 8 bytes at `at`, little-endian.
pub fn uint(bytes: &[u8], at: usize, len: u8) -> u64 {
    let mut word = [0; 8];
    let len = usize::from(len.min(8));
    fill(&mut word[..len], bytes.get(at..).unwrap_or(&[]));
    u64::from_le_bytes(word)
}

/// `word` as a signed number of `bytes` bytes.
pub fn sign_extend(word: u64, bytes: u8) -> i64 {
    let unused = 64 - 8 * u32::from(bytes.clamp(1, 8));
    ((word << unused) as i64) >> unused
}

/// The bytes before the first NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

fn after(bytes: &[u8], at: u32) -> &[u8] {
    bytes.get(at as usize..).unwrap_or(&[])
}

fn within(bytes: &[u8], len: u32) -> &[u8] {
    &bytes[..bytes.len().min(len as usize)]
}

fn fill(to: &mut [u8], from: &[u8]) {
    let n = to.len().min(from.len());
    to[..n].copy_from_slice(&from[..n]);
}

fn int<'a>(word: u64, bytes: u8, signed: bool) -> Value<'a> {
    if signed { Value::Int(sign_extend(word, bytes)) } else { Value::Uint(word) }
}

fn enumeration(def: &EnumDef, word: u64) -> Value<'_> {
    let value = if def.signed { sign_extend(word, def.bytes) } else { word as i64 };
    let name = def.variants.iter().find(|(_, v)| *v == value);
    Value::Enum { value, signed: def.signed, name: name.map(|(name, _)| name.as_str()) }
}

fn array<'a>(of: &'a Ty, n: u32, bytes: &'a [u8]) -> Value<'a> {
    let size = of.size() as usize;
    if size == 0 {
        return Value::Array(Vec::new());
    }
    let each = bytes.chunks(size).take(n as usize);
    Value::Array(each.map(|b| decode(of, b)).collect())
}

fn record<'a>(def: &'a RecordDef, bytes: &'a [u8]) -> Value<'a> {
    let fields = def.fields.iter().filter(|f| !f.name.is_empty());
    Value::Record(fields.map(|f| (f.name.as_str(), field(f, bytes))).collect())
}

fn field<'a>(field: &'a Field, record: &'a [u8]) -> Value<'a> {
    let bytes = after(record, field.offset);
    if field.data_loc {
        let place = uint(bytes, 0, 4);
        let (at, len) = (place as u32 & 0xffff, (place >> 16) as u32 & 0xffff);
        return Value::Str(until_nul(within(after(record, at), len)));
    }
    if let (Some((first, width)), FieldTy::Known(Ty::Be(n))) = (field.bits, &field.ty) {
        let inside = field.offset % u32::from((*n).max(1));
        let Value::Uint(whole) = decode(&Ty::Be(*n), after(record, field.offset - inside)) else { return Value::Uint(0) };
        let above = whole >> ((u32::from(first) + 8 * inside).min(63));
        return Value::Uint(above & ((1u64 << width.min(63)) - 1));
    }
    if let Some((first, width)) = field.bits {
        return bits(&field.ty, bytes, u32::from(first), u32::from(width));
    }
    typed(&field.ty, bytes)
}

fn typed<'a>(ty: &'a FieldTy, bytes: &'a [u8]) -> Value<'a> {
    let is_char = |t: &Ty| matches!(t, Ty::Int { bytes: 1, signed: true });
    match ty {
        // Characters of a struct are text.
        FieldTy::Known(Ty::Array(of, n)) if is_char(of) => Value::Str(until_nul(within(bytes, *n))),
        FieldTy::Array(of, n) if matches!(&**of, FieldTy::Known(t) if is_char(t)) => Value::Str(until_nul(within(bytes, *n))),
        FieldTy::Known(ty) => decode(ty, bytes),
        FieldTy::Ptr(..) => Value::Ptr(uint(bytes, 0, 8)),
        FieldTy::Array(of, n) if matches!(**of, FieldTy::Ptr(..)) => {
            let each = bytes.chunks(8).take(*n as usize);
            Value::Array(each.map(|b| typed(of, b)).collect())
        }
        FieldTy::Array(of, n) => match &**of {
            FieldTy::Known(of) => array(of, *n, bytes),
            _ => Value::Opaque(type_name(of)),
        },
        FieldTy::Named(_) | FieldTy::Btf(_) | FieldTy::Foreign(..) => Value::Opaque(type_name(ty)),
    }
}

fn type_name(ty: &FieldTy) -> &str {
    match ty {
        FieldTy::Named(name) => name,
        FieldTy::Array(of, _) => type_name(of),
        _ => "?",
    }
}

/// A bit-field: `width` bits from bit `first` on, bit 0 being the lowest of the first byte.
fn bits<'a>(ty: &'a FieldTy, bytes: &'a [u8], first: u32, width: u32) -> Value<'a> {
    let mut wide = [0; 16];
    fill(&mut wide, after(bytes, first / 8));
    let width = width.min(64);
    let mask = (1u128 << width) - 1;
    let word = ((u128::from_le_bytes(wide) >> (first % 8)) & mask) as u64;
    match ty {
        FieldTy::Known(Ty::Bool) => Value::Bool(word != 0),
        FieldTy::Known(ty) if ty.is_signed() && width > 0 => {
            let unused = 64 - width;
            let value = ((word << unused) as i64) >> unused;
            match ty {
                Ty::Enum(def) => enumeration(def, value as u64),
                _ => Value::Int(value),
            }
        }
        FieldTy::Known(Ty::Enum(def)) => enumeration(def, word),
        _ => Value::Uint(word),
    }
}

impl Value<'_> {
    /// The order of keys in a printed map: numbers by value, strings by their bytes, tuples field by field. Values of one
    /// map have one type; across kinds the order only has to be one.
    pub fn order(&self, other: &Value) -> Ordering {
        use Value::*;
        match (self, other) {
            (Str(a) | Buf(a), Str(b) | Buf(b)) => a.cmp(b),
            (Tuple(a) | Array(a), Tuple(b) | Array(b)) => {
                let each = a.iter().zip(b).map(|(a, b)| a.order(b));
                first_difference(each).then(a.len().cmp(&b.len()))
            }
            (Named(a) | Record(a), Named(b) | Record(b)) => {
                let each = a.iter().zip(b).map(|((_, a), (_, b))| a.order(b));
                first_difference(each).then(a.len().cmp(&b.len()))
            }
            (Inet(a), Inet(b)) => a.cmp(b),
            (Mac(a), Mac(b)) => a.cmp(b),
            (a, b) => a.number().cmp(&b.number()),
        }
    }

    /// The number to order by, then what tells two apart that share it.
    fn number(&self) -> (i128, u64) {
        match self {
            Value::Int(n) => (i128::from(*n), 0),
            Value::Uint(n) | Value::Ptr(n) | Value::Ksym(n) => (i128::from(*n), 0),
            Value::Bool(b) => (i128::from(*b), 0),
            Value::Enum { value, signed, .. } => (widen(*value, *signed), 0),
            Value::Stack(s) => (i128::from(s.id), u64::from(s.tgid)),
            Value::Usym { addr, tgid } => (i128::from(*addr), u64::from(*tgid)),
            Value::Username(uid) => (i128::from(*uid), 0),
            Value::Timestamp(t) => (i128::from(t.ns), u64::from(t.format)),
            Value::CgroupPath { id, filter } => (i128::from(*id), u64::from(*filter)),
            Value::Agg(view) => (view.rank(), 0),
            _ => (0, 0),
        }
    }

    /// An integer-like value: its 64 bits.
    pub fn as_word(&self) -> Option<u64> {
        match self {
            Value::Int(n) | Value::Enum { value: n, .. } => Some(*n as u64),
            Value::Uint(n) | Value::Ptr(n) | Value::Ksym(n) => Some(*n),
            Value::Bool(b) => Some(u64::from(*b)),
            Value::Usym { addr, .. } => Some(*addr),
            Value::Agg(View::Int(n)) => Some(*n as u64),
            Value::Agg(View::Uint(n)) => Some(*n),
            Value::Agg(View::Average(n)) => Some(*n as u64),
            _ => None,
        }
    }
}

fn first_difference(mut each: impl Iterator<Item = Ordering>) -> Ordering {
    each.find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

fn widen(value: i64, signed: bool) -> i128 {
    if signed { i128::from(value) } else { i128::from(value as u64) }
}

pub mod literal;
#[cfg(test)]
mod tests;
