//! What the editor asks while a line is typed: completion, hint, colours, whether the line is whole.

use super::commands;
use super::highlight::paint;
use super::screen::Screen;
use crate::complete::{Candidate, Completer, Kind, MOST, files, place};
use awl_compiler::{agg, builtin, hir};
use awl_runtime::sys::terminal;
use awl_runtime::target::HostTarget;
use rustyline::completion::Pair;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Context, Result};
use std::borrow::Cow;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::rc::Rc;
use unicode_width::UnicodeWidthStr;

/// A line that was pasted rather than typed: nobody waits for hints and colours, and they would take time at each key.
const LONG: usize = 4096;

pub struct Helper {
    completer: Completer,
    history: HistoryHinter,
    screen: Screen,
    /// what the session's lines define, and the names of its maps
    script: String,
    colours: bool,
}

impl Helper {
    pub fn new(target: Rc<HostTarget>, screen: Screen) -> Helper {
        let colours = crate::report::colour(std::io::stdout().is_terminal());
        let mut completer = Completer::new(target);
        completer.hurry();
        Helper { completer, history: HistoryHinter::new(), screen, script: String::new(), colours }
    }

    /// Names that the session has by now.
    pub fn session(&mut self, script: String, maps: &[hir::Map], names: &[&str]) {
        self.script = script;
        self.completer.maps = maps.to_vec();
        for m in names {
            self.script += &format!("// @{m}\n");
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
            "explain" => (start, crate::command::codes().filter(|n| n.starts_with(rest)).map(|n| plain(n.into(), "")).collect()),
            "load" | "save" | "save!" => (start, files(rest, "").into_iter().map(|f| plain(f, "")).collect()),
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

/// Another line has to follow.
pub fn is_open(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with(':') && awl_grammar::is_incomplete(line)
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
        let size = terminal::size(std::io::stdin().as_fd()).unwrap_or((24, 80));
        Ok((start, offered(found, size)))
    }
}

/// What is offered on a screen of so many rows and columns: as much as it has room for, since a longer list begins with a question that
/// Ctrl-C doesn't end.
fn offered(found: Vec<Candidate>, (rows, columns): (usize, usize)) -> Vec<Pair> {
    let described = |c: &Candidate| format!("{}   {}", c.text.trim_end(), c.detail);
    let plain = found.len() > 30 || found.iter().any(|c| described(c).width() >= columns);
    let pair = |c: &Candidate| Pair {
        display: if c.detail.is_empty() || plain { c.text.clone() } else { described(c) },
        replacement: c.text.clone(),
    };
    let widest = found.iter().map(|c| pair(c).display.width()).max().unwrap_or(0);
    let room = (columns / (widest + 2)).max(1) * rows.saturating_sub(3).max(1);
    if found.len() <= room {
        return found.iter().map(pair).collect();
    }
    // Tab writes what all of them have in common. One that differs most from the first stands for those that aren't shown.
    let common = |c: &Candidate| c.text.bytes().zip(found[0].text.bytes()).take_while(|(a, b)| a == b).count();
    let Some(other) = found.iter().min_by_key(|c| common(c)) else { return Vec::new() };
    let shown = found.iter().filter(|c| c.text != other.text).take(room - 1).map(pair);
    let many = if found.len() >= MOST { "+" } else { "" };
    let rest = Pair { display: format!("... {}{many} more", found.len() - (room - 1)), replacement: other.text.clone() };
    shown.chain([rest]).collect()
}

impl Hinter for Helper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<String> {
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

/// Asked for all that is drawn, also where there are no colours: so we know what stands on the screen.
impl Highlighter for Helper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        self.screen.prompts(prompt);
        Cow::Borrowed(prompt)
    }

    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        let shown = if self.colours && line.len() <= LONG { Cow::Owned(paint(line)) } else { Cow::Borrowed(line) };
        self.screen.shows(line, &shown, pos);
        shown
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let shown = if self.colours { Cow::Owned(format!("\x1b[90m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) };
        self.screen.suggests(hint, &shown);
        shown
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        self.screen.draws();
        Cow::Borrowed(candidate)
    }

    /// True: the line is drawn anew at each key. A single letter that the editor draws alone would stand there twice where output has had
    /// the line drawn in between.
    fn highlight_char(&self, line: &str, pos: usize, _: CmdKind) -> bool {
        let anew = line.len() <= LONG;
        if !anew {
            self.screen.shows(line, line, pos);
        }
        anew
    }
}

impl Validator for Helper {
    fn validate(&self, ctx: &mut ValidationContext) -> Result<ValidationResult> {
        let line = ctx.input();
        // What follows is a new line, drawn without us.
        self.screen.draws();
        Ok(if is_open(line) { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_offered_than_a_screen_shows() {
        let all = |n: usize, detail: &str| -> Vec<Candidate> {
            (0..n).map(|i| Candidate { text: format!("k:name_{i:04}"), kind: Kind::Place, detail: detail.into() }).collect()
        };
        let shown = |found: Vec<Candidate>, size| offered(found, size).into_iter().map(|p| p.display).collect::<Vec<_>>();
        assert_eq!(shown(all(2, "what"), (24, 80)), ["k:name_0000   what", "k:name_0001   what"]);
        assert_eq!(shown(all(2, "what"), (24, 17)), ["k:name_0000", "k:name_0001"]);
        // six columns, 21 rows
        assert_eq!(shown(all(126, ""), (24, 80)).len(), 126);
        let cut = offered(all(2000, ""), (24, 80));
        assert_eq!((cut.len(), cut[125].display.as_str()), (126, "... 1875+ more"));
        // what all begin with, not what the first ones do
        assert_eq!(cut[0].replacement, "k:name_0000");
        assert!(cut[125].replacement.starts_with("k:name_1"), "{}", cut[125].replacement);
        assert_eq!(shown(all(5, ""), (3, 5)), ["... 5 more"]);
    }
}
