//! Why the parser could not go on, in plain words. The parser says where; the words come from the text around that place.

mod body;
mod item;
mod token;

use crate::errors::SyntaxError;
use crate::scan;
use crate::span::{FileId, Span};
use token::{Kind, Token, tokens};

/// What is being read at the place of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// a whole item of a script
    Item,
    Directive,
    /// statements or an expression on their own
    Body,
    /// attach points on their own
    Points,
}

/// A piece of a text and the place in it where the parser could not go on. All positions count in `text`.
pub struct Place<'a> {
    pub text: &'a str,
    pub file: FileId,
    pub part: Part,
    pub start: usize,
    pub end: usize,
    pub at: usize,
}

pub fn explain(place: &Place) -> SyntaxError {
    let view = View::new(place);
    match place.part {
        Part::Directive => item::directive(&view),
        Part::Points => item::points(&view),
        Part::Body => body::body(&view),
        Part::Item => item::item(&view).unwrap_or_else(|| body::body(&view)),
    }
}

/// The tokens of a piece, and where among them the fault is.
struct View<'a> {
    text: &'a str,
    file: FileId,
    start: usize,
    end: usize,
    /// the attach points and what else stands in front of the first token
    head: &'a str,
    tokens: Vec<Token<'a>>,
    /// index of the token at the fault; the number of tokens at the end
    i: usize,
    /// indices of the brackets that are open there, outermost first
    open: Vec<usize>,
}

impl<'a> View<'a> {
    fn new(place: &Place<'a>) -> View<'a> {
        let Place { text, file, start, end, at, .. } = *place;
        // attach points aren't made of the language's words
        let body = match place.part {
            Part::Item => scan::head_end(&text[start..end]) + start,
            Part::Points => end,
            _ => start,
        };
        let tokens = tokens(text, body, end);
        let i = tokens.partition_point(|t| t.end() <= at);
        let mut open = Vec::new();
        for (n, t) in tokens[..i].iter().enumerate() {
            match t.text {
                "(" | "[" | "{" => open.push(n),
                ")" | "]" | "}" if t.kind == Kind::Mark => {
                    open.pop();
                }
                _ => {}
            }
        }
        View { text, file, start, end, head: text[start..body].trim_end(), tokens, i, open }
    }

    fn found(&self) -> Option<Token<'a>> {
        self.tokens.get(self.i).copied()
    }

    fn after(&self, n: usize) -> Option<Token<'a>> {
        self.tokens.get(self.i + n).copied()
    }

    fn before(&self, n: usize) -> Option<Token<'a>> {
        self.i.checked_sub(n).and_then(|i| self.tokens.get(i)).copied()
    }

    fn opened(&self) -> Option<Token<'a>> {
        self.open.last().map(|n| self.tokens[*n])
    }

    fn span(&self, t: Token) -> Span {
        Span::new(self.file, t.start, t.end())
    }

    /// The place of the fault: a token, or the end of the piece.
    fn here(&self) -> Span {
        match self.found() {
            Some(t) => self.span(t),
            None => {
                let end = self.start + self.text[self.start..self.end].trim_end().len();
                Span::new(self.file, end, end)
            }
        }
    }

    /// What is there, as it is said after "found".
    fn found_words(&self) -> String {
        self.found().map_or_else(|| "the end of the text".to_string(), words)
    }

    fn syntax(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new("syntax", self.here(), message)
    }
}

fn words(t: Token) -> String {
    match t.kind {
        Kind::Str => "a string".to_string(),
        _ => format!("`{}`", t.text),
    }
}
