//! Parameters and results of programs' functions by name and type, from debug information in all the forms that it comes in.
#![cfg(target_arch = "x86_64")]

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::{awl, may_load, text};
use dir::Dir;
use std::path::Path;
use std::process::Command;

const C: &str = include_str!("programs/typed.c");

fn gives(app: &str, options: &[&str], cases: &[(&str, &str)]) {
    for (script, said) in cases {
        let script = script.replace("APP", app);
        let got = awl(&[options, &["-q", "-c", app, "-e", &script]].concat());
        assert_eq!(text(&got.stdout).trim(), *said, "{script}\n{}", text(&got.stderr));
    }
}

const CASES: &[(&str, &str)] = &[
    ("uprobe:APP:take { @[args.n] = count(); }", "@[-3]: 1\n@[-2]: 1\n@[-1]: 1\n@[0]: 1\n@[1]: 1"),
    ("uprobe:APP:take { @ = sum(args.c); }", "@: 1260"),
    ("uprobe:APP:take /args.n == 1/ { $all = *args; print(($all.n, $all.item.kind)); }", "(1, PLAIN)"),
    (
        "uprobe:APP:take /args.n == 1/ { print((args.item.kind, args.item->next->kind, args.item.next.label, str(args.item.name), str(args.text))); }",
        "(PLAIN, FANCY, zz, first, words)",
    ),
    (
        "uprobe:APP:take /args.n == 1/ { $p = args.item.next; print(($p.part.weight, $p.part.colour, $p.part.tag, $p.whole, $p.half)); }",
        "(3, -2, 200, 70000, 4464)",
    ),
    ("uprobe:APP:take { @ = sum(args.big.b); }", "@: 100"),
    ("uprobe:APP:take { @[args.item.next.next == 0] = count(); }", "@[true]: 5"),
    ("uprobe:APP:many { @[args.a, args.f, args.g, args.h] = count(); }", "@[1, 6, -7, 104]: 5"),
    ("uprobe:APP:many { @[args.p.x, args.p.y] = count(); }", "@[8, 9]: 5"),
    ("uprobe:APP:wide { @ = sum(args.n); }", "@: 10"),
    ("uretprobe:APP:take { @ = min(retval); @b = max(retval); }", "@: -1\n@b: 3"),
    ("uretprobe:APP:next { @[retval.kind, str(retval.name)] = count(); }", "@[FANCY, last]: 5"),
    ("uprobe:APP:next, uprobe:APP:take { @[args.item.kind] = count(); }", "@[PLAIN]: 10"),
];

#[test]
fn c() {
    let dir = Dir::new("typed-c");
    for flags in [
        &["-O2", "-g"][..],
        &["-O0", "-g", "-gz"],
        &["-O1", "-gdwarf-4", "-no-pie", "-gz=zlib-gnu"],
        &["-O3", "-g", "-fomit-frame-pointer"],
    ] {
        let Some(app) = dir.build(&[&["gcc"], flags].concat(), C, "app.c") else { return };
        let list = text(&awl(&["-lv", &format!("uprobe:{app}:many")]).stdout);
        assert!(
            list.ends_with(
                ":many\n    int a\n    int b\n    int c\n    int d\n    int e\n    int f\n    short int g\n    int i\n    struct pair p\n    char h\n"
            ),
            "{flags:?}\n{list}"
        );
        let list = text(&awl(&["-lv", &format!("uretprobe:{app}:next")]).stdout);
        assert!(list.ends_with(":next\n    struct item *retval\n"), "{list}");
        if may_load() {
            gives(&app, &[], CASES);
        }
    }
}

/// A line of the diagnostic that a script gets.
fn refused(options: &[&str], script: &str) -> String {
    text(&awl(&[options, &["--dry-run", "-e", script]].concat()).stderr)
}

fn objcopy(args: &[&str]) -> bool {
    Command::new("objcopy").args(args).status().is_ok_and(|s| s.success())
}

#[test]
fn what_a_probe_cant_read() {
    let dir = Dir::new("typed-refused");
    let Some(app) = dir.build(&["gcc", "-O1", "-g"], C, "app.c") else { return };
    for (script, said) in [
        ("uprobe:APP:take { print(args.d); }", "floating-point numbers are handed over in registers"),
        ("uprobe:APP:take { print(args.itm); }", "did you mean `item`?"),
        ("uprobe:APP:take+4 { print(args.n); }", "has no function `take+4`"),
        ("uprobe:APP:_start { print(args.n); }", "has no function `_start`"),
    ] {
        let got = refused(&[], &script.replace("APP", &app));
        assert!(got.contains(said), "{script}: {got}");
    }
    let Some(bare) = dir.build(&["gcc", "-O1"], C, "bare.c") else { return };
    let got = refused(&[], &format!("uprobe:{bare}:take {{ print(args.n); }}"));
    assert!(got.contains("has no debug information") && got.contains("--debuginfo DIR"), "{got}");
}

/// Debug information in files of its own: beside the binary, and by build id in a directory that is named.
#[test]
fn files_of_their_own() {
    let dir = Dir::new("typed-split");
    let Some(app) = dir.build(&["gcc", "-O2", "-g", "-Wl,--build-id=0xabcdef0123456789"], C, "app.c") else { return };
    let debug = format!("{app}.debug");
    if !objcopy(&["--only-keep-debug", "--compress-debug-sections=zlib", &app, &debug]) {
        return println!("skipped: no objcopy here");
    }
    let by_id = dir.0.join("stripped");
    let by_id = by_id.to_str().unwrap();
    assert!(objcopy(&["--strip-all", &app, by_id]));
    assert!(objcopy(&["--strip-all", &format!("--add-gnu-debuglink={debug}"), &app]));
    let script = format!("uprobe:{by_id}:take {{ print(args.n); }}");
    assert!(refused(&[], &script).contains("stripped"), "nothing tells where it is");
    let store = dir.0.join("store");
    let home = store.join(".build-id/ab");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::copy(&debug, home.join("cdef0123456789.debug")).unwrap();
    let options = ["--debuginfo", &format!("/nowhere:{}", store.display())];
    assert_eq!(refused(&options, &script), "");
    if may_load() {
        gives(&app, &[], CASES);
        gives(by_id, &options, CASES);
    }
    // of another build
    std::fs::write(&debug, "no").unwrap();
    assert!(refused(&[], &format!("uprobe:{app}:take {{ print(args.n); }}")).contains("stripped"));
    assert!(Path::new(&app).exists());
}

const CPP: &str = r#"
#include <string>
struct Base { long id = 42; };
struct Box : Base { int n = 7; __attribute__((noinline)) int grow(const int &by, Box other); __attribute__((noinline)) Box &self(); };
namespace deep { struct Text { std::string s; }; }
int Box::grow(const int &by, Box other) { __asm__ volatile("" ::: "memory"); return n + by; }
Box &Box::self() { __asm__ volatile("" ::: "memory"); return *this; }
__attribute__((noinline)) int length(deep::Text t, short extra) { __asm__ volatile("" ::: "memory"); return (int)t.s.size() + extra; }
int main() {
    Box b;
    int sum = 0;
    for (int i = 0; i < 4; i++) sum += b.grow(i, b) + b.self().n + length({ "abc" }, (short)-i);
    return sum == 999;
}
"#;

#[test]
fn cpp() {
    let dir = Dir::new("typed-cpp");
    for flags in [&["g++", "-O1", "-g"][..], &["g++", "-O0", "-g", "-gz"]] {
        let Some(app) = dir.build(flags, CPP, "app.cc") else { return };
        if may_load() {
            gives(
                &app,
                &[],
                &[
                    ("uprobe:APP:cpp:Box::grow { @[args.this.n, args.this.id] = sum(*args.by); }", "@[7, 42]: 6"),
                    ("uprobe:APP:cpp:length { @ = sum(args.extra); }", "@: -6"),
                    ("uretprobe:APP:cpp:Box::self { @[retval.n] = count(); }", "@[7]: 4"),
                ],
            );
        }
    }
}

const RUST: &str = r#"
#[repr(C)]
struct Order { id: u64, count: i32 }
mod shop {
    #[inline(never)]
    pub fn sell(order: &super::Order, many: i16) -> i32 { std::hint::black_box(order).count - i32::from(many) }
    #[inline(never)]
    pub fn count(order: &super::Order, many: i16) -> i32 { std::hint::black_box(order.count) + i32::from(many) }
}
fn main() {
    let mut sum = 0;
    for i in 0..7 { sum += shop::sell(std::hint::black_box(&Order { id: 9, count: i }), std::hint::black_box(10)); }
    sum += shop::count(std::hint::black_box(&Order { id: 9, count: 1 }), std::hint::black_box(1));
    std::hint::black_box(sum);
}
"#;

#[test]
fn rust() {
    let dir = Dir::new("typed-rust");
    let Some(app) = dir.build(&["rustc", "-g", "-O"], RUST, "app.rs") else { return };
    if may_load() {
        gives(
            &app,
            &[],
            &[
                ("uprobe:APP:rust:app::shop::sell { @[args.order.id, args.many] = sum(args.order.count); }", "@[9, 10]: 21"),
                ("uretprobe:APP:rust:app::shop::sell { @ = sum(retval); }", "@: -49"),
            ],
        );
    }
    // The optimizer hands over what the reference leads to.
    let got = refused(&[], &format!("uprobe:{app}:rust:app::shop::count {{ print(args.order.id); }}"));
    assert!(got.is_empty() || got.contains("the compiler optimized it away"), "{got}");
}

const GO: &str = r#"
package main
//go:noinline
func work(n int, s string) int { return n * 2 + len(s) }
func main() { if work(3, "") != 6 || work(4, "") != 8 { panic("wrong") } }
"#;

#[test]
fn go() {
    let dir = Dir::new("typed-go");
    let Some(app) = dir.build(&["go", "build"], GO, "app.go") else { return };
    if may_load() {
        gives(&app, &[], &[("uprobe:APP:main.work { @ = sum(args.n); }", "@: 7")]);
    }
    let got = refused(&[], &format!("uprobe:{app}:main.work {{ print(args.s); }}"));
    assert!(got.contains("Go hands arguments over in a way of its own"), "{got}");
}

/// Line 4 is in a function that is inlined twice, 9 and 10 in one that is called, 8 is nothing, 15 begins a loop once.
const LINES: &str = "\
volatile long sink;
static inline __attribute__((always_inline)) void twice(long n) {
    /* nothing */
    sink += n;
    sink -= 1;
}
__attribute__((noinline)) long called(long n) {
    // nothing
    sink = n;
    return sink + n;
}
int main(int argc, char **argv) {
    twice(argc);
    long sum = 0;
    for (long i = 0; i < 6; i++) {
        sum += called(i);
        if (i % 2) twice(i);
    }
    return sum == 12345;
}
";

#[test]
fn lines() {
    let dir = Dir::new("typed-lines");
    for flags in [&["gcc", "-O0", "-g"][..], &["gcc", "-O2", "-g"], &["gcc", "-O1", "-gdwarf-4", "-gz", "-no-pie"]] {
        let Some(app) = dir.build(flags, LINES, "lines.c") else { return };
        for (place, said) in [
            ("lines.c:8", "the next line with code is 9: `uprobe:APP@lines.c:9`"),
            ("lines.c:200", "no line behind it has any"),
            ("linse.c:9", "did you mean `lines.c`?"),
            ("lines.c:9:77", "columns of it that have: "),
        ] {
            let got = refused(&[], &format!("uprobe:{app}@{place} {{ @ = count(); }}")).replace(&app, "APP");
            assert!(got.contains(said), "{flags:?} {place}\n{got}");
        }
        if !may_load() {
            continue;
        }
        let path = format!("{}/lines.c", dir.0.display());
        gives(
            &app,
            &[],
            &[
                ("uprobe:APP@lines.c:9 { @ = count(); }", "@: 6"),
                ("uprobe:APP@lines.c:4 { @ = count(); }", "@: 4"),
                (&format!("uprobe:APP@{path}:9 {{ @[func] = count(); }}"), "@[called]: 6"),
                ("uprobe:APP@lines.c:7 { @ = sum(args.n); }", "@: 15"),
            ],
        );
        if flags.contains(&"-O0") {
            gives(
                &app,
                &[],
                &[
                    ("uprobe:APP@lines.c:15 { @ = count(); }", "@: 1"),
                    ("uprobe:APP@lines.c:16 { @ = count(); }", "@: 6"),
                    ("uprobe:APP@lines.c:17:12 { @ = count(); }", "@: 6"),
                ],
            );
        }
    }
}
