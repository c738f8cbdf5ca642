use super::*;

const SWITCH: &str = "name: sched_switch
ID: 372
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;

print fmt: \"field:int no_field;\", REC->prev_comm
";

fn parsed(category: &str, event: &str, fields: &[&str]) -> Format {
    let lines: String = fields.iter().map(|f| format!("\tfield:{f}\n")).collect();
    parse(category, event, &format!("name: x\nID: 1\nformat:\n{lines}\nprint fmt: \"\"\n")).unwrap()
}

/// The type of the only field.
fn ty(category: &str, event: &str, line: &str) -> FieldTy {
    parsed(category, event, &[line]).record.fields[0].ty.clone()
}

const INT8: Ty = Ty::Int { bytes: 1, signed: true };

#[test]
fn a_whole_file() {
    let f = parse("sched", "sched_switch", SWITCH).unwrap();
    assert_eq!(f.id, Some(372));
    assert_eq!((f.record.name.as_str(), f.record.size), ("struct _tracepoint_sched_sched_switch", 40));
    let at: Vec<_> = f.record.fields.iter().map(|f| (f.name.as_str(), f.offset)).collect();
    assert_eq!(at[4..], [("prev_comm", 8), ("prev_pid", 24), ("prev_state", 32)]);
    assert_eq!(f.declarations[4], "char prev_comm[16]");
    assert!(is_common(&f.record.fields[3]) && !is_common(&f.record.fields[4]));
    assert_eq!(f.record.fields[4].ty, FieldTy::Array(Box::new(FieldTy::Known(INT8)), 16));
}

#[test]
fn types_of_fields() {
    let known = |line: &str| match ty("sched", "x", line) {
        FieldTy::Known(t) => t,
        t => panic!("{line}: {t:?}"),
    };
    let int = |bytes, signed| Ty::Int { bytes, signed };
    assert_eq!(known("pid_t pid;\toffset:8;\tsize:4;\tsigned:1;"), int(4, true));
    assert_eq!(known("xfs_ino_t ino;\toffset:8;\tsize:8;\tsigned:0;"), int(8, false));
    assert_eq!(known("bool yes;\toffset:8;\tsize:1;\tsigned:0;"), Ty::Bool);
    assert_eq!(known("char c;\toffset:8;\tsize:1;\tsigned:0;"), int(1, false));
    assert_eq!(known("enum xfs_group_type type;\toffset:8;\tsize:1;\tsigned:0;"), int(1, false));
    assert_eq!(known("some_t opaque;\toffset:8;\tsize:24;\tsigned:0;"), Ty::Array(Arc::new(Ty::U8), 24));
    assert_eq!(known("const void * p;\toffset:8;\tsize:8;\tsigned:0;"), Ty::ptr(Ty::Void, Space::Kernel));
    assert_eq!(known("void __seg_gs * p;\toffset:8;\tsize:8;\tsigned:0;"), Ty::ptr(Ty::Void, Space::Kernel));

    let named = |n: &str| FieldTy::Named(n.to_owned());
    assert_eq!(ty("x", "y", "enum zone_type z;\toffset:8;\tsize:4;\tsigned:0;"), named("enum zone_type"));
    assert_eq!(
        ty("x", "y", "struct page * p;\toffset:8;\tsize:8;\tsigned:0;"),
        FieldTy::Ptr(Box::new(named("struct page")), Space::Kernel)
    );
    let array = |t, n| FieldTy::Array(Box::new(t), n);
    assert_eq!(ty("x", "y", "unsigned long args[6];\toffset:8;\tsize:48;\tsigned:0;"), array(FieldTy::Known(int(8, false)), 6));
    assert_eq!(ty("x", "y", "char comm[TASK_COMM_LEN];\toffset:8;\tsize:16;\tsigned:0;"), array(FieldTy::Known(INT8), 16));
    assert_eq!(ty("x", "y", "some_t a[4];\toffset:8;\tsize:16;\tsigned:0;"), array(FieldTy::Known(int(4, false)), 4));
    assert_eq!(ty("x", "y", "unsigned long none[];\toffset:8;\tsize:0;\tsigned:0;"), array(FieldTy::Known(int(8, false)), 0));
    assert_eq!(ty("x", "y", "struct in6_addr a[2];\toffset:8;\tsize:32;\tsigned:0;"), array(named("struct in6_addr"), 2));
}

#[test]
fn data_behind_the_record() {
    let f = parsed(
        "x",
        "y",
        &["__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;", "__data_loc u64[] list;\toffset:12;\tsize:4;\tsigned:0;"],
    );
    let array = |t| FieldTy::Array(Box::new(FieldTy::Known(t)), 0);
    assert!(f.record.fields.iter().all(|f| f.data_loc));
    assert_eq!(f.record.fields[0].ty, array(INT8));
    assert_eq!(f.record.fields[1].ty, array(Ty::U64));
    let f = parsed("x", "y", &["__rel_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;"]);
    assert_eq!((f.record.fields[0].data_loc, &f.record.fields[0].ty), (false, &FieldTy::Known(Ty::U32)));
}

#[test]
fn arguments_of_system_calls() {
    let entry = |line: &str| ty("syscalls", "sys_enter_x", line);
    let known = |bytes, signed| FieldTy::Known(Ty::Int { bytes, signed });
    // as wide as the call's own declaration says, in a slot of a whole register
    assert_eq!(entry("int dfd;\toffset:16;\tsize:8;\tsigned:0;"), known(4, true));
    assert_eq!(entry("umode_t mode;\toffset:16;\tsize:8;\tsigned:0;"), known(2, false));
    assert_eq!(entry("size_t count;\toffset:16;\tsize:8;\tsigned:0;"), known(8, false));
    assert_eq!(entry("const clockid_t which;\toffset:16;\tsize:8;\tsigned:0;"), known(4, true));
    assert_eq!(entry("odd_t what;\toffset:16;\tsize:8;\tsigned:0;"), known(8, false));
    assert_eq!(entry("int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;"), known(4, true));
    // pointers are the caller's
    assert_eq!(entry("const char * filename;\toffset:16;\tsize:8;\tsigned:0;"), FieldTy::Known(Ty::ptr(INT8, Space::User)));
    let argv = FieldTy::Ptr(Box::new(FieldTy::Known(Ty::ptr(INT8, Space::User))), Space::User);
    assert_eq!(entry("const char *const * argv;\toffset:16;\tsize:8;\tsigned:0;"), argv);
    let sigset = FieldTy::Ptr(Box::new(FieldTy::Named("sigset_t".into())), Space::User);
    assert_eq!(entry("sigset_t * set;\toffset:16;\tsize:8;\tsigned:0;"), sigset);
    assert_eq!(ty("syscalls", "sys_exit_x", "long ret;\toffset:16;\tsize:8;\tsigned:1;"), known(8, true));
}

#[test]
fn what_is_no_format() {
    assert!(parse("a", "b", "").unwrap_err().contains("lists no fields"));
    assert!(parse("a", "b", "\tfield:int x;\tsize:4;\n").unwrap_err().contains("can't read"));
    assert!(parse("a", "b", "\tfield:int x;\toffset:8;\tsize:99999999;\n").is_err());
    assert!(parse("a", "b", "\tfield:int x\n").is_err());
    // a field without a name can't be asked for
    assert!(parse("a", "b", "\tfield:int;\toffset:8;\tsize:4;\tsigned:1;\n").is_err());
}

#[test]
fn every_cut_and_every_planted_character() {
    for n in 0..SWITCH.len() {
        let _ = parse("a", "b", &SWITCH[..n]);
    }
    let chars: Vec<char> = SWITCH.chars().collect();
    for at in 0..chars.len() {
        for planted in ['\0', ';', ':', '[', ']', '*', ' ', '9', 'é', '\u{10ffff}'] {
            let mut text = chars.clone();
            text[at] = planted;
            let _ = parse("a", "b", &text.into_iter().collect::<String>());
        }
    }
}
