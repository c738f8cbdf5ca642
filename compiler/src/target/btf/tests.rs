use super::{Btf, Builder, Kind, SCANS, find_member_quick, find_quick};
use crate::types::{Field, FieldTy, RecordDef, Space, Ty};
use std::collections::HashSet;
use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The running kernel's types, or `None` with the reason printed.
fn vmlinux() -> Option<Vec<u8>> {
    std::fs::read(VMLINUX).map_err(|e| eprintln!("skipped: {VMLINUX}: {e}")).ok()
}

fn field<'a>(r: &'a RecordDef, name: &str) -> &'a Field {
    r.fields.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no {name} in {r:?}"))
}

#[test]
fn quick_and_indexed_agree_on_the_kernel() {
    let Some(bytes) = vmlinux() else { return };
    let t = Instant::now();
    let btf = Btf::parse(bytes.clone()).unwrap();
    eprintln!("{} types, read in {:?}", btf.len(), t.elapsed());
    for (kind, name) in [
        (Kind::Typedef, "btf_trace_sys_enter"),
        (Kind::Struct, "task_struct"),
        (Kind::Func, "schedule"),
        (Kind::Enum, "pid_type"),
        (Kind::Int, "int"),
        (Kind::Struct, "no_such_struct"),
        (Kind::Func, "task_struct"),
    ] {
        assert_eq!(find_quick(&bytes, kind, name), btf.find(kind, name), "{kind:?} {name}");
    }
    let task = btf.record_named("struct task_struct").unwrap();
    assert!(Arc::ptr_eq(&task, &btf.record_named("struct task_struct").unwrap()));
    assert!(task.fields.len() > 100);
    for (record, member) in [("task_struct", "pid"), ("task_struct", "comm"), ("list_head", "prev"), ("sk_buff", "len")] {
        let known = btf.record_named(&format!("struct {record}")).unwrap();
        assert_eq!(find_member_quick(&bytes, record, member), Some(field(&known, member).offset), "{record}.{member}");
    }
    assert_eq!(find_member_quick(&bytes, "list_head", "no_such_member"), None);
    assert_eq!(find_member_quick(&bytes, "no_such_struct", "next"), None);
    for (name, id) in btf.names(Kind::Struct).take(3000) {
        assert!(btf.find_all(Kind::Struct, name).any(|i| i == id));
    }
}

#[test]
fn every_type_of_the_kernel_becomes_a_type() {
    let Some(bytes) = vmlinux() else { return };
    let btf = Btf::parse(bytes).unwrap();
    let mut fields = 0;
    for id in 1..=btf.len() {
        let ty = btf.ty(id, Space::Btf);
        match btf.kind(btf.strip(id)) {
            Some(Kind::Struct | Kind::Union) => {
                let r = btf.record(id).unwrap();
                assert!(r.align.is_power_of_two() && r.size.is_multiple_of(r.align));
                for f in &r.fields {
                    fields += 1;
                    let t = btf.resolve_field(&f.ty, Space::Btf);
                    let end = match f.bits {
                        Some((first, width)) => f.offset + u32::from(first + width).div_ceil(8),
                        None => f.offset + t.size(),
                    };
                    assert!(end <= r.size, "{} of {r:?}", f.name);
                    assert!(!f.name.is_empty());
                }
            }
            Some(Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Ptr) => assert!(ty.size() > 0),
            _ => {}
        }
        assert!(!btf.declare(id, "x").is_empty());
    }
    assert!(fields > 10_000);
}

/// bpftool's reading of every record, enum and function: the same names, ids, sizes, offsets and values.
#[test]
fn bpftool_reads_the_same() {
    let Some(bytes) = vmlinux() else { return };
    let out = Command::new("bpftool").args(["btf", "dump", "file", VMLINUX, "format", "raw"]).output();
    let Ok(out) = out else { return eprintln!("skipped: no bpftool here") };
    let theirs = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() || theirs.is_empty() {
        return eprintln!("skipped: bpftool can't read {VMLINUX}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let btf = Btf::parse(bytes).unwrap();
    let value = |line: &str, key: &str| -> Option<String> {
        let at = line.find(&format!(" {key}="))? + key.len() + 2;
        Some(line[at..].split(' ').next()?.to_owned())
    };
    let (mut id, mut compared, mut at) = (0, 0, 0);
    for line in theirs.lines() {
        let name = line.split('\'').nth(1).unwrap_or_default();
        if let Some(head) = line.strip_prefix('[') {
            let (n, rest) = head.split_once("] ").unwrap();
            id += 1;
            at = 0;
            assert_eq!(n.parse(), Ok(id));
            let kind = format!("{:?}", btf.kind(id).unwrap()).to_uppercase();
            let word = rest.split(' ').next().unwrap().replace('_', "");
            assert_eq!(kind, word, "{line}");
            assert_eq!(btf.name(id), if name == "(anon)" { "" } else { name });
            match btf.kind(id).unwrap() {
                Kind::Struct | Kind::Union => assert_eq!(Some(btf.record(id).unwrap().size.to_string()), value(line, "size")),
                Kind::Enum | Kind::Enum64 => {
                    let e = btf.enum_def(id).unwrap();
                    assert_eq!(Some(e.bytes.to_string()), value(line, "size"));
                    assert_eq!(Some(if e.signed { "SIGNED" } else { "UNSIGNED" }), value(line, "encoding").as_deref());
                    assert_eq!(Some(e.variants.len().to_string()), value(line, "vlen"));
                }
                _ => {}
            }
            continue;
        }
        compared += 1;
        let index = at;
        at += 1;
        match btf.kind(id).unwrap() {
            Kind::Struct | Kind::Union => {
                if name == "(anon)" {
                    continue;
                }
                let r = btf.record(id).unwrap();
                let bit: u32 = value(line, "bits_offset").unwrap().parse().unwrap();
                let width = value(line, "bitfield_size").map_or(0, |w| w.parse().unwrap());
                let ty: u32 = value(line, "type_id").unwrap().parse().unwrap();
                let ours = |f: &Field| (f.offset * 8 + f.bits.map_or(0, |b| b.0.into()), f.bits.map_or(0, |b| u32::from(b.1)));
                let found = r.fields.iter().any(|f| f.name == name && f.ty == FieldTy::Btf(ty) && ours(f) == (bit, width));
                assert!(found, "{line} of {r:?}");
            }
            Kind::Enum | Kind::Enum64 => {
                let e = btf.enum_def(id).unwrap();
                let (own, n) = &e.variants[index];
                let text = value(line, "val").unwrap();
                let text = text.trim_end_matches(['L', 'U']);
                let known = text.parse::<i64>().unwrap_or_else(|_| text.parse::<u64>().unwrap() as i64);
                assert_eq!((own.as_str(), *n), (name, known), "{line}");
            }
            Kind::FuncProto => {
                let (params, _) = btf.prototype(id).unwrap();
                let ty: u32 = value(line, "type_id").unwrap().parse().unwrap();
                assert_eq!((params[index].name.as_str(), params[index].id), (if name == "(anon)" { "" } else { name }, ty), "{line}");
            }
            _ => {}
        }
    }
    assert_eq!(id, btf.len());
    eprintln!("{id} types and {compared} members, values and parameters");
}

/// gcc's layout of the kernel's records as bpftool declares them: fields of anonymous members included.
#[test]
fn gcc_finds_the_flattened_fields_at_the_same_places() {
    let Some(bytes) = vmlinux() else { return };
    let dump = Command::new("bpftool").args(["btf", "dump", "file", VMLINUX, "format", "c"]).output();
    let Ok(dump) = dump else { return eprintln!("skipped: no bpftool here") };
    if !dump.status.success() {
        return eprintln!("skipped: bpftool can't read {VMLINUX}");
    }
    let header = String::from_utf8_lossy(&dump.stdout);
    let btf = Btf::parse(bytes).unwrap();
    let mut c = header.clone().into_owned();
    let mut checks = 0;
    let defined: HashSet<&str> = header.lines().filter_map(|l| l.strip_prefix("struct ")?.strip_suffix(" {")).collect();
    for (name, id) in btf.names(Kind::Struct) {
        let r = btf.record(id).unwrap();
        let anonymous = btf.has_anonymous_members(id);
        // local structs of one name exist twice, and bpftool gives the second another name
        if !anonymous || !defined.contains(name) || btf.find_all(Kind::Struct, name).count() > 1 {
            continue;
        }
        for f in r.fields.iter().filter(|f| f.bits.is_none()) {
            let _ = writeln!(
                c,
                "_Static_assert(sizeof(struct {name}) != {} || __builtin_offsetof(struct {name}, {}) == {}, \"{name}\");",
                r.size, f.name, f.offset
            );
            checks += 1;
        }
    }
    let dir = std::env::temp_dir().join(format!("awl-vmlinux-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("v.c"), c).unwrap();
    let made = Command::new("gcc").args(["-w", "-fsyntax-only"]).arg(dir.join("v.c")).output();
    std::fs::remove_dir_all(&dir).unwrap();
    let Ok(made) = made else { return eprintln!("skipped: no gcc here") };
    let log = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{}", log.lines().filter(|l| l.contains("error")).take(10).collect::<Vec<_>>().join("\n"));
    eprintln!("{checks} places");
    assert!(checks > 1000);
}

#[test]
fn a_record_that_refers_to_itself() {
    let mut b = Builder::new();
    let int = b.int("int", 4, true);
    let ptr = b.ptr(int + 2);
    let node = b.record(false, "node", 16, &[("next", ptr, 0, 0), ("value", int, 64, 0)]);
    let btf = Btf::parse(b.finish()).unwrap();
    let r = btf.record_named("struct node").unwrap();
    assert_eq!(r.btf_id, Some(node));
    assert_eq!((r.size, r.align, r.union), (16, 8, false));
    let next = field(&r, "next");
    assert!(matches!(next.ty, FieldTy::Btf(_)));
    let Ty::Ptr(to, Space::Btf) = btf.resolve_field(&next.ty, Space::Btf) else { panic!("no pointer") };
    let Ty::Record(same) = &*to else { panic!("no record") };
    assert!(Arc::ptr_eq(same, &r));
    assert_eq!(btf.resolve_field(&field(&r, "value").ty, Space::Btf), Ty::I32);
    assert_eq!(field(&r, "value").offset, 8);
}

#[test]
fn definitions_as_c_writes_them() {
    let mut b = Builder::new();
    let int = b.int("int", 4, true);
    let none = b.enumeration("", true, &[("A", 0), ("B", -1)]);
    let inner = b.record(true, "", 4, &[("x", int, 0, 0), ("y", int, 0, 0)]);
    let pairs = b.array(inner, 2);
    let words = b.array(pairs, 3);
    let outer = b.record(
        false,
        "outer",
        40,
        &[("", inner, 0, 0), ("pairs", words, 32, 0), ("kind", none, 224, 0), ("low", int, 256, 3), ("high", int, 259, 5)],
    );
    let btf = Btf::parse(b.finish()).unwrap();
    let union = "\tunion {\n\t\tint x;\n\t\tint y;\n\t}";
    assert_eq!(
        btf.definition(outer),
        format!(
            "struct outer {{\n{union};\n{union} pairs[3][2];\n\tenum {{\n\t\tA = 0,\n\t\tB = -1,\n\t}} kind;\n\tint low: 3;\n\tint high: 5;\n}};\n"
        )
    );
    assert_eq!(btf.definition(none), "enum {\n\tA = 0,\n\tB = -1,\n};\n");
    assert_eq!(btf.definition(int), "");
}

#[test]
fn a_definition_inside_itself_ends() {
    let mut b = Builder::new();
    let own = b.len() + 1;
    let around = b.record(false, "", 8, &[("", own, 0, 0), ("", own, 0, 0)]);
    assert_eq!(own, around);
    let btf = Btf::parse(b.finish()).unwrap();
    assert!(btf.definition(around).lines().count() < 1_000_000);
}

#[test]
fn every_kind_of_type() {
    let mut b = Builder::new();
    let int = b.int("int", 4, true);
    let char_ = b.int("char", 1, false);
    let wide = b.int("__int128", 16, true);
    let bool_ = b.bool("_Bool");
    let double = b.float("double", 8);
    let const_ = b.wrap(Kind::Const, "", int);
    let volatile = b.wrap(Kind::Volatile, "", const_);
    let typedef = b.typedef("number_t", volatile);
    let text = b.array(char_, 16);
    let user = b.wrap(Kind::TypeTag, "user", char_);
    let user_ptr = b.ptr(user);
    let void_ptr = b.ptr(0);
    let small = b.enumeration("small", true, &[("BELOW", -1), ("ABOVE", 1)]);
    let large = b.enumeration64("large", false, &[("HUGE", -1)]);
    let anonymous = b.record(false, "", 8, &[("inner", int, 0, 0), ("low", int, 32, 3), ("high", int, 35, 5)]);
    let named = b.typedef("boxed_t", anonymous);
    let union = b.record(true, "", 4, &[("a", int, 0, 0), ("b", char_, 0, 0)]);
    let outer = b.record(false, "outer", 24, &[("first", int, 0, 0), ("", anonymous, 64, 0), ("", union, 128, 0)]);
    let packed = b.record(false, "packed", 5, &[("c", char_, 0, 0), ("i", int, 8, 0)]);
    let matrix = b.array(text, 3);
    let proto = b.prototype(int, &[("x", outer), ("", 0)]);
    let callback = b.ptr(proto);
    let hidden = b.fwd(false, "hidden");
    let seen = b.fwd(false, "outer");
    let f = b.func("call_me", int, &[("arg", user_ptr), ("", 0)]);
    let btf = Btf::parse(b.finish()).unwrap();

    let ty = |id| btf.ty(id, Space::Kernel);
    assert_eq!(ty(typedef), Ty::I32);
    assert_eq!(ty(char_), Ty::Int { bytes: 1, signed: true });
    assert_eq!(ty(wide), Ty::Array(Arc::new(Ty::U8), 16));
    assert_eq!(ty(double), Ty::Array(Arc::new(Ty::U8), 8));
    assert_eq!(ty(bool_), Ty::Bool);
    assert_eq!(ty(text), Ty::Array(Arc::new(Ty::Int { bytes: 1, signed: true }), 16));
    assert_eq!(ty(matrix).size(), 48);
    assert_eq!(ty(user_ptr), Ty::ptr(Ty::Int { bytes: 1, signed: true }, Space::User));
    assert_eq!(ty(void_ptr), Ty::ptr(Ty::Void, Space::Kernel));
    assert_eq!(ty(callback), Ty::ptr(Ty::Void, Space::Kernel));
    assert_eq!((ty(0), ty(f), ty(99), ty(u32::MAX)), (Ty::Void, Ty::Void, Ty::Void, Ty::Void));
    let Ty::Enum(e) = ty(small) else { panic!() };
    assert_eq!((e.bytes, e.signed, &e.variants[0]), (4, true, &("BELOW".to_owned(), -1)));
    let Ty::Enum(e) = ty(large) else { panic!() };
    assert_eq!((e.bytes, e.variants[0].1 as u64), (8, u64::MAX));
    assert_eq!(btf.enumerator("ABOVE").unwrap().1, 1);
    assert!(btf.enumerator("NONE").is_none());

    let r = btf.record(outer).unwrap();
    let at: Vec<_> = r.fields.iter().map(|f| (f.name.as_str(), f.offset, f.bits)).collect();
    assert_eq!(
        at,
        [("first", 0, None), ("inner", 8, None), ("low", 12, Some((0, 3))), ("high", 12, Some((3, 5))), ("a", 16, None), ("b", 16, None)]
    );
    assert_eq!(btf.record(packed).unwrap().align, 1);
    assert_eq!(btf.record(named).unwrap().name, "boxed_t");
    assert_eq!(btf.record(hidden).unwrap().name, "struct hidden");
    assert!(Arc::ptr_eq(&btf.record(seen).unwrap(), &r));
    assert!(btf.record(int).is_none());
    assert_eq!(btf.find(Kind::Struct, "hidden"), None);
    assert_eq!(btf.find(Kind::Enum, "large"), Some(large));
    assert_eq!(btf.func_params("call_me").unwrap()[0].name, "arg");
    assert_eq!(btf.func_return("call_me"), Some(int));

    assert_eq!(btf.declare(typedef, "n"), "number_t n");
    assert_eq!(btf.declare(volatile, "n"), "volatile const int n");
    assert_eq!(btf.declare(matrix, "m"), "char m[3][16]");
    assert_eq!(btf.declare(matrix, ""), "char[3][16]");
    assert_eq!(btf.declare(callback, "f"), "int (*f)(struct outer x, ...)");
    assert_eq!(btf.declare(user_ptr, "p"), "char *p");
    assert_eq!(btf.declare(0, ""), "void");
}

#[test]
fn arguments_of_raw_tracepoints() {
    let mut b = Builder::new();
    let int = b.int("int", 4, true);
    let void = b.ptr(0);
    let task = b.record(false, "task", 4, &[("pid", int, 0, 0)]);
    let task_ptr = b.ptr(task);
    let nameless = b.prototype(0, &[("", void), ("", int), ("", task_ptr)]);
    let pointer = b.ptr(nameless);
    let with_names = b.typedef("btf_trace_named", pointer);
    b.typedef("btf_trace_bare", pointer);
    b.typedef("btf_trace_other", pointer);
    b.func("__traceiter_named", int, &[("__data", void), ("count", int), ("p", task_ptr)]);
    b.func("__bpf_trace_other", 0, &[("__data", void), ("of_another_type", task_ptr), ("p", task_ptr)]);
    let empty = b.prototype(0, &[]);
    let empty = b.ptr(empty);
    b.typedef("btf_trace_empty", empty);
    let btf = Btf::parse(b.finish()).unwrap();
    assert_eq!(btf.trace_typedef("named"), Some(with_names));
    let names = |event: &str| btf.trace_args(event).map(|a| a.into_iter().map(|p| (p.name, p.id)).collect::<Vec<_>>());
    assert_eq!(names("named"), Some(vec![("count".into(), int), ("p".into(), task_ptr)]));
    assert_eq!(names("bare"), Some(vec![("arg0".into(), int), ("arg1".into(), task_ptr)]));
    assert_eq!(names("other"), names("bare"));
    assert_eq!(names("empty"), None);
    assert_eq!(names("missing"), None);
    let mut events: Vec<&str> = btf.trace_events().collect();
    events.sort_unstable();
    assert_eq!(events, ["bare", "empty", "named", "other"]);
}

#[test]
fn bytes_that_are_no_types() {
    let e = |bytes: &[u8]| Btf::parse(bytes.to_vec()).unwrap_err();
    assert!(e(b"").contains("cut off"));
    assert!(e(&[0; 64]).contains("magic"));
    let mut big = vec![0xeb, 0x9f];
    big.extend([0; 60]);
    assert!(e(&big).contains("big-endian"));
    let mut good = Builder::new();
    good.int("int", 4, true);
    let good = good.finish();
    let mut newer = good.clone();
    newer[2] = 2;
    assert!(e(&newer).contains("version 2"));
    let mut unknown = good.clone();
    unknown[24 + 7] = 31;
    assert!(e(&unknown).contains("newer than awl"));
    assert!(Btf::parse(good).is_ok());
}

/// Asks everything that there is to ask of some bytes.
fn ask(bytes: Vec<u8>) {
    let _ = find_quick(&bytes, Kind::Struct, "node");
    let _ = find_member_quick(&bytes, "node", "next");
    let Ok(btf) = Btf::parse(bytes) else { return };
    for id in 0..=btf.len() + 1 {
        let _ = (btf.name(id), btf.kind(id), btf.ty(id, Space::Kernel).size(), btf.enum_def(id), btf.prototype(id));
        let _ = btf.declare(id, "x").len();
        if let Some(r) = btf.record(id) {
            for f in &r.fields {
                let _ = btf.resolve_field(&f.ty, Space::Btf).size();
            }
            let _ = btf.members_of(id);
        }
    }
    let _ = (btf.find(Kind::Func, "call_me"), btf.enumerator("BELOW"), btf.trace_args("named"), btf.trace_events().count());
}

/// A little of everything.
fn mixed() -> Vec<u8> {
    let mut b = Builder::new();
    let int = b.int("int", 4, true);
    let ptr = b.ptr(int + 4);
    let text = b.array(int, 3);
    let inner = b.record(true, "", 4, &[("a", int, 0, 0), ("b", int, 3, 5)]);
    let node = b.record(false, "node", 32, &[("next", ptr, 0, 0), ("", inner, 64, 0), ("t", text, 96, 0)]);
    b.enumeration("e", true, &[("BELOW", -1)]);
    b.enumeration64("f", false, &[("HIGH", 1 << 40)]);
    let t = b.typedef("node_t", node);
    let c = b.wrap(Kind::Const, "", t);
    b.wrap(Kind::Volatile, "", c);
    b.func("call_me", int, &[("x", ptr), ("", 0)]);
    let proto = b.prototype(0, &[("", ptr), ("", int)]);
    let proto = b.ptr(proto);
    b.typedef("btf_trace_named", proto);
    b.fwd(false, "far");
    b.finish()
}

#[test]
fn every_cut_and_every_planted_byte() {
    let whole = mixed();
    for n in 0..whole.len() {
        ask(whole[..n].to_vec());
    }
    for at in 0..whole.len() {
        for planted in [0, 1, 4, 5, 8, 10, 13, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = planted;
            ask(bytes);
        }
    }
}

#[test]
fn random_words_planted() {
    let whole = mixed();
    let mut seed = 7u64;
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize
    };
    for _ in 0..4000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 4 {
            // in the type section, so that most of them get past the header
            let at = 24 + next() % (whole.len() - 24) / 4 * 4;
            let word = if next() % 2 == 0 { next() as u32 % 24 } else { next() as u32 };
            if let Some(b) = bytes.get_mut(at..at + 4) {
                b.copy_from_slice(&word.to_le_bytes());
            }
        }
        ask(bytes);
    }
}

#[test]
fn circles_and_towers_end() {
    let mut b = Builder::new();
    let a = b.typedef("a", 2);
    b.typedef("b", a);
    let c = b.wrap(Kind::Const, "", 3);
    let p = b.ptr(4);
    let arr = b.array(5, u32::MAX);
    // a record that holds itself twice, by name and without
    let r = b.record(false, "self", 8, &[("x", 6, 0, 0), ("", 6, 0, 0), ("", 6, 32, 0), ("y", 6, 0xff_ffff, 0)]);
    let int = b.int("int", 4, true);
    let mut tower = int;
    for _ in 0..100 {
        tower = b.array(tower, 1000);
    }
    // anonymous records that hold one another: 2 to the power of 60 paths
    let first = b.len() + 1;
    for i in 0..60 {
        let next = if i == 59 { int } else { first + i + 1 };
        let name = if i == 59 { "deep" } else { "" };
        b.record(false, if i == 0 { "top" } else { "" }, 8, &[(name, next, 0, 0), (name, next, 8, 0)]);
    }
    let bytes = b.finish();
    ask(bytes.clone());
    let btf = Btf::parse(bytes).unwrap();
    assert_eq!((btf.ty(a, Space::Kernel), btf.ty(c, Space::Kernel)), (Ty::Void, Ty::Void));
    assert!(matches!(btf.ty(p, Space::Kernel), Ty::Ptr(..)));
    assert_eq!(btf.ty(arr, Space::Kernel).size(), 0);
    assert!(btf.record(r).unwrap().fields.len() < 1 << 17);
    assert!(btf.ty(tower, Space::Kernel).size() <= 1 << 30);
}

#[test]
fn functions_are_found_with_and_without_their_index() {
    let mut b = Builder::new();
    let int = b.int("int", 4, true);
    let mut last = b.func("twice", int, &[]);
    let first = last;
    for i in 0..10 {
        last = b.func(&format!("f{i}"), int, &[("x", int)]);
    }
    b.func("twice", int, &[]);
    let btf = Btf::parse(b.finish()).unwrap();
    for round in 0..2 * SCANS {
        assert_eq!(btf.functions.get().is_some(), round > SCANS, "{round}");
        assert_eq!(btf.find(Kind::Func, "f9"), Some(last));
    }
    assert_eq!(btf.find(Kind::Func, "twice"), Some(first));
    let new = Btf::parse(b.finish()).unwrap();
    assert_eq!((new.find(Kind::Func, "twice"), new.find(Kind::Func, "int"), new.find(Kind::Func, "")), (Some(first), None, None));
}
