//! Diagnostics on a terminal. The only file that names codespan.

use awl_compiler::Span;
use awl_compiler::diagnostic::{Blame, Diagnostic, Severity};
use awl_compiler::source::{LIBRARY, SourceMap};
use codespan_reporting::diagnostic::{Diagnostic as Shown, Label, LabelStyle, Severity as ShownSeverity};
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::{self, Config};
use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

/// Exit status of the worst of them: 1 the script, 2 this machine, 3 awl itself; 0 when none is an error.
pub fn exit_code(diagnostics: &[Diagnostic]) -> u8 {
    let code = |d: &Diagnostic| match d.blame {
        Blame::User => 1,
        Blame::Environment => 2,
        Blame::Awl => 3,
    };
    diagnostics.iter().filter(|d| d.is_error()).map(code).max().unwrap_or(0)
}

/// `--message-format json`: how this process speaks, set once when it starts.
static AS_JSON: OnceLock<bool> = OnceLock::new();

pub fn set_format(matches: &clap::ArgMatches) {
    // A subcommand without the option keeps the usual form.
    let wanted = matches.try_get_one::<String>("message-format").ok().flatten();
    let _ = AS_JSON.set(wanted.is_some_and(|f| f == "json"));
}

/// Shows them on standard error, warnings only where they are wanted.
pub fn show(sources: &SourceMap, diagnostics: &[Diagnostic], warnings: bool) {
    if AS_JSON.get() == Some(&true) {
        let lines = diagnostics.iter().filter(|d| warnings || d.is_error()).map(|d| format!("{}\n", json(sources, d)));
        // Nobody to tell when standard error is closed.
        let _ = std::io::stderr().write_all(lines.collect::<String>().as_bytes());
        return;
    }
    let mut text = text(sources, diagnostics, warnings);
    if let Some(d) = diagnostics.iter().find(|d| d.is_error()).filter(|_| std::io::stderr().is_terminal()) {
        text += &format!("`awl explain {}` says more\n", d.code);
    }
    // Nobody to tell when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// As they are shown, with colours where standard error is a terminal.
pub fn text(sources: &SourceMap, diagnostics: &[Diagnostic], warnings: bool) -> String {
    let mut files = SimpleFiles::new();
    for s in sources.files() {
        files.add(s.name.as_str(), visible(&s.text));
    }
    let library = sources.get(LIBRARY).map(|s| files.add(s.name.as_str(), visible(&s.text)));
    let config = Config { tab_width: 4, ..Config::default() };
    let mut text = String::new();
    for d in diagnostics.iter().filter(|d| warnings || d.is_error()) {
        let shown = render(d, library.unwrap_or_default());
        let done = if colour(std::io::stderr().is_terminal()) {
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
    text
}

/// A text of the same length that does nothing to a terminal.
fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    // Control characters have one byte or two.
    let shown = |c: char| match c.len_utf8() {
        _ if !acts(c) => c,
        1 => '?',
        _ => '\u{b7}',
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// One diagnostic for programs. Lines and columns count from 1, columns in characters; `byte` from 0.
fn json(sources: &SourceMap, d: &Diagnostic) -> serde_json::Value {
    let blame = match d.blame {
        Blame::User => "user",
        Blame::Environment => "environment",
        Blame::Awl => "awl",
    };
    let place = |primary: bool, l: &awl_compiler::diagnostic::Label| {
        let source = sources.get(l.span.file)?;
        let point = |byte: u32| {
            let (line, column) = source.position(byte);
            let before = source.line(line).get(..column as usize - 1).map_or(column as usize, |t| t.chars().count() + 1);
            serde_json::json!({ "line": line, "column": before, "byte": byte })
        };
        Some(serde_json::json!({
            "file": source.name, "primary": primary, "label": l.text, "start": point(l.span.start), "end": point(l.span.end),
        }))
    };
    let spans: Vec<_> = d.primary.iter().filter_map(|l| place(true, l)).chain(d.secondary.iter().filter_map(|l| place(false, l))).collect();
    serde_json::json!({
        "code": d.code,
        "severity": if d.is_error() { "error" } else { "warning" },
        "blame": blame,
        "message": d.message,
        "spans": spans,
        "notes": d.notes,
        "help": d.help,
    })
}

/// Is a stream written to in colour? What the user says counts (`always`, `never`), else whether it is a terminal.
pub fn colour(terminal: bool) -> bool {
    let asked = |name: &str| std::env::var(name).ok();
    match asked("AWL_COLOR").or_else(|| asked("BPFTRACE_COLOR")).as_deref() {
        Some("always") => true,
        Some("never") => false,
        _ => terminal && !dumb() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}

/// The terminal, where it is one, prints and does nothing else.
pub fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|t| t == "dumb")
}

/// Can a line on it be written over?
pub fn draws(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !dumb()
}

/// `library`: the number of its text.
fn render(d: &Diagnostic, library: usize) -> Shown<usize> {
    let severity = match (d.severity, d.blame) {
        (Severity::Warning, _) => ShownSeverity::Warning,
        (_, Blame::Awl) => ShownSeverity::Bug,
        _ => ShownSeverity::Error,
    };
    let label = |style, span: Span, text: &str| {
        let file = if span.file == LIBRARY { library } else { span.file.0 as usize };
        Label::new(style, file, span.start as usize..span.end as usize).with_message(text)
    };
    let primary = d.primary.iter().map(|l| label(LabelStyle::Primary, l.span, &l.text));
    let secondary = d.secondary.iter().map(|l| label(LabelStyle::Secondary, l.span, &l.text));
    let notes = d.notes.iter().cloned().chain(d.help.iter().map(|h| format!("help: {h}")));
    Shown::new(severity)
        .with_message(&d.message)
        .with_code(d.code)
        .with_labels(primary.chain(secondary).collect())
        .with_notes(notes.collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn marks_of_terminals_are_shown() {
        assert_eq!(super::visible("print(\"ü\")\t// a\n"), "print(\"ü\")\t// a\n");
        assert_eq!(super::visible("a\x1b[2J\u{9b}b\x07"), "a?[2J\u{b7}b?");
    }
}
