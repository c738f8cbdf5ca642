//! Faults of items: directives, probes and their attach points, definitions.

use super::token::Kind;
use super::{View, words};
use crate::errors::SyntaxError;
use crate::span::Span;

pub fn directive(v: &View) -> SyntaxError {
    let line = v.text[v.start..v.end].trim();
    let span = Span::new(v.file, v.start, v.start + line.len());
    let word = line[1..].trim_start();
    let word = &word[..word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len())];
    match word {
        "include" => SyntaxError::new("syntax", span, "`#include` needs the name of a file in `<...>` or quotes")
            .help("write `#include <linux/sched.h>` or `#include \"mine.h\"`"),
        "define" | "undef" | "ifdef" | "ifndef" => {
            SyntaxError::new("syntax", span, format!("`#{word}` needs a name")).help(format!("write `#{word} NAME`"))
        }
        _ => SyntaxError::new("syntax", span, "a directive needs a word after `#`").help("comments begin with `//`"),
    }
}

/// Attach points on their own.
pub fn points(v: &View) -> SyntaxError {
    let text = &v.text[v.start..v.end];
    let span = Span::new(v.file, v.start, v.end);
    if text.trim().is_empty() {
        return SyntaxError::new("syntax", span, "expected a probe")
            .help("for example `kprobe:vfs_read` or `tracepoint:syscalls:sys_enter_*`");
    }
    SyntaxError::new("syntax", span, "this isn't a probe").help(
        "a probe is a provider and its parts with colons between them, as in `kprobe:vfs_read`; quote what has blanks or brackets in it",
    )
}

/// A fault of an item outside of its body; `None` when it is inside.
pub fn item(v: &View) -> Option<SyntaxError> {
    let first = v.tokens.first().filter(|_| v.head.is_empty());
    if let Some(first) = first {
        match first.text {
            "struct" | "union" | "typedef" => return Some(record(v)),
            "enum" => return Some(c_enum(v)),
            "config" => return Some(config(v)),
            "import" => {
                return Some(
                    v.syntax(format!("expected the path of a file in quotes after `import`, found {}", v.found_words()))
                        .help("write `import \"stdlib/net\";`"),
                );
            }
            "let" => return map_decl(v),
            "macro" => return macro_def(v),
            "fn" => return function(v),
            _ => {}
        }
    }
    if !v.open.is_empty() && v.open.iter().any(|n| v.tokens[*n].is("{")) {
        return None;
    }
    Some(probe(v))
}

fn probe(v: &View) -> SyntaxError {
    let whole = &v.text[v.start..v.end];
    let first = v.tokens.first();
    if v.head.is_empty() {
        return match first {
            Some(t) if t.is("{") => SyntaxError::new("syntax", v.span(*t), "this block has no probe in front of it")
                .help("say when it runs: `begin { ... }`, `interval:1s { ... }`"),
            Some(t) if t.is("/") => SyntaxError::new("syntax", v.span(*t), "this condition has no probe in front of it")
                .help("write the probe first: `kprobe:vfs_read /pid == 1/ { ... }`"),
            _ => outside(v),
        };
    }
    if v.head.starts_with(|c: char| c.is_ascii_digit()) {
        return SyntaxError::new(
            "syntax",
            Span::new(v.file, v.start, v.start + v.head.len()),
            format!("expected a probe, found `{}`", v.head),
        )
        .help("a probe is written `kprobe:vfs_read { ... }`");
    }
    // an assignment or a call where only items can be
    let statement = v.head.starts_with('$')
        || first.is_some_and(|t| {
            matches!(t.text, "=" | "++" | "--" | "+=" | "-=" | ";") || (t.is("(") && whole.trim_end().ends_with([';', ')']))
        }) && !v.head.contains(':');
    if statement {
        return outside(v);
    }
    let found = v.found();
    let in_condition = first.filter(|t| t.is("/"));
    let Some(t) = found else {
        if v.head.contains('=') {
            return outside(v);
        }
        let comment = whole.find("//").filter(|at| whole[*at..].contains('{'));
        let end = v.here();
        if let Some(slash) = in_condition {
            return SyntaxError::new("syntax", end, "expected `/` to close the condition, and a body `{ ... }`")
                .related(v.span(*slash), "the condition begins here");
        }
        let error = SyntaxError::new("syntax", end, "a probe needs a body: `{ ... }`").label("the body is missing here");
        return match comment {
            Some(at) => error.related(Span::new(v.file, v.start + at, v.start + at + 2), "a comment begins here"),
            None => error.help(format!("for example `{} {{ @[comm] = count(); }}`", v.head)),
        };
    };
    if let Some(slash) = in_condition.filter(|s| s.start < t.start) {
        // `/pid == 1/ printf("x");` was read on as a division
        if t.is(";") && v.open.is_empty() {
            return v
                .syntax("the body of a probe stands in braces")
                .related(v.span(*slash), "its condition begins here")
                .help("write `{ ... }` around it");
        }
        if t.is("{") && v.open.is_empty() {
            return v.syntax("expected `/` to close the condition in front of `{`").related(v.span(*slash), "the condition begins here");
        }
        return super::body::body(v);
    }
    match t.text {
        ";" if v.before(1).is_some_and(|p| p.is("}")) => v.syntax("no `;` stands behind a probe").help("remove it"),
        ";" => v.syntax("a probe needs a body: `{ ... }`").label("found `;`"),
        "/" => v.syntax("a condition stands once, in front of the body"),
        _ if v.head.ends_with(':') || t.is(":") => v
            .syntax(format!("expected the body of the probe, found {}", words(t)))
            .help("there are no blanks around the colons of a probe: `kprobe:vfs_read`"),
        "(" if v.after(1).is_some_and(|n| n.is(")")) => {
            v.syntax("expected the body of the probe, found `(`").help(format!("a probe has no parentheses: `{} {{ ... }}`", v.head))
        }
        // As libbpf calls programs that may sleep.
        "." if v.after(1).is_some_and(|n| n.is("s")) && !v.head.contains(':') => v
            .syntax(format!("there is no `{}.s` here", v.head))
            .help(format!("write `{}:...`: programs of awl don't sleep, and see what may sleep as well", v.head)),
        "(" => v
            .syntax("expected the body of the probe, found `(`")
            .help("name a function without parentheses; what has brackets in it stands in quotes"),
        _ if matches!(v.head, "def" | "func" | "function" | "proc" | "sub") => v
            .syntax(format!("expected a probe, found `{}`", v.head))
            .help("functions are written `fn double($n: int64) : int64 { return $n * 2; }`"),
        _ if matches!(t.kind, Kind::Word) && v.after(1).is_some_and(|n| n.is("(")) && !(v.head.contains(':') && whole.contains('{')) => {
            let error = v.syntax(format!("expected `{{` to begin the body of the probe, found {}", words(t)));
            if whole.contains('{') {
                // `int main() { ... }`
                return error.help("a script is made of probes, as `begin { ... }`; functions are written `fn double($n: int64) : int64 { return $n * 2; }`");
            }
            error.help(format!("write `{} {{ {}(...); }}`", v.head, t.text))
        }
        _ if !v.head.contains(':') && matches!(t.kind, Kind::Word) && v.after(1).is_some_and(|n| n.is("{")) => {
            v.syntax(format!("expected `:`, `,` or the body of the probe after `{}`, found {}", v.head, words(t))).help(format!(
                "the parts of a probe have colons between them, `{0}:{1} {{ ... }}`, and several probes commas, `{0}, {1} {{ ... }}`",
                v.head, t.text
            ))
        }
        _ if !v.head.contains(':') && matches!(t.kind, Kind::Word) && v.after(1).is_some_and(|n| n.is(":")) => {
            let rest = &v.text[t.start..v.end];
            let probe = rest.split(|c: char| c.is_whitespace() || c == '{').next().unwrap_or(t.text);
            v.syntax(format!("expected the body of the probe after `{}`, found {}", v.head, words(t)))
                .help(format!("nothing stands in front of a probe: `{probe} {{ ... }}`"))
        }
        _ if !v.head.contains(':') && matches!(t.kind, Kind::Word) => v
            .syntax(format!("expected `:` or the body of the probe after `{}`, found {}", v.head, words(t)))
            .help(format!("the parts of a probe have colons between them: `{}:{}`", v.head, t.text)),
        // the probes of DTrace
        "-" if matches!(v.head, "tick" | "profile") => {
            let how_often = v.after(1).map_or("1s", |n| n.text);
            let error = v.syntax(format!("expected the body of the probe after `{}`, found `-`", v.head));
            match (v.head, how_often.bytes().all(|b| b.is_ascii_digit())) {
                ("tick", false) => error.help(format!("write `interval:{how_often}`")),
                ("tick", true) => error.help(format!("write `interval:hz:{how_often}`")),
                _ => error.help(format!("write `profile:hz:{}`", how_often.trim_end_matches(|c: char| c.is_alphabetic()))),
            }
        }
        _ => {
            let error = v.syntax(format!("expected `{{` to begin the body of the probe, found {}", words(t)));
            let body = whole.find('{').map(|n| v.start + n).filter(|n| *n > t.start);
            match body {
                Some(brace) if t.kind != Kind::Mark || matches!(t.text, "!" | "&&") => {
                    let written = v.text[t.start..brace].trim().trim_end_matches('/').trim();
                    let condition = written.strip_prefix("&&").or_else(|| written.strip_prefix("if ")).unwrap_or(written).trim();
                    error.help(format!("a condition stands between slashes: `/{condition}/`"))
                }
                _ => error,
            }
        }
    }
}

/// Something stands outside of every probe.
fn outside(v: &View) -> SyntaxError {
    let text = v.text[v.start..v.end].trim_end();
    let span = Span::new(v.file, v.start, v.start + text.len().min(text.find('\n').unwrap_or(text.len())));
    let shown = v.tokens.first().map_or(String::new(), |t| words(*t));
    if v.head.is_empty() && v.tokens.first().is_some_and(|t| t.kind == Kind::Number || t.kind == Kind::Mark) {
        return SyntaxError::new("syntax", span, format!("expected a probe, found {shown}"))
            .help("a probe is written `kprobe:vfs_read { ... }`");
    }
    SyntaxError::new("syntax", span, "statements stand inside a probe")
        .label("this is outside")
        .help("to run it once at the start, write `begin { ... }` around it")
}

fn map_decl(v: &View) -> Option<SyntaxError> {
    let second = v.tokens.get(1)?;
    let example = "a map is declared as `let @name = hash(1000);`";
    if second.kind == Kind::Var {
        return Some(
            SyntaxError::new("syntax", v.span(*second), "variables live inside of probes")
                .label("only maps are declared here")
                .help("put `let` into the probe's body, or use a map: `@x` instead of `$x`"),
        );
    }
    // the words to expect, in turn
    let expected = [
        (second.kind == Kind::Map, 1, "the name of a map, as in `@name`"),
        (v.tokens.get(2).is_some_and(|t| t.is("=")), 2, "`=`"),
        (v.tokens.get(3).is_some_and(|t| t.kind == Kind::Word), 3, "the kind of the map"),
        (v.tokens.get(4).is_some_and(|t| t.is("(")), 4, "`(` and the number of elements"),
    ];
    for (present, n, what) in expected {
        if !present {
            return Some(expected_at(v, n, what).help(example));
        }
    }
    let inside = v.i < v.tokens.len() && !v.open.is_empty();
    (!inside).then(|| v.syntax(format!("expected `;` after the declaration, found {}", v.found_words())).help(example))
}

fn expected_at(v: &View, n: usize, what: &str) -> SyntaxError {
    match v.tokens.get(n) {
        Some(t) => SyntaxError::new("syntax", v.span(*t), format!("expected {what}, found {}", words(*t))),
        None => {
            let end = v.start + v.text[v.start..v.end].trim_end().len();
            SyntaxError::new("syntax", Span::new(v.file, end, end), format!("expected {what}, found the end of the text"))
        }
    }
}

fn macro_def(v: &View) -> Option<SyntaxError> {
    let example = "a macro is written `macro name($var, @map, expr) { ... }`";
    if v.tokens.get(1).is_none_or(|t| t.kind != Kind::Word) {
        return Some(expected_at(v, 1, "the name of the macro").help(example));
    }
    if v.tokens.get(2).is_none_or(|t| !t.is("(") && !t.is("{")) {
        return Some(expected_at(v, 2, "`(` and the parameters of the macro").help(example));
    }
    header(v, "the macro", "a parameter of a macro is `$name`, `@name` or `name`", example)
}

fn function(v: &View) -> Option<SyntaxError> {
    let example = "a function is written `fn name($a: int64) : int64 { ... }`";
    if v.tokens.get(1).is_none_or(|t| t.kind != Kind::Word) {
        return Some(expected_at(v, 1, "the name of the function").help(example));
    }
    if v.tokens.get(2).is_none_or(|t| !t.is("(")) {
        return Some(expected_at(v, 2, "`(` and the parameters of the function").help(example));
    }
    if v.found().is_some_and(|t| t.is("->")) && v.open.is_empty() {
        return Some(v.syntax("the type of a function's value follows `:`, not `->`").help(example));
    }
    header(v, "the function", "a parameter of a function is `$name` or `$name: type`", example)
}

/// What macros and functions have between their name and their body.
fn header(v: &View, what: &str, params: &str, example: &str) -> Option<SyntaxError> {
    if v.open.iter().any(|n| v.tokens[*n].is("{")) {
        return None;
    }
    let found = v.found_words();
    Some(if v.open.is_empty() {
        v.syntax(format!("expected `{{` to begin the body of {what}, found {found}")).help(example)
    } else {
        v.syntax(format!("{params}, found {found}")).help(example)
    })
}

fn config(v: &View) -> SyntaxError {
    let example = "settings are written `config = { max_strlen = 128; }`";
    if v.open.is_empty() {
        return v.syntax(format!("expected `config = {{ ... }}`, found {}", v.found_words())).help(example);
    }
    let found = v.found_words();
    let before = v.before(1).map_or("", |t| t.text);
    let error = match before {
        "{" | ";" => match (v.found(), v.after(1)) {
            (Some(key), Some(next)) if key.kind == Kind::Word && next.is("=") => expected_at(v, v.i + 2, "a number, a word or a string"),
            (Some(key), Some(next)) if key.kind == Kind::Word => {
                let message = format!("expected `=` after `{}`, found {}", key.text, words(next));
                SyntaxError::new("syntax", v.span(next), message)
            }
            _ => v.syntax(format!("expected the name of a setting, found {found}")),
        },
        "=" => v.syntax(format!("expected a number, a word or a string, found {found}")),
        _ if v.before(2).is_some_and(|t| t.is("=")) => v.syntax(format!("expected `;` between two settings, found {found}")),
        _ => v.syntax(format!("expected `=` after `{before}`, found {found}")),
    };
    error.help(example)
}

fn record(v: &View) -> SyntaxError {
    let found = v.found_words();
    let Some(open) = v.opened().filter(|t| t.is("{")) else {
        return match v.tokens.first() {
            Some(t) if t.is("typedef") => v.syntax(format!("expected `typedef TYPE NAME;`, found {found}")),
            _ => v.syntax(format!("expected `{{` and the members of the record, found {found}")),
        };
    };
    let prev = v.before(1);
    match (prev, v.found()) {
        (Some(p), Some(t)) if t.is("}") && !p.is(";") => {
            SyntaxError::new("syntax", Span::new(v.file, p.end(), p.end()), "expected `;` after the last member")
                .label("`;` is missing here")
                .related(v.span(open), "of the record that begins here")
        }
        (_, Some(t)) if t.is("#") => v.syntax("directives can't stand inside a record").help("put `#if` around the whole record"),
        (_, Some(t)) if t.is("(") => v.syntax("records have no functions as members").help("a pointer to one is `int (*name)(int);`"),
        _ => {
            v.syntax(format!("expected a member, as in `int name;`, found {found}")).related(v.span(open), "in the record that begins here")
        }
    }
}

fn c_enum(v: &View) -> SyntaxError {
    let found = v.found_words();
    if v.opened().is_some_and(|t| t.is("{")) {
        v.syntax(format!("expected `NAME` or `NAME = value`, with commas between them, found {found}"))
    } else {
        v.syntax(format!("expected `{{` and the names of the enum, found {found}"))
    }
}
