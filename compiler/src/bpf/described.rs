//! The types of maps that outlive their script, as BTF that another awl reads back. A type of the language that C has not is
//! a typedef of that name over bytes; several keys are a struct of them, and the value lies in a struct of the map's size.

use super::btf::Builder;
use crate::target::btf::{Btf, Kind};
use crate::types::{Agg, FieldTy, Space, Ty, struct_layout};
use std::sync::Arc;

const KEYS: &str = "awl_keys";
const VALUE: &str = "awl_value";
const TEXT: &str = "string";

/// Nothing that a script makes is nested deeper.
const MAX_DEPTH: u32 = 16;

/// Types whose bytes say everything, whatever runs: those that a map can be kept with.
pub fn can_be_kept(ty: &Ty) -> bool {
    match ty {
        Ty::Array(of, _) => can_be_kept(of),
        Ty::Tuple(all) => all.iter().all(can_be_kept),
        Ty::NamedTuple(all) => all.iter().all(|(_, t)| can_be_kept(t)),
        Ty::Str(_) => true,
        _ => plain().contains(ty),
    }
}

/// The types that are known by their name alone.
fn plain() -> Vec<Ty> {
    let mut all = vec![Ty::Bool, Ty::Inet, Ty::Mac, Ty::Ipv4, Ty::Ipv6, Ty::Agg(Agg::Count)];
    for signed in [false, true] {
        all.extend([1, 2, 4, 8].map(|bytes| Ty::Int { bytes, signed }));
        let aggs = [Agg::Sum { signed }, Agg::Avg { signed }, Agg::Min { signed }, Agg::Max { signed }, Agg::Stats { signed }];
        all.extend(aggs.map(Ty::Agg));
    }
    all.extend((0..=5).map(|bits| Ty::Agg(Agg::Hist { bits })));
    all
}

/// A name that tells every plain type from the others.
fn name_of(ty: &Ty) -> String {
    match ty {
        Ty::Agg(Agg::Hist { bits }) => format!("{ty}_{bits}"),
        Ty::Agg(Agg::Sum { signed: true } | Agg::Avg { signed: true } | Agg::Min { signed: true }) => format!("{ty}_signed"),
        Ty::Agg(Agg::Max { signed: true } | Agg::Stats { signed: true }) => format!("{ty}_signed"),
        _ => ty.to_string(),
    }
}

/// The types of a map's key and value.
pub fn write(b: &mut Builder, keys: &[Ty], value: &Ty, value_size: u32) -> (u32, u32) {
    let key = match keys {
        // The kernel takes nothing else for an index.
        [Ty::Int { bytes: 4, signed: false }] => b.uint(4),
        _ => {
            let (offsets, size) = struct_layout(keys.iter());
            let members: Vec<_> = keys.iter().zip(offsets).enumerate().map(|(i, (t, at))| (format!("key{i}"), one(b, t), at)).collect();
            b.record(KEYS, size, &members)
        }
    };
    let value = one(b, value);
    (key, b.record(VALUE, value_size, &[("value".into(), value, 0)]))
}

fn one(b: &mut Builder, ty: &Ty) -> u32 {
    match ty {
        Ty::Str(n) => {
            let bytes = b.uint(1);
            let bytes = b.array(bytes, *n);
            b.typedef(TEXT, bytes)
        }
        Ty::Array(of, n) => {
            let of = one(b, of);
            b.array(of, *n)
        }
        Ty::Tuple(all) => {
            let (offsets, size) = struct_layout(all.iter());
            let members: Vec<_> = all.iter().zip(offsets).enumerate().map(|(i, (t, at))| (format!("_{i}"), one(b, t), at)).collect();
            b.record("", size, &members)
        }
        Ty::NamedTuple(all) => {
            let (offsets, size) = struct_layout(all.iter().map(|(_, t)| t));
            let members: Vec<_> = all.iter().zip(offsets).map(|((name, t), at)| (name.clone(), one(b, t), at)).collect();
            b.record("named", size, &members)
        }
        _ => {
            let bytes = b.blob(ty.size());
            b.typedef(&name_of(ty), bytes)
        }
    }
}

/// The types of keys and value, where `write` wrote them; `None`: another tool's map.
pub fn read(btf: &Btf, key: u32, value: u32) -> Option<(Vec<Ty>, Ty)> {
    let keys = match btf.kind(key)? {
        Kind::Int => vec![Ty::U32],
        _ => members(btf, key, KEYS)?.into_iter().map(|(_, id)| type_of(btf, id, MAX_DEPTH)).collect::<Option<_>>()?,
    };
    match members(btf, value, VALUE)?.as_slice() {
        [(_, id)] => Some((keys, type_of(btf, *id, MAX_DEPTH)?)),
        _ => None,
    }
}

fn members(btf: &Btf, id: u32, name: &str) -> Option<Vec<(String, u32)>> {
    let is_it = btf.kind(id) == Some(Kind::Struct) && btf.name(id) == name;
    let record = btf.record(id).filter(|_| is_it)?;
    let id_of = |f: &crate::types::Field| match f.ty {
        FieldTy::Btf(id) => Some((f.name.clone(), id)),
        _ => None,
    };
    record.fields.iter().map(id_of).collect()
}

fn type_of(btf: &Btf, id: u32, depth: u32) -> Option<Ty> {
    let depth = depth.checked_sub(1)?;
    let each = |all: Vec<(String, u32)>| {
        all.into_iter().map(|(name, id)| Some((name, type_of(btf, id, depth)?))).collect::<Option<Vec<(String, Ty)>>>()
    };
    match btf.kind(id)? {
        Kind::Typedef => {
            let name = btf.name(id);
            match btf.ty(id, Space::Own) {
                Ty::Array(_, n) if name == TEXT => Some(Ty::Str(n)),
                _ => plain().into_iter().find(|t| name_of(t) == name),
            }
        }
        Kind::Array => match (btf.element(id)?, btf.ty(id, Space::Own)) {
            (of, Ty::Array(_, n)) => Some(Ty::Array(Arc::new(type_of(btf, of, depth)?), n)),
            _ => None,
        },
        Kind::Struct if btf.name(id).is_empty() => Some(Ty::Tuple(each(members(btf, id, "")?)?.into_iter().map(|(_, t)| t).collect())),
        Kind::Struct => Some(Ty::NamedTuple(each(members(btf, id, "named")?)?.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let tuple = Ty::Tuple(vec![Ty::Ipv4, Ty::Str(16), Ty::Array(Arc::new(Ty::U8), 3)].into());
        let named = Ty::NamedTuple(vec![("a".to_owned(), Ty::I64), ("b".to_owned(), tuple.clone())].into());
        for ty in plain().into_iter().chain([Ty::Str(64), tuple, named]) {
            assert!(can_be_kept(&ty), "{ty}");
            for keys in [vec![Ty::U32], vec![Ty::Ipv4], vec![ty.clone(), Ty::U8]] {
                let mut b = Builder::default();
                let (key, value) = write(&mut b, &keys, &ty, ty.size().next_multiple_of(8));
                let btf = Btf::parse(b.finish()).expect("our own");
                assert_eq!(read(&btf, key, value), Some((keys, ty.clone())));
            }
        }
        assert!(!can_be_kept(&Ty::Ksym) && !can_be_kept(&Ty::Agg(Agg::Distinct)));
    }
}
