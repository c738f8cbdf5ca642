//! Source texts and places in them.

use crate::diagnostic::Diagnostic;
use crate::lower::Lines;
use crate::lowered::Line;
use awl_grammar::span::{FileId, Span};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The library's macros, a text that is always there.
pub const LIBRARY: FileId = FileId(u32::MAX - 1);

/// Every text that was read, by number.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Source>,
    /// what the `import` or `#include` at a place stands for
    links: HashMap<Span, Link>,
    /// headers that are included without being asked for (`--include`)
    forced: Vec<FileId>,
}

#[derive(Clone, Debug)]
pub enum Link {
    Files(Vec<FileId>),
    Refused(Box<Diagnostic>),
}

#[derive(Clone, Debug)]
pub struct Source {
    /// as it is shown: a path, `<-e>`, `<stdin>`, `<repl:3>`
    pub name: String,
    pub text: String,
    /// offsets of the lines' first bytes
    starts: Vec<u32>,
    /// the lines' texts, without their newlines
    lines: Vec<Arc<str>>,
}

impl SourceMap {
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push(Source::new(name.into(), text.into()));
        FileId(self.files.len() as u32 - 1)
    }

    pub fn link(&mut self, place: Span, to: Link) {
        self.links.insert(place, to);
    }

    pub fn linked(&self, place: Span) -> Option<&Link> {
        self.links.get(&place)
    }

    pub fn force(&mut self, header: FileId) {
        self.forced.push(header);
    }

    pub fn forced(&self) -> &[FileId] {
        &self.forced
    }

    pub fn get(&self, file: FileId) -> Option<&Source> {
        static MACROS: LazyLock<Source> = LazyLock::new(|| Source::new("stdlib/net.bt".into(), awl_stdlib::NET.into()));
        if file == LIBRARY {
            return Some(&MACROS);
        }
        self.files.get(file.0 as usize)
    }

    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// The text of a span; empty when there is none.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }
}

impl Source {
    fn new(name: String, text: String) -> Source {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i as u32 + 1)).collect();
        let lines = text.split('\n').map(Arc::from).collect();
        Source { name, text, starts, lines }
    }

    /// Line and column, both from 1; the column in bytes.
    pub fn position(&self, offset: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|s| *s <= offset);
        let start = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        (line as u32, offset - start + 1)
    }

    /// A line's text, from 1, without its newline.
    pub fn line(&self, line: u32) -> &str {
        self.lines.get(line.wrapping_sub(1) as usize).map_or("", |l| l)
    }
}

impl Lines for SourceMap {
    fn line(&self, span: Span) -> Line {
        match self.get(span.file) {
            Some(s) => {
                let (line, column) = s.position(span.start);
                Line {
                    file: s.name.clone(),
                    line,
                    column,
                    text: s.lines.get(line.wrapping_sub(1) as usize).cloned().unwrap_or_default(),
                    span,
                }
            }
            None => Line { span, ..Line::default() },
        }
    }
}
