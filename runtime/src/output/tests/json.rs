use super::*;
use awl_compiler::types::{Agg, EnumDef, StackKind, StackMode};
use std::sync::Arc;

/// Every line must be JSON, whatever it holds.
fn checked(text: String) -> String {
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["type"].is_string(), "{line}");
    }
    text
}

fn map(name: &str, keys: &[Ty], value: Ty, entries: Plain) -> String {
    let mut b = Bench::json();
    let m = b.map(name, keys, value, entries);
    checked(b.printed(m, 0, 0))
}

fn value(ty: &Ty, bytes: &[u8]) -> String {
    let text = checked(Bench::json().value(ty, bytes));
    let start = "{\"type\": \"value\", \"data\": ";
    let data = text.strip_prefix(start).unwrap();
    data.strip_suffix("}\n").unwrap().to_string()
}

#[test]
fn printf_and_its_kin() {
    let mut b = Bench::json();
    let format = Arc::new(awl_compiler::format::parse("hi %d \"%s\"\n").0);
    let tys = [Ty::I64, Ty::Str(8)];
    let values: [&[u8]; 2] = [&words(&[4]), b"a\xff\x01\0"];
    assert_eq!(
        checked(b.once(EventKind::Printf(format.clone()), &tys, &values)),
        "{\"type\": \"printf\", \"data\": \"hi 4 \\\"a\u{fffd}\\u0001\\\"\\n\"}\n"
    );
    assert_eq!(
        checked(b.once(EventKind::Errorf(format), &tys, &values)),
        "{\"type\": \"errorf\", \"msg\": \"hi 4 \\\"a\u{fffd}\\u0001\\\"\\n\"}\n"
    );
    let join = EventKind::Join { delimiter: ",".into() };
    assert_eq!(checked(b.once(join, &[Ty::I64], &[])), "{\"type\": \"join\", \"data\": \"\"}\n");
    assert_eq!(checked(b.once(EventKind::Time("x\n".into()), &[], &[])), "{\"type\": \"time\", \"data\": \"x\\n\"}\n");
}

#[test]
fn values() {
    assert_eq!(value(&Ty::I64, &words(&[5])), "5");
    assert_eq!(value(&Ty::Str(8), b"abc\0"), "\"abc\"");
    assert_eq!(value(&Ty::Bool, &[1]), "true");
    let inner = Ty::Tuple([Ty::I64, Ty::I64].into());
    let ty = Ty::Tuple([Ty::I64, Ty::Str(8), inner].into());
    let bytes = [words(&[1]), padded(b"x", 8), words(&[1, 2])].concat();
    assert_eq!(value(&ty, &bytes), "[1,\"x\",[1,2]]");
    let color = Ty::Enum(Arc::new(EnumDef { name: "color".into(), bytes: 4, signed: false, variants: vec![("BLUE".into(), 7)] }));
    assert_eq!(value(&color, &[7, 0, 0, 0]), "7");
    assert_eq!(value(&Ty::Buf(8), &[3, 0, 0, 0, b'a', b'b', 1]), "[97,98,1]");
    let ptr = Ty::ptr(Ty::Void, awl_compiler::types::Space::Kernel);
    assert_eq!(value(&ptr, &words(&[255])), "255");
    let named = Ty::NamedTuple([("a".into(), Ty::I64), ("b".into(), Ty::Str(8))].into());
    let bytes = [words(&[1]), padded(b"x", 8)].concat();
    assert_eq!(value(&named, &bytes), "{\"a\": 1, \"b\": \"x\"}");
    let (ty, bytes) = super::values::everything();
    assert_eq!(
        value(&ty, &bytes),
        "{ \"x\": 5, \"z\": [1,2,-3], \"s\": \"hey\", \"q\": 77, \"p\": 0, \
         \"in\": { \"i\": 1, \"j\": 2 }, \"e\": 7, \"bf\": 5, \
         \"arr\": [{ \"i\": 1, \"j\": 2 },{ \"i\": 3, \"j\": 4 }], \"ub\": [1,2,255], \
         \"bo\": true, \"f\": \"<struct file>\" }"
    );
}

#[test]
fn integers_that_doubles_would_change_are_strings() {
    let max = 1i64 << 53;
    assert_eq!(value(&Ty::I64, &words(&[max])), "9007199254740992");
    assert_eq!(value(&Ty::I64, &words(&[max + 1])), "\"9007199254740993\"");
    assert_eq!(value(&Ty::I64, &words(&[max + 2])), "9007199254740994");
    assert_eq!(value(&Ty::I64, &words(&[-max - 1])), "\"-9007199254740993\"");
    assert_eq!(value(&Ty::I64, &words(&[i64::MIN])), "-9223372036854775808");
    assert_eq!(value(&Ty::U64, &words(&[-1])), "\"18446744073709551615\"");
    assert_eq!(value(&Ty::U64, &words(&[0])), "0");
}

#[test]
fn maps() {
    assert_eq!(map("", &[], Ty::I64, vec![entry(&[], &[&[5]])]), "{\"type\": \"map\", \"data\": {\"@\": 5}}\n");
    let key = |n: i64, s: &[u8]| [words(&[n]), padded(s, 8)].concat();
    let entries = vec![(key(1, b"abc"), vec![words(&[3])]), (key(2, b"q\"\x01z"), vec![words(&[4])])];
    assert_eq!(
        map("x", &[Ty::I64, Ty::Str(8)], Ty::I64, entries),
        "{\"type\": \"map\", \"data\": {\"@x\": {\"1,abc\": 3, \"2,q\\\"\\u0001z\": 4}}}\n"
    );
    assert_eq!(map("e", &[Ty::I64], Ty::I64, vec![]), "");
    assert_eq!(map("c", &[], Ty::Agg(Agg::Count), vec![]), "{\"type\": \"map\", \"data\": {\"@c\": 0}}\n");
    let tuple = Ty::Tuple([Ty::I64, Ty::I64].into());
    assert_eq!(
        map("t", &[tuple, Ty::I64], Ty::Bool, vec![(words(&[1, 2, 3]), vec![vec![1]])]),
        "{\"type\": \"map\", \"data\": {\"@t\": {\"(1,2),3\": true}}}\n"
    );
}

#[test]
fn aggregations() {
    let stats = Ty::Agg(Agg::Stats { signed: true });
    assert_eq!(
        map("s", &[], stats.clone(), vec![entry(&[], &[&[2, 1]])]),
        "{\"type\": \"stats\", \"data\": {\"@s\": {\"count\": 1, \"average\": 2, \"total\": 2}}}\n"
    );
    assert_eq!(
        map("s2", &[Ty::I64], stats, vec![entry(&[7], &[&[3, 1]])]),
        "{\"type\": \"stats\", \"data\": {\"@s2\": {\"7\": {\"count\": 1, \"average\": 3, \"total\": 3}}}}\n"
    );
    let avg = Ty::Agg(Agg::Avg { signed: true });
    assert_eq!(map("a", &[Ty::I64], avg, vec![entry(&[1], &[&[3, 1]])]), "{\"type\": \"stats\", \"data\": {\"@a\": {\"1\": 3}}}\n");
    let mut hist = vec![0; 66];
    (hist[0], hist[2], hist[3]) = (1, 0, 4);
    let hist = vec![entry(&[], &[&hist])];
    assert_eq!(
        map("y", &[], Ty::Agg(Agg::Hist { bits: 0 }), hist),
        "{\"type\": \"hist\", \"data\": {\"@y\": [{\"max\": -1, \"count\": 1}, \
         {\"min\": 0, \"max\": 0, \"count\": 0}, {\"min\": 1, \"max\": 1, \"count\": 0}, \
         {\"min\": 2, \"max\": 3, \"count\": 4}]}}\n"
    );
    let kind = Agg::Lhist { min: 0, max: 10, step: 5 };
    let entries = vec![entry(&[1], &[&[1, 0, 2, 3]])];
    assert_eq!(
        map("z", &[Ty::I64], Ty::Agg(kind), entries),
        "{\"type\": \"hist\", \"data\": {\"@z\": {\"1\": [{\"max\": -1, \"count\": 1}, \
         {\"min\": 0, \"max\": 4, \"count\": 0}, {\"min\": 5, \"max\": 9, \"count\": 2}, \
         {\"min\": 10, \"count\": 3}]}}}\n"
    );
}

#[test]
fn stacks_are_text() {
    let mut b = Bench::json();
    b.ctx.symbols.define_kernel(5, vec![]);
    b.ctx.stacks.insert(1, vec![5]);
    let stack = Ty::Stack { kind: StackKind::Kernel, mode: StackMode::Bpftrace, limit: 9 };
    let m = b.map("st", &[stack.clone(), Ty::I64], Ty::I64, vec![entry(&[1, 1], &[&[1]])]);
    assert_eq!(checked(b.printed(m, 0, 0)), "{\"type\": \"map\", \"data\": {\"@st\": {\"\\n        0x5\\n,1\": 1}}}\n");
    assert_eq!(checked(b.value(&stack, &words(&[1]))), "{\"type\": \"value\", \"data\": \"\\n        0x5\\n\"}\n");
}

#[test]
fn what_the_run_itself_says() {
    let mut b = Bench::json();
    b.output.attached(1);
    b.output.lost(7);
    b.output.warn("map @x is full");
    b.map("x", &[Ty::I64], Ty::I64, vec![]);
    b.map("a", &[], Ty::I64, vec![entry(&[], &[&[1]])]);
    b.output.maps_at_exit(&b.plan, &mut b.ctx);
    assert_eq!(
        checked(b.seen()),
        "{\"type\": \"attached_probes\", \"count\": 1, \"data\": {\"probes\": 1}}\n\
         {\"type\": \"lost_events\", \"count\": 7, \"data\": {\"events\": 7}}\n\
         {\"type\": \"runtime_error\", \"msg\": \"map @x is full\"}\n\
         {\"type\": \"map\", \"data\": {\"@a\": 1}}\n"
    );
    assert_eq!(b.complaints(), "");
}
