//! Diagnostics on a terminal. The only file that names codespan.

use awl_compiler::Span;
use awl_compiler::diagnostic::{Blame, Diagnostic, Severity};
use awl_compiler::source::SourceMap;
use codespan_reporting::diagnostic::{Diagnostic as Shown, Label, LabelStyle, Severity as ShownSeverity};
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::{self, Config};
use std::io::{IsTerminal, Write};

/// Exit status of the worst of them: 1 the script, 2 this machine, 3 awl itself; 0 when none is an error.
pub fn exit_code(diagnostics: &[Diagnostic]) -> u8 {
    let code = |d: &Diagnostic| match d.blame {
        Blame::User => 1,
        Blame::Environment => 2,
        Blame::Awl => 3,
    };
    diagnostics.iter().filter(|d| d.is_error()).map(code).max().unwrap_or(0)
}

/// Shows them on standard error, warnings only where they are wanted.
pub fn show(sources: &SourceMap, diagnostics: &[Diagnostic], warnings: bool) {
    let mut files = SimpleFiles::new();
    for s in sources.files() {
        files.add(s.name.as_str(), s.text.as_str());
    }
    let config = Config { tab_width: 4, ..Config::default() };
    let mut text = String::new();
    for d in diagnostics.iter().filter(|d| warnings || d.is_error()) {
        let shown = render(d);
        let done = if colour() {
            let mut out = codespan_reporting::term::termcolor::Ansi::new(Vec::new());
            let done = term::emit_to_write_style(&mut out, &config, &files, &shown);
            text.push_str(&String::from_utf8_lossy(&out.into_inner()));
            done
        } else {
            term::emit_to_string(&mut text, &config, &files, &shown)
        };
        if done.is_err() {
            // A span outside of its text would be our mistake; the message is still worth having.
            text.push_str(&format!("{}[{}]: {}\n", if d.is_error() { "error" } else { "warning" }, d.code, d.message));
        }
    }
    // Nobody to tell when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal()
}

fn render(d: &Diagnostic) -> Shown<usize> {
    let severity = match (d.severity, d.blame) {
        (Severity::Warning, _) => ShownSeverity::Warning,
        (_, Blame::Awl) => ShownSeverity::Bug,
        _ => ShownSeverity::Error,
    };
    let label =
        |style, span: Span, text: &str| Label::new(style, span.file.0 as usize, span.start as usize..span.end as usize).with_message(text);
    let primary = d.primary.iter().map(|l| label(LabelStyle::Primary, l.span, &l.text));
    let secondary = d.secondary.iter().map(|l| label(LabelStyle::Secondary, l.span, &l.text));
    let notes = d.notes.iter().cloned().chain(d.help.iter().map(|h| format!("help: {h}")));
    Shown::new(severity)
        .with_message(&d.message)
        .with_code(d.code)
        .with_labels(primary.chain(secondary).collect())
        .with_notes(notes.collect())
}
