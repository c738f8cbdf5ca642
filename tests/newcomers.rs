//! What people do at a prompt that they don't know yet, and what happens to them there.

mod common;

use common::terminal::{Terminal, ready};
use std::process::Stdio;

#[test]
fn words_that_are_no_program() {
    if !ready() {
        return;
    }
    let t = Terminal::new("words");
    t.enter("help");
    t.wait(":watch @MAP");
    t.enter("list openat");
    t.wait("`:list` has a colon: `:list openat`");
    t.enter(":watch");
    t.wait("no maps yet");
    t.enter(":type");
    t.wait("give an expression");
    t.enter(":explain nothing");
    t.wait("no diagnostic has the code `nothing`");
    // what is printed without a line's end isn't cleared away by the next prompt
    t.enter("printf(\"%d\", 6 * 7)");
    t.until(|s| s.lines().any(|l| l == "42"), "42");
    // a variable of that name is one
    t.enter("args");
    t.wait("error[no-args]");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn an_end_is_seen() {
    if !ready() {
        return;
    }
    let t = Terminal::new("end");
    t.enter("end { printf(\"%s\\n\", \"alone\"); }");
    t.wait("[1] runs at the end of the session");
    t.enter("interval:ms:20 { exit(); } end { printf(\"%s\\n\", \"by itself\"); }");
    t.wait("[2] runs");
    std::thread::sleep(std::time::Duration::from_millis(300));
    t.enter("6 * 7");
    let screen = t.wait("\n42");
    assert!(screen.contains("\nby itself\n[2] ended\n"), "{screen}");
    t.enter("interval:ms:20 { } end { printf(\"%s\\n\", \"while it ran\"); }");
    t.wait("[4] runs");
    t.keys(&["C-d"]);
    let screen = t.wait("left=0");
    assert!(screen.contains("\nalone\n") && screen.contains("\nwhile it ran\n"), "{screen}");
    assert_eq!(screen.matches("\nby itself\n").count(), 1, "{screen}");
}

#[test]
fn files_that_are_there_or_not() {
    if !ready() {
        return;
    }
    let t = Terminal::new("files");
    std::fs::write(t.state.join("mine.bt"), "begin { @mine = 1; }\n").unwrap();
    std::fs::write(t.state.join("empty.bt"), "#!/usr/bin/env awl\n\n").unwrap();
    std::fs::write(t.state.join("broken.bt"), "begin { @a = ; }\n").unwrap();
    std::fs::write(t.state.join("latin.bt"), b"begin { print(\"\xff\"); }\n").unwrap();
    t.enter(":save new.bt");
    t.wait("there is nothing to save");
    assert!(!t.state.join("new.bt").exists());
    t.enter("@n = 7");
    t.wait("@n: 7");
    for (line, said) in [
        (":load", "give a file"),
        (":load none.bt", "`none.bt` can't be read: No such file"),
        (":load .", "`.` can't be read: Is a directory"),
        (":load /bin/sh", "`/bin/sh` is a program, and no script"),
        (":load empty.bt", "nothing of `empty.bt` is in the session"),
        (":load broken.bt", "error[syntax]"),
        (":load latin.bt", "error[encoding]"),
        (":save none/x.bt", "`none/x.bt` can't be written: No such file"),
        (":save /dev/full", "`/dev/full` can't be written: No space left"),
        (":save mine.bt", "`mine.bt` is there already; `:save! mine.bt` replaces it"),
    ] {
        t.enter(line);
        t.wait(said);
    }
    assert_eq!(std::fs::read_to_string(t.state.join("mine.bt")).unwrap(), "begin { @mine = 1; }\n");
    // nothing of this is part of the session, and what was is
    t.enter(":save! mine.bt");
    t.wait("written to mine.bt");
    let saved = std::fs::read_to_string(t.state.join("mine.bt")).unwrap();
    assert!(saved.contains("@n = 7") && !saved.contains("@a"), "{saved}");
    t.enter("@m = 8");
    t.wait("@m: 8");
    t.enter(":save mine.bt");
    t.until(|s| s.matches("written to mine.bt").count() == 2, "written again");
    assert!(std::fs::read_to_string(t.state.join("mine.bt")).unwrap().contains("@m = 8"));
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn commands_with_nothing_or_too_much() {
    if !ready() {
        return;
    }
    let t = Terminal::new("odd");
    for (line, said) in [
        (":args", "give a whole probe, as in"),
        (":args tracepoint:s*:*", " more places; a longer pattern shows fewer"),
        (":list", ":list struct task*         types"),
        (":list struct task_struc", "nothing matches `struct task_struc`; `:list struct *task_struc*` has"),
        (":list nosuch:*", "nothing matches `nosuch:*`; a pattern is as in"),
        (":doc hits", "did you mean `:doc hist`?"),
        (":e", "`:e` may be :explain or :emit or :edit"),
        (":edit 7", "there is no line 7; :probes shows them"),
        (":stop 99999999999999999999999", "give the number of a line"),
        (": maps", "no maps yet"),
    ] {
        t.enter(line);
        t.wait(said);
        t.tmux(&["clear-history"]);
    }
    t.enter("tracepoint:sched:sched_switch /args.next_pid == 1/ { @n = count(); }");
    t.wait("runs, one attachment");
    t.enter(":args");
    t.wait("next_comm");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

/// The example of `:help`, by completion alone.
#[test]
fn from_nothing_to_how_long_reads_take() {
    if !ready() {
        return;
    }
    let t = Terminal::new("reads");
    // It ends with the terminal's folder, whatever happens here.
    let reads = format!("while [ -d {} ]; do read -r x < /proc/uptime; sleep 0.02; done", t.state.display());
    let reader = std::process::Command::new("sh").args(["-c", &reads]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut reader = reader.unwrap();
    t.enter(":help");
    t.wait("@ns = hist(nsecs - @start[tid])");
    let tab = |text: &str, becomes: &str| {
        t.write(text);
        t.keys(&["Tab"]);
        t.until(|_| t.edited().0.ends_with(becomes), becomes);
    };
    tab("sysc", "awl> syscall");
    t.keys(&["Tab"]);
    t.wait("syscall:   syscall:NAME[:return]");
    tab(":rea", "syscall:read");
    t.write(" ");
    t.keys(&["Tab", "Tab"]);
    t.wait("when it is done, as in");
    t.write(&format!("/pid == {}/ {{ @start[tid] = nsecs; }}", reader.id()));
    t.keys(&["Enter"]);
    t.wait("[1] runs");
    tab("syscall:read:r", "syscall:read:return");
    tab(" /@st", "/@start");
    tab("[tid]/ { @ns = hi", "hist(");
    tab("nsecs - @st", "@start");
    tab("[tid]); del", "delete(");
    t.write("@start, tid); }");
    t.keys(&["Enter"]);
    t.wait("[2] runs");
    tab(":wat", ":watch ");
    tab("@n", "@ns");
    t.keys(&["Enter"]);
    t.wait("@@@|");
    t.keys(&["q"]);
    t.until(|s| s.trim_end().ends_with("\nawl>"), "the prompt");
    t.keys(&["C-d"]);
    t.wait("left=0");
    drop(t);
    assert!(reader.wait().unwrap().success());
}

#[test]
fn what_was_saved_survives_a_full_disk() {
    if !ready() {
        return;
    }
    // two pages, in a place of its own that ends with the session
    let inside = format!("mkdir full; mount -t tmpfs -o size=8k none full; cd full; {}; cat a.bt; ls", env!("CARGO_BIN_EXE_awl"));
    let t = Terminal::with("full-disk", 110, 40, "", &format!("unshare -m sh -c '{inside}'"));
    t.wait("awl>");
    std::fs::write(t.state.join("big.bt"), "// much that says nothing\n".repeat(400) + "begin { @big = 1; }\n").unwrap();
    t.enter("@n = 7");
    t.wait("@n: 7");
    t.enter(":save a.bt");
    t.wait("written to a.bt");
    t.enter(":load ../big.bt");
    t.wait("@big: 1");
    t.enter(":save a.bt");
    t.wait("`a.bt` can't be written: No space left on device");
    t.enter(":save b.bt");
    t.wait("`b.bt` can't be written: No space left on device");
    t.keys(&["C-d"]);
    let screen = t.wait("left=0");
    assert!(screen.contains("@n = 7;\n}\na.bt\nleft=0"), "{screen}");
}

/// Each line is kept when it is entered, and beside those of others.
#[test]
fn two_prompts_share_a_history() {
    if !ready() {
        return;
    }
    let first = Terminal::new("history");
    let shared = format!("XDG_STATE_HOME={}", first.state.display());
    let second = Terminal::with("history-too", 110, 40, &shared, &format!("sh -c 'echo $$ > pid; exec {}'", env!("CARGO_BIN_EXE_awl")));
    second.wait("awl>");
    for (t, line) in [(&first, "10 + 1"), (&second, "20 + 2"), (&first, "30 + 3"), (&second, "40 + 4")] {
        t.enter(line);
        let sum: u32 = line.split(" + ").map(|n| n.parse::<u32>().unwrap()).sum();
        t.wait(&format!("\n{sum}\n"));
    }
    let pid = std::fs::read_to_string(second.state.join("pid")).unwrap();
    assert!(std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    second.wait("left=137");
    first.keys(&["C-d"]);
    first.wait("left=0");
    let history = std::fs::read_to_string(first.state.join("awl/history")).unwrap();
    for line in ["10 + 1", "20 + 2", "30 + 3", "40 + 4"] {
        assert_eq!(history.lines().filter(|l| *l == line).count(), 1, "{history}");
    }
}

#[test]
fn taking_back_after_mistakes() {
    if !ready() {
        return;
    }
    let t = Terminal::new("undo");
    t.enter(":undo");
    t.wait("nothing to take back");
    t.enter("interval:ms:20 { @n = count(); }");
    t.wait("[1] runs");
    t.enter("interval:ms:20 { @n = 5; }");
    t.wait("error[type-change]");
    t.enter("foo bar");
    t.wait("error[syntax]");
    // mistakes have changed nothing, so the line before them is what is taken back
    t.enter(":undo");
    t.wait("no probes yet");
    t.enter(":undo");
    t.until(|s| s.matches("nothing to take back").count() == 2, "nothing more");
    t.enter("interval:ms:20 { @m = count(); }");
    t.wait("runs, one attachment; Ctrl-C or `:stop 4`");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

#[test]
fn another_size_while_a_map_is_watched() {
    if !ready() {
        return;
    }
    let t = Terminal::new("resize");
    t.enter("interval:ms:20 { @h = hist(2050 + nsecs % 8000); }");
    t.wait("[1] runs");
    t.enter(":watch @h");
    t.wait("@@@|");
    t.tmux(&["resize-window", "-x", "40", "-y", "12"]);
    // as wide as there is room, in one place; three buckets, which a low screen has room for
    let now = |fine: fn(&[&str]) -> bool, what: &str| {
        t.until(|_| fine(&t.tmux(&["capture-pane", "-p"]).trim_end().lines().collect::<Vec<_>>()), what);
    };
    now(|s| s[0] == "awl> :watch @h" && s[1] == "@h:" && s.iter().filter(|l| **l == "@h:").count() == 1, "the map below the first line");
    now(|s| s[2..].iter().all(|l| l.starts_with('[') && l.chars().count() < 40), "lines that fit");
    t.tmux(&["resize-window", "-x", "20", "-y", "6"]);
    now(|s| s.len() == 4 && s[1..].iter().all(|l| l.starts_with('[')), "the last lines");
    t.tmux(&["resize-window", "-x", "120", "-y", "30"]);
    now(|s| s[0] == "awl> :watch @h" && s.iter().any(|l| l.ends_with("@@@|")), "the whole bars");
    t.keys(&["q"]);
    t.until(|s| s.trim_end().ends_with("\nawl>"), "the prompt");
    // what is printed meanwhile stays, above the map
    t.enter("interval:ms:700 { printf(\"tick\\n\"); }");
    t.wait("[2] runs");
    t.enter(":watch @h");
    now(|s| s.iter().position(|l| *l == "tick").is_some_and(|i| s[i + 1..].contains(&"@h:")), "what is printed");
    t.keys(&["C-c"]);
    t.until(|s| s.trim_end().ends_with("\nawl>"), "the prompt");
    t.keys(&["C-d"]);
    t.wait("left=0");
}
