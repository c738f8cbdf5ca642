//! `docs/parity.md`: what is said to be the same compiles, runs and prints what it should; what is said not to be here is refused.

mod common;

use awl_compiler::config;
use common::{awl, may_load, text};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

struct Row {
    section: String,
    feature: String,
    says: String,
    /// without its quotes; empty: there is none
    example: String,
    last: String,
}

impl Row {
    fn refused(&self) -> bool {
        self.says.starts_with("not ")
    }

    /// What the last column has in quotes.
    fn prints(&self) -> Option<&str> {
        self.last.strip_prefix('`')?.strip_suffix('`')
    }
}

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/parity.md")).unwrap();
    let (mut rows, mut section) = (Vec::new(), String::new());
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        }
        if !line.starts_with("| ") {
            continue;
        }
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|c| c.trim().replace('\u{1}', "|")).collect();
        let [feature, says, example, last] = cells.as_slice() else { panic!("not four columns: {line}") };
        if !["same", "differs", "not yet", "not here"].contains(&says.as_str()) {
            assert!(says == "awl", "{line}");
            continue;
        }
        let quoted = example.strip_prefix('`').and_then(|e| e.strip_suffix('`'));
        assert!(quoted.is_some() || (example.is_empty() && says == "not here"), "no example: {line}");
        rows.push(Row {
            section: section.clone(),
            feature: feature.clone(),
            says: says.clone(),
            example: quoted.unwrap_or_default().to_owned(),
            last: last.clone(),
        });
    }
    rows
}

/// Of those sections that `of` names, or of the others.
fn check(least: usize, of: impl Fn(&str) -> bool, wrong_with: impl Fn(&Row) -> Option<String>) {
    let rows: Vec<Row> = rows().into_iter().filter(|r| of(&r.section) && !r.example.is_empty()).collect();
    assert!(rows.len() >= least, "the table is gone: {} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|r| wrong_with(r).map(|why| format!("{}: {} is said to be `{}`: {}\n{why}", r.section, r.feature, r.says, r.example)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const RUN: [&str; 4] = ["JSON", "printf", "Environment", "Command line"];

#[test]
fn programs_compile() {
    if !may_load() {
        return;
    }
    check(
        90,
        |s| !RUN.contains(&s),
        |row| {
            let got = awl(&["--unsafe", "--dry-run", "-e", &row.example, "7", "seven"]);
            let said = text(&got.stderr);
            // Some machines hide the kernel's variables, mount cgroup v2 elsewhere, or have a C library without static probes.
            let excused = ["no-symbols", "no-cgroup", "no-match"].iter().any(|c| said.contains(c));
            let refused = !got.status.success() && !excused;
            (refused != row.refused()).then_some(said)
        },
    );
}

/// `"_"` stands for anything.
fn fits(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::String(s), _) if s == "_" => true,
        (Value::Array(w), Value::Array(g)) => w.len() == g.len() && w.iter().zip(g).all(|(w, g)| fits(w, g)),
        (Value::Object(w), Value::Object(g)) => w.len() == g.len() && w.iter().all(|(k, w)| g.get(k).is_some_and(|g| fits(w, g))),
        _ => wanted == got,
    }
}

#[test]
fn json_has_the_shape() {
    if !may_load() {
        return;
    }
    check(
        40,
        |s| s == "JSON",
        |row| {
            let wanted: Value = serde_json::from_str(row.prints().unwrap_or_default()).unwrap();
            let trial = ["--test", "--bench"].into_iter().find(|o| row.example.starts_with(&format!("{}:", &o[2..])));
            let got = awl(&[&["--unsafe", "-k", "-f", "json", "-e", &row.example], &trial.into_iter().collect::<Vec<_>>()[..]].concat());
            let printed = text(&got.stdout);
            let lines: Result<Vec<Value>, _> = printed.lines().map(serde_json::from_str).collect();
            match lines {
                Ok(all) if all.iter().any(|v| fits(&wanted, v)) => None,
                _ => Some(format!("{}{}", printed.lines().take(9).collect::<Vec<_>>().join("\n"), text(&got.stderr))),
            }
        },
    );
}

#[test]
fn printf_prints() {
    if !may_load() {
        return;
    }
    check(
        20,
        |s| s == "printf",
        |row| {
            let script = format!("enum color {{ RED = 3 }} begin {{ {}; exit(); }}", row.example);
            let got = awl(&["-q", "-e", &script]);
            let printed = text(&got.stdout);
            let fine = match row.refused() {
                true => !got.status.success(),
                false => printed.lines().next() == row.prints(),
            };
            (!fine).then(|| format!("{printed}{}", text(&got.stderr)))
        },
    );
}

/// Commands run in a directory of their own, in which is what the page says.
#[test]
fn commands_run() {
    if !may_load() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("awl-parity-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("script.bt"), "begin { printf(\"hi\\n\"); exit(); }\n").unwrap();
    std::fs::write(dir.join("x.h"), "struct x { int y; };\n").unwrap();
    std::fs::write(dir.join("functions"), "of_the_list\n").unwrap();
    let beside = Path::new(env!("CARGO_BIN_EXE_awl")).parent().unwrap();
    let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap_or_default());
    check(
        40,
        |s| s == "Environment" || s == "Command line",
        |row| {
            let got =
                Command::new("sh").args(["-c", &row.example]).current_dir(&dir).env("PATH", &path).env("NO_COLOR", "1").output().unwrap();
            let said = format!("{}{}", text(&got.stdout), text(&got.stderr));
            let fine = match row.refused() {
                true => !got.status.success(),
                false => got.status.success() && row.prints().is_none_or(|p| text(&got.stdout).contains(p)),
            };
            (!fine).then_some(said)
        },
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A row for each setting, whose value is taken from the environment, too; what is no value is refused everywhere.
#[test]
fn settings_are_checked_wherever_they_stand() {
    let rows = rows();
    let rows: Vec<&Row> = rows.iter().filter(|r| r.section == "Settings").collect();
    let run = |script: &str, name: &str, value: &str| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_awl"));
        c.args(["--emit", "plan", "-e", script]).env("NO_COLOR", "1");
        if !name.is_empty() {
            c.env(name, value);
        }
        let got = c.output().unwrap();
        (got.status.code(), text(&got.stderr))
    };
    let mut wrong = Vec::new();
    for key in config::KEYS {
        let Some(row) = rows.iter().find(|r| r.feature == key.name) else {
            wrong.push(format!("no row for `{}`", key.name));
            continue;
        };
        let value = row
            .example
            .split_once(&format!("{} = ", key.name))
            .and_then(|(_, rest)| rest.split_once(" } "))
            .map_or("", |(v, _)| v.trim_matches('"'));
        let loud = key.name.to_uppercase();
        for name in [format!("AWL_{loud}"), format!("BPFTRACE_{loud}")] {
            let (status, said) = run("begin { exit(); }", &name, value);
            if status != Some(0) {
                wrong.push(format!("{name}={value}: {said}"));
            }
            let (status, said) = run("begin { exit(); }", &name, "@nothing");
            if key.name != "str_trunc_trailer" && (status != Some(1) || !said.contains("error[config-value]")) {
                wrong.push(format!("{name}=@nothing: {status:?} {said}"));
            }
        }
        let (status, said) = run(&format!("config = {{ {} = \"@nothing\" }} begin {{ exit(); }}", key.name), "", "");
        if key.name != "str_trunc_trailer" && (status != Some(1) || !said.contains("error[config-value]")) {
            wrong.push(format!("{} = \"@nothing\": {status:?} {said}", key.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
