//! The codes of diagnostics, as the source texts write them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All files of Rust below a folder.
pub fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// What stands in quotes behind each `before`, when it looks like a code.
fn codes_behind(text: &str, before: &str, found: &mut BTreeSet<String>) {
    for (at, _) in text.match_indices(before) {
        let Some(rest) = text[at + before.len()..].trim_start().strip_prefix('"') else { continue };
        let Some((code, _)) = rest.split_once('"') else { continue };
        if !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            found.insert(code.to_owned());
        }
    }
}

/// Of all files below these folders of `root`.
pub fn of(root: &Path, folders: &[&str]) -> BTreeSet<String> {
    let mut files = Vec::new();
    for dir in folders {
        sources(&root.join(dir), &mut files);
    }
    let mut codes = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for kind in ["error", "warning", "environment", "internal", "usage"] {
            codes_behind(text, &format!("Diagnostic::{kind}("), &mut codes);
        }
        for before in ["SyntaxError::new(", " error(", " fault(", "code: ", "TOO_COMPLEX: &str = ", "unavailable("] {
            codes_behind(text, before, &mut codes);
        }
        if file.ends_with("ending.rs") {
            codes_behind(text, "add(", &mut codes);
        }
    }
    codes
}
