//! Stacks of programs whose functions are known.
#![cfg(target_arch = "x86_64")]

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::{awl, may_load, text};
use dir::Dir;
use std::process::Command;

/// `main` calls `outer`, which calls `inner`.
const CHAIN: &str = r#"
volatile int sum;
__attribute__((noinline)) int inner(int n) { sum += n; return sum; }
__attribute__((noinline)) int outer(int n) { int r = inner(n) + 1; sum += r; return r; }
int main(void) { for (int i = 0; i < 3; i++) sum += outer(i); return 0; }
"#;

/// The frames of each stack that was printed, without their offsets.
fn stacks(printed: &str) -> Vec<Vec<String>> {
    let of =
        |text: &str| text.lines().filter(|l| l.starts_with("        ")).map(|l| l.trim().split('+').next().unwrap().to_owned()).collect();
    printed.split("\n\n").map(of).filter(|s: &Vec<String>| !s.is_empty()).collect()
}

/// Do the frames begin with `first`, and have the others behind them, in that order?
fn fits(frames: &[String], first: &[&str], then: &[&str]) -> bool {
    let mut rest = frames.iter().skip(first.len());
    frames.iter().zip(first).filter(|(f, w)| f == w).count() == first.len() && then.iter().all(|w| rest.any(|f| f == w))
}

fn frames_program(dir: &Dir, more: &[&str]) -> Option<String> {
    let source = include_str!("programs/frames.c");
    dir.build(&[&["gcc", "-O2", "-fomit-frame-pointer"], more].concat(), source, "frames.c")
}

const START: [&str; 2] = ["main", "_start"];

#[test]
fn without_frame_pointers() {
    let dir = Dir::new("frames");
    let Some(pie) = frames_program(&dir, &["-s"]) else { return };
    if !may_load() {
        return;
    }
    let shows = |app: &str, words: &str, script: &str| {
        let got = awl(&["-q", "-c", &format!("{app} {words}"), "-e", &script.replace("APP", app)]);
        (stacks(&text(&got.stdout)), text(&got.stderr))
    };
    let chain =
        ["inner", "compare", "bsearch", "searches", "grows", "rounded", "calls_itself", "calls_itself", "calls_itself", "calls_itself"];
    let one = |app: &str| {
        let (got, said) = shows(app, "", "uprobe:APP:inner { print(dw_ustack); }");
        assert!(got.len() == 1 && fits(&got[0], &chain, &START), "{got:?}{said}");
        assert_eq!(said, "");
        // What is printed as a key, cut, counted and raw is the same stack.
        let (got, said) = shows(app, "", "uprobe:APP:inner { @[dw_ustack(3)] = count(); }");
        assert!(got == [&chain[..3]], "{got:?}{said}");
        let (got, said) = shows(app, "signal", "uprobe:APP:inner { print(dw_ustack); }");
        assert!(got.len() == 1 && fits(&got[0], &["inner", "handler"], &["raises", "main", "_start"]), "{got:?}{said}");
        // The registers that the process entered the kernel with.
        let (got, said) =
            shows(app, "asks", "tracepoint:syscalls:sys_enter_getppid /pid == cpid && comm == \"frames.c.out\"/ { print(dw_ustack); }");
        assert!(got.len() == 1 && fits(&got[0], &[], &["asks", "main", "_start"]), "{got:?}{said}");
        // Those at a return, behind which the probed function is gone.
        let (got, said) = shows(app, "", "uretprobe:APP:inner { print(dw_ustack); }");
        assert!(got.len() == 1 && fits(&got[0], &chain[1..], &START), "{got:?}{said}");
        let (got, said) = shows(app, "spin", "profile:hz:499 /pid == cpid/ { @[dw_ustack] = count(); } end { print(@, 1); clear(@); }");
        assert!(got.len() == 1 && fits(&got[0], &["spin", "spins"], &START), "{got:?}{said}");
    };
    // Without names there are the same frames.
    let stripped = format!("{pie}.stripped");
    std::fs::rename(pie, &stripped).unwrap();
    let pie = frames_program(&dir, &[]).unwrap();
    let at = address(&pie, "inner");
    let (got, said) = shows(&stripped, "", &format!("uprobe:APP:{at} {{ print(dw_ustack); }}"));
    assert!(got.len() == 1 && fits(&got[0][1..], &[], &["bsearch"]) && got[0].len() >= chain.len() + 3, "{got:?}{said}");
    one(&pie);
    let fixed = frames_program(&dir, &["-no-pie"]).unwrap();
    one(&fixed);
    // Lengths, and every form.
    let len = "uprobe:APP:inner { print((len(dw_ustack) >= 12, len(dw_ustack(4)), len(dw_ustack(raw, 1)), len(ustack))); }";
    let got = awl(&["-q", "-c", &fixed, "-e", &len.replace("APP", &fixed)]);
    assert_eq!(text(&got.stdout).trim_end(), "(true, 4, 1, 1)", "{}", text(&got.stderr));
    let raw = "uprobe:APP:inner { printf(\"%s|%s\", dw_ustack(raw, 2), dw_ustack(perf, 1)); }";
    let got = text(&awl(&["-q", "-c", &fixed, "-e", &raw.replace("APP", &fixed)]).stdout);
    let (got, _) = got.split_once("\n\n").unwrap();
    let got = format!("{got}\n");
    let at = address(&fixed, "inner");
    assert!(got.starts_with(&format!("\n{at:x}\n")) && got.ends_with(&format!("\n\t{at:x} inner+0 ({fixed})\n")), "{got}");
}

/// Address of a function in the file, which is its offset there too where a linker lays a library or PIE out as usual.
fn address(app: &str, function: &str) -> u64 {
    let listed = text(&Command::new("nm").arg(app).output().unwrap().stdout);
    let line = listed.lines().find(|l| l.ends_with(&format!(" T {function}"))).unwrap();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}

#[test]
fn by_build_id() {
    let dir = Dir::new("build-id");
    let id = "0123456789abcdef0123456789abcdef01234567";
    let named = format!("-Wl,--build-id=0x{id}");
    let Some(app) = dir.build(&["gcc", "-O1", "-fno-omit-frame-pointer", &named], CHAIN, "app.c") else { return };
    if !may_load() {
        return;
    }
    let script = format!("uprobe:{app}:inner {{ @[ustack(build_id, 2)] = count(); print(len(ustack(build_id, 2))); }}");
    let got = awl(&["-q", "-c", &app, "-e", &script]);
    let said = text(&got.stdout);
    let lines: Vec<&str> = said.lines().filter(|l| !l.is_empty()).collect();
    assert_eq!(lines[..4], ["2", "2", "2", "@["], "{said}{}", text(&got.stderr));
    // The kernel finds a caller by the frame pointer, which `inner` has not set up yet: that of `outer` is left out.
    let (at, main) = (address(&app, "inner"), address(&app, "main"));
    assert_eq!(lines[4], format!("{id} 0x{at:x}"));
    let caller = lines[5].strip_prefix(&format!("{id} 0x")).unwrap();
    let caller = u64::from_str_radix(caller, 16).unwrap();
    assert!((main..main + 80).contains(&caller), "{caller:x} is not in main, at {main:x}");
    assert_eq!(lines[6], "]: 3");
}

const RUST: &str = r#"
#[inline(never)]
fn inner(n: u64) -> u64 { std::hint::black_box(n) + u64::from(std::os::unix::process::parent_id()) }
#[inline(never)]
fn outer(table: &mut [u64]) -> u64 {
    let mut sum = 0;
    table.iter().for_each(|n| sum += inner(*n));
    std::hint::black_box(&mut sum);
    sum
}
fn main() { std::hint::black_box(outer(&mut [7])); }
"#;

#[test]
fn of_a_program_in_rust() {
    let dir = Dir::new("frames-rust");
    let Some(app) = dir.build(&["rustc", "-O", "-C", "force-frame-pointers=no"], RUST, "app.rs") else { return };
    if !may_load() {
        return;
    }
    let script = "tracepoint:syscalls:sys_enter_getppid /pid == cpid && comm == \"app.rs.out\"/ { print(dw_ustack); }";
    let got = awl(&["-q", "-c", &app, "-e", script]);
    let frames = stacks(&text(&got.stdout));
    let then = ["app::inner", "app::outer", "app::main", "main", "_start"];
    assert!(frames.len() == 1 && fits(&frames[0], &[], &then), "{frames:?}{}", text(&got.stderr));
}

/// A library that comes later, called from a thread and from a child.
#[test]
fn of_libraries_that_are_loaded_later() {
    let dir = Dir::new("frames-later");
    let library = "#include <unistd.h>
        static volatile long sum;
        long later(long n) { sum += getppid(); return sum + n; }\n";
    let Some(library) = dir.build(&["gcc", "-O2", "-fomit-frame-pointer", "-shared", "-fPIC"], library, "later.c") else { return };
    if !may_load() {
        return;
    }
    let source = r#"
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile long sum;
__attribute__((noinline)) void uses(long (*f)(long)) { for (int i = 0; i < 10; i++) { sum += f(i); usleep(50000); } }
static void *loads(void *path) { uses(dlsym(dlopen(path, RTLD_NOW), "later")); return path; }
int main(int argc, char **argv) {
    pthread_t thread;
    pthread_create(&thread, 0, loads, argv[1]); pthread_join(thread, 0);
    if (fork() == 0) { loads(argv[1]); _exit(0); }
    wait(0);
    return 0;
}
"#;
    let Some(app) = dir.build(&["gcc", "-O2", "-fomit-frame-pointer", "-pthread"], source, "app.c") else { return };
    let script = "tracepoint:syscalls:sys_enter_getppid /comm == \"app.c.out\"/ { @[pid == cpid, dw_ustack(4)] = count(); }";
    let got = awl(&["-q", "-c", &format!("{app} {library}"), "-e", script]);
    let printed = text(&got.stdout);
    // The first calls may come before the tables.
    for who in ["true", "false"] {
        let whole = |e: &&str| stacks(e).first().is_some_and(|f| fits(f, &[], &["later", "uses", "loads"]));
        let found = printed.split("@[").filter(|e| e.starts_with(who)).find(whole);
        let n: u32 = found.and_then(|e| e.trim().rsplit_once("]: ")?.1.trim().parse().ok()).unwrap_or(0);
        assert!((5..=10).contains(&n), "{who}: {n}\n{printed}{}", text(&got.stderr));
    }
}

const INLINED: &str = "#include <unistd.h>
volatile long sum;
static inline __attribute__((always_inline)) long leaf(long n) {
    sum += getppid();
    return n; }
__attribute__((noinline)) long outer(long n) {
    sum++;
    sum += leaf(n);
    return sum; }
int main(void) {
    sum += outer(3);
    usleep(300000);
    return 0; }
";

#[test]
fn lines_and_inlined_functions() {
    let dir = Dir::new("inlined");
    let Some(app) = dir.build(&["gcc", "-O2", "-g"], INLINED, "app.c") else { return };
    if !may_load() {
        return;
    }
    // Printed while it lives, and when it is gone.
    for then in ["{ print(dw_ustack); }", "{ @[dw_ustack] = count(); }"] {
        let script = |debug| {
            format!("config = {{ show_debug_info = {debug} }} tracepoint:syscalls:sys_enter_getppid /comm == \"app.c.out\"/ {then}")
        };
        let shown = |debug| text(&awl(&["-q", "-c", &app, "-e", &script(debug)]).stdout);
        let (with, without) = (shown(true), shown(false));
        let lines: Vec<&str> = with.lines().map(str::trim).skip_while(|l| !l.starts_with('[')).collect();
        let file = dir.0.join("app.c");
        let file = file.display();
        assert_eq!(lines[0], format!("[inlined] leaf@{file}:4"), "{with}");
        assert!(lines[1].starts_with("outer+") && lines[1].ends_with(&format!("@{file}:8")), "{with}");
        // The line of what follows the call, where the address is.
        assert!(lines[2].starts_with("main+") && lines[2].contains(&format!("@{file}:1")), "{with}");
        assert!(without.contains("        outer+") && !without.contains("inlined") && !without.contains("app.c:"), "{without}");
    }
}

/// A function that a program makes, says the name of, and calls.
const MADE: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
// push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
__attribute__((noinline)) void asks(void) { getppid(); __asm__ volatile("" ::: "memory"); }
int main(void) {
    void *made = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(made, code, sizeof code);
    char name[64];
    sprintf(name, "/tmp/perf-%d.map", getpid());
    FILE *f = fopen(name, "w");
    fprintf(f, "%lx %zx made_of_nothing\n", (long)made, sizeof code);
    fclose(f);
    ((void (*)(void (*)(void)))made)(asks);
    usleep(300000);
    return 0;
}
"#;

#[test]
fn code_that_is_made_at_run_time() {
    let dir = Dir::new("made");
    let Some(app) = dir.build(&["gcc", "-O1", "-fno-omit-frame-pointer"], MADE, "app.c") else { return };
    if !may_load() {
        return;
    }
    for then in ["{ print((pid, ustack)); }", "{ print((pid, 0)); @[ustack] = count(); }"] {
        let script = format!("tracepoint:syscalls:sys_enter_getppid /comm == \"app.c.out\"/ {then}");
        let got = awl(&["-q", "-c", &app, "-e", &script]);
        let printed = text(&got.stdout);
        let pid = printed.trim().trim_start_matches('(').split(',').next().unwrap();
        let _ = std::fs::remove_file(format!("/tmp/perf-{pid}.map"));
        assert!(printed.contains("        made_of_nothing+6\n        main+"), "{printed}{}", text(&got.stderr));
    }
}

/// The program lies where only its own mount namespace has it.
#[test]
fn programs_of_other_mount_namespaces() {
    let dir = Dir::new("namespace");
    let slow = "#include <unistd.h>
        volatile int sum;
        __attribute__((noinline)) void asks(void) { sum += getppid(); usleep(20000); }
        int main(void) { for (int i = 0; i < 30; i++) asks(); return 0; }\n";
    let Some(app) = dir.build(&["gcc", "-O1", "-fno-omit-frame-pointer"], slow, "app.c") else { return };
    if !may_load() {
        return;
    }
    let hidden = dir.0.join("hidden");
    std::fs::create_dir_all(&hidden).unwrap();
    let hidden = hidden.display();
    let start = dir.0.join("start.sh");
    std::fs::write(&start, format!("mount -t tmpfs none {hidden} || exit 77; cp {app} {hidden}/secret && exec {hidden}/secret\n")).unwrap();
    let command = format!("unshare -m sh {}", start.display());
    if Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|s| !s.success()) {
        return println!("skipped: no mount namespaces here");
    }
    for then in ["{ print(ustack(perf, 2)); exit(); }", "{ @[ustack(perf, 2)] = count(); }"] {
        let script = format!("tracepoint:syscalls:sys_enter_getppid /comm == \"secret\"/ {then}");
        let got = awl(&["-q", "-c", &command, "-e", &script]);
        let printed = text(&got.stdout);
        assert!(printed.contains(" main+") && printed.contains(&format!("({hidden}/secret)")), "{printed}{}", text(&got.stderr));
    }
    assert!(!std::path::Path::new(&format!("{hidden}/secret")).exists());
}

#[test]
fn a_program_that_computes_has_no_stack_in_the_kernel() {
    if !may_load() {
        return;
    }
    let busy = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'";
    let script = "profile:hz:999 /pid == cpid && usermode/ { @[kstack] = count(); @frames = max(len(kstack)); @ticks = count(); }";
    let got = awl(&["-q", "-c", busy, "-e", script]);
    let (printed, said) = (text(&got.stdout), text(&got.stderr));
    let ticks = printed.lines().find_map(|l| l.strip_prefix("@ticks: ")).unwrap_or("none").to_string();
    assert!(printed.contains(&format!("@[\n]: {ticks}\n")) && printed.contains("@frames: 0\n"), "{printed}{said}");
    assert_eq!(said, "", "an empty stack is none that failed");
}
