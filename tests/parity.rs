//! `docs/parity.md`: what is said to be the same compiles, what is said not to be here is refused.

mod common;

use common::{awl, may_load, text};

#[test]
fn the_table_is_true() {
    if !may_load() {
        return;
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/parity.md")).unwrap();
    let (mut rows, mut wrong) = (0, String::new());
    for line in page.lines().filter(|l| l.starts_with("| ")) {
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|c| c.trim().replace('\u{1}', "|")).collect();
        let [feature, says, example, ..] = cells.as_slice() else { continue };
        let Some(example) = example.strip_prefix('`').and_then(|e| e.strip_suffix('`')) else { continue };
        if !["same", "differs", "not yet", "not here"].contains(&says.as_str()) {
            continue;
        }
        rows += 1;
        let got = awl(&["--unsafe", "--dry-run", "-e", example, "7", "seven"]);
        let said = text(&got.stderr);
        // Some machines hide the kernel's variables, mount cgroup v2 elsewhere, or have a C library without static probes.
        let excused = ["no-symbols", "no-cgroup", "no-match"].iter().any(|c| said.contains(c));
        let refused = !got.status.success() && !excused;
        if refused != says.starts_with("not ") {
            wrong += &format!("{feature} is said to be `{says}`: {example}\n{said}\n");
        }
    }
    assert!(rows > 90, "the table is gone: {rows} rows");
    assert!(wrong.is_empty(), "{wrong}");
}
