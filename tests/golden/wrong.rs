//! Programs as people write them when they are wrong: one for each kind of mistake, and all that is said of each.
//! `tests/golden/wrong/THEME.txt`: a program in lines that begin with `> `, what is said of it, an empty line.

use super::cases;
use std::fmt::Write;
use std::path::Path;

#[test]
fn wrong_programs_are_explained() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wrong");
    let (mut programs, mut faults) = (0, String::new());
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let theme = path.file_stem().unwrap().to_string_lossy().into_owned();
        let kept = std::fs::read_to_string(&path).unwrap();
        let mut made = String::new();
        for text in texts(&kept) {
            programs += 1;
            let said = cases::said_of(&theme, &text);
            if said.is_empty() {
                writeln!(faults, "nothing is said of {text:?}").unwrap();
            }
            let lines: String = text.lines().map(|l| format!("> {l}\n")).collect();
            write!(made, "{}{lines}{said}", if made.is_empty() { "" } else { "\n" }).unwrap();
        }
        if update {
            std::fs::write(&path, made).unwrap();
        } else if kept != made {
            writeln!(faults, "{theme}: {}", cases::difference(&kept, &made)).unwrap();
        }
    }
    assert!(faults.is_empty(), "{faults}\n`UPDATE_GOLDENS=1 cargo test --test golden` rewrites what is expected; read the difference");
    assert!(programs >= 300, "programs are no longer found: {programs}");
}

fn texts(file: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut inside = false;
    for line in file.lines() {
        match line.strip_prefix("> ") {
            Some(text) => {
                if !inside {
                    all.push(String::new());
                }
                if let Some(last) = all.last_mut() {
                    *last += text;
                    last.push('\n');
                }
                inside = true;
            }
            None => inside = false,
        }
    }
    all
}
