//! Colours and widths: what depends on where the output goes.

mod common;
#[path = "common/dir.rs"]
mod dir;

use common::terminal::{Terminal, ready};
use common::text;
use dir::Dir;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is on the screen, with the colours as the terminal got them.
fn coloured(t: &Terminal) -> bool {
    t.tmux(&["capture-pane", "-p", "-e", "-S", "-200"]).contains("\x1b[")
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    if !ready() {
        return;
    }
    let awl = env!("CARGO_BIN_EXE_awl");
    let wrong = format!("{awl} check -e 'begin {{ print(com); }}'");
    // the later word of `env` counts; an empty NO_COLOR is none
    let checked = [
        ("NO_COLOR=", wrong.as_str(), true),
        ("NO_COLOR=1", &wrong, false),
        ("NO_COLOR= AWL_COLOR=never", &wrong, false),
        ("NO_COLOR=1 AWL_COLOR=always", &wrong, true),
        ("NO_COLOR=", &format!("{wrong} 2>&1 | cat"), false),
    ];
    for (n, (environment, command, colours)) in checked.into_iter().enumerate() {
        let t = Terminal::with(&format!("colours-{n}"), 100, 30, environment, command);
        t.wait("did you mean `comm`?");
        assert_eq!(coloured(&t), colours, "{environment} {command}");
    }
    for (n, (environment, colours)) in [("NO_COLOR=", true), ("NO_COLOR=1", false), ("NO_COLOR= TERM=dumb", false)].into_iter().enumerate()
    {
        let t = Terminal::with(&format!("painted-{n}"), 100, 30, environment, awl);
        t.wait("awl>");
        // what is typed, before anything is said of it
        t.write("begin { print(\"text\"); }");
        t.wait("print(\"text\"); }");
        assert_eq!(coloured(&t), colours, "{environment}");
    }
}

/// The terminal edits the line and knows no marks; Ctrl-C is still the prompt's, and output comes as it is.
#[test]
fn a_dumb_terminal_streams_and_stops() {
    if !ready() {
        return;
    }
    let t = Terminal::with("dumb-streams", 80, 30, "NO_COLOR= TERM=dumb", env!("CARGO_BIN_EXE_awl"));
    let log = t.state.join("log");
    t.tmux(&["pipe-pane", &format!("cat > {}", log.display())]);
    t.wait("awl>");
    t.enter("interval:ms:100 { printf(\"tick\\n\"); }");
    t.wait("tick\ntick\ntick\n");
    t.enter("begin {");
    t.enter("print(6 *");
    t.wait("print(6 *");
    // drops what was begun, and nothing else
    t.keys(&["C-c"]);
    t.enter(":edit 1");
    t.wait("type it anew; an empty line leaves it as it is");
    t.enter("");
    t.wait("[1] is as it was");
    t.enter("print(");
    t.enter("6 * 7)");
    t.until(|s| s.lines().any(|l| l == "42"), "42");
    assert!(!t.screen().contains("[1] ended"));
    t.keys(&["C-c"]);
    t.wait("[1] ended");
    t.keys(&["C-c"]);
    t.wait("nothing runs; Ctrl-D leaves");
    t.keys(&["C-d"]);
    t.wait("left=0");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains('\x1b'), "{log:?}");
}

#[test]
fn wide_keys_are_drawn_in_place() {
    if !ready() {
        return;
    }
    let t = Terminal::with("wide", 20, 10, "", env!("CARGO_BIN_EXE_awl"));
    t.wait("awl>");
    t.enter("interval:ms:20 { @[\"漢字漢字漢字漢字漢字\"] = count(); @[\"ä\"] = count(); }");
    t.wait("[1] runs");
    t.enter(":watch @");
    // more than one drawing
    std::thread::sleep(Duration::from_millis(1800));
    let screen = t.tmux(&["capture-pane", "-p"]);
    let drawn: Vec<&str> = screen.trim_end().lines().skip_while(|l| *l != "awl> :watch @").skip(1).collect();
    assert!(drawn.len() == 2 && drawn.iter().all(|l| l.starts_with("@[")), "{screen}");
    assert!(drawn.contains(&"@[漢字漢字漢字漢字"), "as much as fits:\n{screen}");
    t.keys(&["q"]);
    t.until(|s| s.trim_end().ends_with("\nawl>"), "the prompt");
    t.keys(&["C-d"]);
    t.wait("left=0");
}

/// Fifty attachments to twenty thousand functions each take long enough that somebody wants to know how far it is.
#[test]
fn a_bar_while_many_places_are_attached() {
    if !ready() {
        return;
    }
    let dir = Dir::new("bar");
    let path = |name: &str| dir.0.join(name).to_str().unwrap().to_owned();
    let functions: String = (0..20_000).map(|i| format!("void place_{i}(void) {{}}\n")).collect();
    std::fs::write(path("many.c"), functions + "int main(void) { return 0; }\n").unwrap();
    let Ok(made) = Command::new("gcc").args(["-w", "-o", &path("many"), &path("many.c")]).output() else {
        println!("skipped: no gcc here");
        return;
    };
    assert!(made.status.success(), "{}", text(&made.stderr));
    let probes = format!("uprobe:{}:place_* {{ @ = count(); }}\n", path("many")).repeat(50);
    let wait = "interval:ms:20 { printf(\"done\\n\"); exit(); }\n";
    std::fs::write(path("bar.bt"), format!("config = {{ max_probes = 2000000 }}\n{probes}{wait}")).unwrap();
    let awl = format!("{} -q --no-warnings {}", env!("CARGO_BIN_EXE_awl"), path("bar.bt"));
    // All that the terminal gets is written down, too: the bar may be there for an instant only.
    let run = |name: &str, columns: u32, environment: &str, command: &str| {
        let t = Terminal::with(&format!("bar-{name}"), columns, 20, environment, &format!("sh -c 'sleep 0.4; {command}'"));
        let log = path(name);
        t.tmux(&["pipe-pane", &format!("cat > {log}")]);
        let screen = t.until_within(Duration::from_secs(60), |s| s.contains("left="), "left=");
        (screen, std::fs::read_to_string(log).unwrap())
    };
    for (name, columns, environment, shown) in [
        // where it begins, and which steps it shows, depends on the machine
        ("wide", 80, "NO_COLOR=", "]  of  places attached"),
        ("narrow", 20, "NO_COLOR=1", "%"),
        ("dumb", 80, "NO_COLOR= TERM=dumb", ""),
    ] {
        let (screen, log) = run(name, columns, environment, &awl);
        assert!(screen.contains("done\n") && screen.contains("left=0"), "{name}: {screen}");
        let drawn = log.contains(" of ") || log.contains('%');
        let without_count: String = log.chars().filter(|c| !c.is_ascii_digit()).collect();
        assert!(drawn != shown.is_empty() && without_count.contains(shown), "{name}: {log:?}");
        // nothing of it is left, and no marks that only some terminals know
        assert!(!screen.contains("places attached") && !screen.contains('%') && !screen.contains('#'), "{name}: {screen}");
        assert!(!log.split("left=").next().unwrap().contains('\x1b'), "{name}: {log:?}");
    }
    let (screen, log) = run("piped", 80, "NO_COLOR=", &format!("{awl} 2>&1 | cat"));
    assert!(screen.contains("done\n") && !log.contains(" of "), "{log:?}");
    // What goes wrong, and what is stopped, leaves no half of it either.
    let t = Terminal::with("bar-stopped", 80, 20, "", &awl);
    t.wait("places attached");
    t.keys(&["C-c"]);
    let screen = t.until_within(Duration::from_secs(60), |s| s.contains("left="), "left=");
    assert!(!screen.contains("places attached") && screen.contains("@: 0"), "{screen}");
    let t = Terminal::new("bar-prompt");
    t.enter(&format!(":load {}", path("bar.bt")));
    t.wait("places attached");
    let screen = t.wait("[1] ended");
    assert!(!screen.contains("places attached"), "{screen}");
}

#[test]
fn nobody_listens_or_speaks() {
    if !ready() {
        return;
    }
    let awl = env!("CARGO_BIN_EXE_awl");
    // standard input is closed, or nothing: a usage, and no prompt
    for input in ["<&-", "</dev/null"] {
        let got = Command::new("sh").args(["-c", &format!("{awl} {input}")]).output().unwrap();
        assert_eq!(got.status.code(), Some(1), "{input}");
        assert!(text(&got.stderr).contains("Usage"), "{input}");
    }
    // a script needs none of the three
    let script = "'interval:ms:20 { printf(\"x\\n\"); exit(); }'";
    for closed in ["<&-", "<&- 2>&-"] {
        let got = Command::new("sh").args(["-c", &format!("{awl} -e {script} {closed}")]).output().unwrap();
        assert!(got.status.success() && text(&got.stdout).contains("\nx\n"), "{closed}: {got:?}");
    }
    // the terminal goes away: so does the prompt, with what it attached
    let t = Terminal::with("gone", 80, 20, "", &format!("sh -c 'echo $$ > pid; exec {awl}'"));
    t.wait("awl>");
    t.enter("interval:ms:20 { printf(\"x\\n\"); }");
    t.wait("[1] runs");
    let pid = std::fs::read_to_string(t.state.join("pid")).unwrap();
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(t);
    let begin = Instant::now();
    while process.exists() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the prompt outlives its terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_is_said() {
    if !ready() {
        return;
    }
    for args in [
        &["-o", "/dev/full", "-e", "begin { printf(\"x\\n\"); exit(); }"][..],
        &["-o", "/dev/full", "-f", "json", "-e", "begin { @ = 1; exit(); }"],
    ] {
        let got = common::awl(args);
        let said = text(&got.stderr);
        assert!(got.status.code() == Some(2) && said.contains("No space left on device"), "{:?} {said}", got.status);
    }
}
