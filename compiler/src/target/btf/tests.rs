use std::time::Instant;

use super::{Btf, Builder, Kind, find_quick};
use crate::types::{FieldTy, Space, Ty};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The running kernel's types, or `None` with the reason printed.
fn vmlinux() -> Option<Vec<u8>> {
    match std::fs::read(VMLINUX) {
        Ok(bytes) => Some(bytes),
        Err(e) => {
            eprintln!("skipped: {VMLINUX}: {e}");
            None
        }
    }
}

#[test]
fn quick_and_indexed_agree_on_the_kernel() {
    let Some(bytes) = vmlinux() else { return };
    let t = Instant::now();
    let btf = Btf::parse(bytes.clone()).unwrap();
    let parse = t.elapsed();
    let t = Instant::now();
    let quick = find_quick(&bytes, Kind::Typedef, "btf_trace_sys_enter");
    let quick_time = t.elapsed();
    let t = Instant::now();
    let typedef = btf.trace_typedef("sys_enter");
    let types = t.elapsed();
    let t = Instant::now();
    assert!(btf.find(Kind::Func, "schedule").is_some());
    let functions = t.elapsed();
    let t = Instant::now();
    let task = btf.record_named("struct task_struct").unwrap();
    let record = t.elapsed();
    eprintln!(
        "{} types: parse {parse:?}, quick {quick_time:?}, index of types {types:?}, of functions {functions:?}, task_struct {record:?}",
        btf.len()
    );
    assert_eq!(quick, typedef);
    assert!(quick.is_some());
    assert!(task.fields.iter().any(|f| f.name == "comm"));
}

fn field<'a>(r: &'a crate::types::RecordDef, name: &str) -> &'a crate::types::Field {
    r.fields.iter().find(|f| f.name == name).unwrap()
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
    assert!(std::sync::Arc::ptr_eq(same, &r));
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
