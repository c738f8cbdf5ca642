//! Every diagnostic has a page in `docs/errors`, and the examples of the pages fail and pass as they say.

#[path = "common/codes.rs"]
mod codes;
mod common;

use common::{awl, may_load, text};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(String, String)> {
    let files = std::fs::read_dir(root().join("docs/errors")).unwrap().map(|e| e.unwrap().path());
    let page = |p: PathBuf| (p.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(p).unwrap());
    let mut pages: Vec<_> = files.map(page).collect();
    pages.sort();
    pages
}

#[test]
fn every_code_has_a_page() {
    let codes = codes::of(root(), &["src", "compiler/src", "runtime/src", "grammar/src"]);
    assert!(codes.len() > 80, "codes are no longer found: {codes:?}");
    let pages: BTreeSet<String> = pages().into_iter().map(|p| p.0).collect();
    let missing: Vec<_> = codes.difference(&pages).collect();
    assert!(missing.is_empty(), "no page in docs/errors for {missing:?}");
}

/// Options behind ```` ```awl ```` and the text of the block below a heading.
fn example(page: &str, heading: &str) -> Option<(Vec<String>, String)> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n\n```awl"))?;
    let (options, rest) = rest.split_once('\n')?;
    let (script, _) = rest.split_once("\n```")?;
    Some((options.split_whitespace().map(str::to_owned).collect(), script.to_owned()))
}

#[test]
fn examples_fail_and_pass_as_they_say() {
    if !may_load() {
        return;
    }
    let (mut wrong, mut tried) = (String::new(), 0);
    for (code, page) in pages() {
        assert!(page.starts_with(&format!("# {code}\n\n")), "{code}: the heading is its name");
        let run = |(options, script): &(Vec<String>, String)| {
            let mut args = vec!["check"];
            args.extend(options.iter().map(String::as_str));
            args.extend(["-e", script]);
            text(&awl(&args).stderr)
        };
        let shows = |said: &str| said.contains(&format!("[{code}]"));
        match (example(&page, "Fails"), example(&page, "Mended")) {
            (Some(fails), Some(mended)) => {
                tried += 1;
                let (bad, fine) = (run(&fails), run(&mended));
                if !shows(&bad) {
                    wrong += &format!("{code}: the first example says\n{bad}\n");
                }
                if fine.contains("error[") || shows(&fine) {
                    wrong += &format!("{code}: the mended example says\n{fine}\n");
                }
            }
            (None, None) => {}
            _ => wrong += &format!("{code}: one example without the other\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(tried > 50, "examples are no longer found: {tried}");
}

#[test]
fn pages_are_shown() {
    let got = awl(&["explain", "arg-type"]);
    assert!(text(&got.stdout).starts_with("# arg-type\n"));
    assert!(text(&awl(&["explain", "error[arg-type]"]).stdout).starts_with("# arg-type\n"));
    let all = text(&awl(&["explain"]).stdout);
    assert!(all.lines().count() > 80 && all.lines().all(|l| l.split_whitespace().count() > 3), "{all}");
    let typo = awl(&["explain", "arg-tipe"]);
    assert!(typo.status.code() == Some(1) && text(&typo.stderr).contains("did you mean `awl explain arg-type`?"));
}

#[test]
fn the_book_has_every_page() {
    let path = root().join("docs/SUMMARY.md");
    let kept = std::fs::read_to_string(&path).unwrap();
    let (head, _) = kept.split_once("<!-- pages of diagnostics -->\n").unwrap();
    let list: String = pages().iter().map(|(code, _)| format!("  - [{code}](errors/{code}.md)\n")).collect();
    let made = format!("{head}<!-- pages of diagnostics -->\n{list}");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &made).unwrap();
    } else {
        assert!(kept == made, "docs/SUMMARY.md is behind docs/errors: run `UPDATE_GOLDENS=1 cargo test --test explain`");
    }
    for link in made.split("](").skip(1).filter_map(|l| l.split(')').next()) {
        assert!(root().join("docs").join(link).is_file(), "docs/{link} is not there");
    }
}
