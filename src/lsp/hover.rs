//! What there is to say about the word at a place, and where it comes from.

use crate::command;
use crate::complete::Completer;
use crate::complete::place::{self, Place};
use awl_compiler::compile::compile;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_runtime::target::{self, HostTarget};
use std::ops::Range;

/// The word around a byte: letters of names, with the sign of a variable or map.
fn word_at(text: &str, at: usize) -> Range<usize> {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = text[..at].char_indices().rev().take_while(|(_, c)| is_word(*c)).last().map_or(at, |(i, _)| i);
    let end = text[at..].find(|c| !is_word(c)).map_or(text.len(), |i| at + i);
    match text[..start].chars().next_back() {
        Some('$' | '@') => start - 1..end,
        _ => start..end,
    }
}

/// The attach point around a byte, when it stands outside of braces.
fn point_at(text: &str, at: usize) -> Range<usize> {
    let back = |c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}');
    let at = at.min(text.len());
    let start = text[..at].rfind(back).map_or(0, |i| i + 1);
    let end = text[at..].find(back).map_or(text.len(), |i| at + i);
    start..end
}

/// The range that is described, and the description in Markdown.
pub fn describe(completer: &Completer, target: &HostTarget, text: &str, at: usize) -> Option<(Range<usize>, String)> {
    if !text.is_char_boundary(at) {
        return None;
    }
    let range = word_at(text, at);
    let around = place::around(text, range.end);
    let word = &text[range.clone()];
    let code = |t: &str| format!("```c\n{}\n```", t.trim_end());
    match around.place {
        Place::Nothing => None,
        Place::Probe { .. } => {
            let point = point_at(text, at);
            let written = &text[point.clone()];
            let Some((name, _)) = written.split_once(':').filter(|_| range.start > point.start) else {
                return Some((range, fenced(&command::describe(word)?)));
            };
            let full = completer.first_place(written)?;
            let shown = target::show(target, &full).ok()?;
            let kind = awl_compiler::probe::find(name).map_or("", |p| p.doc);
            Some((point, format!("{}\n\n{kind}", code(&shown))))
        }
        Place::Field { of, start, .. } => {
            let (_, found) = completer.complete(text, start, "");
            let field = found.into_iter().find(|c| c.text == word)?;
            Some((range, format!("{}\n\nof `{of}`", code(&field.detail))))
        }
        Place::Local { .. } | Place::Map { .. } => {
            let mut sources = SourceMap::default();
            let file = sources.add("<text>", text);
            let compiled = compile(&sources, file, target, &Options { allow_unsafe: true, ..Options::default() }, false);
            let program = compiled.program?;
            let said = match word.strip_prefix('@') {
                Some(name) => {
                    let m = program.maps.iter().find(|m| m.name == name)?;
                    let keys = m.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    if keys.is_empty() { format!("{word}: {}", m.value) } else { format!("{word}[{keys}]: {}", m.value) }
                }
                None => {
                    let name = word.trim_start_matches('$');
                    // In the probe around the place; a probe's span is its attach points.
                    let before = program.probes.iter().filter(|p| p.span.start as usize <= at);
                    let probe = before.max_by_key(|p| p.span.start)?;
                    let local = probe.locals.iter().find(|l| l.name.trim_start_matches('$') == name)?;
                    format!("{word}: {}", local.ty)
                }
            };
            Some((range, code(&said)))
        }
        Place::Name { .. } | Place::Setting { .. } => Some((range, fenced(&command::describe(word)?))),
    }
}

/// The first line is a signature.
fn fenced(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    format!("```c\n{first}\n```\n{rest}")
}

/// Where the word at a place is made: the first assignment of a variable in its item, the first of a map in the text, the
/// definition of a macro, function or type.
pub fn definition(text: &str, at: usize) -> Option<Range<usize>> {
    let range = word_at(text, at);
    let word = text.get(range.clone())?;
    let whole = |i: &usize| !text[i + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let first_in = |from: usize, what: &str| text.get(from..)?.match_indices(what).map(|(i, _)| from + i).find(whole);
    let found = match word.chars().next()? {
        '$' => {
            // An item begins behind the last brace that closes one.
            let item = text[..range.start].rfind("\n}").map_or(0, |i| i + 2);
            first_in(item, word)?
        }
        '@' => first_in(0, word)?,
        _ => ["macro ", "fn ", "struct ", "union ", "enum ", "#define "].iter().find_map(|kind| {
            let what = format!("{kind}{word}");
            let defines = |i: &usize| {
                let rest = text[i + what.len()..].trim_start();
                matches!(*kind, "macro " | "fn " | "#define ") || rest.starts_with('{')
            };
            let mut places = text.match_indices(&what).map(|(i, _)| i);
            places.find(defines).map(|i| i + kind.len())
        })?,
    };
    Some(found..found + word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_names_come_from() {
        let text = "struct s { int a; };\nmacro twice($x) { $x * 2 }\nbegin {\n  $v = 1;\n  @m[1] = $v;\n}\nend {\n  $v = 2; print(twice($v)); print(@m[1]); print((struct s *)0);\n}";
        let at = |what: &str, n: usize| text.match_indices(what).nth(n).unwrap().0;
        assert_eq!(definition(text, at("$v", 1) + 1).unwrap().start, at("$v", 0));
        assert_eq!(definition(text, at("$v", 3) + 1).unwrap().start, at("$v", 2));
        assert_eq!(definition(text, at("@m", 1) + 1).unwrap().start, at("@m", 0));
        assert_eq!(definition(text, at("twice", 1)).unwrap().start, at("twice", 0));
        assert_eq!(definition(text, at("s *", 0)).unwrap().start, at("s {", 0));
        assert_eq!(definition(text, at("print", 0)), None);
    }
}
