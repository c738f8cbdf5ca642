//! Whose system calls are counted: 32-bit ones have numbers of their own.
#![cfg(target_arch = "x86_64")]

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::{awl, may_load, text};
use dir::Dir;
use std::process::Command;

/// Ten calls by the 32-bit gate, 39 being `mkdir` there (of nothing, so it fails), then three of `getpid`, which is 39 too.
const PROGRAM: &str = r#"
int main(void) {
    for (int i = 0; i < 10; i++) {
        long r;
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(39), "b"(0), "c"(0) : "memory", "r8", "r9", "r10", "r11");
        if ((int)r != -14)
            return 1;
    }
    for (int i = 0; i < 3; i++) {
        long r;
        __asm__ volatile("syscall" : "=a"(r) : "a"(39) : "memory", "rcx", "r11");
        if (r <= 0)
            return 2;
    }
    return 0;
}
"#;

#[test]
fn calls_of_the_32_bit_gate_are_others() {
    if !may_load() {
        return;
    }
    let dir = Dir::new("gate");
    let Some(program) = dir.build(&["gcc", "-O1"], PROGRAM, "gate.c") else { return };
    if !Command::new(&program).status().unwrap().success() {
        return println!("skipped: this kernel has no 32-bit calls");
    }
    let command = program.as_str();
    for script in [
        "tracepoint:syscalls:sys_enter_getpid /pid == cpid/ { @ = count(); }",
        "tracepoint:syscalls:sys_exit_getpid /pid == cpid/ { @ = count(); }",
        // many calls in one program, and one that reads its arguments
        "tracepoint:syscalls:sys_enter_getpid, tracepoint:syscalls:sys_enter_mkdir /pid == cpid/ { @ = count(); }",
        "tracepoint:syscalls:sys_exit_getpid /pid == cpid && args.ret > 0/ { @ = count(); }",
    ] {
        let got = awl(&["-q", "-c", command, "-e", script]);
        assert_eq!(text(&got.stdout).trim(), "@: 3", "{script}\n{}", text(&got.stderr));
    }
}

const MANY: &str = include_str!("programs/many.c");

#[test]
fn arguments_on_the_stack() {
    if !may_load() {
        return;
    }
    let dir = Dir::new("many");
    let Some(program) = dir.build(&["gcc", "-O1"], MANY, "many.c") else { return };
    let command = program.as_str();
    let script = format!("uprobe:{command}:many {{ @[arg5, arg6, arg7, arg8, arg9] = count(); }}");
    let got = awl(&["-q", "-c", command, "-e", &script]);
    let out = text(&got.stdout);
    for k in 0..5 {
        assert!(out.contains(&format!("@[6, {}, {}, {}, {}]: 1", 100 + k, 200 + k, 300 + k, 400 + k)), "{out}{}", text(&got.stderr));
    }
}
