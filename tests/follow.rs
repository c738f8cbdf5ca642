//! `--follow`: places that appear while a script runs.

mod common;

use common::built::{Awl, Built};
use common::{awl, may_load, text};

const LATER: &str = "later { @ = count(); @sum = sum(arg0); }";

fn run(args: &[&str]) -> (String, String) {
    let got = awl(&[&["--follow", "-q"], args].concat());
    (text(&got.stdout).trim().to_owned(), text(&got.stderr))
}

#[test]
fn a_library_that_is_loaded_later() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("loaded") else { return };
    let (library, go, moves) = (built.library("liblater.so"), built.path("go"), built.moves());
    // Also one that a child loads, and one that the process of `-p` does.
    for before in ["", "fork=1"] {
        let command = format!("{moves} {before} load={library} wait-for={go} later=10");
        let mut awl = Awl::attach(&["--follow", "-v", "-c", &command, "-e", &format!("uprobe:*:{LATER}")]);
        awl.hear("waiting for uprobe:*:later");
        awl.hear(&format!("attached: uprobe:{library}:later"));
        std::fs::write(&go, "").unwrap();
        assert_eq!(awl.end().0, "@: 10\n@sum: 45");
        std::fs::remove_file(&go).unwrap();
    }
    let (early, load) = (built.path("early"), format!("load={library}"));
    let process = built.start(&[format!("wait-for={early}"), load, format!("wait-for={go}"), "later=10".into()]);
    let mut awl = Awl::attach(&["--follow", "-v", "-p", &process.id().to_string(), "-e", &format!("uprobe:*:{LATER}")]);
    std::fs::write(&early, "").unwrap();
    awl.hear("attached: ");
    std::fs::write(&go, "").unwrap();
    assert_eq!(awl.end().0, "@: 10\n@sum: 45");
}

#[test]
fn a_file_that_appears_and_one_that_is_replaced() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("appears") else { return };
    let (first, second) = (built.library("first.so"), built.library("second.so"));
    let (path, loaded, go, moves) = (built.path("later.so"), built.path("loaded"), built.path("go"), built.moves());
    let script = format!("uprobe:{path}:{LATER} uretprobe:{path}:later {{ @ends[pid == cpid] = count(); }}");
    // The command loads it twice: as it was first, and as what has taken its place.
    let command = format!("{moves} wait-for={loaded} load={path} later=4 say=x wait-for={go} fork=1 load={path} later=10");
    let mut awl = Awl::attach(&["--follow", "-v", "-c", &command, "-e", &script]);
    awl.hear("waiting for ");
    std::fs::rename(&first, &path).unwrap();
    awl.hear("attached: uprobe:");
    awl.hear("attached: uretprobe:");
    std::fs::write(&loaded, "").unwrap();
    awl.read_until("x");
    std::fs::rename(&second, &path).unwrap();
    awl.hear("attached: uprobe:");
    awl.hear("attached: uretprobe:");
    std::fs::write(&go, "").unwrap();
    assert_eq!(awl.end().0, "@: 14\n@ends[true]: 4\n@ends[false]: 10\n@sum: 51");
}

#[test]
fn children_count_each_time() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("children") else { return };
    let moves = built.moves();
    let script = format!("uprobe:{moves}:step {{ @ = count(); @own[pid == cpid] = count(); }} uretprobe:{moves}:step {{ @r = count(); }}");
    let command = format!("{moves} step=5 fork=4 step=7 fork=1 step=9 step-threads=0");
    // 4 children step 7 times; each of them has one that steps 9 times.
    assert_eq!(run(&["-c", &command, "-e", &script]), ("@: 69\n@own[true]: 5\n@own[false]: 64\n@r: 69".into(), String::new()));
    // Without `--follow` they don't count, as in bpftrace.
    let got = awl(&["-q", "-c", &command, "-e", &script]);
    assert_eq!(text(&got.stdout).trim(), "@: 5\n@own[true]: 5\n@r: 5");
    // Nobody else does.
    let go = built.path("go");
    let process = built.start(&[format!("wait-for={go}"), "step=3".into(), "fork=2".into(), "step=10".into()]);
    let other = built.start(&[format!("wait-for={go}"), "step=1000".into()]);
    let awl = Awl::attach(&["--follow", "-p", &process.id().to_string(), "-e", &format!("uprobe:{moves}:step {{ @ = count(); }}")]);
    std::fs::write(&go, "").unwrap();
    assert_eq!(awl.end(), ("@: 23".into(), String::new()));
    drop(other);
}

#[test]
fn a_program_that_another_becomes() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("becomes") else { return };
    let (go, moves, other) = (built.path("go"), built.moves(), built.path("other"));
    std::fs::copy(&moves, &other).unwrap();
    // Without a path the process's own program is meant, whichever it is.
    let command = format!("{moves} step=3 exec={other} wait-for={go} step=4");
    let mut awl = Awl::attach(&["--follow", "-v", "-c", &command, "-e", "uprobe:step { @ = count(); }"]);
    awl.hear(&format!("attached: uprobe:{other}:step"));
    std::fs::write(&go, "").unwrap();
    assert_eq!(awl.end().0, "@: 7");
}

#[test]
fn what_never_appears_and_what_does_not_fit() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("never") else { return };
    let (moves, path) = (built.moves(), built.path("none.so"));
    let script = format!("uprobe:{path}:later {{ @ = count(); }} tracepoint:none:such {{ @n[args.x] = 1; }} begin {{ printf(\"x\\n\"); }}");
    let (out, said) = run(&["-c", &format!("{moves} step=1"), "-e", &script]);
    assert_eq!(out, "x\n\n\n@: 0");
    assert!(
        said.contains("warning[never-appeared]: 2 attach points never appeared") && said.contains("nor did tracepoint:none:such"),
        "{said}"
    );
    // Nothing waits for what can't come.
    let (_, said) = run(&["-e", "nothing:at:all { }"]);
    assert!(said.contains("error[unknown-probe]"), "{said}");
    // What appears would make another map of one that is in use.
    let (go, library) = (built.path("go"), built.library("liblater.so"));
    let script = format!("begin {{ @x = 5; }} uprobe:{path}:later {{ @x = args.n; }} end {{ printf(\"%d\\n\", @x); }}");
    let command = format!("{moves} wait-for={go}");
    let mut awl = Awl::attach(&["--follow", "-c", &command, "-e", &script.replace("args.n", "str(args.n)")]);
    std::fs::rename(&library, &path).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    std::fs::write(&go, "").unwrap();
    awl.hear("waiting for");
    let (out, said) = awl.end();
    assert!(out.starts_with('5') && said.contains("warning["), "{out}\n{said}");
}
