//! Static probes of a program, by notes as `<sys/sdt.h>` writes them.
#![cfg(target_arch = "x86_64")]

mod common;

use common::{awl, may_load, text};
use std::path::PathBuf;
use std::process::Command;

/// `step` runs 10 times: `i` from a register and, negative, from memory, a constant, an element of a table. `half` has two
/// sites, with a constant and a register. `guarded` runs 7 times where its semaphore says that somebody listens. The exit
/// code says what the semaphore was.
const PROGRAM: &str = include_str!("programs/notes.c");

struct Built(PathBuf);

impl Built {
    fn new(name: &str) -> Option<Built> {
        let dir = std::env::temp_dir().join(format!("awl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let b = Built(dir);
        std::fs::write(b.0.join("app.c"), PROGRAM).unwrap();
        let made = Command::new("gcc").args(["-O1", "-o"]).arg(b.0.join("app")).arg(b.0.join("app.c")).output();
        let Ok(made) = made else {
            println!("skipped: no gcc here");
            return None;
        };
        assert!(made.status.success(), "{}", text(&made.stderr));
        Some(b)
    }

    fn path(&self) -> String {
        self.0.join("app").to_str().unwrap().to_owned()
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn names_and_arguments_that_cannot_be_read() {
    let Some(built) = Built::new("usdt-names") else { return };
    let app = built.path();
    let list = |pattern: &str| text(&awl(&["-l", &format!("usdt:{app}:{pattern}")]).stdout).replace(&app, "APP");
    assert_eq!(list("*"), "usdt:APP:app:guarded\nusdt:APP:app:half\nusdt:APP:app:step\nusdt:APP:other:half\n");
    assert_eq!(list("app:ha*"), "usdt:APP:app:half\n");
    for (script, said) in [
        ("PROBE:step { print(arg5); }", "`8@table(%rip)`"),
        ("PROBE:step { print(arg6); }", "`8f@%xmm0`"),
        ("PROBE:step { print(arg7); }", "this probe has 7 arguments"),
        ("PROBE:stepp { }", "did you mean `step`?"),
        ("PROBE:app:none* { }", "matches nothing"),
    ] {
        let got = awl(&["check", "-e", &script.replace("PROBE", &format!("usdt:{app}"))]);
        let message = text(&got.stderr);
        assert!(!got.status.success() && message.contains(said), "{script}\n{message}");
    }
}

#[test]
fn hits_and_arguments() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("usdt-hits") else { return };
    let app = built.path();
    for (script, said) in [
        ("PROBE:step { @ = count(); }", "@: 10"),
        ("PROBE:app:step { @ = sum(arg0); }", "@: 45"),
        ("PROBE:step { @ = sum((int64)arg1); }", "@: -45"),
        ("PROBE:step { @ = sum(arg2); }", "@: 50"),
        ("PROBE:step { @ = sum((int64)arg3); }", "@: -70"),
        ("PROBE:step { @ = sum(arg4); }", "@: 135"),
        ("U:APP:app:half { @ = count(); }", "@: 15"),
        ("PROBE:app:half { @ = sum(arg0); }", "@: 10025"),
        ("PROBE:half { @ = count(); }", "@: 20"),
        ("PROBE:ha* { @[probe] = count(); }", "@[usdt:APP:other:half]: 5\n@[usdt:APP:app:half]: 15"),
        ("PROBE:guarded { @ = sum(arg0); }", "@: 21"),
    ] {
        let own = script.replace("PROBE", "usdt:APP").replace("APP", &app);
        let got = awl(&["-q", "-c", &app, "-e", &own]);
        assert_eq!(text(&got.stdout).trim(), said.replace("APP", &app), "{script}\n{}", text(&got.stderr));
    }
}

#[test]
fn children_and_a_program_that_is_made_later() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("usdt-children") else { return };
    let app = built.path();
    let later = format!("{app}-later");
    // The semaphore is up in children, too, before they begin.
    let both = format!("sh -c '{app}; {app}; true'");
    let got = awl(&["-q", "--follow", "-c", &both, "-e", &format!("usdt:{app}:guarded {{ @ = sum(arg0); }}")]);
    assert_eq!(text(&got.stdout).trim(), "@: 42", "{}", text(&got.stderr));
    let made = format!("sh -c 'cp {app} {later}.new; mv {later}.new {later}; sleep 3; {later}; true'");
    let script = format!("usdt:{later}:guarded {{ @ = sum(arg0); }} usdt:{later}:step {{ @s = sum(arg0); }}");
    let got = awl(&["-q", "--follow", "-c", &made, "-e", &script]);
    assert_eq!(text(&got.stdout).trim(), "@: 21\n@s: 45", "{}", text(&got.stderr));
}

#[test]
fn a_semaphore_counts_who_listens() {
    if !may_load() {
        return;
    }
    let Some(built) = Built::new("usdt-semaphore") else { return };
    let app = built.path();
    assert_eq!(Command::new(&app).status().unwrap().code(), Some(0));
    let script = format!("usdt:{app}:guarded {{ }} tracepoint:sched:sched_process_exit /pid == cpid/ {{ print(curtask.exit_code >> 8); }}");
    let got = awl(&["-q", "-c", &app, "-e", &script]);
    assert_eq!(text(&got.stdout).trim(), "1", "{}", text(&got.stderr));
}
