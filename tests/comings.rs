//! Threads, children, libraries and programs that come and go while they are traced.

mod common;

use common::built::{Awl, Built};
use common::{awl, may_load, text};

#[test]
fn a_watchpoint_is_on_every_thread() {
    if !may_load() || !std::path::Path::new("/sys/bus/event_source/devices/breakpoint").exists() {
        println!("skipped: no hardware breakpoints here");
        return;
    }
    let Some(built) = Built::new("threads") else { return };
    let moves = built.moves();
    const COUNT: &str = "watchpoint:0x10000000:8:w { @ = count(); }";
    let counted = |words: &str| {
        let got = awl(&["-q", "-c", &format!("{moves} {words}"), "-e", COUNT]);
        (text(&got.stdout).trim().to_owned(), text(&got.stderr))
    };
    assert_eq!(counted("count=1000 write-threads=8 write=5"), ("@: 8005".into(), String::new()));
    // Children have memory of their own, from then on.
    assert_eq!(counted("write=50 fork=3 write=7"), ("@: 50".into(), String::new()));
    // Four threads are there when it is attached, three come later; between them those that do nothing come and go.
    let (gate, go) = (built.path("gate"), built.path("go"));
    let words =
        [format!("gate={gate}"), "count=100".into(), format!("churn-until={go}"), "write-threads=4".into(), "write-threads=3".into()];
    std::fs::write(&gate, "").unwrap();
    let process = built.start(&words);
    let awl = Awl::attach(&["-p", &process.id().to_string(), "-e", COUNT]);
    std::fs::write(&go, "").unwrap();
    assert_eq!(awl.end(), ("@: 700".into(), String::new()));
    drop(process);
    std::fs::remove_file(&gate).unwrap();
    let words = [format!("gate={gate}"), "count=100".into(), "write-threads=4".into(), "write-threads=3".into()];
    let process = built.start(&words);
    let awl = Awl::attach(&["-p", &process.id().to_string(), "-e", COUNT]);
    std::fs::write(&gate, "").unwrap();
    assert_eq!(awl.end(), ("@: 700".into(), String::new()));
}

/// Output, and what is said beside it, of a command that is traced.
fn traced(command: &str, script: &str) -> (String, String) {
    let got = awl(&["-q", "-c", command, "-e", script]);
    assert_eq!(got.status.code(), Some(0), "{}", text(&got.stderr));
    (text(&got.stdout).trim().to_owned(), text(&got.stderr))
}

#[test]
fn a_process_that_becomes_another_program() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("exec") else { return };
    let (moves, other) = (built.moves(), built.path("other"));
    std::fs::copy(&moves, &other).unwrap();
    let script = format!("uprobe:{moves}:step {{ @ = count(); }} uretprobe:{moves}:ste* {{ @r = count(); }}");
    let said = |out: &str| (out.to_owned(), String::new());
    assert_eq!(traced(&format!("{moves} step=3 exec={other} step=4"), &script), said("@: 3\n@r: 3"));
    // It is the same process: what becomes the probed program again counts.
    assert_eq!(traced(&format!("{moves} step=3 exec={moves} step=4"), &script), said("@: 7\n@r: 7"));
    assert_eq!(traced(&format!("{other} step=3 exec={moves} step=4"), &script), said("@: 4\n@r: 4"));
    // By -p, too, with threads that the end of the old program takes along.
    let go = built.path("go");
    let words = [format!("wait-for={go}"), "count=5".into(), "step-threads=3".into(), format!("exec={moves}"), "step=2".into()];
    let process = built.start(&words);
    let awl = Awl::attach(&["-p", &process.id().to_string(), "-e", &script]);
    std::fs::write(&go, "").unwrap();
    assert_eq!(awl.end(), said("@: 17\n@r: 17"));
}

#[test]
fn a_process_that_is_killed_in_the_middle() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("killed") else { return };
    let moves = built.moves();
    // A child is killed in a function whose return is awaited; the parent goes on, and so does awl.
    let script = format!(
        "uprobe:{moves}:stay {{ @in = count(); }} uretprobe:{moves}:stay {{ @out = count(); }} uretprobe:{moves}:step {{ @ = count(); }}"
    );
    let got = awl(&["-q", "--follow", "-c", &format!("{moves} step=1 kill-in-call step=2"), "-e", &script]);
    assert_eq!((got.status.code(), text(&got.stdout).trim()), (Some(0), "@: 3\n@in: 1\n@out: 0"), "{}", text(&got.stderr));
    // The watched process itself: the session ends with it, and has what came before.
    let watch = std::path::Path::new("/sys/bus/event_source/devices/breakpoint").exists();
    let memory = if watch { "watchpoint:0x10000000:8:w { @w = count(); }" } else { "begin { @w = 6; }" };
    let go = built.path("go");
    let mut process = built.start(&[format!("wait-for={go}"), "write=6".into(), "say=there".into(), "stay".into()]);
    let awl = Awl::attach(&[
        "-p",
        &process.id().to_string(),
        "-e",
        &format!("{script} {memory} profile:hz:99 {{ }} iter:task {{ @task = count(); }}"),
    ]);
    std::fs::write(&go, "").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    process.0.kill().unwrap();
    let (out, said) = awl.end();
    assert_eq!((out.as_str(), said.as_str()), ("@: 0\n@in: 1\n@out: 0\n@task: 1\n@w: 6", ""));
    // It has ended, and nobody has asked for its end.
    let script = format!("uprobe:{moves}:step {{ @ = count(); }}");
    let zombie = awl_of(process.id(), &script);
    assert!(zombie.0 == Some(2) && zombie.1.contains("error[no-process]") && zombie.1.contains("has ended"), "{zombie:?}");
    process.0.wait().unwrap();
    let gone = awl_of(process.id(), &script);
    assert!(gone.0 == Some(2) && gone.1.contains("error[no-process]: there is no process"), "{gone:?}");
}

fn awl_of(pid: u32, script: &str) -> (Option<i32>, String) {
    let got = awl(&["-q", "-p", &pid.to_string(), "-e", script]);
    (got.status.code(), text(&got.stderr))
}

#[test]
fn every_iterator_runs_or_says_what_it_lacks() {
    if !may_load() {
        return;
    }
    let all = text(&awl(&["-l", "iter:*"]).stdout);
    let mut wrong = String::new();
    for name in all.lines() {
        let got = awl(&["-q", "-e", &format!("{name} {{ @ = count(); }}")]);
        let said = text(&got.stderr);
        let counts = got.status.success() && text(&got.stdout).contains("@: ");
        if !counts && !said.contains("it goes through the parts of something that has to be named") {
            wrong += &format!("{name}: {said}");
        }
    }
    assert!(wrong.is_empty() && all.lines().count() > 5, "{all}{wrong}");
}
