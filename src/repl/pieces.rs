//! The lines of a session as one script, and diagnostics of that script back at the lines.

use awl_compiler::diagnostic::{Diagnostic, Label};
use awl_compiler::source::SourceMap;
use awl_compiler::{FileId, Span};
use awl_grammar::ast::Item;
use std::borrow::Cow;
use std::rc::Rc;

/// A line, and what is put around it to make it a part of a script.
#[derive(Clone, Debug)]
pub struct Piece {
    pub number: usize,
    pub before: Cow<'static, str>,
    /// shared by all states of a session that `:undo` goes back to
    pub text: Rc<str>,
    pub after: &'static str,
}

impl Piece {
    pub fn whole(number: usize, text: &str) -> Piece {
        Piece::in_between(number, "", text, "")
    }

    pub fn in_between(number: usize, before: impl Into<Cow<'static, str>>, text: &str, after: &'static str) -> Piece {
        Piece { number, before: before.into(), text: text.into(), after }
    }

    fn len(&self) -> usize {
        // A line feed ends each.
        self.before.len() + self.text.len() + self.after.len() + 1
    }
}

/// Pieces, one below the other.
pub fn join(pieces: &[Piece]) -> String {
    pieces.iter().map(|p| format!("{}{}{}\n", p.before, p.text, p.after)).collect()
}

/// A text without its probes and comments, and whether one of the probes is an `end`.
pub fn definitions(text: &str) -> (String, bool) {
    let (script, _) = awl_grammar::parse(text, FileId(0));
    let probes = script.items.iter().filter_map(|i| if let Item::Probe(p) = i { Some(p) } else { None });
    let ends = probes.clone().any(|p| p.points.iter().any(|a| a.parts[0].text.eq_ignore_ascii_case("end")));
    let mut others: Vec<Span> = probes.map(|p| p.span).chain(script.comments.iter().copied()).collect();
    others.sort_by_key(|s| s.start);
    let (mut rest, mut at) = (String::new(), 0);
    for s in others {
        let (start, end) = (s.start as usize, s.end as usize);
        if start < at {
            // a comment in a probe
            continue;
        }
        rest += &text[at..start];
        at = end;
        if (rest.is_empty() || rest.ends_with('\n')) && text[at..].starts_with('\n') {
            at += 1;
        }
    }
    rest += &text[at..];
    (rest, ends)
}

/// Which piece a place in the joined text belongs to.
pub fn index_of(pieces: &[Piece], span: Span) -> Option<usize> {
    let mut end = 0;
    pieces.iter().position(|p| {
        end += p.len();
        (span.start as usize) < end
    })
}

/// The diagnostics as they are seen from the lines that were typed, each a source of its own.
pub fn seen(pieces: &[Piece], diagnostics: &[Diagnostic]) -> (SourceMap, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let (mut starts, mut at) = (Vec::new(), 0);
    for p in pieces {
        sources.add(format!("<repl:{}>", p.number), p.text.to_string());
        starts.push(at + p.before.len());
        at += p.len();
    }
    let moved = |label: &Label| -> Option<Label> {
        let i = index_of(pieces, label.span)?;
        let clamp = |byte: u32| (byte as usize).saturating_sub(starts[i]).min(pieces[i].text.len());
        Some(Label { span: Span::new(FileId(i as u32), clamp(label.span.start), clamp(label.span.end)), text: label.text.clone() })
    };
    let shown = diagnostics.iter().map(|d| Diagnostic {
        primary: d.primary.as_ref().and_then(moved),
        secondary: d.secondary.iter().filter_map(moved).collect(),
        ..d.clone()
    });
    let shown = shown.collect();
    (sources, shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_taken_out() {
        let text = "// two\nmacro two(x) { x * 2 } begin { /* one */ @ = 1; } // a\nEND { }\nstruct s { int a; }";
        assert_eq!(definitions(text), ("macro two(x) { x * 2 }  \nstruct s { int a; }".to_owned(), true));
        assert_eq!(definitions("interval:s:1 { }"), (String::new(), false));
    }

    #[test]
    fn places_are_those_of_the_lines() {
        let pieces = [Piece::whole(1, "begin { @a = 1; }"), Piece::in_between(2, "begin { print(", "com", "); }")];
        let whole = join(&pieces);
        let at = whole.find("com").unwrap();
        let d = Diagnostic::error("unknown-name", Span::new(FileId(0), at, at + 3), "unknown name `com`");
        let (sources, shown) = seen(&pieces, &[d]);
        let span = shown[0].primary.as_ref().unwrap().span;
        assert_eq!((span.file, span.start, span.end), (FileId(1), 0, 3));
        assert_eq!(sources.text(span), "com");
        assert_eq!(sources.files()[1].name, "<repl:2>");
    }
}
