//! Attaching and detaching, again and again, while processes start and end: every event is counted, and nothing stays. For ten
//! seconds, or `AWL_CHURN` of them.

mod common;

use common::built::{Awl, Built};
use common::{awl, may_load, text};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Name of a map that no other script has.
fn mark() -> String {
    format!("c{}", std::process::id())
}

/// Maps of that name in the kernel: as long as a program is there, its maps are.
fn left(mark: &str) -> String {
    let script = format!("iter:bpf_map /strcontains(ctx.map->name, \"_{mark}\")/ {{ printf(\"%s\\n\", ctx.map->name); }}");
    text(&awl(&["-q", "-e", &script]).stdout).trim().to_owned()
}

/// What is counted in each round: a script, its command, what it must print.
fn rounds(built: &Built) -> Vec<(String, String, &'static str)> {
    let (moves, notes, mark) = (built.moves(), built.notes(), mark());
    let work = format!("{moves} step=100 count=50 step-threads=4 write=30 fork=1");
    let dd = "dd if=/dev/zero of=/dev/null bs=777 count=200 status=none".to_owned();
    let mut all = vec![
        (format!("uprobe:{moves}:step {{ @{mark}[0] = count(); }}"), work.clone(), "300"),
        (format!("uretprobe:{moves}:step {{ @{mark}[0] = count(); }}"), work.clone(), "300"),
        (format!("uprobe:{moves}:ste*, uprobe:{moves}:stay {{ @{mark}[0] = count(); }}"), work.clone(), "300"),
        (format!("tracepoint:syscalls:sys_exit_read /pid == cpid && args.ret == 777/ {{ @{mark}[0] = count(); }}"), dd.clone(), "200"),
        (
            format!("tracepoint:raw_syscalls:sys_enter /pid == cpid && args.id == 1 && args.args[2] == 777/ {{ @{mark}[0] = count(); }}"),
            dd.clone(),
            "200",
        ),
        (format!("profile:hz:499 {{ @{mark}[0, pid == cpid] = count(); }} uprobe:{moves}:step {{ @n = count(); }}"), work.clone(), "300"),
    ];
    // One is guarded by a semaphore, which goes up and down with each awl.
    all.push((format!("usdt:{notes}:app:half {{ @{mark}[0] = count(); }}"), notes.clone(), "15"));
    all.push((format!("usdt:{notes}:app:guarded {{ @{mark}[0] = count(); }}"), notes.clone(), "7"));
    if std::path::Path::new("/sys/bus/event_source/devices/breakpoint").exists() {
        all.push((format!("watchpoint:0x10000000:8:w {{ @{mark}[0] = count(); }}"), work, "30"));
    }
    if std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        all.push((format!("kprobe:vfs_read /pid == cpid && arg2 == 777/ {{ @{mark}[0] = count(); }}"), dd, "200"));
    }
    all
}

#[test]
fn every_event_is_counted_and_nothing_stays() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("churn") else { return };
    let seconds = std::env::var("AWL_CHURN").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (moves, rounds) = (built.moves(), rounds(&built));
    // One awl sees all processes of the program for the whole time.
    let whole = Awl::attach(&["-e", &format!("uprobe:{moves}:step {{ @ = count(); @{}[0] = sum(1); }}", mark())]);
    let (stop, steps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut done = 0;
    std::thread::scope(|s| {
        // Processes that start and end, each with steps of its own; every seventh is killed while it has children.
        let churner = s.spawn(|| {
            let mut round = 0u64;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let words: &[&str] =
                    if round.is_multiple_of(7) { &["step=5", "say=x", "fork=2", "stay"] } else { &["step=3", "fork=2", "step=2"] };
                let mut child = Command::new(&moves).args(words).stdout(Stdio::piped()).spawn().unwrap();
                if round.is_multiple_of(7) {
                    use std::io::BufRead;
                    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
                    // Its children are ended by their parent's end: `stay` asks for that.
                    child.kill().unwrap();
                    steps.fetch_add(5, Ordering::Relaxed);
                } else {
                    steps.fetch_add(7, Ordering::Relaxed);
                }
                child.wait().unwrap();
            }
        });
        let mut wrong = String::new();
        while Instant::now() < end && wrong.is_empty() {
            for (script, command, expected) in &rounds {
                let got = awl(&["-q", "-c", command, "-e", script]);
                let (out, said) = (text(&got.stdout), text(&got.stderr));
                // The profile's counts are whatever they are.
                let counts = out.lines().filter(|l| l.starts_with("@n: ") || l.contains("[0]: "));
                if counts.map(|l| l.rsplit(' ').next().unwrap()).ne([*expected]) || !said.is_empty() {
                    wrong = format!("{script}\n{command}\n{out}\n{said}");
                    break;
                }
                if script.contains(&format!("{moves}:")) || script.contains("watchpoint") {
                    steps.fetch_add(300, Ordering::Relaxed);
                }
                done += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        churner.join().unwrap();
        assert!(wrong.is_empty(), "after {done} rounds: {wrong}");
    });
    assert!(left(&mark()).contains(&mark()), "what is there isn't found");
    whole.interrupt();
    let (out, said) = whole.end();
    let all = steps.load(Ordering::Relaxed);
    assert_eq!((out, said), (format!("@: {all}\n@{}[0]: {all}", mark()), String::new()));
    println!("{done} rounds, {all} steps");
    let deadline = Instant::now() + Duration::from_secs(5);
    while !left(&mark()).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left(&mark()), "", "still in the kernel");
}
