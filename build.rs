//! Embeds the pages of diagnostics, so that there is no second list of them.

use std::fmt::Write;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=docs/errors");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut pages: Vec<_> = std::fs::read_dir(Path::new(&root).join("docs/errors"))
        .expect("the pages are in docs/errors")
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    let mut code = String::from("/// Code and page, sorted by code.\npub const PAGES: &[(&str, &str)] = &[\n");
    for page in &pages {
        let name = page.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", page.to_string_lossy());
    }
    code += "];\n";
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("errors.rs"), code).expect("the build folder can be written");
}
