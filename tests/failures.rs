//! What awl says and does when the machine doesn't give what it needs.

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::{awl, may_load, text};
use dir::Dir;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs awl by way of another command, which makes the circumstances.
fn under(before: &[&str], args: &[&str]) -> Output {
    let mut c = Command::new(before[0]);
    c.args(&before[1..]).arg(env!("CARGO_BIN_EXE_awl")).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    match c.output() {
        Ok(o) => o,
        Err(e) => panic!("{} can't be started: {e}", before[0]),
    }
}

fn shell(script: &str) -> Output {
    under(&["sh", "-c", script], &[])
}

/// As a user with these capabilities alone (`+bpf,+perfmon`).
fn with_rights(capabilities: &str, args: &[&str]) -> Output {
    let bounding = if capabilities.is_empty() { "-all".to_owned() } else { format!("-all,{capabilities}") };
    let mut before = vec!["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", &bounding];
    if !capabilities.is_empty() {
        before.extend(["--inh-caps", capabilities, "--ambient-caps", capabilities]);
    }
    under(&before, args)
}

fn expect(got: &Output, status: i32, parts: &[&str]) {
    let said = text(&got.stderr);
    assert_eq!(got.status.code(), Some(status), "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn missing_rights_are_named() {
    if !may_load() {
        return;
    }
    let run = ["-e", "begin { printf(\"ran\\n\"); }"];
    expect(&with_rights("", &run), 2, &["no-permission", "CAP_BPF and CAP_PERFMON", "sudo"]);
    expect(&with_rights("+bpf", &run), 2, &["lacks CAP_PERFMON\n"]);
    expect(&with_rights("+perfmon", &run), 2, &["lacks CAP_BPF\n"]);
    assert!(text(&with_rights("+bpf,+perfmon", &run).stdout).contains("ran"));
    // What needs no kernel asks for nothing.
    assert!(with_rights("", &["--dry-run", "-e", run[1]]).status.success());
    let tracepoint = with_rights("", &["-e", "tracepoint:sched:sched_switch { exit(); }"]);
    assert_eq!(tracepoint.status.code(), Some(2), "{}", text(&tracepoint.stderr));
}

/// Everything but what root alone may read: tracefs, other users' programs.
#[test]
fn two_capabilities_do_for_most() {
    if !may_load() {
        return;
    }
    let scripts = [
        "interval:ms:50 { @x[pid] = count(); @h = hist(nsecs); printf(\"tick\\n\"); exit(); } end { print(\"over\"); }",
        "profile:hz:999 { @x[cpu] = count(); } interval:ms:100 { exit(); }",
        "rawtracepoint:sched_switch { @x[kstack(2)] = count(); } interval:ms:100 { exit(); }",
        "software:faults:1 { @x = count(); } interval:ms:100 { exit(); }",
    ];
    for script in scripts {
        let got = with_rights("+bpf,+perfmon", &["-q", "-e", script]);
        expect(&got, 0, &[]);
        assert!(text(&got.stdout).contains("@x"), "{script}: {}{}", text(&got.stdout), text(&got.stderr));
    }
}

#[test]
fn attached_it_has_few_rights_left() {
    if !may_load() {
        return;
    }
    let left = |script: &str, args: &[&str]| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_awl"));
        let script = format!("{script} interval:ms:50 {{ printf(\"up\\n\"); }}");
        let Ok(mut awl) = c.args(args).args(["-q", "-e", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn() else {
            panic!("awl can't be started")
        };
        // A line of output: all is attached.
        let up = awl.stdout.as_mut().map(|o| std::io::Read::read(o, &mut [0; 3]).is_ok());
        let status = std::fs::read_to_string(format!("/proc/{}/status", awl.id())).unwrap_or_default();
        let _ = awl.kill().and_then(|()| awl.wait());
        assert_eq!(up, Some(true));
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned()).unwrap_or_default();
        assert_eq!(field("CapPrm:"), field("CapEff:"));
        (u64::from_str_radix(&field("CapPrm:"), 16).unwrap_or(0), field("NoNewPrivs:"))
    };
    // CAP_SYSLOG for names of kernel functions, CAP_PERFMON, CAP_BPF
    let few = 1 << 34 | 1 << 38 | 1 << 39;
    assert_eq!(left("", &[]), (few, "1".into()));
    // and CAP_KILL for a command, which may have become somebody else
    assert_eq!(left("", &["-c", "sleep 10"]), (few | 1 << 5, "1".into()));
    // and CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE for names in other processes
    assert_eq!(left("profile:hz:1 { @[ustack] = count(); }", &[]), (few | 1 << 19 | 1 << 2 | 1 << 40, "1".into()));
    // what the script runs has the rights of who runs it
    let (all, nothing) = left("begin { system(\"true\"); }", &["--unsafe"]);
    assert!(all & 1 << 21 != 0 && nothing == "0", "{all:x}");
}

#[test]
fn too_few_open_files_are_no_defect() {
    if !may_load() {
        return;
    }
    let script = "tracepoint:sched:sched_* { @[probe] = count(); } interval:ms:10 { exit(); }";
    for n in ["8", "16"] {
        let limit = format!("ulimit -n {n}; exec \"$0\" -e '{script}'");
        expect(&shell(&limit), 2, &["Too many open files", "ulimit -n 65536"]);
    }
}

#[test]
fn more_maps_than_a_program_may_name() {
    if !may_load() {
        return;
    }
    let body: String = (0..70).map(|i| format!("@a{i}[pid] = count(); ")).collect();
    expect(&awl(&["-e", &format!("begin {{ {body} }}")]), 1, &["error[verifier]", "more maps than a program may"]);
}

#[test]
fn output_that_can_not_be_written() {
    for args in ["-V", "-h", "-l 'software:*'", "--emit bpf -e 'begin { exit(); }'"] {
        let got = shell(&format!("exec \"$0\" {args} > /dev/full"));
        assert!(matches!(got.status.code(), Some(0 | 2)), "{args}: {:?}\n{}", got.status, text(&got.stderr));
    }
    let into = ["--emit-elf /dev/full", "--emit obj -o /dev/full", "--emit plan -o /dev/full"];
    let out = ["--fmt", "--emit ast"];
    let with = |args: &str, to: &str| format!("exec \"$0\" {args} -e 'begin {{ exit(); }}' {to}");
    for command in into.iter().map(|a| with(a, "")).chain(out.iter().map(|a| with(a, "> /dev/full"))) {
        expect(&shell(&command), 2, &["error[output-file]", "No space left"]);
    }
    for args in ["man", "doc", "doc hist", "explain arg-type", "completions bash", "doctor", "help", "lsp --grammar", "fmt"] {
        let got = shell(&format!("echo 'begin {{ exit(); }}' | \"$0\" {args} > /dev/full"));
        expect(&got, 2, &["error[output-file]", "No space left"]);
        let got = shell(&format!("exec 3>&1; {{ echo 'begin {{ exit(); }}' | \"$0\" {args}; echo $? >&3; }} | true"));
        assert_eq!((text(&got.stdout).trim(), text(&got.stderr).as_str()), ("0", ""), "{args} into a closed pipe");
    }
    if !may_load() {
        return;
    }
    for script in ["begin { print(1); exit(); }", "interval:ms:10 { print(1); }"] {
        expect(&awl(&["-o", "/dev/full", "-e", script]), 2, &["error[output-file]", "No space left"]);
    }
    // Nobody who reads is no mistake.
    let got = shell("\"$0\" -e 'interval:ms:1 { print(1); }' | head -1");
    expect(&got, 0, &[]);
    assert_eq!(text(&got.stderr), "");
}

#[test]
fn commands_and_processes_that_are_not_there() {
    expect(&awl(&["-p", "0", "-e", "end { }"]), 1, &[]);
    expect(&awl(&["-p", "1", "-c", "true", "-e", "end { }"]), 1, &["cannot be used with"]);
    if !may_load() {
        return;
    }
    expect(&awl(&["-p", "4194305", "-e", "end { }"]), 2, &["error[no-process]"]);
    expect(&awl(&["-c", "no-such-command", "-e", "end { }"]), 1, &["error[command]"]);
    let file = std::env::temp_dir().join(format!("awl-garbage-{}", std::process::id()));
    assert!(std::fs::write(&file, "garbage").is_ok());
    let path = file.to_string_lossy().into_owned();
    expect(&shell(&format!("chmod +x {path}; exec \"$0\" -c {path} -e 'end {{ }}'")), 2, &["error[command]", "Exec format error"]);
    let _ = std::fs::remove_file(&file);
}

#[test]
fn texts_from_other_editors() {
    let dir = std::env::temp_dir().join(format!("awl-texts-{}", std::process::id()));
    assert!(std::fs::create_dir_all(&dir).is_ok());
    let cases: [(&[u8], i32); 5] = [
        (b"\xef\xbb\xbfbegin { exit(); }\n", 0),
        (b"begin\r\n{\r\n  exit();\r\n}\r\n", 0),
        (b"#!/usr/bin/env awl\nbegin { exit(); }", 0),
        (b"\xff\xfe{", 1),
        (b"", 1),
    ];
    for (bytes, status) in cases {
        let file = dir.join("t.bt");
        assert!(std::fs::write(&file, bytes).is_ok());
        let got = awl(&["--dry-run", &file.to_string_lossy()]);
        assert_eq!(got.status.code(), Some(status), "{bytes:?}: {}", text(&got.stderr));
    }
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn each_failure_of_a_helper_is_told_on_demand() {
    if !may_load() {
        return;
    }
    let script = "config = { max_map_keys = 2 } begin { print(str(0x10)); for $i : 0..3 { @[$i] = 1; } delete(@[7]); if (delete(@, 8)) { print(1); } }";
    let got = awl(&["-k", "-e", script]);
    let place = |part: &str| format!("<-e>:1:{}-", script.find(part).map_or(0, |at| at + 1));
    let told = [
        format!("{}54: WARNING: Failed to probe_read_kernel_str: ", place("str(0x10)")),
        format!("{}82: WARNING: Failed to map_update_elem: the map is full (-7)", place("@[$i] = 1")),
        format!("{}98: WARNING: Failed to map_delete_elem: there is no such element (-2)", place("delete")),
    ];
    expect(&got, 0, &told.each_ref().map(String::as_str));
    // Without it they are counted.
    let got = awl(&["-e", script]);
    expect(&got, 0, &["map `@` was full: 1 update lost", "max_map_keys = 8", "1 read of memory failed"]);
    assert!(!text(&got.stderr).contains("WARNING"));
}

#[test]
fn lists_that_would_be_empty_say_why() {
    let cases = [
        ("trcepoint:sched:*", "did you mean `tracepoint`?"),
        ("tracepoint:nosuch:*", "nothing here matches"),
        ("software:nosuch", "nothing here matches"),
    ];
    if !may_load() {
        return;
    }
    for (pattern, part) in cases {
        expect(&awl(&["-l", pattern]), 1, &[part]);
    }
}

#[test]
fn options_that_do_not_exist() {
    for args in [&["--nosuch", "-e", "begin { }"][..], &["-z", "x.bt"], &["-zz", "-e", "begin { }"]] {
        expect(&awl(args), 1, &["error[unknown-option]", &format!("`{}`", args[0])]);
    }
    // What is none of ours, or stands behind `--`, is a parameter of the script.
    let file = std::env::temp_dir().join(format!("awl-options-{}.bt", std::process::id()));
    assert!(std::fs::write(&file, "begin { if (str($1) == \"-q\") { exit(); } }").is_ok());
    let path = file.to_string_lossy().into_owned();
    expect(&awl(&["--dry-run", &path, "-5", "--", "-q"]), 0, &[]);
    let listed = awl(&["-l", &path]);
    expect(&listed, 0, &[]);
    assert_eq!(text(&listed.stdout), "begin\n");
    let _ = std::fs::remove_file(&file);
}

#[test]
fn the_stack_of_a_system_call_is_the_kernels_own() {
    if !may_load() {
        return;
    }
    // Where another tracer listens too, `__traceiter_sys_enter` comes first.
    for script in [
        "tracepoint:syscalls:sys_enter_execve /pid == cpid/ { print(kstack(2)); exit(); }",
        "tracepoint:raw_syscalls:sys_exit /pid == cpid/ { @[kstack] = count(); exit(); }",
    ] {
        let got = awl(&["-q", "-c", "true", "-e", script]);
        let out = text(&got.stdout);
        assert!(got.status.success() && out.contains("syscall") && !out.contains("bpf_"), "{out}{}", text(&got.stderr));
    }
}

#[test]
fn stacks_of_processes_that_have_ended_have_names() {
    if !may_load() {
        return;
    }
    let script = "tracepoint:syscalls:sys_enter_exit_group /comm == \"true\"/ { @[ustack(1)] = count(); }";
    for command in ["true", "sh -c '/bin/true; exit 0'"] {
        let got = awl(&["-q", "-c", command, "-e", script]);
        assert!(text(&got.stdout).contains("xit+"), "{command}: {}{}", text(&got.stdout), text(&got.stderr));
    }
}

#[test]
fn bytes_that_are_no_text() {
    let dir = Dir::new("bytes");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.0.join(name);
        assert!(std::fs::write(&path, bytes).is_ok());
        path.to_string_lossy().into_owned()
    };
    let bad: &[u8] = b"begin { print(\"\xff\"); exit(); }";
    let script = file("bad.bt", bad);
    let parts = ["error[encoding]", "bad.bt:1:16", "the byte 0xff", "write `\\xff`"];
    for args in [&["--dry-run"][..], &["check"], &["fmt"], &["--fmt"], &["--emit", "ast"]] {
        expect(&awl(&[args, &[&script]].concat()), 1, &parts);
    }
    assert_eq!(std::fs::read(&script).ok().as_deref(), Some(bad), "fmt leaves alone what it can't read");
    for args in ["-", "check", "fmt"] {
        expect(&shell(&format!("\"$0\" {args} < {script}")), 1, &["error[encoding]", "<stdin>:1:16"]);
    }
    expect(&shell("exec \"$0\" -e \"$(printf 'begin { print(\"\\377\"); }')\""), 1, &["invalid UTF-8"]);
    // what nobody reads does no harm, but fmt would have to write it back
    let commented: &[u8] = b"// caf\xe9\nbegin { exit(); }\n";
    let script = file("comment.bt", commented);
    expect(&awl(&["check", &script]), 0, &[]);
    expect(&awl(&["fmt", &script]), 1, &["the byte 0xe9"]);
    assert_eq!(std::fs::read(&script).ok().as_deref(), Some(commented));
    let script = file("import.bt", b"import \"bad.bt\";\nbegin { exit(); }");
    expect(&awl(&["check", &script]), 1, &["error[no-import]", "not in UTF-8"]);
}

#[test]
fn texts_that_come_through_pipes_or_never_end() {
    let dir = Dir::new("pipes");
    let pipe = dir.0.join("pipe.bt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|s| s.success()));
    let pipe = pipe.to_string_lossy();
    let script = "begin { print(6 * 7); exit(); }";
    for args in ["/dev/stdin", "-"] {
        expect(&shell(&format!("echo '{script}' | \"$0\" --emit plan {args}")), 0, &[]);
        expect(&shell(&format!("echo '{script}' | \"$0\" check {args}")), 0, &[]);
        expect(&shell(&format!("exec \"$0\" --dry-run {args} < /dev/zero")), 1, &["can't be read: it has more than 16 MiB"]);
    }
    expect(&shell(&format!("exec bash -c '\"$0\" --emit plan <(echo \"{script}\")' \"$0\"")), 0, &[]);
    expect(&shell("exec bash -c '\"$0\" fmt --check <(echo \"x {\")' \"$0\""), 1, &["error[unclosed]"]);
    expect(&shell(&format!("echo '{script}' > {pipe} & \"$0\" check {pipe}")), 0, &[]);
    for args in ["--dry-run", "check", "fmt", "fmt --check", "--emit ast", "--fmt"] {
        let got = shell(&format!("ulimit -v 1100000; exec timeout 20 \"$0\" {args} /dev/zero"));
        expect(&got, 1, &["error[no-file]: `/dev/zero` can't be read: "]);
    }
    expect(&shell("exec bash -c '\"$0\" --traceable-functions <(echo vfs_read) -l \"kprobe:*\"' \"$0\""), 0, &[]);
    // what is written back to can't be a pipe
    expect(&shell(&format!("exec timeout 20 \"$0\" fmt {pipe}")), 1, &["`", "can't be read: it is no file of text"]);
    // nor can what is looked into while it is compiled
    for (args, status, part) in [
        (format!("-e 'uprobe:{pipe}:main {{ }}'"), 0, "warning[no-file]"),
        (format!("-e 'import \"{pipe}\"; begin {{ }}'"), 1, "error[no-import]"),
        (format!("--include {pipe} -e 'begin {{ }}'"), 1, "error[no-file]"),
        ("--traceable-functions /dev/zero -l 'kprobe:*'".into(), 2, "error[no-file]"),
        ("-e 'uprobe:/dev/zero:main { }'".into(), 0, "warning[no-file]"),
    ] {
        expect(&shell(&format!("ulimit -v 1100000; exec timeout 20 \"$0\" --dry-run {args}")), status, &[part]);
    }
}

#[test]
fn standard_input_that_is_closed() {
    for (args, status, part) in [("-", 1, "no-probes"), ("check", 1, "no-probes"), ("", 1, "Usage"), ("lsp", 2, "error[session]")] {
        expect(&shell(&format!("exec \"$0\" {args} <&-")), status, &[part]);
    }
    if may_load() {
        let got = shell("exec \"$0\" -q -e 'begin { printf(\"ran\"); exit(); }' <&-");
        assert_eq!((got.status.code(), text(&got.stdout).trim()), (Some(0), "ran"), "{}", text(&got.stderr));
    }
}

#[test]
fn files_to_print_that_have_no_end_or_no_writer() {
    if !may_load() {
        return;
    }
    let dir = Dir::new("cat");
    let pipe = dir.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|s| s.success()));
    let script = format!("begin {{ cat(\"{}\"); cat(\"/dev/zero\"); printf(\"after\\n\"); exit(); }}", pipe.display());
    let got = shell(&format!("exec timeout 20 \"$0\" -q -e '{script}' | tr -d '\\0'"));
    assert_eq!(text(&got.stdout).trim(), "after", "{}", text(&got.stderr));
    // somebody holds the other end and says nothing
    let got = shell(&format!("exec 3<>{}; exec timeout 20 \"$0\" -q -e '{script}' | tr -d '\\0'", pipe.display()));
    assert_eq!(text(&got.stdout).trim(), "after", "{}", text(&got.stderr));
}

/// In a gigabyte of memory, and in a time that somebody waits for even without optimisation.
#[test]
fn a_hundred_thousand_lines() {
    const N: usize = 100_000;
    let dir = Dir::new("lines");
    let many = |line: &dyn Fn(usize) -> String| (0..N).map(line).collect::<String>();
    let body = |line: &dyn Fn(usize) -> String| format!("begin {{\n{}}}\n", many(line));
    let scripts = [
        ("same", body(&|_| "  @x = 1;\n".into()), 0, ""),
        ("prints", body(&|i| format!("  printf(\"%d\\n\", {i});\n")), 1, "program-too-large"),
        ("probes", "interval:s:1\n{\n  if (pid > 1) {\n    @[comm] = count();\n  }\n}\n".repeat(N / 6), 1, "too-many-probes"),
        ("comments", many(&|i| format!("// {i}\n")) + "begin { exit(); }\n", 0, ""),
    ];
    for (name, script, status, code) in scripts {
        let file = dir.0.join(format!("{name}.bt"));
        assert!(std::fs::write(&file, &script).is_ok());
        let path = file.to_string_lossy().into_owned();
        let begin = Instant::now();
        expect(&shell(&format!("ulimit -v 1100000; exec \"$0\" check {path}")), status, &[code]);
        let checked = begin.elapsed();
        if name != "prints" {
            expect(&shell(&format!("ulimit -v 1100000; exec \"$0\" fmt {path}")), 0, &[]);
        }
        println!("{name}: checked in {checked:?}, formatted in {:?}", begin.elapsed() - checked);
        assert!(begin.elapsed() < Duration::from_secs(120), "{name}: {:?}", begin.elapsed());
    }
}
