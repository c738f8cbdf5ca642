//! The command line, most of it without rights.

mod common;

use common::{awl, may_load, text};

#[test]
fn wrong_names_are_explained() {
    let got = awl(&["-e", "interval:s:1 { @[com] = cont(); }"]);
    let said = text(&got.stderr);
    assert_eq!(got.status.code(), Some(1), "{said}");
    for part in ["error[unknown-name]", "did you mean `comm`?", "error[unknown-function]", "did you mean `count`?"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn stages_need_no_kernel() {
    for stage in ["ast", "hir", "clif", "vcode", "bpf", "plan"] {
        let got = awl(&["--emit", stage, "-e", "interval:s:1 { @[comm, pid] = count(); @h = hist(nsecs); }"]);
        assert!(got.status.success() && got.stdout.len() > 100, "{stage}: {}", text(&got.stderr));
    }
    let object = awl(&["--emit", "obj", "-e", "begin { exit(); }"]);
    assert!(object.stdout.starts_with(b"\x7fELF"));
}

/// As nobody, on a machine that shows neither types nor tracepoints: a script that needs none doesn't ask.
#[test]
fn stages_need_neither_rights_nor_a_kernels_files() {
    if !may_load() {
        return;
    }
    // The binary is opened beforehand: it may lie in the /tmp that is hidden.
    let hidden = "exec 3<\"$1\" && mount -t tmpfs none /sys && mount -t tmpfs none /tmp && cat <&3 >/tmp/awl && chmod 755 /tmp /tmp/awl \
                  && exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --no-new-privs /tmp/awl --emit \"$2\" -e \"$3\"";
    for stage in ["ast", "hir", "clif", "vcode", "bpf", "plan", "obj"] {
        let script = "begin { @[pid] = count(); @h = hist(nsecs); printf(\"%s\\n\", comm); } interval:s:1 { exit(); } end { print(@h); }";
        let mut c = std::process::Command::new("unshare");
        let got = c.args(["-m", "sh", "-c", hidden, "sh", env!("CARGO_BIN_EXE_awl"), stage, script]).output().unwrap();
        assert!(got.status.success() && got.stdout.len() > 100, "{stage}: {}", text(&got.stderr));
    }
}

#[test]
fn the_same_text_gives_the_same_bytes() {
    let make = || {
        awl(&["--emit", "obj", "-e", "interval:s:1 { @a[comm] = count(); @b[pid, \"x\"] = hist(nsecs); printf(\"%d\\n\", pid); }"]).stdout
    };
    assert_eq!(make(), make());
}

#[test]
fn refusals_have_codes_and_statuses() {
    let cases: &[(&str, &str)] = &[
        ("begin { printf(\"%d\"); }", "format-args"),
        ("begin { printf(\"%s\", 1); }", "format-type"),
        ("begin { @x = count(); @x = sum(1); }", "type-change"),
        ("begin { @x[1] = 1; @x[\"a\"] = 1; }", "key-type"),
        ("begin { @x[1] = 1; @x[1, 2] = 1; }", "key-count"),
        ("begin { print($x); }", "undefined-variable"),
        ("begin { print(@nothing); $y = @nothing; }", "undefined-map"),
        ("begin { break; }", "outside-loop"),
        ("begin { $a = 1 / 0; }", "division-by-zero"),
        ("begin { system(\"date\"); }", "needs-unsafe"),
        ("begin { exit(1, 2); }", "arg-count"),
        ("begin { strlen(5); }", "arg-type"),
        ("begin { $s = \"a\" + 1; }", "operand-type"),
        ("begin { $x = (struct nosuchthing *)0; }", "unknown-type"),
        ("begin { print((1, 2).5); }", "tuple-index"),
        ("begin { print(arg0); }", "no-args"),
        ("begin { count(); }", "aggregation-place"),
        ("begin { @ = lhist(1, 10, 0, 1); }", "arg-value"),
        ("begn { }", "unknown-probe"),
        ("interval:x:1 { }", "probe-syntax"),
        ("software:nosuch:1 { }", "unknown-event"),
        ("test:x:y { }", "probe-syntax"),
        ("watchpoint:1:8:w { }", "probe-syntax"),
        ("watchpoint:8:3:w { }", "probe-syntax"),
        ("watchpoint:8:8:wx { }", "probe-syntax"),
        ("hardware:cpu-cylces:100 { }", "did you mean `cpu-cycles`?"),
        ("config = { nosuch = 1 } begin { }", "unknown-config"),
        ("config = { max_map_keys = \"x\" } begin { }", "config-value"),
        ("begin { unroll(1000) { } }", "unroll-count"),
        ("begin { 1 = 2; }", "error["),
        ("begin { printf(\"a }", "error["),
        ("begin {", "error["),
    ];
    let mut wrong = Vec::new();
    for (script, code) in cases {
        let got = awl(&["--dry-run", "-e", script]);
        let said = text(&got.stderr);
        if got.status.code() != Some(1) || !said.contains(code) {
            wrong.push(format!("{script}: expected {code}, status {:?}\n{said}", got.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_this_machine_lacks_is_no_fault_of_a_script_that_is_only_checked() {
    let script = "uprobe:/nosuch/file:f { @[arg0] = count(); } end { print(@); }";
    let real = awl(&["-e", script]);
    assert_eq!(real.status.code(), Some(1));
    assert!(text(&real.stderr).contains("error[no-file]"));
    let checked = awl(&["--dry-run", "-e", script]);
    assert!(checked.status.success() && text(&checked.stderr).contains("warning[no-file]"), "{}", text(&checked.stderr));
    // but its body is checked
    let wrong = awl(&["--dry-run", "-e", "uprobe:/nosuch/file:f { @[arg77] = cuont(); }"]);
    assert!(text(&wrong.stderr).contains("did you mean `count`?") && wrong.status.code() == Some(1));
}

#[test]
fn beginnings_of_scripts_never_panic() {
    let script = "#define X 3\nstruct s { int a; };\nbegin { $x = (struct s *)0; @m[comm, 1] = count(); if ($x->a == X) { printf(\"%d %s\\n\", 1, \"a\"); } for $i : 0..3 { print(($i, 2)); } }";
    for end in (0..script.len()).step_by(3) {
        let got = awl(&["--dry-run", "-e", &script[..end]]);
        assert!(matches!(got.status.code(), Some(0 | 1)), "{:?} for {}", got.status, &script[..end]);
    }
}

#[test]
fn unusual_inputs() {
    assert_eq!(awl(&["/nosuch/file.bt"]).status.code(), Some(1));
    assert_eq!(awl(&["--nosuchflag"]).status.code(), Some(1));
    assert_eq!(awl(&["-V"]).status.code(), Some(0));
    assert_eq!(awl(&["--dry-run", "-e", ""]).status.code(), Some(1));
    assert_eq!(awl(&["-o", "/nosuch/dir/x", "-e", "begin { exit(); }"]).status.code(), Some(1));
}

#[test]
fn headers_that_are_not_read_are_named() {
    let cases =
        ["begin { $x = (struct nosuchthing *)0; }", "struct a { nosuch_t x; };\nbegin { print(1); }", "begin { print(NO_SUCH_CONSTANT); }"];
    for script in cases {
        let got = awl(&["--dry-run", "-e", &format!("#include <linux/nosuch.h>\n{script}")]);
        let said = text(&got.stderr);
        assert!(said.contains("`linux/nosuch.h` may define it"), "{script}\n{said}");
    }
}

#[test]
fn one_fault_is_one_complaint() {
    let got = awl(&["--dry-run", "-e", "begn { @x[1] = nsecs; }\nend { print(nsecs - @x[1]); }"]);
    let said = text(&got.stderr);
    assert!(said.contains("unknown-probe") && !said.contains("undefined-map"), "{said}");
    // constants of the script are meant too
    let got = awl(&["--dry-run", "-e", "#define LONGEST 5\nbegin { print(LONGST); }"]);
    assert!(text(&got.stderr).contains("did you mean `LONGEST`?"));
}

/// In a mount namespace of its own, so that nothing stays pinned.
#[test]
fn libbpf_takes_the_object() {
    if !may_load() {
        return;
    }
    let file = std::env::temp_dir().join(format!("awl-emit-{}.o", std::process::id()));
    let script = "interval:s:1 { @[comm, pid] = count(); @h = hist(nsecs); @x = 1; printf(\"%s\\n\", comm); }";
    let got = awl(&["--emit", "obj", "-o", file.to_str().unwrap(), "-e", script]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    let load = "mount -t bpf bpf /sys/fs/bpf && bpftool prog load \"$0\" /sys/fs/bpf/x";
    let got = std::process::Command::new("unshare").args(["--mount", "sh", "-c", load]).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(got.status.success(), "{}{}", text(&got.stdout), text(&got.stderr));
}

/// In a mount namespace of its own, too.
#[test]
fn a_pinned_iterator_is_a_file() {
    if !may_load() {
        return;
    }
    let script =
        r#"iter:task:list /ctx.task.tgid == ctx.task.pid && ctx.task.pid <= 2/ { printf("%d %s\n", ctx.task.pid, ctx.task.comm); }"#;
    let shell = r#"mount -t bpf bpf /sys/fs/bpf && "$0" -e "$1" && cat /sys/fs/bpf/list /sys/fs/bpf/list >/dev/stdout && "$0" stop list && ls /sys/fs/bpf"#;
    let args = ["--mount", "sh", "-c", shell, env!("CARGO_BIN_EXE_awl"), script];
    let got = std::process::Command::new("unshare").args(args).output().unwrap();
    let said = text(&got.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert!(got.status.success(), "{said}{}", text(&got.stderr));
    assert_eq!(lines[..2], ["Attached 1 probe", "Program pinned to /sys/fs/bpf/list"]);
    let tasks = &lines[2..lines.len() - 2];
    assert!(tasks.len() >= 2 && tasks[..tasks.len() / 2] == tasks[tasks.len() / 2..], "{said}");
    assert_eq!(lines[lines.len() - 2..], ["maps.debug", "progs.debug"]);
    for option in [["--pin", "x"], ["-c", "true"]] {
        let got = awl(&[option[0], option[1], "-e", script]);
        assert!(text(&got.stderr).contains("error[pinned-iterator]"), "{}", text(&got.stderr));
    }
}

#[test]
fn the_prompt_survives_mistakes() {
    if !common::may_load() {
        return;
    }
    let lines =
        ["1 + 2", "print(40 + 2)", "nosuch", "interval:ms:20 {", "  @ticks = count(); }", "@kept = 5", ":nonsense", "@ticks", "exit"];
    // Each line is typed once the one before it has been dealt with; a terminal of its own comes from `script`.
    let typed: String = lines.iter().map(|l| format!("sleep 0.3; printf '%s\\r' '{l}'; ")).collect();
    let dir = std::env::temp_dir().join(format!("awl-prompt-{}", std::process::id()));
    let shell = format!(
        "( sleep 0.5; {typed} sleep 1 ) | XDG_STATE_HOME={} NO_COLOR=1 TERM=dumb timeout 30 script -qefc {} /dev/null",
        dir.display(),
        env!("CARGO_BIN_EXE_awl")
    );
    let Ok(got) = std::process::Command::new("sh").args(["-c", &shell]).output() else { panic!("no shell") };
    let said = text(&got.stdout);
    for part in ["\n3\r", "\n42\r", "unknown name `nosuch`", "[4] runs", "@kept: 5", "unknown command `:nonsense`", "@ticks: "] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(got.status.success(), "{:?}", got.status);
    let history = std::fs::read_to_string(dir.join("awl/history")).unwrap_or_default();
    assert!(history.contains("print(40 + 2)"), "{history}");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_script_lists_its_parameters() {
    let script = "begin { print((getopt(\"count\", 10, \"how many\"), getopt(\"all\"))); exit(); }";
    let got = awl(&["--dry-run", "-e", script, "--", "--help"]);
    let expected = "Named parameters of the script:\n  --count=int  how many [default: 10]\n  --all\n";
    assert_eq!((got.status.code(), text(&got.stdout).as_str()), (Some(0), expected), "{}", text(&got.stderr));
    // by columns of a terminal
    let wide = "begin { print((getopt(\"größe\", 10), getopt(\"漢字\", false, \"b\"), getopt(\"all\", false, \"c\"))); exit(); }";
    let got = awl(&["--dry-run", "-e", wide, "--", "--help"]);
    let expected = "Named parameters of the script:\n  --größe=int  [default: 10]\n  --漢字       b [default: false]\n  --all        c [default: false]\n";
    assert_eq!(text(&got.stdout).as_str(), expected, "{}", text(&got.stderr));
    let got = awl(&["--dry-run", "-e", script, "--", "--cuont=3"]);
    assert!(!got.status.success() && text(&got.stderr).contains("did you mean `--count`?"), "{}", text(&got.stderr));
}

#[test]
fn a_link_named_bpftrace_is_bpftrace() {
    let dir = std::env::temp_dir().join(format!("awl-link-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let link = dir.join("bpftrace");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_awl"), &link).unwrap();
    let run = |args: &[&str]| {
        let mut c = std::process::Command::new(&link);
        let got = c.args(args).env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1").output().unwrap();
        (got.status.success(), text(&got.stdout), text(&got.stderr))
    };
    let version = run(&["--version"]);
    let info = run(&["--info"]);
    std::fs::write(dir.join("x.h"), "struct x { int y; };\n").unwrap();
    let folder = dir.to_str().unwrap();
    let ignored = ["--no-feature", "kprobe_multi", "--verify-llvm-ir", "-I", folder, "--include", "x.h", "-b"];
    let dry = run(&[&ignored[..], &["--dry-run", "-e", "BEGIN { exit(); }"]].concat());
    // Said twice, the last one counts.
    let fmt = run(&["-q", "-q", "-B", "line", "-B", "none", "-e", "END {", "--fmt", "-e", "BEGIN{exit();}"]);
    let told = common::may_load().then(|| run(&["-e", "BEGIN { printf(\"hi\\n\"); } interval:ms:10 { exit(); }"]));
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(version.0 && version.1.starts_with("bpftrace v0.26"), "{version:?}");
    assert!(info.0 && info.1.contains("Kernel helpers") && info.1.contains("Probe types"), "{info:?}");
    assert!(dry.0, "{dry:?}");
    assert_eq!(fmt.1, "BEGIN {\n  exit();\n}\n");
    if let Some(told) = told {
        assert!(told.1.contains("__BPFTRACE_NOTIFY_PROBES_ATTACHED\n"), "{told:?}");
    }
}

#[test]
fn probes_are_chosen_by_name() {
    if !may_load() {
        return;
    }
    let script =
        "begin { printf(\"begins\\n\"); } interval:ms:5 { @x = 1; } tracepoint:syscalls:sys_enter_* /pid == cpid/ { @[probe] = count(); }
        kprobe:no_such_function { @k = 1; } end { if (has_key(@, \"\")) { print((@x, @k)); } }";
    let got = awl(&["-q", "--probe-filter", "^begin$|_close$|_openat$", "-e", script, "-c", "cat /dev/null"]);
    let said = text(&got.stdout);
    let lines: Vec<&str> = said.lines().filter(|l| !l.is_empty()).map(|l| l.split("]: ").next().unwrap()).collect();
    assert_eq!(lines[0], "begins", "{said}{}", text(&got.stderr));
    let mut calls = lines[1..].to_vec();
    calls.sort_unstable();
    assert_eq!(calls, ["@[tracepoint:syscalls:sys_enter_close", "@[tracepoint:syscalls:sys_enter_openat"], "{said}");
    let none = awl(&["--probe-filter", "nosuch", "-e", script]);
    assert!(none.status.code() == Some(1) && text(&none.stderr).contains("error[no-match]"), "{}", text(&none.stderr));
    let broken = awl(&["--probe-filter", "(", "-e", script]);
    assert!(broken.status.code() == Some(1) && text(&broken.stderr).contains("'--probe-filter <REGEX>'"), "{}", text(&broken.stderr));
}

#[test]
fn what_the_kernel_has_need_not_be_used() {
    let listed = |args: &[&str]| text(&awl(&[args, &["--emit", "plan", "-e", "uprobe:libc:mallo* { @ = count(); }"]].concat()).stdout);
    let one_by_one = listed(&["--no-feature", "kprobe_multi,uprobe_multi"]);
    assert!(one_by_one.contains(" Kprobe: ") && !one_by_one.contains("UprobeMulti"), "{one_by_one}");
    let info = text(&awl(&["--info", "--no-feature=uprobe_multi", "--no-feature=kprobe_session"]).stdout);
    assert!(info.contains("  uprobe_multi: no\n"), "{info}");
    let unknown = awl(&["--no-feature", "uprobe_multi,warp", "-e", "begin { }"]);
    let said = text(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && said.contains("'warp'") && said.contains("kprobe_session"), "{said}");
}

#[test]
fn functions_of_a_list() {
    let file = std::env::temp_dir().join(format!("awl-functions-{}", std::process::id()));
    std::fs::write(&file, "vfs_read\nnot_of_this_kernel [some]\n").unwrap();
    let path = file.to_str().unwrap();
    let got = awl(&["--traceable-functions", path, "-l", "kprobe:*"]);
    let of_module = awl(&["--traceable-functions", path, "-l", "kprobe:some:*"]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(text(&got.stdout), "kprobe:not_of_this_kernel\nkprobe:vfs_read\n", "{}", text(&got.stderr));
    assert_eq!(text(&of_module.stdout), "kprobe:some:not_of_this_kernel\n", "{}", text(&of_module.stderr));
    let missing = awl(&["--traceable-functions", "/no/such/list", "-e", "begin { }"]);
    assert!(missing.status.code() == Some(1) && text(&missing.stderr).contains("error[no-file]"), "{}", text(&missing.stderr));
}

#[test]
fn numbers_with_units_where_they_are_asked_for() {
    if !common::may_load() {
        return;
    }
    let script = "begin { @big = 1234567; @small[pid] = 12; @sum = sum(45600000); exit(); }";
    let got = text(&awl(&["--human", "-q", "-e", script]).stdout);
    assert!(got.contains("@big: 1.23M\n") && got.contains("]: 12\n") && got.contains("@sum: 45.6M\n"), "{got}");
    let plain = text(&awl(&["-q", "-e", script]).stdout);
    assert!(plain.contains("@big: 1234567\n"), "{plain}");
}

#[test]
fn objects_say_when_and_of_which_probe_where_that_is_asked_for() {
    if !may_load() {
        return;
    }
    let script = "interval:s:60,interval:ms:20 { @n[comm] = count(); printf(\"x\\n\"); print(@n); exit(); }";
    let lines = |args: &[&str]| -> Vec<serde_json::Value> {
        let got = awl(&[args, &["-e", script]].concat());
        assert!(got.status.success(), "{}", text(&got.stderr));
        text(&got.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let all = lines(&["-f", "json", "--json-version", "2"]);
    assert_eq!(all[0]["type"], "schema");
    assert_eq!(all[0]["data"]["maps"]["@n"], serde_json::json!({ "keys": ["string[16]"], "value": "count" }));
    assert!(all.iter().all(|l| l["version"] == 2 && l["time"].as_str().is_some_and(|t| t.ends_with('Z'))), "{all:?}");
    let printed: Vec<_> = all.iter().filter(|l| l["type"] == "printf").collect();
    // Which of the body's attach points it was.
    assert!(!printed.is_empty() && printed.iter().all(|l| l["probe"] == "interval:ms:20"), "{all:?}");
    // At the end maps are of no probe.
    assert!(all.last().is_some_and(|l| l["type"] == "map" && l.get("probe").is_none()), "{all:?}");
    let plain = lines(&["-f", "json"]);
    assert!(plain.iter().all(|l| l["type"] != "schema" && l.get("version").is_none() && l.get("time").is_none()), "{plain:?}");
}

#[test]
fn options_may_stand_behind_the_script() {
    let file = std::env::temp_dir().join(format!("awl-behind-{}.bt", std::process::id()));
    std::fs::write(&file, "BEGIN { printf(\"%d %s %d\\n\", $1, str($2), $#); exit(); }").unwrap();
    let path = file.to_str().unwrap();
    let parses = |args: &[&str]| awl(&[&["--emit", "ast"][..], args].concat()).status.success();
    assert!(parses(&[path, "-q", "-c", "true", "7"]) && parses(&[path, "-ctrue", "-qk"]) && parses(&[path, "-5", "--", "-q"]));
    let got = awl(&[path, "--emit=plan", "-5", "seven"]);
    assert!(got.status.success() && text(&got.stdout).contains("point 0 begin"), "{}{}", text(&got.stdout), text(&got.stderr));
    if may_load() {
        let got = awl(&[path, "-5", "-q", "-B", "full", "--", "-v"]);
        assert!(text(&got.stdout).starts_with("-5 -v 2\n"), "{}{}", text(&got.stdout), text(&got.stderr));
    }
    std::fs::remove_file(&file).unwrap();
}

/// A second of counting, and nothing of what the script would do.
#[test]
fn rates_are_estimated() {
    if !may_load() {
        return;
    }
    let mut busy = std::process::Command::new("dd").args(["if=/dev/zero", "of=/dev/null", "bs=1", "status=none"]).spawn().unwrap();
    let script = "begin { printf(\"begun\\n\"); } syscall:read, syscall:write:return /pid > 0/ { printf(\"ran\\n\"); }";
    let got = awl(&["--estimate", "-q", "-p", &busy.id().to_string(), "-e", script]);
    busy.kill().unwrap();
    busy.wait().unwrap();
    let out = text(&got.stdout);
    assert!(got.status.success() && !out.contains("ran") && !out.contains("begun"), "{out}{}", text(&got.stderr));
    for name in ["syscall:read", "syscall:write:return"] {
        let line = out.lines().find_map(|l| l.strip_prefix(&format!("@per_second[{name}]: "))).unwrap_or_default();
        assert!(line.parse::<u64>().is_ok_and(|n| n > 1000), "{name} in {out}");
    }
}
