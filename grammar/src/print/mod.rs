//! The canonical form of a script: what `awl fmt` writes. Printing what was printed changes nothing, no comment is lost, and
//! the text means the same as before.
//!
//! Items are printed from the tree. Directives and C definitions stay as they were written: the tree keeps what the compiler
//! needs of them, and that is less than what is there. Redundant parentheses stay too, since people write them to be read.

mod expr;
mod item;
mod line;
mod stmt;

use crate::ast::{Import, Item, Script};
use crate::scan::{self, Chunk};
use crate::span::{FileId, Span};
use line::Line;

/// Blanks of one level.
const INDENT: usize = 2;

/// The canonical text of a script. `text` is what the script was parsed from, without errors.
pub fn print(script: &Script, text: &str) -> String {
    let mut p = Printer::new(text, &script.comments);
    p.script(script);
    p.out
}

struct Printer<'a> {
    text: &'a str,
    out: String,
    indent: usize,
    line: Line,
    comments: &'a [Span],
    /// the first comment that wasn't printed yet
    next: usize,
    /// where in `text` the last thing that was printed ends
    done: usize,
}

impl<'a> Printer<'a> {
    fn new(text: &'a str, comments: &'a [Span]) -> Printer<'a> {
        Printer { text, out: String::new(), indent: 0, line: Line::default(), comments, next: 0, done: 0 }
    }

    fn script(&mut self, script: &Script) {
        if let Some(span) = script.shebang {
            self.line.push(self.slice(span).trim_end());
            self.end_line();
            self.done = span.end as usize;
        }
        let mut items = script.items.iter().peekable();
        let mut config = script.config.iter().peekable();
        let mut imports = script.imports.iter().peekable();
        let mut tall = false;
        for chunk in scan::script(self.text, FileId::default()).chunks {
            let item = items.next_if(|i| within(item_span(i), &chunk));
            let setting = config.peek().is_some_and(|c| within(c.span, &chunk));
            let now_tall = matches!(item, Some(Item::Probe(_) | Item::Macro(_) | Item::Function(_)));
            self.comments_above(chunk.start, tall || now_tall);
            match item {
                Some(item) => self.item(item),
                None if setting => {
                    let mut settings = Vec::new();
                    while let Some(c) = config.next_if(|c| within(c.span, &chunk)) {
                        settings.push(c);
                    }
                    self.config(&settings, &chunk);
                }
                None => match imports.next_if(|i| within(i.span, &chunk)) {
                    Some(import) => self.import(import),
                    None => self.verbatim(&chunk),
                },
            }
            self.done = self.done.max(chunk.end);
            self.comments_at_end(chunk.end);
            self.trailing(chunk.end, None);
            self.end_line();
            tall = now_tall;
        }
        self.comments_above(self.text.len(), tall);
        self.end_line();
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        if end > 0 {
            self.out.push('\n');
        }
    }

    fn import(&mut self, import: &Import) {
        let code = self.code(import.span);
        let path = code.find('"').map_or("\"\"", |at| &code[at..]);
        self.line.push("import ");
        self.comments_inside(import.span.end as usize);
        self.line.push(path);
        self.line.push(";");
    }

    /// A part in C: as it was written.
    fn verbatim(&mut self, chunk: &Chunk) {
        let mut text = self.text[chunk.start..chunk.end].trim_end();
        let last = chunk.start + text.len().saturating_sub(1);
        let in_comment = self.comments.iter().any(|c| (c.start as usize..c.end as usize).contains(&last));
        // What a last `\` joined is nothing but blanks, and no longer there: it would join the next line.
        if !in_comment && text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1 {
            text = text[..text.len() - 1].trim_end();
        }
        let mut lines = text.lines();
        self.line.push(lines.next().unwrap_or("").trim_end());
        for line in lines {
            self.line.raw(line.trim_end());
        }
        while self.comments.get(self.next).is_some_and(|c| (c.start as usize) < chunk.end) {
            self.next += 1;
        }
    }

    fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Writes what is on the line.
    fn end_line(&mut self) {
        self.line.write(&mut self.out, self.indent * INDENT);
    }

    /// An empty line in front of what begins at `start`, if there was one (or more), or if there should be.
    fn gap(&mut self, start: usize, always: bool) {
        let between = self.text.get(self.done..start).unwrap_or("");
        let first = self.out.is_empty() || self.out.ends_with("{\n");
        if !first && !self.out.ends_with("\n\n") && (always || between.matches('\n').count() > 1) {
            self.out.push('\n');
        }
    }

    // ---- comments

    fn comment(&self) -> Option<Span> {
        self.comments.get(self.next).copied()
    }

    /// The comments in front of `start`, where an item or a statement begins (or a block ends). An empty line comes first if
    /// there was one, or if `apart`.
    fn comments_above(&mut self, start: usize, apart: bool) {
        let mut apart = apart;
        while let Some(c) = self.comment().filter(|c| (c.start as usize) < start) {
            self.gap(c.start as usize, std::mem::take(&mut apart));
            self.line.push(&self.aligned(c));
            self.next += 1;
            self.done = c.end as usize;
            // what stands on its line stays there
            let next = self.comment().map_or(start, |n| start.min(n.start as usize));
            if next == self.text.len() || self.text[self.done..next].contains('\n') {
                self.end_line();
            } else {
                self.line.push(" ");
            }
        }
        if self.line.is_empty() {
            self.gap(start, apart);
        }
    }

    /// A comment of several lines that have `*` in front of them keeps those below each other.
    fn aligned(&self, comment: Span) -> String {
        let mut lines = self.slice(comment).trim_end().lines();
        let mut out = lines.next().unwrap_or("").trim_end().to_string();
        for line in lines {
            out.push('\n');
            let text = line.trim();
            if text.starts_with('*') {
                out.extend(std::iter::repeat_n(' ', self.indent * INDENT + 1));
                out.push_str(text);
            } else {
                out.push_str(line.trim_end());
            }
        }
        out
    }

    /// A comment as it is, but for blanks at the ends of its lines.
    fn unindented(&self, comment: Span) -> String {
        let lines: Vec<&str> = self.slice(comment).lines().map(str::trim_end).collect();
        lines.join("\n")
    }

    /// The comments in front of `pos`, within a line.
    fn comments_inside(&mut self, pos: usize) {
        while let Some(c) = self.comment().filter(|c| (c.start as usize) < pos) {
            let before = &self.text[..c.start as usize];
            let alone = before.trim_end_matches([' ', '\t']).ends_with('\n');
            let text = &self.unindented(c);
            if alone {
                self.line.hard();
            } else {
                self.line.space();
            }
            self.line.push(text);
            let rest = self.text[c.end as usize..].split('\n').next().unwrap_or("");
            if text.starts_with("//") || rest.trim().is_empty() {
                self.line.hard();
            } else {
                self.line.space();
            }
            self.next += 1;
            self.done = self.done.max(c.end as usize);
        }
    }

    /// The comments that are left in a statement or an item when it is printed up to its end.
    fn comments_at_end(&mut self, end: usize) {
        while let Some(c) = self.comment().filter(|c| (c.start as usize) < end) {
            let text = self.unindented(c);
            self.line.space();
            self.line.push(&text);
            self.next += 1;
            self.done = self.done.max(c.end as usize);
            if text.starts_with("//") {
                self.end_line();
            }
        }
    }

    /// The comments that stand behind `end` on its line, up to `limit`, where the next thing begins; only if nothing else
    /// does but a separator.
    fn trailing(&mut self, end: usize, limit: Option<usize>) {
        let limit = limit.unwrap_or(self.text.len());
        let mut at = end;
        let mut last = self.next;
        loop {
            let rest = self.text.get(at..limit).unwrap_or("");
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', ';', ',']).len();
            at += blanks;
            match self.comments.get(last) {
                Some(c) if c.start as usize == at && at < limit => {
                    at = c.end as usize;
                    last += 1;
                }
                _ if rest[blanks..].is_empty() || rest[blanks..].starts_with('\n') => break,
                _ => return,
            }
        }
        while self.next < last {
            let c = self.comments[self.next];
            self.line.space();
            self.line.push(&self.unindented(c));
            self.next += 1;
            self.done = self.done.max(c.end as usize);
        }
    }

    /// Is there a comment between two places?
    fn has_comment(&self, start: usize, end: usize) -> bool {
        self.comments[self.next..].iter().any(|c| (c.start as usize) >= start && (c.start as usize) < end)
    }
}

fn within(span: Span, chunk: &Chunk) -> bool {
    (chunk.start..chunk.end).contains(&(span.start as usize))
}

fn item_span(item: &Item) -> Span {
    match item {
        Item::Probe(p) => p.span,
        Item::Macro(m) => m.span,
        Item::Function(f) => f.span,
        Item::MapDecl(m) => m.span,
    }
}
