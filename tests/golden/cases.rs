//! Cases, and the comparison of what is made with what is expected.

use awl_compiler::compile::{Compiled, compile};
use awl_compiler::diagnostic::{Diagnostic, Label};
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::target::fixture::FixtureTarget;
use awl_compiler::target::{Arch, Feature, KernelVersion};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const STAGES: [&str; 6] = ["ast", "hir", "clif", "vcode", "bpf", "plan"];

pub struct Case {
    pub name: String,
    pub sources: SourceMap,
    pub compiled: Compiled,
    path: PathBuf,
}

pub fn all() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "bt"));
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Case {
    let text = std::fs::read_to_string(&path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let (sources, compiled) = compile_text(&name, text);
    Case { name, sources, compiled, path }
}

fn compile_text(name: &str, text: String) -> (SourceMap, Compiled) {
    let (options, target) = settings(&text);
    let mut sources = SourceMap::default();
    let file = sources.add(format!("{name}.bt"), text);
    let compiled = compile(&sources, file, &target, &options, true);
    (sources, compiled)
}

/// What is said of a text.
pub fn said_of(name: &str, text: &str) -> String {
    let (sources, compiled) = compile_text(name, text.to_owned());
    said(&compiled, &sources)
}

/// Lines `// params: A B`, `// unsafe`, `// enforce`, `// kernel: 5.4`, `// arch: arm64`, `// without: btf`, `// functions: 5000`, `// broken: CATEGORY:EVENT` of a script.
fn settings(text: &str) -> (Options, FixtureTarget) {
    let (mut options, mut target) = (Options::default(), FixtureTarget::new());
    for line in text.lines().filter_map(|l| l.strip_prefix("// ")) {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        match key {
            "params" => options.params = value.split(' ').map(str::to_owned).collect(),
            "unsafe" => options.allow_unsafe = true,
            "enforce" => options.enforce = true,
            "kernel" => {
                let mut parts = value.split('.').map(|p| p.parse().unwrap());
                target = target.with_kernel(KernelVersion(parts.next().unwrap(), parts.next().unwrap_or(0), 0));
            }
            "arch" if value == "arm64" => target = target.with_arch(Arch::Aarch64),
            "without" if value == "btf" => target = target.without_btf(),
            "without" if value == "kprobes" => target = target.without(Feature::Kprobe),
            "functions" => target = target.with_functions(value.parse().unwrap()),
            "broken" => {
                let (category, event) = value.split_once(':').unwrap();
                target = target.with_tracepoint(category, event, "no format\n");
            }
            _ => {}
        }
    }
    (options, target)
}

/// Diagnostics without the frame of a terminal: the place, what it is, what is said of it.
fn said(compiled: &Compiled, sources: &SourceMap) -> String {
    let mut out = String::new();
    for d in &compiled.diagnostics {
        one(&mut out, d, sources);
    }
    out
}

fn one(out: &mut String, d: &Diagnostic, sources: &SourceMap) {
    writeln!(out, "{}[{}]: {}", if d.is_error() { "error" } else { "warning" }, d.code, d.message).unwrap();
    for (mark, l) in d.primary.iter().map(|l| ("-->", l)).chain(d.secondary.iter().map(|l| ("...", l))) {
        writeln!(out, "  {mark} {}", place(l, sources)).unwrap();
    }
    for n in &d.notes {
        writeln!(out, "  note: {n}").unwrap();
    }
    if let Some(h) = &d.help {
        writeln!(out, "  help: {h}").unwrap();
    }
}

fn place(l: &Label, sources: &SourceMap) -> String {
    let Some(source) = sources.get(l.span.file) else { return "no text".to_owned() };
    let (line, column) = source.position(l.span.start);
    let text = source.text.get(l.span.start as usize..l.span.end as usize).unwrap_or("no text");
    let text = if text.chars().count() > 60 { format!("{}...", text.chars().take(60).collect::<String>()) } else { text.to_owned() };
    format!("{line}:{column} `{}`: {}", text.replace('\n', "\\n"), l.text)
}

#[test]
fn stages_are_as_expected() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let (mut wrong, mut compared) = (String::new(), 0);
    for case in all() {
        let refused = case.compiled.failed();
        let expected = case.path.with_file_name(format!("{}.err", case.name)).is_file();
        if refused && !expected {
            writeln!(wrong, "{} is refused:\n{}", case.name, said(&case.compiled, &case.sources)).unwrap();
            continue;
        }
        let before = compared;
        for stage in STAGES.into_iter().chain(["err"]) {
            let path = case.path.with_file_name(format!("{}.{stage}", case.name));
            if !path.is_file() {
                continue;
            }
            compared += 1;
            let made = match stage {
                "err" => said(&case.compiled, &case.sources),
                _ => String::from_utf8(awl_compiler::emit::text(stage, &case.compiled, &case.sources).unwrap_or_default()).unwrap(),
            };
            if made.is_empty() {
                writeln!(wrong, "{}.{stage}: nothing was made", case.name).unwrap();
            } else if update {
                std::fs::write(path, made).unwrap();
            } else {
                let kept = std::fs::read_to_string(path).unwrap();
                if kept != made {
                    writeln!(wrong, "{}.{stage}: {}", case.name, difference(&kept, &made)).unwrap();
                }
            }
        }
        if compared == before {
            writeln!(wrong, "{}: nothing is expected of it", case.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n`UPDATE_GOLDENS=1 cargo test --test golden` rewrites what is expected; read the difference");
    assert!(compared > 40, "cases are no longer found: {compared}");
}

/// The first line that differs.
pub fn difference(kept: &str, made: &str) -> String {
    let (mut kept, mut made) = (kept.lines(), made.lines());
    for number in 1.. {
        match (kept.next(), made.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return format!("line {number}\n  expected {}\n  made     {}", a.unwrap_or("the end"), b.unwrap_or("the end")),
        }
    }
    "only newlines differ".to_owned()
}
