//! No text makes the compiler panic, overflow its stack or take too long. Texts are compiled on threads with 2 MiB of
//! stack, as threads have them by default.

mod hostile;
mod mutate;
mod prefix;

use awl_compiler::compile::{Compiled, compile};
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::target::fixture::FixtureTarget;
use awl_runtime::sys::clock;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

static TARGET: LazyLock<FixtureTarget> = LazyLock::new(FixtureTarget::new);

/// What is made of a text, with the CPU time that it took.
fn tried(text: &str) -> (Compiled, Duration) {
    let began = clock::thread_ns();
    let mut sources = SourceMap::default();
    let file = sources.add("test.bt", text);
    let options = Options { allow_unsafe: true, enforce: true, params: vec!["1".into(), "two".into()], ..Options::default() };
    let compiled = compile(&sources, file, &*TARGET, &options, false);
    (compiled, Duration::from_nanos(clock::thread_ns() - began))
}

/// The result of `work` on a thread with 2 MiB of stack; a panic is told with `what`.
fn on_a_small_stack<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap();
    thread.join().unwrap_or_else(|_| panic!("a panic: {what}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn scripts_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "bt") {
            found.push(path);
        }
    }
}

/// The examples of all rows, the tests' scripts and the tools.
fn scripts() -> Vec<String> {
    let mut paths = Vec::new();
    for dir in ["tests/kernel", "tests/golden", "examples"] {
        scripts_below(&root().join(dir), &mut paths);
    }
    paths.sort();
    let mut all: Vec<String> = paths.iter().filter_map(|p| std::fs::read_to_string(p).ok()).collect();
    all.extend(awl_compiler::builtin::all().map(|b| b.example.to_owned()));
    all.extend(awl_compiler::agg::ROWS.iter().map(|r| r.example.to_owned()));
    all.extend(awl_compiler::probe::all().map(|p| p.example.to_owned()));
    assert!(all.len() > 250, "scripts are no longer found: {}", all.len());
    all
}
