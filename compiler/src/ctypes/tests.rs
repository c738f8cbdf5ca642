use super::*;
use crate::target::fixture::FixtureTarget;
use crate::target::{Arch, KernelVersion};
use crate::types::Field;
use awl_grammar::span::FileId;
use std::fmt::Write;
use std::process::Command;

fn build(text: &str, target: &dyn Target) -> (Preamble, Vec<Diagnostic>) {
    let (script, errors) = awl_grammar::parse(text, FileId(0));
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    Preamble::build(&script.preamble, target)
}

fn good(text: &str) -> Preamble {
    let (p, d) = build(text, &FixtureTarget::new());
    assert!(d.is_empty(), "{d:?}");
    p
}

fn codes(text: &str) -> Vec<&'static str> {
    build(text, &FixtureTarget::new()).1.iter().map(|d| d.code).collect()
}

fn field<'a>(r: &'a RecordDef, name: &str) -> &'a Field {
    r.fields.iter().find(|f| f.name == name).unwrap()
}

#[test]
fn records_enums_typedefs() {
    let p = good(
        "#define LEN 4\n\
         enum color { RED, GREEN = LEN * 2, BLUE };\n\
         typedef struct { int x; } boxed;\n\
         typedef struct node node_t;\n\
         struct node { node_t *next; boxed b; char name[LEN + 1]; enum color c; union { u16 low; u32 whole; }; int (*f)(int); int tail[]; };",
    );
    let r = p.record("struct node").unwrap();
    let at: Vec<(&str, u32)> = r.fields.iter().map(|f| (f.name.as_str(), f.offset)).collect();
    assert_eq!(at, [("next", 0), ("b", 8), ("name", 12), ("c", 20), ("low", 24), ("whole", 24), ("f", 32), ("tail", 40)]);
    assert_eq!((r.size, r.align), (40, 8));
    assert_eq!(p.enum_value("BLUE").unwrap().0, 9);
    assert_eq!(p.define("LEN"), Some("4"));
    assert_eq!(field(r, "next").ty, FieldTy::Ptr(Box::new(FieldTy::Named("struct node".into())), Space::Unknown));
    let p = good(
        "typedef struct late late_t;\nstruct late { int x; };\nstruct b { late_t by_value; };\ntypedef struct { int x; } boxed, *boxes;",
    );
    assert_eq!(p.record("struct b").unwrap().size, 4);
    assert!(matches!(p.typedef("boxed"), Some(FieldTy::Known(Ty::Record(r))) if r.name == "boxed"));
}

#[test]
fn types_look_in_the_script_then_in_c_then_in_the_kernel() {
    let t = FixtureTarget::new();
    let text = "#define id_type unsigned int\n\
                #define task struct task_struct\n\
                typedef u16 port;\n\
                struct file { int mine; };\n\
                struct holder { struct file *f; struct dentry *d; struct nowhere *n; struct cred c; };";
    let (script, _) = awl_grammar::parse(text, FileId(0));
    let (types, d) = Types::new(&script.preamble, &t);
    assert!(d.is_empty(), "{d:?}");
    assert_eq!(types.named("port"), Some(Ty::Int { bytes: 2, signed: false }));
    assert_eq!(types.named("id_type"), Some(Ty::U32));
    assert_eq!(types.named("task"), types.named("struct task_struct"));
    assert_eq!(types.named("unsigned long"), Some(Ty::U64));
    assert_eq!(types.named("kuid_t").unwrap().to_string(), "kuid_t");
    assert_eq!(types.named("no_such_t"), None);
    assert_eq!(types.lookup_record("struct file").unwrap().size, 4);
    let task = types.lookup_record("struct task_struct").unwrap();
    assert_eq!(task.btf_id, t.btf().unwrap().find_c("struct task_struct"));

    // A record of the script shadows the kernel's own, behind pointers too.
    let holder = types.lookup_record("struct holder").unwrap();
    let to = |name: &str| types.resolve(&field(&holder, name).ty, Space::User).unwrap();
    let Ty::Ptr(f, Space::User) = to("f") else { panic!() };
    assert_eq!(f.size(), 4);
    let Ty::Ptr(d, Space::User) = to("d") else { panic!() };
    assert_eq!(d.to_string(), "struct dentry");
    assert_eq!(to("n"), Ty::ptr(Ty::Void, Space::User));
    assert_eq!(to("c").to_string(), "struct cred");
}

#[test]
fn without_a_kernel() {
    let t = FixtureTarget::new().without_btf();
    let (script, _) = awl_grammar::parse("struct a { pid_t p; struct b *b; };", FileId(0));
    let (types, d) = Types::new(&script.preamble, &t);
    assert!(d.is_empty());
    assert_eq!(types.lookup_record("struct a").unwrap().size, 16);
    assert_eq!(types.named("struct task_struct"), None);
    assert_eq!(types.enum_value("PIDTYPE_SID"), None);
    assert_eq!(types.resolve(&FieldTy::Named("enum zone_type".into()), Space::Kernel), Ok(Ty::U32));
    assert!(types.resolve(&FieldTy::Named("struct x".into()), Space::Kernel).is_err());
}

#[test]
fn conditions() {
    let text = "#ifdef BPFTRACE_HAVE_BTF\n#define WITH 1\n#else\n#define WITHOUT 1\n#endif\n\
                #if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0) && defined(WITH)\n#define NEW\n#endif\n\
                #if !defined WITH || (defined ( NO ) )\n#define WRONG\n#elif UNDEFINED == 0\n#define RIGHT\n#else\n#define WRONG\n#endif\n\
                #define TWICE(x) ((x) * 2)\n#if TWICE(3) == 6\n#define CALLED\n#endif\n\
                #define GONE\n#undef GONE\n#ifndef GONE\n#define AWAY\n#endif\n";
    let p = good(text);
    for (name, there) in
        [("WITH", true), ("WITHOUT", false), ("NEW", true), ("RIGHT", true), ("WRONG", false), ("CALLED", true), ("AWAY", true)]
    {
        assert_eq!(p.define(name).is_some(), there, "{name}");
    }
    let old = FixtureTarget::new().without_btf().with_kernel(KernelVersion(5, 10, 0));
    let (p, d) = build(text, &old);
    assert!(d.is_empty());
    for (name, there) in [("WITH", false), ("WITHOUT", true), ("NEW", false), ("WRONG", true), ("RIGHT", false)] {
        assert_eq!(p.define(name).is_some(), there, "{name}");
    }
    assert_eq!(codes("#if 1 / 0\n#endif\n"), ["condition"]);
    assert_eq!(codes("#if )\n#endif\n"), ["condition"]);
}

#[test]
fn definitions_as_expressions() {
    let t = FixtureTarget::new();
    let text = "#define A (B + 1)\n#define B 2\n#define LOOP LOOP2\n#define LOOP2 LOOP + 1\n#define SELF SELF\n\
                #define SHIFT(x, n) ((x) << (n))\n#define TEXT \"hi\"\n#define NOTHING\n#define TCP_LISTEN 77\n";
    let (script, _) = awl_grammar::parse(text, FileId(0));
    let (types, d) = Types::new(&script.preamble, &t);
    assert!(d.is_empty());
    let at = Span::new(FileId(0), 0, 1);
    assert!(types.define("A", at).is_some() && types.define("B", at).is_some());
    for name in ["LOOP", "LOOP2", "SELF", "NOTHING", "SHIFT", "UNKNOWN"] {
        assert!(types.define(name, at).is_none(), "{name}");
    }
    assert_eq!(types.enum_value("TCP_LISTEN"), None);
    assert_eq!(types.enum_value("TCP_CLOSE").unwrap().0, 7);
    assert!(types.define("TCP_LISTEN", at).is_some());
    let b = types.define("B", at).unwrap();
    assert_eq!(&text[b.span.start as usize..b.span.end as usize], "2");
    let call = types.define_call("SHIFT", &[b.clone(), b.clone()]).unwrap();
    assert_eq!(awl_grammar::dump_expr(&call), awl_grammar::dump_expr(&awl_grammar::parse_expr("((2) << (2))", FileId(0), 0).unwrap()));
    assert!(types.define_call("SHIFT", &[b]).is_none());
    assert!(matches!(types.define("LINUX_VERSION_CODE", at).unwrap().kind, ast::ExprKind::Int { value: 0x060c00, .. }));
}

#[test]
fn definitions_that_would_explode() {
    let mut text = String::from("#define X0 1\n");
    for i in 1..40 {
        let _ = writeln!(text, "#define X{i} (X{0} + X{0})", i - 1);
    }
    let p = good(&text);
    assert!(p.macros.expression("X5").is_some());
    assert!(p.macros.expression("X39").is_none());
    let mut text = String::from("#define Y0 1\n");
    for i in 1..5000 {
        let _ = writeln!(text, "#define Y{i} -Y{}", i - 1);
    }
    let p = good(&text);
    assert!(p.macros.expression("Y50").is_some());
    assert!(p.macros.expression("Y4999").is_none());
    // of types as well
    let p = good("#define T0 T1\n#define T1 T0\nstruct a { int x; };");
    assert_eq!(p.macros.type_name("T0"), None);
}

#[test]
fn what_is_wrong_is_said_once() {
    assert_eq!(codes("struct a { struct nowhere x; };"), ["unknown-type"]);
    assert_eq!(codes("struct a { int x; };\nstruct a { int x; };"), ["duplicate-type"]);
    assert_eq!(codes("struct a { int x[N]; };"), ["not-constant"]);
    assert_eq!(codes("struct a { int x[-1]; };"), ["not-constant"]);
    assert_eq!(codes("struct a { struct a x; };"), ["unknown-type"]);
    assert_eq!(codes("enum e { A = B };"), ["not-constant"]);
    assert_eq!(codes("struct a { char x : 9; };"), ["bit-field"]);
    assert_eq!(codes("struct a { char *x : 9; };"), ["bit-field"]);
    assert_eq!(codes("struct a { long x[0x7fffffff]; };"), ["type-too-large"]);
    assert_eq!(codes("struct a { char x[0x3fffffff]; char y[0x3fffffff]; };"), ["type-too-large"]);
    assert_eq!(codes("#include \"mine.h\"\n#include <linux/fs.h>\n"), ["include"]);
    assert_eq!(codes("#error no\n"), ["hash-error"]);
    assert_eq!(codes("struct a { int x; } __attribute__((aligned(3)));"), ["alignment"]);
    // the rest is still read
    let (p, _) = build("struct a { struct nowhere x; int y; };", &FixtureTarget::new());
    assert!(p.record("struct a").is_some());
}

/// Numbers that are the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

const TYPES: [&str; 16] = [
    "char",
    "unsigned char",
    "short",
    "unsigned short",
    "int",
    "unsigned int",
    "long",
    "unsigned long",
    "long long",
    "_Bool",
    "float",
    "double",
    "void *",
    "char *",
    "long double",
    "enum kind",
];

/// A random record's body. Names are unique in the whole text.
fn body(r: &mut Random, names: &mut u32, depth: u32) -> String {
    let mut text = String::new();
    for _ in 0..=r.below(7) {
        *names += 1;
        let name = format!("f{names}");
        let ty = TYPES[r.below(16) as usize];
        match r.below(12) {
            0..=3 => {
                let integers =
                    ["char", "unsigned char", "short", "unsigned short", "int", "unsigned int", "long", "unsigned long", "_Bool"];
                let at = r.below(9) as usize;
                let most = [8, 8, 16, 16, 32, 32, 64, 64, 1][at];
                match r.below(8) {
                    0 => _ = write!(text, "{} : 0; ", integers[at]),
                    1 => _ = write!(text, "{} : {}; ", integers[at], 1 + r.below(most)),
                    _ => _ = write!(text, "{} {name} : {}; ", integers[at], 1 + r.below(most)),
                }
            }
            4 => _ = write!(text, "{ty} {name}[{}]; ", r.below(5)),
            5 => _ = write!(text, "{ty} {name}[{}][{}]; ", 1 + r.below(3), 1 + r.below(3)),
            6 => _ = write!(text, "int (*{name})(int, char *); "),
            7 => _ = write!(text, "unsigned short (*{name})[3]; "),
            8 if depth > 0 => {
                let word = if r.below(2) == 0 { "struct" } else { "union" };
                let inner = body(r, names, depth - 1);
                let packed = if r.below(4) == 0 { "__attribute__((packed)) " } else { "" };
                let name = if r.below(2) == 0 { name.as_str() } else { "" };
                _ = write!(text, "{word} {packed}{{ {inner}}} {name}; ");
            }
            _ => _ = write!(text, "{ty} {name}; "),
        }
    }
    text
}

fn random_records(seed: u64, count: u32) -> Vec<(String, String)> {
    let (mut r, mut names) = (Random(seed), 0);
    (0..count)
        .map(|i| {
            let word = if r.below(4) == 0 { "union" } else { "struct" };
            let inner = body(&mut r, &mut names, 2);
            let attribute = match r.below(6) {
                0 => " __attribute__((packed))",
                1 => " __attribute__((aligned(16)))",
                2 => " __attribute__((packed, aligned(4)))",
                _ => "",
            };
            (format!("{word} r{i}"), format!("{word} r{i} {{ {inner}}}{attribute};"))
        })
        .collect()
}

/// `NAME SIZE ALIGN` of each record and `NAME FIELD FIRST-BIT BITS` of each field of ours. Fields without bits are left out:
/// no compiler can say where they are.
fn ours(records: &[(String, String)], p: &Preamble) -> String {
    let mut out = String::new();
    for (name, _) in records {
        let r = p.record(name).unwrap();
        let _ = writeln!(out, "{name} {} {}", r.size, r.align);
        for f in &r.fields {
            let (first, bits) = match f.bits {
                Some((first, width)) => (f.offset * 8 + u32::from(first), u32::from(width)),
                None => match &f.ty {
                    FieldTy::Known(t) => (f.offset * 8, t.size() * 8),
                    FieldTy::Ptr(..) => (f.offset * 8, 64),
                    _ => (f.offset * 8, 0),
                },
            };
            if bits > 0 {
                let _ = writeln!(out, "{name} {} {first} {bits}", f.name);
            }
        }
    }
    out
}

/// What gcc says: a program that sets every field to all ones and looks which bits those are.
#[test]
fn layouts_are_gccs() {
    if Command::new("gcc").arg("--version").output().is_err() {
        return eprintln!("skipped: no gcc here");
    }
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return eprintln!("skipped: another architecture");
    }
    let arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };
    let records = random_records(1, 400);
    let text: String =
        std::iter::once("enum kind { KIND_A, KIND_B };\n".to_owned()).chain(records.iter().map(|(_, t)| t.clone() + "\n")).collect();
    let (p, d) = build(&text, &FixtureTarget::new().with_arch(arch));
    assert!(d.is_empty(), "{d:?}");
    let mut c = String::from("#include <stdio.h>\n#include <string.h>\n");
    c += &text;
    c += "static void show(const char *n, const char *f, const unsigned char *b, int len) { int first = -1, bits = 0; \
          for (int i = 0; i < len * 8; i++) if (b[i / 8] >> (i % 8) & 1) { if (first < 0) first = i; bits++; } \
          if (bits) printf(\"%s %s %d %d\\n\", n, f, first, bits); }\n";
    let _ = writeln!(c, "int main(void) {{");
    for (name, _) in &records {
        let _ = writeln!(
            c,
            "{{ static union {{ {name} v; unsigned char b[sizeof({name}) + 1]; }} u; printf(\"{name} %zu %zu\\n\", sizeof({name}), _Alignof({name}));"
        );
        for f in &p.record(name).unwrap().fields {
            let whole = match &f.ty {
                FieldTy::Known(t) if t.size() == 0 => continue,
                _ if f.bits.is_some() => format!("u.v.{} = -1;", f.name),
                _ => format!("memset((void *)&u.v.{0}, 255, sizeof(u.v.{0}));", f.name),
            };
            let _ = writeln!(c, "memset(&u, 0, sizeof u); {whole} show(\"{name}\", \"{}\", u.b, sizeof({name}));", f.name);
        }
        let _ = writeln!(c, "}}");
    }
    c += "return 0; }\n";
    let dir = std::env::temp_dir().join(format!("awl-layout-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (source, program) = (dir.join("l.c"), dir.join("l"));
    std::fs::write(&source, &c).unwrap();
    let made = Command::new("gcc").args(["-w", "-fsigned-char", "-O0", "-o"]).arg(&program).arg(&source).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let out = Command::new(&program).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    compare(&records, &ours(&records, &p), &String::from_utf8_lossy(&out.stdout));
}

fn compare(records: &[(String, String)], ours: &str, theirs: &str) {
    for (o, t) in ours.lines().zip(theirs.lines()) {
        let of = o.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let text = records.iter().find(|(n, _)| *n == of).map(|(_, t)| t.as_str());
        assert_eq!(o, t, "in {text:?}");
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

/// What clang says of arm64 (and of x86-64): its dump of layouts, of the outermost members.
#[test]
fn layouts_are_clangs_on_both_architectures() {
    for (arch, triple) in [(Arch::X86_64, "x86_64-linux-gnu"), (Arch::Aarch64, "aarch64-linux-gnu")] {
        let records = random_records(2, 300);
        let head = "enum kind { KIND_A, KIND_B };\n";
        let text: String = std::iter::once(head.to_owned()).chain(records.iter().map(|(_, t)| t.clone() + "\n")).collect();
        let (p, d) = build(&text, &FixtureTarget::new().with_arch(arch));
        assert!(d.is_empty(), "{d:?}");
        let mut c = text.clone();
        for (i, (name, _)) in records.iter().enumerate() {
            let _ = writeln!(c, "{name} v{i}; unsigned long s{i} = sizeof({name});");
        }
        let dir = std::env::temp_dir().join(format!("awl-clang-{}-{triple}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let source = dir.join("l.c");
        std::fs::write(&source, &c).unwrap();
        let run = Command::new("clang")
            .args(["-w", "-S", "-emit-llvm", "-o", "/dev/null", "-Xclang", "-fdump-record-layouts", "-target", triple])
            .arg(&source)
            .output();
        std::fs::remove_dir_all(&dir).unwrap();
        let Ok(run) = run else { return eprintln!("skipped: no clang here") };
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let dump = String::from_utf8_lossy(&run.stdout).into_owned();
        // ours, without those of anonymous members and without sizes of fields
        let mut checked = 0;
        for part in dump.split("*** Dumping ").filter(|p| p.starts_with("AST")) {
            let mut lines = part.lines().filter(|l| l.contains('|'));
            let Some((_, name)) = lines.next().and_then(|l| l.split_once("| ")) else { continue };
            let Some(r) = p.record(name.trim()) else { continue };
            for line in lines {
                let Some((place, what)) = line.split_once('|') else { continue };
                if let Some(rest) = what.trim().strip_prefix("[sizeof=") {
                    let (size, align) = rest.trim_end_matches(']').split_once(", align=").unwrap();
                    assert_eq!((size, align), (r.size.to_string().as_str(), r.align.to_string().as_str()), "{triple} {name}\n{part}");
                    checked += 1;
                    continue;
                }
                let Some(f) = what.split(' ').next_back().and_then(|f| r.fields.iter().find(|g| g.name == f)) else { continue };
                let place = place.trim();
                let bit = match place.split_once(':') {
                    None => place.parse::<u32>().unwrap() * 8,
                    Some((byte, bits)) => byte.parse::<u32>().unwrap() * 8 + bits.split('-').next().unwrap().parse::<u32>().unwrap(),
                };
                let own = f.offset * 8 + f.bits.map_or(0, |(first, _)| u32::from(first));
                assert_eq!(own, bit, "{triple} {name} {}\n{part}", f.name);
            }
        }
        assert_eq!(checked, records.len());
    }
}
