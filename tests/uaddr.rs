//! `uaddr`: variables of programs that are loaded anywhere, and of those that have a fixed place.

mod common;

use common::{awl, may_load, text};
use std::process::Command;

const PROGRAM: &str = r#"
unsigned int counter = 41;
unsigned long many = 5000000000;
char table[40] = "a table";
__attribute__((noinline)) int step(int n) { counter += n; return counter; }
int main(void) { return step(1) + table[0] + many > 0 ? 0 : 1; }
"#;

#[test]
fn variables_of_programs() {
    if !may_load() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("awl-uaddr-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("app.c"), PROGRAM).unwrap();
    for kind in ["-pie", "-no-pie"] {
        let app = dir.join(format!("app{kind}"));
        let made = Command::new("gcc").args(["-O1", kind, "-o"]).arg(&app).arg(dir.join("app.c")).output();
        let Ok(made) = made else { return println!("skipped: no gcc here") };
        assert!(made.status.success(), "{}", text(&made.stderr));
        let app = app.display();
        let entry = format!("uprobe:{app}:step {{ print((*uaddr(\"counter\"), *uaddr(\"many\"), str(uaddr(\"table\")))); }}");
        let got = awl(&["-q", "-c", &app.to_string(), "-e", &entry]);
        assert_eq!(text(&got.stdout).trim_end(), "(41, 5000000000, a table)", "{kind}: {}", text(&got.stderr));
        // At the return it is the probed function's address that the kernel tells, from 6.6 on.
        let back = format!("uretprobe:{app}:step {{ print((*uaddr(\"counter\"), usym(uaddr(\"step\")))); }}");
        let got = awl(&["-q", "-c", &app.to_string(), "-e", &back]);
        let said = text(&got.stderr);
        assert!(said.contains("kernel-feature") || text(&got.stdout).trim_end() == "(42, step)", "{kind}: {}{said}", text(&got.stdout));
        // Each of many places knows its own distance.
        let all = format!("uprobe:{app}:main,uprobe:{app}:st* {{ @[func] = *uaddr(\"counter\"); }}");
        let got = awl(&["-q", "-c", &app.to_string(), "-e", &all]);
        assert!(
            text(&got.stdout).contains("@[main]: 41\n") && text(&got.stdout).contains("@[step]: 41\n"),
            "{kind}: {}",
            text(&got.stdout)
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
