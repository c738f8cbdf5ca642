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
