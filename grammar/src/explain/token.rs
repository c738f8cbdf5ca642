//! The words of a text, for those who explain what is wrong with it. The parser itself never sees them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    Number,
    /// `$x`, `$1`, `$#`, and a `$` alone
    Var,
    /// `@x`, `@`
    Map,
    Str,
    /// an operator, a bracket, a separator: the longest that is known, or one character
    Mark,
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// bytes from the beginning of the file's text
    pub start: usize,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Can something end here that has a value?
    pub fn ends_value(&self) -> bool {
        match self.kind {
            Kind::Word => !WORDS_BEFORE_VALUES.contains(&self.text),
            Kind::Mark => matches!(self.text, ")" | "]" | "}" | "++" | "--"),
            _ => true,
        }
    }
}

/// Words after which a value or a block is expected.
const WORDS_BEFORE_VALUES: [&str; 8] = ["if", "while", "unroll", "return", "comptime", "else", "for", "in"];

/// Operators and what people write for them; the longest first.
const MARKS: [&str; 43] = [
    "<<=", ">>=", "===", "!==", "&&=", "||=", "...", "->", "=>", "==", "!=", "=~", "<=", ">=", "=<", "<>", ":=", "&&", "||", "++", "--",
    "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "..", "**", "::", "=", "<", ">", "+", "-", "*", "/", "%", "?",
];

/// The tokens of `text[start..end]`, without comments.
pub fn tokens(text: &str, start: usize, end: usize) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut i = start;
    while let Some(c) = text[i..end].chars().next() {
        let rest = &text[i..end];
        if c.is_whitespace() {
            i += c.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            i += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if rest.starts_with("/*") {
            i += rest.find("*/").map_or(rest.len(), |n| n + 2);
            continue;
        }
        let word = |from: usize| rest[from..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |n| from + n);
        let (kind, len) = match c {
            '$' if rest.starts_with("$#") => (Kind::Var, 2),
            '$' => (Kind::Var, word(1)),
            // the name of a map can't begin with a digit
            '@' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Kind::Map, 1),
            '@' => (Kind::Map, word(1)),
            '"' => (Kind::Str, string_len(rest)),
            c if c.is_ascii_digit() => (Kind::Number, word(0)),
            c if c.is_ascii_alphabetic() || c == '_' => (Kind::Word, word(0)),
            c => {
                let known = MARKS.iter().find(|m| rest.starts_with(**m));
                (Kind::Mark, known.map_or(c.len_utf8(), |m| m.len()))
            }
        };
        out.push(Token { kind, text: &rest[..len], start: i });
        i += len;
    }
    out
}

fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return i,
            '"' if !escaped => return i + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    rest.len()
}
