//! Texts that are made to be trouble: very deep, very long.

use super::{on_a_small_stack, tried};
use awl_compiler::diagnostic::Blame;
use std::time::Duration;

const MOST: Duration = Duration::from_secs(20);

/// It is answered in time; `code`: and refused with that, unless it is empty.
fn answered(what: &str, text: String, code: &str) {
    let (compiled, took) = on_a_small_stack(what, move || tried(&text));
    println!("{what}: {took:?}, {:?}", compiled.diagnostics.first().map(|d| d.code));
    assert!(took < MOST, "{what} takes {took:?}");
    assert!(compiled.diagnostics.iter().all(|d| d.blame != Blame::Awl), "{what}: {:?}", compiled.diagnostics);
    assert!(compiled.diagnostics.len() < 1000, "{what}: {} complaints", compiled.diagnostics.len());
    match code {
        "" => assert!(!compiled.failed(), "{what}: {:?}", compiled.diagnostics.first()),
        "any" => assert!(compiled.failed(), "{what} is taken"),
        code => assert!(compiled.diagnostics.iter().any(|d| d.code == code), "{what}: {:?}", compiled.diagnostics.first()),
    }
}

#[test]
fn megabytes_of_one_mark() {
    let size = |mark| if ["(", "{", "[", "!", "-"].contains(&mark) { 10 << 20 } else { 1 << 20 };
    for mark in ["(", "{", "[", "!", "-", "~", "*", "&", ")", "}", "\"", "/", "@", "$", ".", ":", ";", "/*", "//", "#"] {
        let many = mark.repeat(size(mark) / mark.len());
        answered(&format!("megabytes of {mark}"), many.clone(), "any");
        answered(&format!("megabytes of {mark} in a probe"), format!("begin {{ $x = {many}"), "any");
    }
}

const N: usize = 100_000;

#[test]
fn chains_of_a_hundred_thousand() {
    answered("indices", format!("begin {{ $x = {}", "@a[".repeat(N)), "any");
    answered("a sum", format!("begin {{ print(1{}); }}", "+1".repeat(N)), "any");
    answered("a sum of variables", format!("begin {{ print(pid{}); }}", "+pid".repeat(N)), "any");
    answered("fields", format!("begin {{ print(curtask{}); }}", "->parent".repeat(N)), "any");
    answered("elements", format!("begin {{ $x = 1; print($x{}); }}", "[0]".repeat(N)), "any");
    answered("steps", format!("begin {{ $x = 1; $x{}; }}", "++".repeat(N)), "any");
    answered("logic", format!("begin {{ print(pid{}); }}", " && pid".repeat(N)), "any");
    answered("choices", format!("begin {{ print({}1); }}", "pid ? 1 : ".repeat(N)), "too-deep");
    answered("choices in choices", format!("begin {{ print({}1{}); }}", "pid ? ".repeat(N), " : 1".repeat(N)), "any");
    answered("casts", format!("begin {{ print({}pid); }}", "(uint64)".repeat(N)), "any");
    answered("else if", format!("begin {{ if (pid) {{ }}{} }}", " else if (pid) { }".repeat(N / 5)), "too-deep");
    answered("blocks", format!("begin {{ {}{} }}", "if (pid) { ".repeat(N), "}".repeat(N)), "any");
    answered("calls", format!("begin {{ print({}pid{}); }}", "strlen(".repeat(N), ")".repeat(N)), "any");
    answered("stars", format!("begin {{ $x = (int {})0; }}", "*".repeat(N)), "any");
    answered("array types", format!("begin {{ let $x: int8{}; }}", "[2]".repeat(N)), "any");
    answered("tuple types", format!("begin {{ let $x: {}int8{}; }}", "(int8, ".repeat(N), ")".repeat(N)), "any");
    answered("structs", format!("{}int x;{} begin {{ }}", "struct a { ".repeat(N), "};".repeat(N)), "any");
    answered("tuples", format!("begin {{ print({}1{}); }}", "(1, ".repeat(N), ")".repeat(N)), "any");
}

/// Below the limit of depth everything gets through all passes.
#[test]
fn as_deep_as_is_allowed() {
    for n in [30, 60, 90, 180] {
        for (what, text) in [
            ("parentheses", format!("begin {{ print({}pid{}); }}", "(".repeat(n), ")".repeat(n))),
            ("a sum", format!("begin {{ print(pid{}); }}", " + pid".repeat(n))),
            ("minus", format!("begin {{ print({}pid); }}", "- ".repeat(n))),
            ("choices", format!("begin {{ print({}1); }}", "pid ? 1 : ".repeat(n))),
            ("logic", format!("begin {{ print({}pid{}); }}", "(pid && ".repeat(n), ")".repeat(n))),
            ("casts", format!("begin {{ print({}pid); }}", "(uint64)".repeat(n))),
            ("blocks", format!("begin {{ {}@ = 1;{} }}", "if (pid) { ".repeat(n), "}".repeat(n))),
            ("else if", format!("begin {{ if (pid) {{ @ = 1; }}{} }}", " else if (pid) { @ = 1; }".repeat(n))),
            ("fields", format!("begin {{ print(curtask{}->pid); }}", "->real_parent".repeat(n))),
            ("loops", format!("begin {{ {}@++;{} }}", "while (@ < 5) { ".repeat(n), "}".repeat(n))),
            ("ranges", format!("begin {{ {}@++;{} }}", "for ($i : 0..2) { ".repeat(n), "}".repeat(n))),
            ("tuples", format!("begin {{ print({}1{}); }}", "(1, ".repeat(n), ")".repeat(n))),
        ] {
            let what = format!("{n} {what}");
            let (compiled, took) = on_a_small_stack(&what, move || tried(&text));
            assert!(took < MOST, "{what} take {took:?}");
            assert!(compiled.diagnostics.iter().all(|d| d.blame != Blame::Awl), "{what}: {:?}", compiled.diagnostics);
        }
    }
}

#[test]
fn macros_that_use_one_another() {
    // Each uses the one before twice: 2^40 bodies if nobody counted.
    let mut text = String::from("macro m0(x) { x + 1 }\n");
    for i in 1..40 {
        text += &format!("macro m{i}(x) {{ m{}(x) + m{}(x) }}\n", i - 1, i - 1);
    }
    answered("macros of macros", text + "begin { print(m39(pid)); }", "any");
    let mut text = String::from("macro m0(x) { x + 1 }\n");
    for i in 1..2000 {
        text += &format!("macro m{i}(x) {{ m{}(x) }}\n", i - 1);
    }
    answered("a chain of macros", text + "begin { print(m1999(pid)); }", "any");
    let mut text = String::from("fn f0($x: int64) : int64 { return $x + 1; }\n");
    for i in 1..2000 {
        text += &format!("fn f{i}($x: int64) : int64 {{ return f{}($x); }}\n", i - 1);
    }
    answered("a chain of functions", text + "begin { print(f1999(pid)); }", "any");
    answered("a macro of itself", "macro m(x) { m(x) }\nbegin { print(m(1)); }".to_owned(), "any");
    let mut text = String::from("#define A0 1\n");
    for i in 1..5000 {
        text += &format!("#define A{i} (A{} + A{})\n", i - 1, i - 1);
    }
    answered("definitions of definitions", text + "begin { print(A4999); }", "any");
}

#[test]
fn a_hundred_thousand_lines() {
    answered("lines", format!("begin {{\n{}}}", "  @x = 1;\n".repeat(N)), "");
    answered("comments", format!("{}begin {{ @x = 1; }}", "// a line\n".repeat(N)), "");
    answered("faulty lines", format!("begin {{\n{}}}", "  $x = nosuch;\n".repeat(N)), "any");
    answered("unreadable lines", format!("begin {{\n{}}}", "  $x = = 1 ) ;\n".repeat(N)), "any");
    answered("probes", "begin { @x = 1; }\n".repeat(N / 10), "too-many-probes");
    answered("definitions", (0..N / 10).map(|i| format!("#define X{i} {i}\n")).collect::<String>() + "begin { print(X5); }", "");
}

/// Time and code of assignments to maps grow as their number does. The code bounds the memory, most of which the allocator of
/// registers needs for it.
#[test]
fn thousands_of_assignments() {
    let compiled = |n: usize| {
        let text = (0..n).map(|i| format!("  @a[{i}] = {i};\n")).collect::<String>();
        let runs = (0..3).map(|_| tried(&format!("begin {{\n{text}}}")));
        let (compiled, took) = runs.min_by_key(|(_, took)| *took).unwrap();
        let code: usize = compiled.artifact.unwrap().programs.iter().map(|p| p.insns as usize).sum();
        (code, took)
    };
    // Other processes may take the machine in one half of a try, hardly in that half of each.
    let mut tries = (0..5).map(|_| {
        let ((few, soon), (many, late)) = (compiled(2000), compiled(4000));
        println!("2000: {few} instructions, {soon:?}; 4000: {many} instructions, {late:?}");
        assert!(few < 16 * 2000, "{few} instructions for 2000 assignments");
        assert!(many < 16 * 4000, "{many} instructions for 4000 assignments");
        late < soon.mul_f64(2.5)
    });
    assert!(tries.any(|linear| linear), "4000 assignments take more than 2.5 times as long as 2000");
}

/// What random texts found once.
#[test]
fn found_by_chance() {
    answered("a width of all digits", r#"begin { fail("%9223372036854775808d", 5); }"#.into(), "any");
    let declared = "let @nets = lpm_trie($kv);\nbegin { @nets[10.0.0.0/8] = 1; for ($kv : @nets) { print($kv); } }";
    answered("a loop's variable in a declaration", declared.into(), "undefined-variable");
}
