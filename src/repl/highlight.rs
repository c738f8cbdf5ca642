//! Colours of a line at the prompt.

use awl_compiler::{agg, builtin, probe};

const KEYWORD: &str = "\x1b[35m";
const FUNCTION: &str = "\x1b[36m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[33m";
const NAME: &str = "\x1b[34m";
const COMMENT: &str = "\x1b[90m";
const RESET: &str = "\x1b[0m";

const KEYWORDS: &[&str] = &[
    "if", "else", "while", "for", "unroll", "let", "return", "break", "continue", "sizeof", "offsetof", "struct", "union", "enum",
    "config", "macro", "fn", "import", "true", "false",
];

/// The line with colours; the same text without them.
pub fn paint(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut rest = line;
    let mut depth = 0usize;
    while let Some(c) = rest.chars().next() {
        let word = |t: &str, from: usize| t[from..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(t.len(), |i| i + from);
        let (len, colour) = match c {
            '"' => (end_of_text(rest), TEXT),
            '/' if rest.starts_with("//") && depth > 0 => (rest.find('\n').unwrap_or(rest.len()), COMMENT),
            '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |i| i + 2), COMMENT),
            '$' | '@' => (word(rest, 1), NAME),
            c if c.is_ascii_digit() => (word(rest, 1), NUMBER),
            c if c.is_alphabetic() || c == '_' => {
                let len = word(rest, 0);
                (len, colour_of(&rest[..len], depth))
            }
            c => {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                (c.len_utf8(), "")
            }
        };
        let (token, after) = rest.split_at(len.max(c.len_utf8()));
        if colour.is_empty() {
            out += token;
        } else {
            out += colour;
            out += token;
            out += RESET;
        }
        rest = after;
    }
    out
}

fn colour_of(word: &str, depth: usize) -> &'static str {
    if KEYWORDS.contains(&word) || (depth == 0 && probe::find(word).is_some()) {
        KEYWORD
    } else if builtin::find(word).is_some() || agg::rows::ROWS.iter().any(|a| a.name == word) {
        FUNCTION
    } else {
        ""
    }
}

fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return i + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Only colours are added.
#[cfg(test)]
pub fn check(line: &str) {
    let mut plain = paint(line);
    for c in [KEYWORD, FUNCTION, TEXT, NUMBER, NAME, COMMENT, RESET] {
        plain = plain.replace(c, "");
    }
    assert_eq!(plain, line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_colours_is_added() {
        for line in ["begin { printf(\"a\\\"b\", 12, $x, @m); } // ü", "", "@", "\"open", "/* open", "é€漢"] {
            check(line);
        }
        assert!(paint("begin { count() }").contains("\x1b[35mbegin\x1b[0m"));
    }
}
