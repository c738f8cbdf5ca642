use super::*;
use crate::types::{Agg, Space};
use std::sync::Arc;

const MANY: usize = 300;

fn color() -> Ty {
    Ty::Enum(Arc::new(EnumDef { name: "color".into(), bytes: 4, signed: true, variants: vec![("RED".into(), -1), ("BLUE".into(), 7)] }))
}

fn member(name: &str, ty: Ty, offset: u32) -> Field {
    Field { name: name.into(), ty: FieldTy::Known(ty), offset, bits: None, data_loc: false }
}

fn thing() -> Ty {
    let mut low = member("low", Ty::U32, 4);
    low.bits = Some((0, 3));
    let mut high = member("high", Ty::I32, 4);
    high.bits = Some((3, 5));
    let mut text = member("text", Ty::U32, 8);
    text.data_loc = true;
    let mut next = member("next", Ty::U64, 16);
    next.ty = FieldTy::Named("struct file".into());
    Ty::Record(Arc::new(RecordDef {
        name: "struct thing".into(),
        union: false,
        size: 24,
        align: 8,
        fields: vec![member("x", Ty::I32, 0), low, high, text, next],
        btf_id: None,
    }))
}

#[test]
fn integers_are_extended_by_their_sign() {
    let i8 = Ty::Int { bytes: 1, signed: true };
    assert_eq!(decode(&i8, &[0xff]), Value::Int(-1));
    assert_eq!(decode(&Ty::U8, &[0xff]), Value::Uint(255));
    assert_eq!(decode(&Ty::I32, &[1, 0, 0, 0x80]), Value::Int(-0x7fff_ffff));
    assert_eq!(decode(&Ty::U64, &[0xff; 8]), Value::Uint(u64::MAX));
    assert_eq!(decode(&Ty::I64, &[0xff; 8]), Value::Int(-1));
    assert_eq!(decode(&Ty::Bool, &[2]), Value::Bool(true));
}

#[test]
fn enums_have_names_and_numbers() {
    let ty = color();
    let named = |value, name| Value::Enum { value, signed: true, name };
    assert_eq!(decode(&ty, &[7, 0, 0, 0]), named(7, Some("BLUE")));
    assert_eq!(decode(&ty, &[0xff; 4]), named(-1, Some("RED")));
    assert_eq!(decode(&ty, &[3, 0, 0, 0]), named(3, None));
}

#[test]
fn strings_end_at_a_nul_or_at_their_capacity() {
    assert_eq!(decode(&Ty::Str(8), b"abc\0def\0"), Value::Str(b"abc"));
    assert_eq!(decode(&Ty::Str(4), b"abcdefgh"), Value::Str(b"abcd"));
    assert_eq!(decode(&Ty::Str(4), b"\xff\xfe"), Value::Str(b"\xff\xfe"));
    let buf = [3, 0, 0, 0, 1, 0, 2, 9];
    assert_eq!(decode(&Ty::Buf(4), &buf), Value::Buf(&[1, 0, 2]));
    let liar = [200, 0, 0, 0, 1, 2, 3, 4, 5];
    assert_eq!(decode(&Ty::Buf(4), &liar), Value::Buf(&[1, 2, 3, 4]));
}

#[test]
fn tuples_are_laid_out_as_c_structs() {
    let ty = Ty::Tuple([Ty::U8, Ty::I64, Ty::Str(3)].into());
    let mut bytes = vec![5, 9, 9, 9, 9, 9, 9, 9];
    bytes.extend((-2i64).to_le_bytes());
    bytes.extend(b"ab\0");
    let expected = vec![Value::Uint(5), Value::Int(-2), Value::Str(b"ab")];
    assert_eq!(decode(&ty, &bytes), Value::Tuple(expected));
}

#[test]
fn records_have_bit_fields_dynamic_strings_and_gaps() {
    let ty = thing();
    let mut bytes = vec![0; 24];
    bytes[0] = 5;
    bytes[4] = 0b1110_1101;
    bytes[8..12].copy_from_slice(&[24, 0, 4, 0]);
    bytes.extend(b"hi\0!");
    let expected = vec![
        ("x", Value::Int(5)),
        ("low", Value::Uint(5)),
        ("high", Value::Int(-3)),
        ("text", Value::Str(b"hi")),
        ("next", Value::Opaque("struct file")),
    ];
    assert_eq!(decode(&ty, &bytes), Value::Record(expected));
}

#[test]
fn addresses() {
    let mut v4 = vec![4, 0, 0, 0, 127, 0, 0, 1];
    v4.resize(24, 0);
    assert_eq!(decode(&Ty::Inet, &v4), Value::Inet("127.0.0.1".parse().unwrap()));
    let mut v6 = vec![6, 0, 0, 0, 0xfe, 0x80];
    v6.resize(24, 0);
    v6[19] = 1;
    assert_eq!(decode(&Ty::Inet, &v6), Value::Inet("fe80::1".parse().unwrap()));
}

#[test]
fn order_of_keys() {
    let key = |a, b| Value::Tuple(vec![Value::Int(a), Value::Str(b)]);
    assert_eq!(key(-1, b"z").order(&key(1, b"a")), Ordering::Less);
    assert_eq!(key(1, b"a").order(&key(1, b"b")), Ordering::Less);
    assert_eq!(Value::Uint(u64::MAX).order(&Value::Uint(1)), Ordering::Greater);
    assert_eq!(Value::Str(b"a").order(&Value::Str(b"ab")), Ordering::Less);
    assert_eq!(Value::Int(3).order(&Value::Int(3)), Ordering::Equal);
}

/// Comparing bytes must agree with comparing what they decode to.
#[test]
fn the_order_of_bytes_is_that_of_values() {
    let pair = Ty::Tuple([Ty::U8, Ty::I64].into());
    let tys = [Ty::I32, Ty::U32, Ty::Str(5), pair, Ty::Inet, color()];
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 33) as u8 % 4 * 85
    };
    for ty in &tys {
        for _ in 0..500 {
            let a: Vec<u8> = (0..ty.size()).map(|_| random()).collect();
            let b: Vec<u8> = (0..ty.size()).map(|_| random()).collect();
            let expected = decode(ty, &a).order(&decode(ty, &b));
            assert_eq!(compare(ty, &a, &b), expected, "{ty}: {a:?} {b:?}");
            let first = prefix(ty, &a).cmp(&prefix(ty, &b));
            assert!(first.is_eq() || first == expected, "{ty}: {a:?} {b:?}");
            assert_eq!(compare(ty, &a, &a), Ordering::Equal);
        }
    }
}

/// Every type against bytes of every length and a few patterns: nothing may panic.
#[test]
fn decoding_is_total() {
    let nested = Ty::Tuple([thing(), Ty::Array(Arc::new(color()), 5)].into());
    let all = [
        Ty::Void,
        Ty::Bool,
        Ty::Int { bytes: 2, signed: true },
        color(),
        Ty::Str(16),
        Ty::Buf(16),
        Ty::ptr(Ty::Void, Space::Kernel),
        thing(),
        Ty::Array(Arc::new(Ty::Void), u32::MAX),
        Ty::Array(Arc::new(Ty::U8), u32::MAX),
        nested,
        Ty::NamedTuple([("a".into(), Ty::U8), ("b".into(), Ty::Inet)].into()),
        Ty::Stack { kind: StackKind::User, mode: StackMode::Perf, limit: 127 },
        Ty::Ksym,
        Ty::Usym,
        Ty::Inet,
        Ty::Mac,
        Ty::Username,
        Ty::Timestamp,
        Ty::CgroupPath,
        Ty::Agg(Agg::Hist { bits: 0 }),
    ];
    for ty in &all {
        for len in 0..MANY {
            for pattern in [0x00, 0x7f, 0x80, 0xff] {
                let bytes = vec![pattern; len];
                let value = decode(ty, &bytes);
                assert_eq!(value.order(&value), Ordering::Equal, "{ty}");
                value.as_word();
                assert_eq!(compare(ty, &bytes, &bytes), Ordering::Equal, "{ty}");
            }
        }
    }
}
