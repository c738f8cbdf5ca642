//! What the editor asks while a line is typed: completion, hint, colours, whether the line is whole.

use super::commands;
use super::highlight::paint;
use super::screen::Screen;
use crate::complete::{Candidate, Completer, Kind, place};
use awl_compiler::{agg, builtin};
use awl_runtime::maps::Saved;
use awl_runtime::target::HostTarget;
use rustyline::completion::Pair;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Result};
use std::borrow::Cow;
use std::rc::Rc;

/// A line that was pasted rather than typed: nobody waits for hints and colours, and they would take time at each key.
const LONG: usize = 4096;

pub struct Helper {
    completer: Completer,
    history: HistoryHinter,
    screen: Screen,
    /// the session's script
    script: String,
    colours: bool,
}

impl Helper {
    pub fn new(target: Rc<HostTarget>, screen: Screen) -> Helper {
        let colours = crate::report::colour(true);
        let mut completer = Completer::new(target);
        completer.hurry();
        Helper { completer, history: HistoryHinter::new(), screen, script: String::new(), colours }
    }

    /// Names that the session has by now.
    pub fn session(&mut self, script: String, maps: Vec<Saved>) {
        self.script = script;
        for m in maps {
            self.script += &format!("// @{}\n", m.name);
        }
    }

    /// Start of the word and what it may become.
    fn candidates(&self, line: &str, pos: usize) -> (usize, Vec<Candidate>) {
        if let Some(command) = line.strip_prefix(':') {
            return self.command(command, line, pos);
        }
        // An expression at the prompt stands in no braces, but is completed like one.
        if as_expression(line) {
            const OPEN: &str = "begin { ";
            let (start, found) = self.completer.complete(&format!("{OPEN}{line}"), pos + OPEN.len(), &self.script);
            let start = start.saturating_sub(OPEN.len());
            let (probe_start, probes) = self.completer.complete(line, pos, &self.script);
            let word_is_first = !line[..pos].contains(|c: char| !c.is_alphanumeric() && c != '_');
            if word_is_first && probe_start == start {
                return (start, probes.into_iter().chain(found).collect());
            }
            return (start, found);
        }
        self.completer.complete(line, pos, &self.script)
    }

    fn command(&self, command: &str, line: &str, pos: usize) -> (usize, Vec<Candidate>) {
        let plain = |text: String, detail: &str| Candidate { text, kind: Kind::Keyword, detail: detail.into() };
        let Some((word, rest)) = command.split_once(' ') else {
            let fitting = commands::ROWS.iter().filter(|c| c.name.starts_with(command));
            return (0, fitting.map(|c| plain(format!(":{} ", c.name), c.doc)).collect());
        };
        let start = line.len() - rest.len();
        match word {
            "list" | "args" => {
                let (s, found) = self.completer.complete(rest, rest.len(), "");
                (start + s, found)
            }
            "doc" => (start, crate::command::names().filter(|n| n.starts_with(rest)).map(|n| plain(n.into(), "")).collect()),
            "emit" => (start, crate::cli::STAGES.iter().filter(|s| s.starts_with(rest)).map(|s| plain(format!("{s} "), "")).collect()),
            "watch" => {
                let (s, found) = self.completer.complete(&format!("begin {{ {rest}"), rest.len() + 8, &self.script);
                (start + s.saturating_sub(8), found)
            }
            "type" => {
                let (s, found) = self.completer.complete(&format!("begin {{ {rest}"), rest.len() + 8, &self.script);
                (start + s.saturating_sub(8), found)
            }
            _ => (pos, Vec::new()),
        }
    }
}

/// No probe: there is neither a brace nor the colon of an attach point.
fn as_expression(line: &str) -> bool {
    let head = line.split(['(', '"', ' ', '@', '$']).next().unwrap_or("");
    !line.contains('{') && !head.contains(':')
}

impl rustyline::Helper for Helper {}

impl rustyline::completion::Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        let (start, found) = self.candidates(line, pos);
        let many = found.len() > 30;
        let pair = |c: Candidate| Pair {
            display: if c.detail.is_empty() || many { c.text.clone() } else { format!("{}   {}", c.text.trim_end(), c.detail) },
            replacement: c.text,
        };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Hinter for Helper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<String> {
        self.screen.typed(line, pos);
        if pos < line.len() || line.is_empty() || line.len() > LONG {
            return None;
        }
        if let Some(old) = self.history.hint(line, pos, ctx) {
            return Some(old);
        }
        let (start, found) = if self.completer.is_quick(line, pos) { self.candidates(line, pos) } else { (pos, Vec::new()) };
        let word = &line[start.min(pos)..pos];
        if let (false, [only]) = (word.is_empty(), found.as_slice())
            && let Some(rest) = only.text.strip_prefix(word)
        {
            return Some(rest.to_owned());
        }
        let (name, _) = place::call_at(line, pos)?;
        let signature = builtin::find(name).map(|b| b.signature);
        let signature = signature.or_else(|| agg::rows::ROWS.iter().find(|a| a.name == name).map(|a| a.signature))?;
        Some(format!("   {signature}"))
    }
}

impl Highlighter for Helper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.colours && line.len() <= LONG { Cow::Owned(paint(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colours { Cow::Owned(format!("\x1b[90m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) }
    }

    fn highlight_char(&self, line: &str, pos: usize, _: CmdKind) -> bool {
        self.screen.typed(line, pos);
        self.colours && line.len() <= LONG
    }
}

impl Validator for Helper {
    fn validate(&self, ctx: &mut ValidationContext) -> Result<ValidationResult> {
        let line = ctx.input();
        let open = !line.trim().is_empty() && !line.starts_with(':') && awl_grammar::is_incomplete(line);
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}
