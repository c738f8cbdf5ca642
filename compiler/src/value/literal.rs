//! Values as scripts write them, to bytes: what a map's key or value is on a command line.

use crate::artifact::MapKind;
use crate::types::{Ty, struct_layout};
use awl_grammar::ast::{Expr, ExprKind, UnOp};
use awl_grammar::span::FileId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes of a key: what would stand in the brackets of `@m[...]`. Of an `lpm_trie` a network alone will do.
///
/// # Errors
/// What was expected.
pub fn key(kind: MapKind, tys: &[Ty], text: &str) -> Result<Vec<u8>, String> {
    let all = parse(&format!("({text},)"))?;
    let given = match &all.kind {
        ExprKind::Tuple(all) => all.as_slice(),
        _ => std::slice::from_ref(&all),
    };
    if let (MapKind::LpmTrie, [len, data], [Expr { kind: ExprKind::Addr(net), .. }]) = (kind, tys, given) {
        let (address, bits) = net.split_once('/').map_or((net.as_str(), None), |(a, b)| (a, Some(b)));
        let octets = octets(address).ok_or_else(|| format!("`{address}` is no address"))?;
        if octets.len() != data.size() as usize {
            return Err(format!("`{address}` is of {} bytes, the map's addresses of {}", octets.len(), data.size()));
        }
        let bits = bits.map_or(Ok(8 * octets.len() as u32), str::parse).map_err(|e| e.to_string())?;
        let mut out = bits.to_le_bytes()[..len.size() as usize].to_vec();
        out.extend(octets);
        return Ok(out);
    }
    match (tys, given) {
        ([tuple @ (Ty::Tuple(_) | Ty::NamedTuple(_))], [_, _, ..]) => bytes(tuple, &all),
        (_, [Expr { kind: ExprKind::Tuple(inner), .. }]) if tys.len() > 1 => sequence(tys, inner),
        _ => sequence(tys, given),
    }
}

/// The bytes of a value.
///
/// # Errors
/// What was expected.
pub fn value(ty: &Ty, text: &str) -> Result<Vec<u8>, String> {
    bytes(ty, &parse(text)?)
}

fn parse(text: &str) -> Result<Expr, String> {
    awl_grammar::parse_expr(text, FileId::default(), 0)
        .map_err(|e| e.first().map_or_else(|| "this is no value".into(), |e| e.message.clone()))
}

fn sequence(tys: &[Ty], given: &[Expr]) -> Result<Vec<u8>, String> {
    if tys.len() != given.len() {
        return Err(format!("expected {} values, of {}", tys.len(), Ty::Tuple(tys.to_vec().into())));
    }
    let (offsets, size) = struct_layout(tys.iter());
    let mut out = vec![0; size as usize];
    for ((ty, e), at) in tys.iter().zip(given).zip(offsets) {
        let part = bytes(ty, e)?;
        out[at as usize..at as usize + part.len()].copy_from_slice(&part);
    }
    Ok(out)
}

fn octets(text: &str) -> Option<Vec<u8>> {
    match text.parse::<IpAddr>().ok() {
        Some(IpAddr::V4(a)) => Some(a.octets().to_vec()),
        Some(IpAddr::V6(a)) => Some(a.octets().to_vec()),
        None => text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect::<Option<Vec<u8>>>().filter(|b| b.len() == 6),
    }
}

fn integer(e: &Expr) -> Option<i128> {
    match &e.kind {
        ExprKind::Int { value, .. } => Some(i128::from(*value)),
        ExprKind::Bool(b) => Some(i128::from(*b)),
        ExprKind::Unary(UnOp::Neg, inner) => integer(inner).map(|n| -n),
        _ => None,
    }
}

fn bytes(ty: &Ty, e: &Expr) -> Result<Vec<u8>, String> {
    let expected = || format!("expected a value of `{ty}`");
    let exactly = |n: usize| match &e.kind {
        ExprKind::Addr(text) => octets(text).filter(|o| o.len() == n).ok_or_else(expected),
        _ => Err(expected()),
    };
    match (ty, &e.kind) {
        (Ty::Bool, _) => integer(e).filter(|n| matches!(n, 0 | 1)).map(|n| vec![n as u8]).ok_or_else(expected),
        (Ty::Int { bytes, signed }, _) => {
            let bits = u32::from(*bytes) * 8;
            let (low, high) = if *signed { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
            let n = integer(e).ok_or_else(expected)?;
            if !(low..=high).contains(&n) {
                return Err(format!("{n} doesn't fit into `{ty}`"));
            }
            Ok(n.to_le_bytes()[..usize::from(*bytes)].to_vec())
        }
        (Ty::Str(n), ExprKind::Str(_) | ExprKind::Name(_)) => {
            let text = match &e.kind {
                ExprKind::Str(s) => s.as_slice(),
                ExprKind::Name(word) => word.as_bytes(),
                _ => &[],
            };
            // The last byte ends it.
            if text.len() >= *n as usize {
                return Err(format!("a string of {} bytes doesn't fit into `{ty}`", text.len()));
            }
            let mut out = text.to_vec();
            out.resize(*n as usize, 0);
            Ok(out)
        }
        (Ty::Mac, _) => exactly(6),
        (Ty::Ipv4, _) => exactly(4),
        (Ty::Ipv6, _) => exactly(16),
        (Ty::Array(of, n), ExprKind::Addr(_)) if of.size() == 1 => exactly(*n as usize),
        (Ty::Inet, ExprKind::Addr(text)) => {
            let (af, octets) = match (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>()) {
                (Ok(a), _) => (4u32, a.octets().to_vec()),
                (_, Ok(a)) => (6, a.octets().to_vec()),
                _ => return Err(expected()),
            };
            let mut out = af.to_le_bytes().to_vec();
            out.extend(octets);
            out.resize(ty.size() as usize, 0);
            Ok(out)
        }
        (Ty::Tuple(tys), ExprKind::Tuple(all)) => sequence(tys, all),
        (Ty::NamedTuple(fields), ExprKind::Tuple(all)) => {
            let tys: Vec<Ty> = fields.iter().map(|(_, t)| t.clone()).collect();
            sequence(&tys, all)
        }
        (Ty::NamedTuple(fields), ExprKind::Record(all)) => {
            if !fields.iter().map(|(n, _)| n).eq(all.iter().map(|(n, _)| &n.name)) {
                return Err(expected());
            }
            let tys: Vec<Ty> = fields.iter().map(|(_, t)| t.clone()).collect();
            let values: Vec<Expr> = all.iter().map(|(_, e)| e.clone()).collect();
            sequence(&tys, &values)
        }
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_laid_out_as_programs_do() {
        let hash = MapKind::Hash;
        assert_eq!(value(&Ty::I32, "-2"), Ok(vec![254, 255, 255, 255]));
        assert!(value(&Ty::U8, "256").is_err() && value(&Ty::U8, "-1").is_err());
        assert_eq!(key(hash, &[Ty::Ipv4], "10.0.0.1"), Ok(vec![10, 0, 0, 1]));
        assert_eq!(key(hash, &[Ty::Str(4)], "\"ab\""), Ok(b"ab\0\0".to_vec()));
        assert!(key(hash, &[Ty::Str(2)], "\"ab\"").is_err());
        assert_eq!(key(hash, &[Ty::U8, Ty::U32], "1, 2"), Ok(vec![1, 0, 0, 0, 2, 0, 0, 0]));
        assert_eq!(key(hash, &[Ty::U8, Ty::U32], "(1, 2)"), key(hash, &[Ty::U8, Ty::U32], "1, 2"));
        assert_eq!(key(hash, &[Ty::Tuple(vec![Ty::U8, Ty::U8].into())], "(1, 2)"), Ok(vec![1, 2]));
        assert!(key(hash, &[Ty::U8], "1, 2").is_err() && key(hash, &[Ty::U8], "x(").is_err());
        assert_eq!(key(MapKind::LpmTrie, &[Ty::U32, Ty::Ipv4], "10.0.0.0/8"), Ok(vec![8, 0, 0, 0, 10, 0, 0, 0]));
        assert!(key(MapKind::LpmTrie, &[Ty::U32, Ty::Ipv6], "10.0.0.0/8").is_err());
        assert_eq!(value(&Ty::Mac, "02:00:00:00:00:0a"), Ok(vec![2, 0, 0, 0, 0, 10]));
        assert!(value(&Ty::Ipv4, "10.0.0.0/8").is_err());
    }
}
