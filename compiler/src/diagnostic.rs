//! What awl says to its user: a stable code, the place, what was expected, and a help that works when pasted.

use awl_grammar::span::Span;

/// So many of a thing: `1 read`, `2 reads`.
pub fn counted(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// Whose fault it is; decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// the script or the command line: exit 1
    User,
    /// rights, kernel, files: exit 2
    Environment,
    /// awl itself (the verifier refused our code, a pass broke its own rule): exit 3
    Awl,
}

#[derive(Clone, Debug)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// Prose is lower case and in the user's words.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// a row of `CODES`
    pub code: &'static str,
    pub severity: Severity,
    pub blame: Blame,
    pub message: String,
    /// the place of the fault; `None` when it has none (no rights, no BTF)
    pub primary: Option<Label>,
    /// causes ("`@x` became a `count` here")
    pub secondary: Vec<Label>,
    pub notes: Vec<String>,
    /// what to do, one line; text in backquotes can be pasted
    pub help: Option<String>,
}

impl Diagnostic {
    fn new(code: &'static str, severity: Severity, blame: Blame, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, severity, blame, message: said(message), primary: None, secondary: Vec::new(), notes: Vec::new(), help: None }
    }

    /// A fault of the script, at `span`.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, Blame::User, message).at(span, "")
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Warning, Blame::User, message).at(span, "")
    }

    /// Something that this machine lacks or forbids.
    pub fn environment(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, Blame::Environment, message)
    }

    /// A defect of awl.
    pub fn internal(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, Blame::Awl, message)
    }

    /// A fault of the command line, which has no place in a source text.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, Blame::User, message)
    }

    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.primary = Some(Label { span, text: said(text) });
        self
    }

    /// Text under the primary place.
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        if let Some(l) = &mut self.primary {
            l.text = said(text);
        }
        self
    }

    pub fn because(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span, text: said(text) });
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(said(text));
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(said(text));
        self
    }

    pub fn as_warning(mut self) -> Diagnostic {
        self.severity = Severity::Warning;
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The text with the article that a word in backquotes wants: "an `int64`".
fn said(text: impl Into<String>) -> String {
    let text = text.into();
    if !text.contains("a `") {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.as_str();
    while let Some(at) = rest.find("a `") {
        let (before, behind) = (&rest[..at], &rest[at + 3..]);
        let inside = before.ends_with(|c: char| c.is_alphanumeric() || "`_$@.".contains(c)) || before.is_empty() && out.ends_with('`');
        out.push_str(before);
        out.push_str(if !inside && begins_as_a_vowel(behind) { "an `" } else { "a `" });
        rest = behind;
    }
    out + rest
}

/// Is `an` said before it? Types are read (`uint64`: you-int), abbreviations spelled out (`lsm`: el-ess-em).
fn begins_as_a_vowel(word: &str) -> bool {
    let spelled = ["fentry", "fexit", "fmod_ret", "hl", "lhist", "lpm_trie", "lru", "lsm", "xdp"];
    match word.as_bytes().first() {
        Some(b'a' | b'e' | b'i' | b'o' | b'A' | b'E' | b'I' | b'O') => true,
        Some(b'u') => word.starts_with("un") && !word.starts_with("uni"),
        _ => spelled.iter().any(|s| word.starts_with(s)),
    }
}

/// The name of `names` nearest to `wanted`, when it is near enough to be a typing mistake.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        // Capitals make no other name.
        .map(|n| (if n.eq_ignore_ascii_case(wanted) { 0 } else { edit_distance(wanted, n, limit + 1) }, n))
        .filter(|(d, n)| *d <= limit && *d < n.chars().count())
        // Letters are exchanged more often than left out.
        .min_by_key(|(d, n)| (*d, !same_letters(wanted, n), n.len()))
        .map(|(_, n)| n)
}

/// The one name that begins so, of those that are said whole (`proto`: `protocol`).
pub fn begun<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut fitting = names.into_iter().filter(|n| wanted.len() >= 3 && n.starts_with(wanted));
    fitting.next().filter(|_| fitting.next().is_none())
}

fn same_letters(a: &str, b: &str) -> bool {
    let sorted = |s: &str| {
        let mut letters: Vec<char> = s.chars().collect();
        letters.sort_unstable();
        letters
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

/// Edit distance in which exchanging two neighbours counts one; stops counting at `cap`. Kernels have 100,000 names: most are told
/// apart by their lengths and letters alone.
fn edit_distance(a: &str, b: &str, cap: usize) -> usize {
    // A letter that only one of them has takes an edit.
    let letters = |s: &str| s.bytes().fold(0u64, |all, c| all | 1 << (c & 63));
    let (in_a, in_b) = (letters(a), letters(b));
    let strange = (in_a & !in_b).count_ones().max((in_b & !in_a).count_ones()) as usize;
    if a.is_ascii() && b.is_ascii() && (strange >= cap || a.len().abs_diff(b.len()) >= cap) {
        return cap;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) >= cap {
        return cap;
    }
    let (mut older, mut last) = (Vec::new(), (0..=b.len()).collect::<Vec<_>>());
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let mut d = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                d = d.min(older[j - 2] + 1);
            }
            row.push(d);
        }
        // An exchange looks back over two rows.
        if row.iter().chain(&last).all(|d| *d >= cap) {
            return cap;
        }
        older = std::mem::replace(&mut last, row);
    }
    last[b.len()].min(cap)
}

#[cfg(test)]
mod tests {
    use super::{edit_distance, nearest, said};

    #[test]
    fn distances() {
        for (a, b, d) in
            [("vfs_read", "vfs_raed", 1), ("abc", "abc", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("ca", "abc", 3), ("été", "ete", 2)]
        {
            assert_eq!(edit_distance(a, b, 10), d, "{a} {b}");
            assert_eq!(edit_distance(b, a, 10), d, "{b} {a}");
            assert_eq!(edit_distance(a, b, 2), d.min(2), "{a} {b}");
        }
    }

    #[test]
    fn articles() {
        for (text, expected) in [
            ("a `int64` is a `uint64`, not a `array`", "an `int64` is a `uint64`, not an `array`"),
            ("this is a `xdp` probe, that a `uprobe`", "this is an `xdp` probe, that a `uprobe`"),
            ("a `unsigned int`, a `string[3]`", "an `unsigned int`, a `string[3]`"),
            ("`$a `i` stays, `a `i`", "`$a `i` stays, `a `i`"),
            ("no words", "no words"),
        ] {
            assert_eq!(said(text), expected);
        }
    }

    #[test]
    fn near_names() {
        let names = ["comm", "count", "cpu", "pid"];
        assert_eq!(nearest("com", names), Some("comm"));
        assert_eq!(nearest("libcc", ["libcc1", "libgc", "libc"]), Some("libc"));
        assert_eq!(nearest("prinft", ["print", "printf"]), Some("printf"));
        assert_eq!(nearest("cuont", names), Some("count"));
        assert_eq!(nearest("frobnicate", names), None);
    }
}
