use super::*;
use awl_compiler::types::{EnumDef, Field, FieldTy, RecordDef, Space};
use std::sync::Arc;

fn member(name: &str, ty: Ty, offset: u32) -> Field {
    Field { name: name.into(), ty: FieldTy::Known(ty), offset, bits: None, data_loc: false }
}

fn record(name: &str, size: u32, fields: Vec<Field>) -> Ty {
    Ty::Record(Arc::new(RecordDef { name: name.into(), union: false, size, align: 8, fields, btf_id: None }))
}

/// A struct with a bit of everything, and its bytes.
pub(super) fn everything() -> (Ty, Vec<u8>) {
    let inner = || {
        let fields = vec![member("i", Ty::I32, 0), member("j", Ty::I64, 8)];
        record("struct In", 16, fields)
    };
    let e = Ty::Enum(Arc::new(EnumDef { name: "E".into(), bytes: 4, signed: false, variants: vec![("AA".into(), 1), ("BB".into(), 7)] }));
    let i16 = Ty::Int { bytes: 2, signed: true };
    let mut unknown = member("f", Ty::U64, 104);
    unknown.ty = FieldTy::Named("struct file".into());
    let mut bits = member("bf", Ty::U32, 60);
    bits.bits = Some((0, 3));
    let fields = vec![
        member("x", Ty::I32, 0),
        member("z", Ty::Array(Arc::new(i16), 3), 4),
        member("s", Ty::Str(8), 16),
        member("q", Ty::U64, 24),
        member("p", Ty::ptr(Ty::I32, Space::Kernel), 32),
        member("in", inner(), 40),
        member("e", e, 56),
        bits,
        member("arr", Ty::Array(Arc::new(inner()), 2), 64),
        member("ub", Ty::Array(Arc::new(Ty::U8), 3), 96),
        member("bo", Ty::Bool, 99),
        unknown,
    ];
    let mut bytes = vec![0; 112];
    let mut put = |at: usize, b: &[u8]| bytes[at..at + b.len()].copy_from_slice(b);
    put(0, &[5]);
    put(4, &[1, 0, 2, 0, 0xfd, 0xff]);
    put(16, b"hey");
    put(24, &[77]);
    put(40, &words(&[1, 2]));
    put(56, &[7, 0, 0, 0, 0xfd]);
    put(64, &words(&[1, 2, 3, 4]));
    put(96, &[1, 2, 255, 1]);
    (record("struct A", 112, fields), bytes)
}

#[test]
fn scalars() {
    let mut b = Bench::text();
    assert_eq!(b.value(&Ty::I64, &words(&[-123])), "-123\n");
    assert_eq!(b.value(&Ty::U64, &words(&[-1])), "18446744073709551615\n");
    assert_eq!(b.value(&Ty::Str(8), b"abc\0"), "abc\n");
    assert_eq!(b.value(&Ty::Str(8), b""), "\n");
    assert_eq!(b.value(&Ty::Bool, &[0]), "false\n");
    let ptr = Ty::ptr(Ty::Void, Space::Kernel);
    assert_eq!(b.value(&ptr, &[0; 8]), "0x0\n");
    assert_eq!(b.value(&ptr, &words(&[0xffff_8880_0000_0000u64 as i64])), "0xffff888000000000\n");
}

#[test]
fn tuples_nest() {
    let mut b = Bench::text();
    let inner = Ty::Tuple([Ty::I64, Ty::I64].into());
    let ty = Ty::Tuple([inner, Ty::Str(8)].into());
    let bytes = [words(&[1, 2]), padded(b"x", 8)].concat();
    assert_eq!(b.value(&ty, &bytes), "((1, 2), x)\n");
    assert_eq!(b.value(&Ty::Tuple([].into()), &[]), "()\n");
    let named = Ty::NamedTuple([("a".into(), Ty::I64), ("b".into(), Ty::Str(8))].into());
    let bytes = [words(&[1]), padded(b"x", 8)].concat();
    assert_eq!(b.value(&named, &bytes), "(a = 1, b = x)\n");
}

#[test]
fn structs_and_arrays() {
    let mut b = Bench::text();
    let (ty, bytes) = everything();
    assert_eq!(
        b.value(&ty, &bytes),
        "{ .x = 5, .z = [1,2,-3], .s = hey, .q = 77, .p = 0x0, .in = { .i = 1, .j = 2 }, \
         .e = BB, .bf = 5, .arr = [{ .i = 1, .j = 2 },{ .i = 3, .j = 4 }], .ub = [1,2,255], \
         .bo = true, .f = <struct file> }\n"
    );
    let numbers = Ty::Array(Arc::new(Ty::I32), 2);
    assert_eq!(b.value(&numbers, &[1, 0, 0, 0, 255, 255, 255, 255]), "[1,-1]\n");
}

#[test]
fn addresses() {
    let mut b = Bench::text();
    let mut inet = |af: u8, bytes: &[u8]| {
        let mut all = vec![af, 0, 0, 0];
        all.extend(bytes);
        all.resize(24, 0);
        b.value(&Ty::Inet, &all)
    };
    assert_eq!(inet(4, &[127, 0, 0, 1]), "127.0.0.1\n");
    let mut low = [0; 16];
    low[15] = 1;
    assert_eq!(inet(6, &low), "::1\n");
    assert_eq!(inet(6, &[0xfe, 0x80]), "fe80::\n");
    assert_eq!(inet(6, &[0; 16]), "::\n");
    let mut mapped = [0; 16];
    mapped[10..].copy_from_slice(&[255, 255, 1, 2, 3, 4]);
    assert_eq!(inet(6, &mapped), "::ffff:1.2.3.4\n");
    mapped[10..12].copy_from_slice(&[0, 0]);
    assert_eq!(inet(6, &mapped), "::1.2.3.4\n");
    let mac = [0x18, 0xc0, 0x4d, 0x08, 0x2e, 0xbb];
    assert_eq!(b.value(&Ty::Mac, &mac), "18:C0:4D:08:2E:BB\n");
}

#[test]
fn users_times_and_cgroups() {
    let mut b = Bench::text();
    b.plan.strings = vec!["%s.%f|".into(), "no-such-hierarchy".into()];
    assert_eq!(b.value(&Ty::Username, &[0; 8]), "root\n");
    let time = |ns: i64, format: u8, clock: u8| [words(&[ns]), vec![format, 0, 0, 0, clock, 0, 0, 0]].concat();
    let at = 1_500_000_000_123_456_789;
    assert_eq!(b.value(&Ty::Timestamp, &time(at, 0, 1)), "1500000000.123456|\n");
    assert_eq!(b.value(&Ty::Timestamp, &time(5_000, 0, 0)), "1.000005|\n");
    assert_eq!(b.value(&Ty::Timestamp, &time(at, 0, 0)), "1499999963.123456|\n", "nsecs(tai)");
    assert_eq!(b.value(&Ty::Timestamp, &time(at, 9, 1)), "\n", "no such format");
    let path = [words(&[1]), vec![1, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(b.value(&Ty::CgroupPath, &path), "\n");
}

#[test]
fn single_items_of_maps() {
    let mut b = Bench::text();
    let count = Ty::Agg(awl_compiler::types::Agg::Count);
    let item = Ty::Tuple([Ty::I64, Ty::Str(8), Ty::I64].into());
    let bytes = [words(&[1]), padded(b"k", 8), words(&[42])].concat();
    let m = b.map("m", &[Ty::I64, Ty::Str(8)], Ty::I64, vec![]);
    assert_eq!(b.once(EventKind::PrintMapItem(m), &[item], &[&bytes]), "42\n");
    let entries = vec![entry(&[1], &[&[6]]), entry(&[2], &[&[7], &[8]])];
    let m = b.map("c", &[Ty::I64], count.clone(), entries);
    let key = Ty::Tuple([Ty::I64].into());
    assert_eq!(b.once(EventKind::PrintMapItem(m), std::slice::from_ref(&key), &[&words(&[2])]), "15\n");
    assert_eq!(b.once(EventKind::PrintMapItem(m), &[key], &[&words(&[3])]), "0\n");
    // The kernel's keys are filled up to whole words.
    let m = b.map("s", &[Ty::Str(2)], count, vec![(padded(b"k", 8), vec![words(&[9])])]);
    assert_eq!(b.once(EventKind::PrintMapItem(m), &[Ty::Tuple([Ty::Str(2)].into())], &[b"k\0"]), "9\n");
}
