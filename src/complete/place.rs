//! What is being written at a place in a text: an attach point, a field, a map, a name.

/// The word before the cursor, by what it can be. `start` is where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// an attach point, or a part of it
    Probe {
        start: usize,
        word: String,
    },
    /// behind `.` or `->` of an expression
    Field {
        start: usize,
        word: String,
        of: String,
    },
    Local {
        start: usize,
        word: String,
    },
    Map {
        start: usize,
        word: String,
    },
    Name {
        start: usize,
        word: String,
    },
    /// a key of a `config` block
    Setting {
        start: usize,
        word: String,
    },
    /// in a text or a comment
    Nothing,
}

/// The place, and the item around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    pub place: Place,
    /// attach points of the item
    pub header: String,
    /// the text up to the statement at hand, and how many braces are open there
    pub before: usize,
    pub depth: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What stands at byte `pos` of a text.
pub fn around(text: &str, pos: usize) -> Around {
    let mut end = pos.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let scan = scan(&text[..end]);
    let nothing = |place| Around { place, header: String::new(), before: scan.statement, depth: scan.depth };
    if scan.quoted {
        return nothing(Place::Nothing);
    }
    let item = text[scan.item..scan.header_end.unwrap_or(end).max(scan.item)].trim().to_owned();
    let text = &text[..end];
    if scan.depth == 0 && !scan.predicate {
        let back = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ';');
        let start = text.rfind(back).map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8)).max(scan.item);
        return Around { place: Place::Probe { start, word: text[start..].to_owned() }, header: item, before: scan.statement, depth: 0 };
    }
    let start = text.char_indices().rev().take_while(|(_, c)| is_word(*c)).last().map_or(end, |(i, _)| i);
    let (word, front) = (text[start..].to_owned(), &text[..start]);
    let place = if item.split_whitespace().next() == Some("config") {
        Place::Setting { start, word }
    } else if front.ends_with('$') {
        Place::Local { start: start - 1, word: format!("${word}") }
    } else if front.ends_with('@') {
        Place::Map { start: start - 1, word: format!("@{word}") }
    } else if let Some(of) = front.strip_suffix("->").or_else(|| front.strip_suffix('.').filter(|f| !f.ends_with('.'))) {
        Place::Field { start, word, of: last_operand(of).to_owned() }
    } else if word.starts_with(|c: char| c.is_ascii_digit()) {
        Place::Nothing
    } else {
        Place::Name { start, word }
    };
    Around { place, header: item, before: scan.statement, depth: scan.depth }
}

/// The function whose arguments are being written, and how many commas stand before the cursor.
pub fn call_at(text: &str, pos: usize) -> Option<(&str, usize)> {
    let text = text.get(..pos)?;
    let (mut depth, mut commas) = (0usize, 0);
    for (i, c) in text.char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' if depth > 0 => depth -= 1,
            '(' => {
                let name = text[..i].rsplit(|c: char| !is_word(c)).next().unwrap_or("");
                return (!name.is_empty()).then_some((name, commas));
            }
            ',' if depth == 0 => commas += 1,
            '{' | '}' | ';' | '\n' => return None,
            _ => {}
        }
    }
    None
}

struct Scan {
    /// where the current item begins
    item: usize,
    /// where its predicate or body begins
    header_end: Option<usize>,
    predicate: bool,
    depth: usize,
    /// where the current statement begins
    statement: usize,
    /// a text or a comment is open
    quoted: bool,
}

fn scan(text: &str) -> Scan {
    let mut s = Scan { item: 0, header_end: None, predicate: false, depth: 0, statement: 0, quoted: false };
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        match bytes[i] {
            b'"' => match (i + 1..bytes.len()).find(|k| bytes[*k] == b'"' && bytes[*k - 1] != b'\\') {
                Some(k) => i = k,
                None => return Scan { quoted: true, ..s },
            },
            b'/' if rest.starts_with(b"/*") => match text[i..].find("*/") {
                Some(k) => i += k + 1,
                None => return Scan { quoted: true, ..s },
            },
            // `uprobe:/a//b` is no comment
            b'/' if rest.starts_with(b"//") && (i == 0 || bytes[i - 1].is_ascii_whitespace() || s.depth > 0) => {
                match text[i..].find('\n') {
                    Some(k) => i += k,
                    None => return Scan { quoted: true, ..s },
                }
            }
            b'/' if s.depth == 0 && s.predicate && text[i + 1..].trim_start().starts_with('{') => s.predicate = false,
            b'/' if s.depth == 0 && !s.predicate && i > 0 && bytes[i - 1].is_ascii_whitespace() => {
                s.predicate = true;
                s.header_end.get_or_insert(i);
            }
            b'{' => {
                s.header_end.get_or_insert(i);
                s.predicate = false;
                (s.depth, s.statement) = (s.depth + 1, i + 1);
            }
            b'}' => {
                s.depth = s.depth.saturating_sub(1);
                s.statement = i + 1;
                if s.depth == 0 {
                    (s.item, s.header_end) = (i + 1, None);
                }
            }
            b';' if s.depth > 0 => s.statement = i + 1,
            b'\n' if s.depth == 0 && text[s.item..i].trim_start().starts_with('#') => s.item = i + 1,
            _ => {}
        }
        i += 1;
    }
    s
}

/// The operand that ends here: `args`, `$x->y`, `((struct a *)arg0)`, `@m[1, 2]`.
fn last_operand(text: &str) -> &str {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let (mut depth, mut start) = (0usize, text.len());
    for (k, (i, c)) in chars.iter().enumerate().rev() {
        let goes_on = match c {
            ')' | ']' => {
                depth += 1;
                true
            }
            '(' | '[' if depth > 0 => {
                depth -= 1;
                true
            }
            _ if depth > 0 => true,
            '$' | '@' | '.' => true,
            '>' => k > 0 && chars[k - 1].1 == '-',
            '-' => chars.get(k + 1).is_some_and(|n| n.1 == '>'),
            c => is_word(*c),
        };
        if !goes_on {
            break;
        }
        start = *i;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_end(text: &str) -> Place {
        around(text, text.len()).place
    }

    #[test]
    fn places() {
        let probe = |start, word: &str| Place::Probe { start, word: word.into() };
        assert_eq!(at_end(""), probe(0, ""));
        assert_eq!(at_end("trace"), probe(0, "trace"));
        assert_eq!(at_end("begin { } tracepoint:sched:s"), probe(10, "tracepoint:sched:s"));
        assert_eq!(at_end("t:a:b,t:c"), probe(6, "t:c"));
        assert_eq!(at_end("uprobe:/bin/ba"), probe(0, "uprobe:/bin/ba"));
        assert_eq!(at_end("begin { pri"), Place::Name { start: 8, word: "pri".into() });
        assert_eq!(at_end("t:a:b /pi"), Place::Name { start: 7, word: "pi".into() });
        assert_eq!(at_end("t:a:b { args.fi"), Place::Field { start: 13, word: "fi".into(), of: "args".into() });
        assert_eq!(at_end("begin { $a->b.c"), Place::Field { start: 14, word: "c".into(), of: "$a->b".into() });
        assert_eq!(at_end("begin { print($a"), Place::Local { start: 14, word: "$a".into() });
        assert_eq!(at_end("begin { @m"), Place::Map { start: 8, word: "@m".into() });
        assert_eq!(at_end("config = { max"), Place::Setting { start: 11, word: "max".into() });
        assert_eq!(at_end("begin { printf(\"a"), Place::Nothing);
        assert_eq!(at_end("begin { // a"), Place::Nothing);
        assert_eq!(at_end("begin { 12"), Place::Nothing);
        assert_eq!(around("t:a:b /pid == 1/ { args.", 24).header, "t:a:b");
        assert_eq!(around("begin { $x = 1; $x->", 20).before, 15);
    }

    #[test]
    fn calls() {
        assert_eq!(call_at("begin { str(a, ", 15), Some(("str", 1)));
        assert_eq!(call_at("begin { str(f(1, 2), ", 21), Some(("str", 1)));
        assert_eq!(call_at("begin { x; ", 11), None);
    }

    #[test]
    fn any_beginning_has_a_place() {
        let text = "#define X 1\nt:s:* /pid == X/ { @m[comm, \"ü\"] = hist(args.a->b); } // ü\nbegin { $x = (struct s *)0; }";
        for pos in 0..=text.len() {
            around(text, pos);
        }
    }
}
