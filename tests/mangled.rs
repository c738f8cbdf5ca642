//! Functions of C++, Rust and Go programs by the names that their authors gave them: N calls are N hits.
#![cfg(target_arch = "x86_64")]

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::{awl, may_load, text};
use dir::Dir;
use std::path::Path;
use std::process::Command;

const CPP: &str = r#"
struct Box { volatile long n = 0; __attribute__((noinline)) void grow(int by); __attribute__((noinline)) void grow(int by, char twice); };
void Box::grow(int by) { n += by; }
void Box::grow(int by, char twice) { n += by * twice; }
template <typename T> __attribute__((noinline)) T twice(T x) { __asm__ volatile("" ::: "memory"); return x + x; }
int main() {
    Box b;
    for (int i = 0; i < 10; i++) b.grow(i);
    for (int i = 0; i < 4; i++) b.grow(i, 2);
    for (int i = 0; i < 3; i++) b.n += twice<long>(i);
    return 0;
}
"#;

const RUST: &str = r#"
mod shop {
    #[inline(never)]
    pub fn sell(n: u64) -> u64 { std::hint::black_box(n) + 1 }
}
fn main() {
    let mut sum = 0;
    for i in 0..7 { sum += shop::sell(i); }
    std::hint::black_box(sum);
}
"#;

const GO: &str = r#"
package main
//go:noinline
func work(n int) int { return n * 2 }
func main() {
    sum := 0
    for i := 0; i < 6; i++ { sum += work(i) }
    if sum != 30 { panic("wrong") }
}
"#;

fn hits(app: &str, cases: &[(&str, &str)]) {
    for (script, said) in cases {
        let script = script.replace("APP", app);
        let got = awl(&["-q", "-c", app, "-e", &script]);
        assert_eq!(text(&got.stdout).trim(), *said, "{script}\n{}", text(&got.stderr));
    }
}

#[test]
fn cpp() {
    let dir = Dir::new("cpp");
    for flags in [&["g++", "-O1"][..], &["g++", "-O2", "-no-pie", "-fomit-frame-pointer"], &["g++", "-O0", "-g", "-gz"]] {
        let Some(app) = dir.build(flags, CPP, "app.cc") else { return };
        let list = text(&awl(&["-l", &format!("uprobe:{app}:*grow*")]).stdout).replace(&app, "APP");
        assert_eq!(list, "uprobe:APP:cpp:\"Box::grow(int)\"\nuprobe:APP:cpp:\"Box::grow(int, char)\"\n");
        let got = awl(&["check", "-e", &format!("uprobe:{app}:grow {{ }}")]);
        assert!(text(&got.stderr).contains("did you mean `cpp:\"Box::grow(int"), "{}", text(&got.stderr));
        let got = awl(&["check", "-e", &format!("uprobe:{app}:cpp:Box::grow+99999 {{ }}")]);
        assert!(text(&got.stderr).contains("offset 99999 is behind the end"), "{}", text(&got.stderr));
        if !may_load() {
            continue;
        }
        hits(
            &app,
            &[
                ("uprobe:APP:cpp:\"Box::grow(int)\" { @ = sum(arg1); }", "@: 45"),
                ("uprobe:APP:cpp:\"Box::grow(int)\"+0 { @ = sum(arg1); }", "@: 45"),
                ("uprobe:APP:cpp:Box::grow+0 { @ = count(); }", "@: 14"),
                // the command itself, by no name or by any
                ("uprobe:_ZN3Box4growEi { @ = count(); }", "@: 10"),
                ("uprobe:*:cpp:Box::grow { @ = count(); }", "@: 14"),
                ("uprobe:APP:cpp:\"Box::grow(int,char)\" { @[func] = count(); }", "@[Box::grow(int, char)]: 4"),
                ("uprobe:APP:cpp:Box::grow { @ = count(); }", "@: 14"),
                ("uprobe:APP:Box::grow { @ = count(); }", "@: 14"),
                ("uprobe:APP:cpp:*::grow { @ = count(); }", "@: 14"),
                ("uprobe:APP:_ZN3Box4growEi { @ = count(); }", "@: 10"),
                ("uprobe:APP:cpp:\"twice<long>\" { @ = sum(arg0); }", "@: 3"),
                ("uretprobe:APP:cpp:\"twice<long>(long)\" { @ = sum(retval); }", "@: 6"),
            ],
        );
    }
}

#[test]
fn rust() {
    let dir = Dir::new("rust");
    for flags in [&["rustc", "-O"][..], &["rustc", "-O", "-C", "symbol-mangling-version=v0"]] {
        let Some(app) = dir.build(flags, RUST, "app.rs") else { return };
        let list = text(&awl(&["-l", &format!("uprobe:{app}:*shop::sell")]).stdout).replace(&app, "APP");
        assert_eq!(list, "uprobe:APP:rust:\"app::shop::sell\"\n");
        if may_load() {
            hits(
                &app,
                &[
                    ("uprobe:APP:rust:app::shop::sell { @[func] = sum(arg0); }", "@[app::shop::sell]: 21"),
                    ("uretprobe:APP:rust:*shop::sell { @ = sum(retval); }", "@: 28"),
                ],
            );
        }
    }
}

#[test]
fn go() {
    let dir = Dir::new("go");
    let Some(app) = dir.build(&["go", "build"], GO, "app.go") else { return };
    for point in ["main.work", "main.w*"] {
        let got = awl(&["check", "-e", &format!("uretprobe:{app}:{point} {{ }}")]);
        let message = text(&got.stderr);
        assert!(!got.status.success() && message.contains("go-return") && message.contains("`main.work` is compiled by Go"), "{message}");
    }
    if may_load() {
        hits(&app, &[("uprobe:APP:main.work { @ = count(); }", "@: 6")]);
    }
}

/// Symbols in a file of their own, which the binary names with its checksum.
#[test]
fn symbols_apart() {
    let dir = Dir::new("apart");
    let Some(app) = dir.build(&["g++", "-O1", "-Wl,--build-id=none"], CPP, "app.cc") else { return };
    let run = |tool: &str, args: &[&str]| {
        let done = Command::new(tool).args(args).current_dir(&dir.0).output().expect("binutils are here");
        assert!(done.status.success(), "{tool} {args:?}: {}", text(&done.stderr));
    };
    let known = |app: &str| {
        let got = awl(&["-l", &format!("uprobe:{app}:cpp:*grow*")]);
        text(&got.stdout).lines().count() == 2
    };
    std::fs::create_dir(dir.0.join(".debug")).unwrap();
    run("objcopy", &["--only-keep-debug", &app, ".debug/app.debug"]);
    run("strip", &[&app]);
    assert!(!known(&app), "it has no link yet");
    run("objcopy", &["--add-gnu-debuglink=.debug/app.debug", &app]);
    assert!(known(&app));
    if may_load() {
        hits(&app, &[("uprobe:APP:cpp:Box::grow { @ = count(); }", "@: 14")]);
    }
    let debug = dir.0.join(".debug/app.debug");
    spoil(&debug);
    assert!(!known(&app), "the file of another build is not taken");
}

fn spoil(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes.push(0);
    std::fs::write(file, bytes).unwrap();
}

/// `*` is what a process has in memory.
#[test]
fn files_of_a_process() {
    let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
    // It maps its libraries first.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = sleep.id().to_string();
    let list = text(&awl(&["-p", &pid, "-l", "uprobe:*:clock_nanosleep"]).stdout);
    let missing = awl(&["-p", &pid, "--dry-run", "-e", "uprobe:*:no_such_function { }"]);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert!(list.lines().count() == 1 && list.contains("libc.so"), "{list}");
    assert!(text(&missing.stderr).contains("no function matches"), "{}", text(&missing.stderr));
}
