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
