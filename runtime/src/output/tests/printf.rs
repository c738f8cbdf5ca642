use super::*;
use awl_compiler::types::{EnumDef, Space};
use std::sync::Arc;

/// `format` with these arguments, as bytes of their types.
fn print(format: &str, args: &[(Ty, Vec<u8>)]) -> String {
    String::from_utf8(print_bytes(format, args)).unwrap()
}

fn print_bytes(format: &str, args: &[(Ty, Vec<u8>)]) -> Vec<u8> {
    let mut b = Bench::text();
    let (format, problems) = awl_compiler::format::parse(format);
    assert_eq!(problems, []);
    let tys: Vec<Ty> = args.iter().map(|(t, _)| t.clone()).collect();
    let event = b.event(EventKind::Printf(Arc::new(format)), &tys);
    let values: Vec<&[u8]> = args.iter().map(|(_, v)| v.as_slice()).collect();
    assert_eq!(b.run(event, &values), After::Continue);
    assert_eq!(b.complaints(), "");
    b.bytes()
}

fn int(n: i64) -> (Ty, Vec<u8>) {
    (Ty::I64, n.to_le_bytes().to_vec())
}

fn sized(bytes: u8, signed: bool, n: i64) -> (Ty, Vec<u8>) {
    let value = n.to_le_bytes()[..usize::from(bytes)].to_vec();
    (Ty::Int { bytes, signed }, value)
}

fn string(s: &[u8]) -> (Ty, Vec<u8>) {
    (Ty::Str(16), padded(s, 16))
}

fn buf(b: &[u8]) -> (Ty, Vec<u8>) {
    let mut bytes = (b.len() as u32).to_le_bytes().to_vec();
    bytes.extend(padded(b, 16));
    (Ty::Buf(16), bytes)
}

#[test]
fn plain_conversions() {
    let args = [int(1), string(b"dd"), int(-3)];
    assert_eq!(print("%d %s %d\n", &args), "1 dd -3\n");
    let all: Vec<_> = [255, 255, 255, 8, 7].map(int).to_vec();
    assert_eq!(print("%x %X %u %o %i|", &all), "ff FF 255 10 7|");
    assert_eq!(print("100%%\n", &[]), "100%\n");
}

#[test]
fn flags_width_and_precision() {
    let ten = |n: usize| vec![int(5); n];
    assert_eq!(print("%5d|%-5d|%05d|%+d|% d", &ten(5)), "    5|5    |00005|+5| 5");
    assert_eq!(print("%#x|%#o|%#X|%08x|%.3d", &ten(5)), "0x5|05|0X5|00000005|005");
    assert_eq!(print("%5.3d|%-8.4x|%.0d", &ten(3)), "  005|0005    |5");
    let s = || string(b"abcdef");
    assert_eq!(print("%10s|%-10s|%.2s|%8.3s|", &[s(), s(), s(), s()]), "    abcdef|abcdef    |ab|     abc|");
}

#[test]
fn the_type_says_how_wide_an_integer_is() {
    let big = int(1 << 40);
    let all = vec![big; 4];
    assert_eq!(print("%d %u %x %lld", &all), "1099511627776 1099511627776 10000000000 1099511627776");
    let small = vec![sized(1, true, -1); 5];
    assert_eq!(print("%d %u %x %llx %hhx", &small), "-1 4294967295 ffffffff ffffffffffffffff ff");
    let word = vec![sized(2, true, -2); 4];
    assert_eq!(print("%d %u %x %llx", &word), "-2 4294967294 fffffffe fffffffffffffffe");
    let byte = vec![sized(1, false, 255); 3];
    assert_eq!(print("%d %hhd %u", &byte), "255 -1 255");
    let half = vec![sized(4, false, 0xffff_ffff); 4];
    assert_eq!(print("%d %lld %x %u", &half), "-1 4294967295 ffffffff 4294967295");
    let full = vec![sized(8, false, -1); 4];
    assert_eq!(print("%d %u %x %p", &full), "-1 18446744073709551615 ffffffffffffffff 0xffffffffffffffff");
    assert_eq!(print("%hd %hhd %hhx", &[int(1 << 40 | 70000), int(300), int(0x1ff)]), "4464 44 ff");
}

#[test]
fn pointers_characters_and_truth() {
    let ptr = |p: i64| (Ty::ptr(Ty::Void, Space::Kernel), words(&[p]));
    assert_eq!(print("%p|%10p|%-6p|%p|%x", &[ptr(255), ptr(1), ptr(2), ptr(0), ptr(16)]), "0xff|       0x1|0x2   |(nil)|10");
    assert_eq!(print("%c%c|%3c|%-3c|", &[int(65), int(0x142), int(67), int(68)]), "AB|  C|D  |");
    assert_eq!(print_bytes("%c", &[int(0xff)]), b"\xff");
    let yes = || (Ty::Bool, vec![1]);
    assert_eq!(print("%d %s %5s|", &[yes(), yes(), yes()]), "1 true  true|");
}

#[test]
fn buffers() {
    let b = || buf(b"a\x01b\\\xff~\x7f ");
    assert_eq!(print("%r|", &[b()]), "a\\x01b\\\\xff~\\x7f |");
    assert_eq!(print("%rx|%rh|", &[buf(b"a\x01b"), buf(b"a\x01b")]), "\\x61\\x01\\x62|61 01 62|");
    assert_eq!(print("%r|%rx|%rh|", &[buf(b""), buf(b""), buf(b"")]), "|||");
    assert_eq!(print("%10rh|%-4r|", &[buf(b"ab"), buf(b"ab")]), "     61 62|ab  |");
    assert_eq!(print("%s", &[buf(b"a\0")]), "a\\x00");
    let raw = Ty::Array(Arc::new(Ty::U8), 3);
    assert_eq!(print("%rh", &[(raw, vec![1, 2, 255])]), "01 02 ff");
    assert_eq!(print("%rx", &[string(b"ab")]), "\\x61\\x62");
}

#[test]
fn anything_as_a_string() {
    let color = Ty::Enum(Arc::new(EnumDef { name: "color".into(), bytes: 4, signed: false, variants: vec![("BLUE".into(), 7)] }));
    let value = |n| (color.clone(), sized(4, false, n).1);
    assert_eq!(print("%s %d|%6s|%-6s|%s", &[value(7), value(7), value(7), value(7), value(8)]), "BLUE 7|  BLUE|BLUE  |8");
    let pair = Ty::Tuple([Ty::I64, Ty::Str(8)].into());
    let bytes = [words(&[1]), padded(b"a", 8)].concat();
    assert_eq!(print("%s|%10s|", &[(pair.clone(), bytes.clone()), (pair, bytes)]), "(1, a)|    (1, a)|");
    assert_eq!(print("%s|%4s|", &[int(-5), int(6)]), "-5|   6|");
    assert_eq!(print("%s", &[(Ty::Mac, vec![1, 2, 0xab, 4, 5, 6])]), "01:02:AB:04:05:06");
}

#[test]
fn bytes_pass_through() {
    assert_eq!(print_bytes("<%s|%6s|%.1s>", &[string(b"\xff\xfe"), string(b"\xc3"), string(b"\xc3\xa9")]), b"<\xff\xfe|     \xc3|\xc3>");
    let mut full = string(&[b'x'; 16]);
    full.1.extend(b"beyond");
    let mut b = Bench::text();
    let (format, _) = awl_compiler::format::parse("%s.");
    let event = b.event(EventKind::Printf(Arc::new(format)), &[full.0]);
    let mut record = b.record(event, &[&full.1[..16]]);
    record.extend(b"beyond");
    let after = b.output.event(&b.plan, &record, &mut b.ctx);
    assert_eq!(after, After::Continue);
    assert_eq!(b.seen(), "xxxxxxxxxxxxxxxx.");
}

#[test]
fn short_records_print_zeros() {
    let mut b = Bench::text();
    let (format, _) = awl_compiler::format::parse("%d %s %x|%s\n");
    let tys = [Ty::I64, Ty::Str(4), Ty::U32, Ty::Inet];
    let event = b.event(EventKind::Printf(Arc::new(format)), &tys);
    let record = (event as u32).to_le_bytes();
    for len in 0..=4 {
        let after = b.output.event(&b.plan, &record[..len], &mut b.ctx);
        assert_eq!(after, After::Continue);
        assert_eq!(b.seen(), "0  0|0.0.0.0\n");
    }
}

#[test]
fn arguments_that_do_not_fit_print_as_they_are() {
    assert_eq!(print("%d|%x", &[string(b"no"), buf(b"\x01")]), "no|\\x01");
    assert_eq!(print("%d %d", &[int(1)]), "1 ");
}
