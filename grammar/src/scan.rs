//! The first look at a text: where its items begin and end, its comments, and whether brackets, strings and comments are
//! closed. What the parser then reads is one item at a time, with all its brackets in pairs and nested no deeper than
//! [`MAX_DEPTH`].

use crate::errors::SyntaxError;
use crate::span::{FileId, Span};

/// How deep brackets may nest, and how high a tree may be. Everything that walks a tree calls itself once a level.
pub const MAX_DEPTH: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// a line that begins with `#`
    Directive,
    Item,
}

/// One top-level item, as bytes of the text.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    pub kind: ChunkKind,
    pub start: usize,
    pub end: usize,
    /// how deep its brackets nest
    pub depth: usize,
    /// a fault in it has been reported already; it isn't worth parsing
    pub bad: bool,
}

#[derive(Debug, Default)]
pub struct Scan {
    pub shebang: Option<Span>,
    pub chunks: Vec<Chunk>,
    pub comments: Vec<Span>,
    pub errors: Vec<SyntaxError>,
}

/// Cuts a script into its items.
pub fn script(text: &str, file: FileId) -> Scan {
    let mut s = Scanner::new(text, file);
    loop {
        s.skip();
        let start = s.pos;
        let kind = match s.peek() {
            None => break,
            Some(b';') => {
                s.pos += 1;
                continue;
            }
            // Behind a licence or a comment the kernel doesn't see it: it says as much as a comment. Behind nothing that would be
            // printed it is first again once it was formatted.
            Some(b'#') if text[start..].starts_with("#!") => {
                s.pos = s.line_end(start);
                let span = s.span(start, s.pos);
                if s.out.chunks.is_empty() && s.out.comments.is_empty() && s.out.shebang.is_none() {
                    s.out.shebang = Some(span);
                } else {
                    s.out.comments.push(span);
                }
                continue;
            }
            Some(b'#') => {
                s.directive();
                ChunkKind::Directive
            }
            Some(_) => {
                s.item();
                ChunkKind::Item
            }
        };
        // an item always takes at least one byte; this line keeps the loop finite if it ever doesn't
        s.pos = s.pos.max(start + 1);
        s.chunk(kind, start);
    }
    s.out
}

/// Looks at a text that is one piece: a line of statements, an expression, a type.
pub fn piece(text: &str, file: FileId) -> Scan {
    let mut s = Scanner::new(text, file);
    while s.pos < text.len() {
        s.brackets(|_| false);
    }
    s.close_all(text.len());
    s.chunk(ChunkKind::Item, 0);
    s.out
}

/// Where an item's tokens begin: behind the attach points of a probe, at once in any other item.
pub fn head_end(item: &str) -> usize {
    let end = item.bytes().position(|b| !is_word(b)).unwrap_or(item.len());
    if matches!(&item[..end], "import" | "typedef" | "let" | "struct" | "union" | "enum" | "config" | "macro" | "fn") {
        return 0;
    }
    let mut s = Scanner::new(item, FileId::default());
    s.attach_points();
    s.pos.min(item.len())
}

/// Does a text begin like an item, and not like a statement?
pub fn looks_like_item(text: &str) -> bool {
    let mut s = Scanner::new(text, FileId::default());
    s.skip();
    let rest = &text[s.pos..];
    let after_let = rest.strip_prefix("let").map(str::trim_start);
    rest.starts_with('#') || after_let.is_some_and(|r| r.starts_with('@')) || begins_item(rest)
}

struct Open {
    close: u8,
    at: usize,
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    file: FileId,
    pos: usize,
    open: Vec<Open>,
    depth: usize,
    bad: bool,
    /// a string or a comment in this item has no end
    swallowed: bool,
    out: Scan,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, file: FileId) -> Scanner<'a> {
        Scanner {
            text,
            bytes: text.as_bytes(),
            file,
            pos: 0,
            open: Vec::new(),
            depth: 0,
            bad: false,
            swallowed: false,
            out: Scan::default(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    fn line_end(&self, from: usize) -> usize {
        self.bytes[from..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| from + n)
    }

    fn error(&mut self, error: SyntaxError) {
        // what has no end has swallowed brackets: what that makes of the rest of the item isn't worth saying
        let swallowed = error.code == "unclosed" && self.swallowed;
        self.swallowed |= matches!(error.code, "unterminated-string" | "unterminated-comment");
        self.bad = true;
        if !swallowed {
            self.out.errors.push(error);
        }
    }

    fn chunk(&mut self, kind: ChunkKind, start: usize) {
        let (depth, bad) = (std::mem::take(&mut self.depth), std::mem::take(&mut self.bad));
        self.out.chunks.push(Chunk { kind, start, end: self.pos, depth, bad });
    }

    /// Blanks and comments.
    fn skip(&mut self) {
        while let Some(b) = self.peek() {
            if b.is_ascii_whitespace() || b == 0x0b {
                self.pos += 1;
            } else if !self.comment() {
                break;
            }
        }
    }

    /// Reads a comment if one begins here.
    fn comment(&mut self) -> bool {
        let start = self.pos;
        match self.bytes.get(start..start + 2) {
            Some(b"//") => {
                let mut end = self.line_end(start);
                if self.bytes.get(end.wrapping_sub(1)) == Some(&b'\r') {
                    end -= 1;
                }
                self.pos = end;
            }
            Some(b"/*") => match self.text[start + 2..].find("*/") {
                Some(n) => self.pos = start + 2 + n + 2,
                None => {
                    self.pos = self.bytes.len();
                    let span = self.span(start, start + 2);
                    self.error(
                        SyntaxError::new("unterminated-comment", span, "this comment never ends")
                            .label("begins here")
                            .help("close it with `*/`"),
                    );
                }
            },
            _ => return false,
        }
        let span = self.span(start, self.pos);
        self.out.comments.push(span);
        true
    }

    /// Reads a string, from its opening quote; a string ends at the latest with its line.
    fn string(&mut self) {
        let start = self.pos;
        let mut i = start + 1;
        loop {
            match self.bytes.get(i) {
                Some(b'"') => {
                    self.pos = i + 1;
                    return;
                }
                Some(b'\\') if self.bytes.get(i + 1).is_some_and(|b| *b != b'\n') => i += 2,
                Some(b'\n') | None => break,
                Some(_) => i += 1,
            }
        }
        self.pos = i.min(self.bytes.len());
        let span = self.span(start, self.pos);
        self.error(
            SyntaxError::new("unterminated-string", span, "this string has no closing quote")
                .label("begins here")
                .help("close it with `\"` on the same line; write a line break as `\\n`, a quote as `\\\"`"),
        );
    }

    /// Reads a character literal if one begins here; a lone `'` is left to the parser.
    fn character(&mut self) {
        let rest = &self.text[self.pos + 1..];
        let end = if rest.starts_with('\\') {
            rest.bytes().take(6).skip(2).position(|b| b == b'\'').map(|n| n + 2)
        } else {
            let mut chars = rest.char_indices().skip(1);
            chars.next().filter(|(_, c)| *c == '\'').map(|(n, _)| n)
        };
        self.pos += end.map_or(1, |n| n + 2);
    }

    /// Reads one token, keeping account of brackets; ends early in front of a byte at depth 0 that `stop` names.
    /// Returns whether it stopped.
    fn brackets(&mut self, stop: impl Fn(u8) -> bool) -> bool {
        let Some(b) = self.peek() else { return true };
        if self.open.is_empty() && stop(b) {
            return true;
        }
        match b {
            b'"' => self.string(),
            b'\'' => self.character(),
            b'/' if self.comment() => {}
            b'(' | b'[' | b'{' => {
                let close = match b {
                    b'(' => b')',
                    b'[' => b']',
                    _ => b'}',
                };
                self.open.push(Open { close, at: self.pos });
                self.depth = self.depth.max(self.open.len());
                if self.open.len() == MAX_DEPTH + 1 {
                    let span = self.span(self.pos, self.pos + 1);
                    self.error(too_deep(span));
                }
                self.pos += 1;
            }
            b')' | b']' | b'}' => {
                self.close(b);
                self.pos += 1;
            }
            // names and numbers in one step
            b if is_word(b) => {
                while self.peek().is_some_and(is_word) {
                    self.pos += 1;
                }
            }
            _ => self.pos += self.text[self.pos..].chars().next().map_or(1, char::len_utf8),
        }
        false
    }

    fn close(&mut self, b: u8) {
        let at = self.span(self.pos, self.pos + 1);
        let Some(found) = self.open.iter().rposition(|o| o.close == b) else {
            let error = match self.open.last().filter(|o| o.close != b'}') {
                Some(open) => unclosed(self.span(open.at, open.at + 1), open.close, at, &format!("`{}`", b as char)),
                None => SyntaxError::new("unclosed", at, format!("`{}` closes nothing", b as char))
                    .label(format!("no `{}` is open here", opening(b) as char)),
            };
            return self.error(error);
        };
        // everything opened since is missing its bracket; a brace closes over what was left open, and `)` doesn't reach
        // out of a block
        if found + 1 < self.open.len() {
            let inner = &self.open[self.open.len() - 1];
            let error = unclosed(self.span(inner.at, inner.at + 1), inner.close, at, &format!("`{}`", b as char));
            if b != b'}' && self.open[found + 1..].iter().any(|o| o.close == b'}') {
                return self.error(error);
            }
            self.error(error);
        }
        self.open.truncate(found);
    }

    /// The text ends at `end`: whatever is open stays open.
    fn close_all(&mut self, end: usize) {
        if let Some(open) = self.open.last() {
            let error = unclosed(self.span(open.at, open.at + 1), open.close, self.span(end, end), "the end of the text");
            self.error(error);
        }
        self.open.clear();
    }

    /// Reads to the end of a line, or of several that are joined by `\`.
    fn directive(&mut self) {
        let include = self.text[self.pos + 1..].trim_start().starts_with("include");
        while let Some(b) = self.peek() {
            match b {
                b'\n' => return,
                b'\\' => {
                    self.pos += 1;
                    if self.peek() == Some(b'\r') {
                        self.pos += 1;
                    }
                    if let Some(c) = self.text[self.pos..].chars().next() {
                        self.pos += c.len_utf8();
                    }
                }
                b'"' => {
                    // quotes in a directive need not be closed (`#error don't say "this`)
                    let end = self.line_end(self.pos);
                    let close = self.text[self.pos + 1..end].find('"');
                    self.pos = close.map_or(self.pos + 1, |n| self.pos + 1 + n + 1);
                }
                b'<' if include => {
                    let end = self.line_end(self.pos);
                    let close = self.text[self.pos..end].find('>');
                    self.pos = close.map_or(self.pos + 1, |n| self.pos + n + 1);
                }
                b'/' if self.comment() => {}
                _ => self.pos += self.text[self.pos..].chars().next().map_or(1, char::len_utf8),
            }
        }
    }

    /// Reads one item other than a directive.
    fn item(&mut self) {
        let start = self.pos;
        let end = self.bytes[start..].iter().position(|b| !is_word(*b)).map_or(self.bytes.len(), |n| start + n);
        let word = &self.text[start..end];
        if word == "import" {
            let comments = self.out.comments.len();
            self.pos = end;
            self.skip();
            if self.peek() == Some(b'"') {
                self.string();
                return self.semicolon();
            }
            self.pos = start;
            self.out.comments.truncate(comments);
        }
        match word {
            "typedef" => {
                self.until(|b| b == b';');
                // the names behind `typedef struct { ... }`
                self.until(|b| b == b';' || b == b'{');
                self.semicolon();
            }
            "let" => {
                self.until(|b| b == b';');
                self.semicolon();
            }
            "struct" | "union" | "enum" => {
                self.until(|b| b == b';');
                if self.attribute_follows() {
                    self.until_semicolon();
                }
                self.semicolon();
            }
            "config" | "macro" | "fn" => self.braced(),
            _ => {
                self.attach_points();
                self.braced();
            }
        }
    }

    /// Up to the `}` that closes the first `{`, or a `;` in front of it.
    fn braced(&mut self) {
        self.until(|b| b == b';');
        if self.peek() == Some(b';') {
            self.pos += 1;
        }
    }

    /// Reads until the brackets that it opened are closed by a `}`, or in front of a byte that `stop` names.
    fn until(&mut self, stop: impl Fn(u8) -> bool) {
        let start = self.pos;
        loop {
            if self.pos >= self.bytes.len() {
                return self.end_of_text(start);
            }
            let brace = self.peek() == Some(b'}');
            if self.brackets(&stop) || (brace && self.open.is_empty()) {
                return;
            }
        }
    }

    fn until_semicolon(&mut self) {
        while self.pos < self.bytes.len() && !self.brackets(|b| b == b';') {}
    }

    /// Something is open at the end. If a later line at the left edge begins an item, the brace is missing in front of it,
    /// and reading goes on there.
    fn end_of_text(&mut self, start: usize) {
        if self.open.first().is_some_and(|o| o.close == b'}') {
            let from = self.open[0].at;
            let mut line = self.line_end(from) + 1;
            while line < self.bytes.len() {
                if begins_item(&self.text[line..self.line_end(line)]) {
                    let open = self.span(from, from + 1);
                    let error = unclosed(open, b'}', self.span(line, line), "the next item");
                    self.error(error);
                    self.open.clear();
                    // what was read beyond this line is read again
                    self.out.comments.retain(|c| (c.start as usize) < line);
                    self.pos = line.max(start + 1);
                    return;
                }
                line = self.line_end(line) + 1;
            }
        }
        self.close_all(self.bytes.len());
    }

    /// A `;` that follows, if one does.
    fn semicolon(&mut self) {
        let (pos, comments) = (self.pos, self.out.comments.len());
        self.skip();
        if self.peek() == Some(b';') {
            self.pos += 1;
        } else {
            self.pos = pos;
            self.out.comments.truncate(comments);
        }
    }

    fn attribute_follows(&mut self) -> bool {
        let (pos, comments) = (self.pos, self.out.comments.len());
        self.skip();
        let found = self.text[self.pos..].starts_with("__");
        self.pos = pos;
        self.out.comments.truncate(comments);
        found
    }

    /// Skips the attach points of a probe, in which quotes, slashes and brackets have a meaning of their own.
    fn attach_points(&mut self) {
        loop {
            self.skip();
            let (pos, comments) = (self.pos, self.out.comments.len());
            while self.peek().is_some_and(is_word) {
                self.pos += 1;
            }
            let named = self.pos > pos;
            self.skip();
            // `name = probe`
            if named && self.peek() == Some(b'=') && self.bytes.get(self.pos + 1) != Some(&b'=') {
                self.pos += 1;
                self.skip();
            } else {
                self.pos = pos;
                self.out.comments.truncate(comments);
            }
            let start = self.pos;
            self.pos = point_end(self.bytes, start);
            if self.pos == start {
                return;
            }
            self.skip();
            if self.peek() != Some(b',') {
                return;
            }
            self.pos += 1;
        }
    }
}

pub fn too_deep(span: Span) -> SyntaxError {
    SyntaxError::new("too-deep", span, format!("this nests more than {MAX_DEPTH} levels deep"))
        .help("split it up: give parts of it to variables or macros")
}

fn opening(close: u8) -> u8 {
    match close {
        b')' => b'(',
        b']' => b'[',
        _ => b'{',
    }
}

fn unclosed(open: Span, close: u8, found: Span, found_words: &str) -> SyntaxError {
    let what = match close {
        b'}' => "block",
        b']' => "bracket",
        _ => "parenthesis",
    };
    SyntaxError::new("unclosed", found, format!("expected `{}` to close the {what} opened here, found {found_words}", close as char))
        .label(format!("`{}` is missing in front of this", close as char))
        .related(open, "opened here")
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Does a line at the left edge look like the beginning of an item? Only asked when a bracket was never closed.
fn begins_item(line: &str) -> bool {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    match word {
        "" => false,
        "begin" | "BEGIN" | "end" | "END" => rest.trim_start().starts_with(['{', '/']),
        "macro" | "fn" | "struct" | "union" | "enum" | "import" => rest.starts_with(' '),
        "config" => rest.trim_start().starts_with('='),
        _ => rest.starts_with(':') && rest[1..].starts_with(|c: char| !c.is_whitespace() && c != ':'),
    }
}

/// Providers whose second part is a program: `/` belongs to it.
fn takes_program(provider: &[u8]) -> bool {
    ["uprobe", "uretprobe", "usdt", "u", "ur"].iter().any(|p| provider.eq_ignore_ascii_case(p.as_bytes()))
}

/// Where `cpu/event=0x3c/` and `cpu/cycles/` with a count behind it end; the twin of the rule `counter_part`.
fn counter_end(bytes: &[u8], start: usize) -> Option<usize> {
    let after = |from: usize, fits: fn(u8) -> bool| from + bytes[from..].iter().take_while(|b| fits(**b)).count();
    let name = after(start, |b| is_word(b) || b == b'-');
    let slash = |at: usize| (bytes.get(at) == Some(&b'/')).then_some(at + 1);
    let terms = slash(name).filter(|_| name > start)?;
    let term = |b| is_word(b) || b",.-".contains(&b);
    let first = after(terms, term);
    let given = bytes.get(first) == Some(&b'=') && bytes.get(first + 1) != Some(&b'=');
    let end = slash(if given { after(first, |b| is_word(b) || b",.-=".contains(&b)) } else { first })?;
    (given || bytes.get(end) == Some(&b':')).then_some(end)
}

/// Where the attach point that begins at `start` ends; the twin of the rule `attach_point`.
fn point_end(bytes: &[u8], start: usize) -> usize {
    let at = |i: usize| bytes.get(i).copied();
    // No name has a line's end in it, not even behind a backslash.
    let line_ends = |i: usize| matches!(at(i), Some(b'\n' | b'\r'));
    let mut i = start;
    while at(i).is_some_and(|b| is_word(b) || b == b'*' || b == b'$') {
        i += 1;
    }
    let program = takes_program(&bytes[start..i]);
    while i > start && at(i) == Some(b':') {
        i += 1;
        if let Some(end) = counter_end(bytes, i) {
            i = end;
            continue;
        }
        let path = program || matches!(at(i), Some(b'/' | b'.'));
        while let Some(b) = at(i) {
            match b {
                b'"' => {
                    let mut j = i + 1;
                    while at(j).is_some_and(|b| b != b'"' && b != b'\n') {
                        j += if at(j) == Some(b'\\') && !line_ends(j + 1) { 2 } else { 1 };
                    }
                    if at(j) != Some(b'"') {
                        return i;
                    }
                    i = j + 1;
                }
                b'\\' if at(i + 1).is_some_and(|b| b.is_ascii()) && !line_ends(i + 1) => i += 2,
                b'/' if path => i += 1,
                b'/' | b':' | b',' | b'{' | b'}' | b'(' | b')' | b';' | b'\'' | b'`' | b'\\' => {
                    break;
                }
                b if b <= b' ' || b == 0x7f => break,
                _ => i += 1,
            }
        }
    }
    i
}
