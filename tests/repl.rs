//! The prompt in a real terminal: tmux draws it, the tests type and read the screen.

mod common;

use common::terminal::{Terminal, ready};
use std::time::Duration;

#[test]
fn probes_stream_and_maps_survive_edits() {
    if !ready() {
        return;
    }
    let t = Terminal::new("survive");
    t.enter("1 + 2");
    t.until(|s| s.lines().any(|l| l == "3"), "3");
    t.enter("interval:ms:20 { @n = count(); }");
    t.wait("[2] runs, one attachment");
    std::thread::sleep(Duration::from_millis(300));
    t.enter("@n");
    let first = t.number("@n: ");
    assert!(first > 3, "{first}");
    // another probe, and one line changed: what was counted stays
    t.enter("interval:ms:20 { @m[cpu] = count(); printf(\"tick\\n\"); }");
    t.wait("tick");
    t.enter(":stop 3");
    t.wait("[3] ended");
    t.enter(":edit 2");
    t.wait("awl> interval:ms:20 { @n = count(); }");
    t.keys(&["Enter"]);
    t.wait("[4] runs");
    t.enter("@n");
    let shown = |s: &str| s.lines().filter_map(|l| l.strip_prefix("@n: ")?.parse::<u64>().ok()).collect::<Vec<_>>();
    t.until(|s| shown(s).len() == 2 && shown(s)[1] > first, "a larger @n");
    t.enter("len(@m)");
    t.enter("clear(@n)");
    t.keys(&["C-c"]);
    t.wait("[4] ended");
    t.enter(":maps");
    t.wait("@m[uint64]: count");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn stacks_survive_edits() {
    if !ready() {
        return;
    }
    let t = Terminal::new("stacks");
    t.enter("tracepoint:sched:sched_switch /pid > 0/ { @s[kstack(3)] = count(); }");
    t.wait("[1] runs");
    std::thread::sleep(Duration::from_millis(300));
    t.enter("interval:ms:20 { @n = count(); }");
    t.wait("[2] runs");
    t.enter(":stop 1");
    t.wait("[1] ended");
    let counted = |s: &str| s.lines().filter(|l| l.starts_with("]: ")).count();
    t.until(|s| counted(s) > 0 && s.contains("schedule+"), "names of the stack");
    // and once nothing runs that has the map
    t.enter(":stop");
    t.wait("[2] ended");
    t.keys(&["C-l"]);
    t.tmux(&["clear-history"]);
    t.enter("@s");
    t.until(|s| counted(s) > 0 && s.contains("schedule+"), "names of the stack");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn a_mistake_ends_nothing() {
    if !ready() {
        return;
    }
    let t = Terminal::new("mistake");
    t.enter("begin { print(com); }");
    t.wait("did you mean `comm`?");
    t.enter("@x = 1");
    t.enter("@x = \"a\"");
    t.wait("error[");
    t.enter("tracepoint:no:such { }");
    t.wait("error[unknown-event]");
    t.enter(":probse");
    t.wait("did you mean `:probes`?");
    t.enter(")");
    t.enter("@x");
    t.wait("@x: 1");
    // definitions are no probes, and what follows knows them
    t.enter("macro twice(x) { x * 2 }");
    t.enter("struct pair { int a; int b; }");
    t.enter("(twice(21), sizeof(struct pair))");
    t.wait("(42, 8)");
    t.enter("exit");
    t.wait("left=0");
}

#[test]
fn several_lines_completion_and_hints() {
    if !ready() {
        return;
    }
    let t = Terminal::new("complete");
    t.enter("begin {");
    t.enter("print(6 * 7);");
    t.enter("}");
    t.until(|s| s.lines().any(|l| l == "42"), "42");
    t.write("tracepoint:sched:sched_swi");
    t.keys(&["Tab"]);
    t.wait("sched_switch");
    t.write(" { @ = hi");
    t.keys(&["Tab"]);
    // the signature of what is being called
    t.wait("hist(n: int");
    t.write("args.next_pi");
    t.keys(&["Tab"]);
    t.wait("next_pid");
    t.keys(&["C-c"]);
    // Ctrl-C drops what was typed ahead, as terminals do.
    t.until(|s| s.trim_end().ends_with("\nawl>"), "a new prompt");
    // hints come at once where the list is there, as it is by now
    t.write("t:sched:sched_swi");
    t.until(|s| s.trim_end().ends_with("awl> t:sched:sched_switch"), "a hint");
    t.keys(&["C-c"]);
    t.until(|s| s.trim_end().ends_with("\nawl>"), "a new prompt");
    t.enter(":type curtask->real_parent->pid");
    t.wait("int32");
    t.enter("@many[comm, 1] = (int32)2");
    t.wait("@many[");
    t.enter(":type @many");
    t.wait("@many[string[16], int64]: int");
    // what is wrong is shown as it was typed
    t.enter(":type @many + nosuch");
    let screen = t.wait("unknown name");
    assert!(!screen.contains("awl_it"), "{screen}");
    t.enter(":doc strlen");
    t.wait("strlen(s: string)");
    t.enter(":emit bpf 1 + 1");
    t.wait("exit");
    t.keys(&["C-d"]);
    t.wait("left=0");
    let history = std::fs::read_to_string(t.state.join("awl/history")).unwrap();
    assert!(history.contains(":doc strlen"), "{history}");
}

#[test]
fn output_appears_above_what_is_typed() {
    if !ready() {
        return;
    }
    let t = Terminal::new("above");
    t.enter("interval:ms:100 { printf(\"tick\\n\"); }");
    t.wait("tick");
    t.write("print(\"half a li");
    let before = t.screen().matches("tick").count();
    t.until(|s| s.matches("tick").count() > before + 2, "more ticks");
    t.write("ne\")");
    let screen = t.wait("awl> print(\"half a line\")");
    assert_eq!(screen.trim_end().lines().last(), Some("awl> print(\"half a line\")"), "{screen}");
}

/// At once and above what is typed, as its output; with what `end` prints, and the maps that it names.
#[test]
fn a_line_that_ends_itself_says_so() {
    if !ready() {
        return;
    }
    let t = Terminal::new("ends");
    t.enter("interval:ms:20 { @other = count(); }");
    t.wait("[1] runs");
    t.enter("interval:ms:1500 { @n = count(); exit(); } end { printf(\"over\\n\"); @at_end = 7; }");
    t.wait("[2] runs");
    t.write("print(\"half a li");
    let screen = t.wait("[1] ended");
    let shown: Vec<&str> = screen.trim_end().lines().skip_while(|l| *l != "over").collect();
    let [over, first, other, second, n, at_end, edited] = shown.as_slice() else { panic!("{screen}") };
    assert_eq!([*over, *first, *second, *n, *at_end], ["over", "[1] ended", "[2] ended", "@n: 1", "@at_end: 7"], "{screen}");
    assert!(other.starts_with("@other: ") && edited.starts_with("awl> print(\"half a li"), "{screen}");
    t.enter("ne\")");
    t.until(|s| s.lines().any(|l| l == "half a line"), "half a line");
    t.enter(":maps");
    t.wait("@n: count");
    // once more, and no end of another line
    t.enter("interval:ms:20 { @k = count(); } end { printf(\"k is over\\n\"); }");
    t.wait("[4] runs");
    t.enter("begin { exit(); } interval:s:1 { } end { printf(\"never began\\n\"); }");
    let screen = t.wait("[5] ended");
    assert!(screen.contains("\nnever began\n[5] ended") && !screen.contains("\nk is over"), "{screen}");
    t.enter("@k");
    let before = t.number("@k: ");
    t.enter(":stop");
    let screen = t.wait("[4] ended");
    assert!(screen.contains("\nk is over\n[4] ended") && screen.matches("\nover").count() == 1, "{screen}");
    let last = screen.lines().rfind(|l| l.starts_with("@k: ")).unwrap().to_owned();
    assert!(last.trim_start_matches("@k: ").parse::<u64>().unwrap() >= before, "{screen}");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

/// Whatever the editor shows stays as it is while output streams: a search, a hint, a row that is full, tabs, several lines, a list.
#[test]
fn output_leaves_what_is_edited_as_it_is() {
    if !ready() {
        return;
    }
    let t = Terminal::with("searches", 40, 16, "", env!("CARGO_BIN_EXE_awl"));
    t.wait("awl>");
    t.enter("print(1234)");
    t.enter("print(5678)");
    t.enter("interval:ms:100 { printf(\"tick\\n\"); }");
    t.wait("tick");
    // the last lines of the screen, with nothing but output above them
    let ends = |lines: &[&str]| {
        let fine = || {
            let screen = t.tmux(&["capture-pane", "-p"]);
            let shown: Vec<&str> = screen.trim_end().lines().collect();
            let (above, last) = shown.split_at(shown.len().saturating_sub(lines.len()));
            last == lines && above.len() > 4 && above.iter().rev().take(4).all(|l| *l == "tick")
        };
        t.until(|_| fine(), &format!("{lines:?}"));
        // and so it stays
        std::thread::sleep(Duration::from_millis(300));
        t.until(|_| fine(), &format!("{lines:?}"));
    };
    // Ctrl-C drops what is typed ahead of the next prompt, too.
    let dropped = || {
        t.keys(&["C-c"]);
        t.until(|_| t.edited().0 == "awl> ", "a new prompt");
    };
    t.keys(&["C-r"]);
    t.write("23");
    ends(&["(reverse-i-search)`23': print(1234)"]);
    t.write("x");
    ends(&["(failed reverse-i-search)`23x': print(12", "34)"]);
    t.keys(&["C-g"]);
    ends(&["awl>"]);
    // from the history, behind the cursor
    t.write("print(12");
    t.until(|_| t.edited() == ("awl> print(12".into(), "34)".into()), "a hint");
    ends(&["awl> print(1234)"]);
    assert_eq!(t.edited().0, "awl> print(12");
    dropped();
    let full = format!("print({})", "1".repeat(40 - 5 - 7));
    t.write(&full);
    ends(&[&format!("awl> {full}")]);
    t.write("2");
    ends(&[&format!("awl> {full}"), "2"]);
    dropped();
    t.tmux(&["set-buffer", "begin {\t@x = 1;\n\tprint(1); print(2); print(3);\n\n}"]);
    t.tmux(&["paste-buffer", "-p"]);
    ends(&["awl> begin {    @x = 1;", "        print(1); print(2); print(3);", "", "}"]);
    t.keys(&["Up", "Up"]);
    t.write("x");
    ends(&["awl> begin {    @x = 1;", "x       print(1); print(2); print(3);", "", "}"]);
    dropped();
    t.write("str");
    t.keys(&["Tab", "Tab"]);
    t.wait("strlen");
    ends(&["awl> str"]);
    t.write("len");
    ends(&["awl> strlen("]);
    dropped();
    // taller than the screen: the output comes when the line is done
    t.write("begin {");
    t.keys(&["Enter"]);
    for i in 0..20 {
        t.write(&format!("print({i});"));
        t.keys(&["Enter"]);
    }
    t.until(|s| s.trim_end().ends_with("print(18)\nprint(19)"), "the last line");
    t.tmux(&["clear-history"]);
    std::thread::sleep(Duration::from_millis(500));
    let screen = t.screen();
    assert!(!screen.contains("tick") && screen.trim_end().ends_with("print(18)\nprint(19)"), "{screen}");
    dropped();
    t.until(|s| s.matches("tick").count() > 4, "what was held");
    t.keys(&["C-c"]);
    t.wait("[3] ended");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn a_line_that_is_edited_stays_one_in_a_terminal_that_shrinks() {
    if !ready() {
        return;
    }
    let t = Terminal::with("shrinks", 80, 24, "", env!("CARGO_BIN_EXE_awl"));
    t.wait("awl>");
    t.enter("interval:ms:100 { printf(\"a line of output\\n\"); }");
    t.wait("[1] runs");
    t.write("begin { print(\"a text that three lines take\");");
    t.wait("three lines take");
    for columns in ["20", "33", "20"] {
        t.tmux(&["resize-window", "-x", columns]);
        t.tmux(&["clear-history"]);
        std::thread::sleep(Duration::from_millis(800));
        let screen = t.tmux(&["capture-pane", "-p"]);
        let lines: Vec<&str> = screen.trim_end().lines().collect();
        let at = lines.iter().position(|l| l.starts_with("awl> begin {")).unwrap_or_else(|| panic!("{screen}"));
        // What stood there when the size changed, before awl heard of it, is the terminal's; what came since is ours: of eight
        // lines of output each had left a copy.
        let begun = lines.iter().filter(|l| l.starts_with("awl> begin {")).count();
        assert!(begun <= 4 && lines.len() - at <= 24, "{columns} columns:\n{screen}");
    }
    t.keys(&["C-c"]);
    // What is typed ahead of it Ctrl-C drops as well.
    t.until(|_| t.edited().0 == "awl> ", "a new prompt");
    t.keys(&["C-c"]);
    t.wait("[1] ended");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn an_edit_that_comes_to_nothing_changes_nothing() {
    if !ready() {
        return;
    }
    let t = Terminal::new("edits");
    t.enter("interval:ms:20 { @n = count(); }");
    t.wait("[1] runs");
    let edit = || {
        t.enter(":edit 1");
        // with a hint behind it, perhaps
        t.until(|_| t.edited().0 == "awl> interval:ms:20 { @n = count(); }", "the line");
    };
    edit();
    t.keys(&["C-c"]);
    t.wait("[1] is as it was");
    edit();
    t.write(" interval:x:1 { }");
    t.keys(&["Enter"]);
    t.until(|s| s.contains("error[probe-syntax]") && s.matches("[1] is as it was").count() == 2, "the refusal");
    t.enter(":probes");
    t.wait("[1] runs  interval:ms:20");
    edit();
    t.write(" interval:ms:30 { @m = count(); }");
    t.keys(&["Enter"]);
    t.wait("[3] runs, 2 attachments");
    t.enter(":probes");
    t.wait("[3] runs  interval:ms:20");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn the_session_becomes_a_script() {
    if !ready() {
        return;
    }
    let t = Terminal::new("save");
    let file = t.state.join("s.bt");
    t.enter("interval:ms:50 { @n = count(); }");
    t.wait("[1] runs");
    t.enter(":undo");
    t.wait("no probes yet");
    t.enter("interval:ms:50 { @k = count(); }");
    t.wait("[2] runs");
    t.enter(&format!(":save {}", file.display()));
    t.wait("written to");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("#!/usr/bin/env awl\n") && text.contains("@k = count()") && !text.contains("@n"), "{text}");
    assert!(common::awl(&["check", &file.to_string_lossy()]).status.success());
    t.enter(&format!(":load {}", file.display()));
    t.wait("[3] runs");
    t.enter(":watch @k");
    t.wait("@k: ");
    t.keys(&["Enter"]);
    t.enter(":probes");
    t.wait("hits,");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

/// What runs once is compiled with what a long session defines, not with all of it.
#[test]
fn a_long_session_answers_as_a_short_one() {
    if !ready() {
        return;
    }
    let t = Terminal::new("long");
    let file = t.state.join("long.bt");
    let text = "macro twice(x) { x * 2 }\nstruct pair { int a; int b; }\nlet @few = lruhash(10);\n".to_owned()
        + &"// a line that says nothing\n".repeat(12_000)
        + "interval:ms:20 { @n = count(); @few[\"n\"] = 1; @stack[kstack(1)] = count(); }\nend { @ended = 1; }\n";
    std::fs::write(&file, text).unwrap();
    t.enter(&format!(":load {}", file.display()));
    let screen = t.wait("[1] runs");
    assert!(screen.contains("compiling 12005 lines ..."), "{screen}");
    let quick = [
        ("(twice(21), sizeof(struct pair))", "(42, 8)"),
        ("@x = 3", "@x: 3"),
        ("@x++", "@x: 4"),
        ("print(@x * 2)", "8"),
        ("@few[\"a\"] = 7", "@few[a]: 7"),
        ("@few[\"a\"] + 1", "8"),
    ];
    let mut screen = String::new();
    for (line, answer) in quick {
        t.enter(line);
        screen = t.until(|s| s.rsplit(line).next().is_some_and(|s| s.lines().any(|l| l == answer)), answer);
    }
    assert_eq!(screen.matches("compiling").count(), 1, "{screen}");
    // Types that change concern all of it, and what is wrong is shown where it is.
    t.enter("@x = \"text\"");
    t.wait("compiling 12007 lines ...");
    t.wait("error[");
    t.enter("len(@stack) > 0");
    t.wait("true");
    t.enter(":probes");
    t.wait("... (12005 lines)");
    t.enter(":stop");
    t.wait("[1] ended");
    t.wait("@ended: 1");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

/// A pipe without another end, and a device without an end.
#[test]
fn nobody_waits_for_what_is_no_file() {
    if !ready() {
        return;
    }
    let t = Terminal::new("pipes");
    let pipe = t.state.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.display();
    for file in [pipe.to_string(), "/dev/zero".into(), "/dev/tty".into()] {
        t.enter(&format!(":load {file}"));
        t.wait(&format!("`{file}` can't be read: it is no file of text"));
    }
    t.enter(&format!(":save {pipe}"));
    t.wait(&format!("`{pipe}` is no file that a script can be written to"));
    t.enter("40 + 2");
    t.wait("\n42\n");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn small_and_dumb_terminals() {
    if !ready() {
        return;
    }
    let t = Terminal::with("small", 20, 10, "", env!("CARGO_BIN_EXE_awl"));
    t.wait("awl>");
    t.enter("interval:ms:50 { @n = count(); }");
    t.wait("[1] runs");
    t.enter("@n");
    t.wait("@n: ");
    t.tmux(&["resize-window", "-x", "60", "-y", "20"]);
    t.enter("40 + 2");
    t.wait("42");
    t.keys(&["C-d"]);
    t.wait("left=0");
    let t = Terminal::with("dumb", 80, 20, "TERM=dumb XDG_STATE_HOME=/dev/null/none", env!("CARGO_BIN_EXE_awl"));
    t.wait("awl>");
    t.enter("40 + 2");
    t.wait("42");
    t.keys(&["C-d"]);
    t.wait("the history was not kept in /dev/null/none/awl/history");
    t.wait("left=0");
}

#[test]
fn without_rights_it_checks_and_says_what_is_missing() {
    if !ready() {
        return;
    }
    let nobody = format!("setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all {}", env!("CARGO_BIN_EXE_awl"));
    let t = Terminal::with("nobody", 110, 40, "", &nobody);
    t.wait("without CAP_BPF");
    t.enter("begin { print(com); }");
    t.wait("did you mean `comm`?");
    t.enter(":emit bpf 1 + 1");
    t.wait("exit");
    t.enter("interval:s:1 { @ = count(); }");
    t.wait("error[no-permission]");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn a_script_on_a_terminal_says_how_to_stop() {
    if !ready() {
        return;
    }
    let run = format!("{} -e 'interval:ms:20 {{ @ticks = count(); }}'", env!("CARGO_BIN_EXE_awl"));
    let t = Terminal::with("hint", 80, 20, "", &run);
    t.wait("Ctrl-C ends it");
    std::thread::sleep(Duration::from_millis(100));
    t.keys(&["C-c"]);
    t.wait("@ticks: ");
    // perf's uprobes are attached one by one: a bar shows how far it is where that takes long; it is gone at the end
    let run = format!("{} -e 'tracepoint:sched:sched_* {{ @ = count(); }} interval:ms:20 {{ exit(); }}'", env!("CARGO_BIN_EXE_awl"));
    let t = Terminal::with("bar", 80, 20, "", &run);
    let screen = t.wait("left=0");
    assert!(screen.contains("Attached") && !screen.contains("places attached"), "{screen}");
    // A pipe gets what it got before.
    let piped = common::awl(&["-e", "interval:ms:20 { exit(); }"]);
    assert_eq!(common::text(&piped.stderr), "");
}

#[test]
fn what_is_typed_may_be_no_text() {
    if !ready() {
        return;
    }
    let t = Terminal::new("bytes");
    t.tmux(&["send-keys", "-H", "ff", "fe", "c3", "28", "0d"]);
    t.wait("that was no UTF-8 text");
    t.until(|s| s.trim_end().ends_with("\nawl>"), "a new prompt");
    t.enter("40 + 2");
    t.wait("42");
    // a large paste comes at once, as terminals mark it
    let file = t.state.join("paste");
    std::fs::write(&file, format!("/* {} */ 1000 + 1001", "x".repeat(200_000))).unwrap();
    t.tmux(&["load-buffer", &file.to_string_lossy()]);
    t.tmux(&["paste-buffer", "-p"]);
    t.keys(&["Enter"]);
    t.wait("2001");
    // ten megabytes, as one line and as many
    for (sum, text) in [("2002", "x".repeat(10 << 20)), ("2003", format!("{}\n", "x".repeat(79)).repeat(128 << 10))] {
        std::fs::write(&file, format!("/* {text} */ 1000 + 1{}", &sum[1..])).unwrap();
        t.tmux(&["load-buffer", &file.to_string_lossy()]);
        t.tmux(&["paste-buffer", "-p"]);
        t.keys(&["Enter"]);
        t.until_within(Duration::from_secs(90), |s| s.lines().any(|l| l == sum), sum);
        t.enter("40 + 2");
        t.until(|s| s.trim_end().ends_with("\n42\nawl>"), "42");
    }
    t.keys(&["C-d"]);
    t.wait("left=0");
    let history = std::fs::metadata(t.state.join("awl/history")).unwrap().len();
    assert!(history < 1000, "{history} bytes of history");
}

#[test]
fn options_hold_at_the_prompt() {
    if !ready() {
        return;
    }
    let t = Terminal::new("unsafe");
    t.enter("begin { system(\"echo $((6 * 7))\"); }");
    t.wait("error[needs-unsafe]");
    let t = Terminal::with("unsafe-allowed", 110, 40, "AWL_MAX_STRLEN=100", concat!(env!("CARGO_BIN_EXE_awl"), " --unsafe"));
    t.wait("awl>");
    t.enter("begin { system(\"echo $((6 * 7))\"); }");
    t.until(|s| s.lines().any(|l| l == "42"), "42");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn options_that_the_prompt_can_not_follow_are_refused() {
    if !ready() {
        return;
    }
    for option in ["-c true", "-p 1"] {
        let t = Terminal::with("refused", 110, 40, "", &format!("{} {option}", env!("CARGO_BIN_EXE_awl")));
        let screen = t.wait("left=1");
        assert!(screen.contains(&format!("the prompt has no option `{}`", &option[..2])), "{screen}");
    }
    let list = std::env::temp_dir().join(format!("awl-list-of-functions-{}", std::process::id()));
    std::fs::write(&list, "only_this_function\n").unwrap();
    let command = format!("{} --traceable-functions {}", env!("CARGO_BIN_EXE_awl"), list.display());
    let t = Terminal::with("functions", 110, 40, "", &command);
    t.wait("awl>");
    t.enter(":list kprobe:*");
    t.wait("kprobe:only_this_function");
    t.keys(&["C-d"]);
    t.wait("left=0");
    std::fs::remove_file(list).unwrap();
}

#[test]
fn input_that_is_no_terminal() {
    // nobody to talk to: the usage, not a prompt
    let got = common::awl(&[]);
    assert_eq!(got.status.code(), Some(1));
    assert!(common::text(&got.stderr).contains("Usage"));
}
