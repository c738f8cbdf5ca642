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
