//! Faults of statements and expressions.

use super::token::{Kind, Token};
use super::{View, words};
use crate::errors::SyntaxError;
use crate::span::Span;

/// What people write, and what it is here.
const MISTAKEN: [(&str, &str); 17] = [
    ("=>", "`>=` compares, `->` reads a member"),
    ("=<", "write `<=`"),
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("<>", "write `!=`"),
    (":=", "write `=`"),
    ("**", "there is no power operator"),
    ("&&=", "write `x = x && y`"),
    ("||=", "write `x = x || y`"),
    ("...", "a range is written `a..b`"),
    ("and", "write `&&`"),
    ("or", "write `||`"),
    ("eq", "write `==`"),
    ("ne", "write `!=`"),
    ("is", "write `==`"),
    ("then", "the body stands in braces: `if (...) { ... }`"),
    ("::", "write `:` with blanks around it if you mean a choice"),
];

/// Words that begin a statement elsewhere, and what does here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("begin", "probes stand side by side, not in one another"),
    ("case", "write `if (...) { ... } else if (...) { ... }`"),
    ("const", "write `let $x = 1;`"),
    ("do", "write `while (...) { ... }`"),
    ("end", "probes stand side by side, not in one another"),
    ("foreach", "write `for ($kv : @map) { ... }` or `for ($i : 0..10) { ... }`"),
    ("goto", "there are no jumps; a loop is left by `break`, a probe by `return`"),
    ("interval", "probes stand side by side, not in one another"),
    ("local", "write `let $x = 1;`"),
    ("loop", "write `while (...) { ... }` or `for ($i : 0..10) { ... }`"),
    ("my", "write `let $x = 1;`"),
    ("switch", "write `if (...) { ... } else if (...) { ... }`"),
    ("try", "nothing is thrown here: what fails gives 0 and is counted"),
    ("var", "write `let $x = 1;`"),
];

pub fn body(v: &View) -> SyntaxError {
    strange_character(v)
        .or_else(|| mistaken_word(v))
        .or_else(|| sigil(v))
        .or_else(|| statement(v))
        .unwrap_or_else(|| if v.before(1).is_some_and(|t| t.ends_value()) { after_value(v) } else { before_value(v) })
}

fn strange_character(v: &View) -> Option<SyntaxError> {
    let found = v.found().filter(|t| t.kind == Kind::Mark)?;
    Some(match found.text {
        "“" | "”" | "„" | "‘" | "’" | "«" | "»" => {
            v.syntax(format!("`{}` isn't a quote that the language knows", found.text)).help("use straight quotes: `\"`")
        }
        "'" => v.syntax("single quotes hold one character").help("write a string in double quotes"),
        "#" => v.syntax("`#` can't stand here").help("directives stand outside of braces; comments begin with `//`"),
        "\\" | "`" => v.syntax(format!("`{}` means nothing here", found.text)),
        text if !text.is_ascii() => v.syntax(format!("`{text}` means nothing here")),
        _ => return None,
    })
}

fn mistaken_word(v: &View) -> Option<SyntaxError> {
    let found = v.found()?;
    // the parser may have read the first half of it
    let candidates = [Some(found), v.before(1).filter(|p| p.end() > found.start)];
    for t in candidates.into_iter().flatten() {
        if let Some((_, help)) = MISTAKEN.iter().find(|(word, _)| t.is(word)) {
            let error = SyntaxError::new("syntax", v.span(t), format!("`{}` isn't an operator", t.text));
            return Some(error.help(*help));
        }
    }
    let prev = v.before(1)?;
    if prev.is("not") && prev.end() < found.start {
        return Some(SyntaxError::new("syntax", v.span(prev), "`not` isn't an operator").help("write `!`"));
    }
    None
}

fn sigil(v: &View) -> Option<SyntaxError> {
    let found = v.found()?;
    let prev = v.before(1);
    if found.kind == Kind::Var && !found.text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '#') {
        let digits = found.text.len() > 1;
        return Some(if digits {
            v.syntax(format!("`{}` is neither a parameter nor a variable", found.text))
                .help("parameters are `$1`, `$2`, ...; the name of a variable begins with a letter")
        } else {
            v.syntax("`$` alone has no meaning").help("a variable is `$name`, a parameter is `$1`, their number is `$#`")
        });
    }
    let prev = prev.filter(|p| p.kind == Kind::Map && p.end() == found.start)?;
    match found.kind {
        Kind::Number => Some(
            SyntaxError::new("syntax", v.span(prev).to(v.span(found)), "the name of a map can't begin with a digit")
                .help(format!("write `@[{}]` for an element, or begin the name with a letter", found.text)),
        ),
        Kind::Map => Some(v.syntax("two `@` in a row").help("a map is `@name`, or `@` alone")),
        _ => None,
    }
}

/// The statement in which the fault is, from its first token.
fn statement_start(v: &View) -> usize {
    let mut depth = 0usize;
    for n in (0..v.i).rev() {
        let t = v.tokens[n];
        if t.kind != Kind::Mark {
            continue;
        }
        match t.text {
            ")" | "]" | "}" if depth > 0 || t.is(")") || t.is("]") => depth += 1,
            // a block that ended is an older statement
            "}" => return n + 1,
            "(" | "[" => depth = depth.saturating_sub(1),
            "{" if depth > 0 => depth -= 1,
            "{" => return n + 1,
            ";" if depth == 0 => {
                // the semicolons of `for (;;)` don't end a statement
                let open = v.open.last().map(|n| v.tokens[*n]);
                if open.is_none_or(|t| t.is("{")) {
                    return n + 1;
                }
            }
            _ => {}
        }
    }
    0
}

fn statement(v: &View) -> Option<SyntaxError> {
    let found = v.found();
    let prev = v.before(1);
    let start = statement_start(v);
    let first = v.tokens.get(start).copied().filter(|_| start <= v.i)?;
    let help_for = "write `for ($i : 0..10) { ... }` or `for ($kv : @map) { ... }`";
    match first.text {
        "for" => {
            let rest = &v.tokens[start + 1..];
            let close = rest.iter().position(|t| t.is("{")).unwrap_or(rest.len());
            let head = &rest[..close];
            if let Some(comma) = head.iter().find(|t| t.is(",")) {
                let error = SyntaxError::new("syntax", v.span(*comma), "`for` makes one variable");
                return Some(error.help("of a map, `for ($kv : @map) { ... }` has the key in `$kv.0` and the value in `$kv.1`"));
            }
            let error = if let Some(semicolon) = head.iter().find(|t| t.is(";")) {
                SyntaxError::new("syntax", v.span(*semicolon), "`for` has no three parts here: it goes over a map or a range")
            } else if let Some(word) = head.iter().find(|t| t.is("in")) {
                SyntaxError::new("syntax", v.span(*word), "`for` has a `:` and not an `in`")
            } else if let Some(name) = head.iter().find(|t| !t.is("(")).filter(|t| t.kind != Kind::Var) {
                SyntaxError::new("syntax", v.span(*name), format!("expected a variable after `for`, found {}", words(*name)))
            } else if start + 1 + close <= v.i {
                return needs_block(v, first);
            } else if head.iter().any(|t| t.is(":")) {
                return needs_block(v, first).filter(|_| v.open.last().is_none_or(|n| v.tokens[*n].is("{")));
            } else {
                v.syntax("expected `:` and what `for` goes over")
            };
            return Some(error.help(help_for));
        }
        "let" => {
            let second = v.tokens.get(start + 1).copied();
            if let Some(second) = second.filter(|t| t.kind == Kind::Word && start + 1 == v.i) {
                return Some(
                    SyntaxError::new("syntax", v.span(second), "the name of a variable begins with `$`")
                        .help(format!("write `let ${}`", second.text)),
                );
            }
            if second.is_some_and(|t| t.kind == Kind::Map) {
                return Some(
                    v.syntax("maps are declared outside of probes")
                        .help("put the declaration in front of the probe, or assign to the map without `let`"),
                );
            }
            if start + 1 == v.i {
                let message = format!("expected a variable after `let`, found {}", v.found_words());
                return Some(v.syntax(message).help("write `let $x = 1;`"));
            }
            if prev.is_some_and(|p| p.is(":")) {
                let message = format!("expected a type after `:`, found {}", v.found_words());
                return Some(v.syntax(message).help("for example `let $x: uint64 = 1;`"));
            }
            if start + 2 == v.i {
                let message = format!("expected `=`, `:` or `;` after `{}`, found {}", prev?.text, v.found_words());
                return Some(v.syntax(message).help("write `let $x = 1;` or `let $x: uint64 = 1;`"));
            }
        }
        "import" => {
            let message = format!("expected a path in quotes after `import`, found {}", v.found_words());
            return Some(v.syntax(message));
        }
        "struct" | "union" | "enum" | "typedef" => {
            return Some(
                SyntaxError::new("syntax", v.span(first), "types are defined outside of probes")
                    .help("put the definition in front of the probe; a pointer to one is made with a cast: `(struct x *)arg0`"),
            );
        }
        // the parser came past this `else`, so it has its `if`
        "else" if v.i > start => return needs_block(v, first),
        "else" | "elif" | "elsif" | "elseif" => {
            let error = SyntaxError::new("syntax", v.span(first), format!("`{}` without an `if` in front of it", first.text));
            let before = start.checked_sub(1).map(|n| v.tokens[n]);
            let semicolon = before.filter(|t| t.is(";") && start >= 2 && v.tokens[start - 2].is("}"));
            return Some(match semicolon {
                _ if !first.is("else") => error.help("write `else if`"),
                Some(t) => error.related(v.span(t), "this `;` ends the `if`").help("remove the `;`"),
                None => error,
            });
        }
        "if" | "while" | "unroll" if (found.is_none_or(|t| t.is("}") || t.is(";")) || prev.is_some_and(|p| p.ends_value())) => {
            let in_head = v.open.last().is_none_or(|n| *n < start);
            if in_head && found.is_none_or(|t| !matches!(t.text, "=" | ":")) {
                return needs_block(v, first);
            }
        }
        word if start < v.i && ELSEWHERE.iter().any(|(w, _)| *w == word) => {
            let help = ELSEWHERE.iter().find(|(w, _)| *w == word).map_or("", |(_, help)| *help);
            return Some(SyntaxError::new("syntax", v.span(first), format!("there is no statement `{word}`")).help(help));
        }
        "break" | "continue" => {
            return Some(v.syntax(format!("expected `;` after `{}`, found {}", first.text, v.found_words())));
        }
        _ => {}
    }
    None
}

/// A statement that has a block, and has none.
fn needs_block(v: &View, first: Token) -> Option<SyntaxError> {
    let message = format!("expected `{{` to begin the body of `{}`, found {}", first.text, v.found_words());
    Some(
        v.syntax(message)
            .related(v.span(first), format!("the `{}` is here", first.text))
            .help("bodies are always in braces, also those of one statement"),
    )
}

/// A value ended, and what follows can't.
fn after_value(v: &View) -> SyntaxError {
    let Some(prev) = v.before(1) else {
        return before_value(v);
    };
    let found = v.found();
    let shown = v.found_words();
    let open = v.opened();
    let Some(t) = found else {
        return v.syntax(format!("expected more after `{}`", prev.text));
    };
    if matches!(prev.text, "struct" | "union" | "enum") {
        return v.syntax(format!("expected a name after `{}`, found {shown}", prev.text));
    }
    if let Some(word) = empty_head(v, prev) {
        return SyntaxError::new("syntax", v.span(word), format!("`{}` has no condition in front of its body", word.text))
            .label("the condition is missing here");
    }
    if matches!(prev.text, "++" | "--") && v.before(2).is_none_or(|t| !t.ends_value()) {
        return v.syntax(format!("expected a variable or a map element after `{}`, found {shown}", prev.text));
    }
    if t.is("=") {
        let condition = v.head.contains(':') && open.is_none_or(|o| !o.is("{"));
        let in_head = v.tokens.get(statement_start(v)).is_some_and(|t| matches!(t.text, "if" | "while"));
        let error = if open.is_some_and(|o| o.is("{")) && !condition && !in_head {
            v.syntax("an assignment has no value, so it can't be part of another").help("write two statements; to compare, write `==`")
        } else {
            v.syntax("`=` assigns, and nothing is assigned here").help("did you mean `==`?")
        };
        return error;
    }
    if t.is("~") {
        return v.syntax("`~` isn't an operator between two values").help("a string fits a pattern: `comm =~ \"ba*\"`");
    }
    if prev.is("f") && t.kind == Kind::Str && prev.end() == t.start {
        return v.syntax("values can't be written into a string").help("write `printf(\"%d %s\\n\", pid, comm);`");
    }
    if prev.kind == Kind::Map && t.is("{") {
        return v.syntax("the key of a map stands in brackets").help(format!("write `{}[...]`", prev.text));
    }
    if prev.kind == Kind::Str && t.kind == Kind::Str {
        return v.syntax("two strings in a row").related(v.span(prev), "the first").help("make one string of them");
    }
    let close = match open.map(|o| o.text) {
        Some("(") => Some(")"),
        Some("[") => Some("]"),
        _ => None,
    };
    if let (Some(close), Some(open)) = (close, open) {
        if t.is(";") || t.is("{") {
            return v.syntax(format!("expected `{close}` in front of {shown}")).related(v.span(open), "opened here");
        }
        let called = v.open.last().and_then(|n| n.checked_sub(1)).map_or("", |n| v.tokens[n].text);
        if called == "offsetof" && t.is(")") {
            return v.syntax("`offsetof` needs the name of a member").help("write `offsetof(struct x, member)`");
        }
        return v
            .syntax(format!("missing `,` or `{close}` after {}", words(prev)))
            .label(format!("found {shown}"))
            .related(v.span(open), "opened here");
    }
    // `kprobe:f {` inside of a body
    if t.is("{") && prev.kind == Kind::Word && v.before(2).is_some_and(|c| c.is(":") && c.end() == prev.start) {
        let error = v.syntax("a probe can't stand inside of another block");
        return match open {
            Some(o) => error.related(v.span(o), "this block is still open").help("close it with `}` first"),
            None => error,
        };
    }
    if t.is("->") || t.is(".") {
        let member = v.after(1).map_or_else(|| "the end of the text".to_string(), words);
        return v.syntax(format!("expected the name of a member after `{}`, found {member}", t.text));
    }
    if prev.kind == Kind::Word && prev.end() < t.start {
        if is_type_word(prev.text) || v.before(2).is_some_and(|w| matches!(w.text, "struct" | "union" | "enum")) {
            return v
                .syntax(format!("expected `;`, found {shown}"))
                .help("variables have no type in front: write `$x = 1;` or `let $x: int64 = 1;`");
        }
        // `print comm` at the beginning of a statement; elsewhere two words may as well be two statements
        let begins = v.before(2).is_some_and(|b| b.is("{") || b.is("}") || b.is(";"));
        let argument = matches!(t.kind, Kind::Str | Kind::Var | Kind::Map) || (begins && matches!(t.kind, Kind::Number | Kind::Word));
        if argument && same_line(v, prev, t) {
            return v
                .syntax(format!("expected `(` after `{}`, found {shown}", prev.text))
                .help(format!("a call has parentheses: `{}(...)`", prev.text));
        }
    }
    // the fault is where the semicolon isn't, and that is behind the value
    let gap = Span::new(v.file, prev.end(), prev.end());
    if same_line(v, prev, t) && t.kind == Kind::Mark {
        return v.syntax(format!("expected `;` or an operator after {}, found {shown}", words(prev)));
    }
    SyntaxError::new("syntax", gap, "expected `;` between two statements")
        .label("`;` is missing here")
        .related(v.span(t), "the next statement begins here")
}

/// The `if` whose body was read as its condition, when `close` ends a block right after it.
fn empty_head<'a>(v: &View<'a>, close: Token) -> Option<Token<'a>> {
    if !close.is("}") {
        return None;
    }
    let mut depth = 0;
    for n in (0..v.i).rev() {
        let t = v.tokens[n];
        depth += i32::from(t.is("}")) - i32::from(t.is("{"));
        if depth == 0 {
            let word = v.tokens[n.checked_sub(1)?];
            return matches!(word.text, "if" | "while" | "unroll").then_some(word);
        }
    }
    None
}

fn same_line(v: &View, a: Token, b: Token) -> bool {
    !v.text[a.end()..b.start].contains('\n')
}

fn is_type_word(word: &str) -> bool {
    matches!(word, "int" | "char" | "long" | "short" | "unsigned" | "signed" | "void" | "float" | "double" | "bool" | "string")
        || word.ends_with("_t")
        || word.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse::<u8>().is_ok_and(|n| matches!(n, 8 | 16 | 32 | 64))
            && (word.starts_with("int") || word.starts_with("uint") || word.starts_with(['u', 's']))
}

/// Is the innermost bracket a `(` with `name =` behind it?
fn in_record(v: &View) -> bool {
    let Some(open) = v.open.last() else {
        return false;
    };
    v.tokens[*open].is("(")
        && v.tokens.get(open + 1).is_some_and(|t| t.kind == Kind::Word)
        && v.tokens.get(open + 2).is_some_and(|t| t.is("="))
}

/// A value should begin here, and doesn't.
fn before_value(v: &View) -> SyntaxError {
    let shown = v.found_words();
    let Some(prev) = v.before(1) else {
        return v.syntax(format!("expected an expression, found {shown}"));
    };
    let open = v.opened();
    let found = v.found().map_or("", |t| t.text);
    match (prev.text, found) {
        ("[", "]") => v.syntax("expected a key between `[` and `]`").help("the whole map is its name alone: `@x`"),
        ("(", ")") => v.syntax("expected a type or a value between the parentheses"),
        (",", _) if in_record(v) => {
            v.syntax("every value of a record has a name").help("write `(a=1, b=2)` for a record, `(1, 2)` for a tuple")
        }
        (",", ")" | "]") => v.syntax(format!("expected another value after `,`, found {shown}")).help("remove the comma if that was all"),
        (".", _) | ("->", _) => v.syntax(format!("expected the name of a member after `{}`, found {shown}", prev.text)),
        ("{" | ";" | "}", _) => {
            let error = v.syntax(format!("expected a statement, found {shown}"));
            match found {
                "&&" | "||" | "*" | "/" | "%" | "+" | "=" | "==" | "<" | ">" => {
                    error.help("something is missing in front of the operator, or a `;` is too much")
                }
                _ => error,
            }
        }
        _ => {
            let error = v.syntax(format!("expected a value after {}, found {shown}", words(prev)));
            let error = match found {
                "+" if prev.is("=") => error.help("to add, write `+=`"),
                "[" => error.help("arrays can't be made; several values together are a tuple: `(1, 2, 3)`"),
                "=" if matches!(prev.text, "=" | "!" | "<" | ">") => error.help("there are no blanks inside an operator"),
                "struct" | "union" | "enum" => error.help("a type in front of a value is in parentheses: `(struct x *)arg0`"),
                "let" | "while" | "for" | "return" | "break" | "continue" | "unroll" | "import" | "else" => {
                    error.help(format!("`{found}` begins a statement; it has no value"))
                }
                _ => error,
            };
            match open.filter(|o| o.text != "{") {
                Some(o) => error.related(v.span(o), "opened here"),
                None => error,
            }
        }
    }
}
