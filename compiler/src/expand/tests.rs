use super::*;
use awl_grammar::span::FileId;

fn codes(text: &str) -> Vec<&'static str> {
    let (script, errors) = awl_grammar::parse(text, FileId(0));
    assert!(errors.is_empty(), "{text}: {errors:?}");
    let mut diagnostics = Vec::new();
    expand(&script, &|name| name == "strlen", &mut diagnostics);
    diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn refusals() {
    let none: [&str; 0] = [];
    for (text, expected) in [
        ("macro m(x) { x } begin { m(1); }", &none[..]),
        ("macro m(x) { m(x) } begin { m(1); }", &["recursion"]),
        ("macro a(x) { b(x) } macro b(x) { a(x) } begin { a(1); }", &["recursion"]),
        ("macro a(x) { a(x, 1) } macro a(x, y) { x + y } begin { a(1); }", &none),
        ("fn f($a: int64) : int64 { return f($a - 1); } begin { f(3); }", &["recursion"]),
        ("fn f($a: int64) : int64 { return f($a - 1); } begin { }", &["recursion"]),
        ("macro m() { @x++ } begin { m(); }", &["foreign-map"]),
        ("fn f() { @x++; } begin { f(); }", &none),
        ("macro m($x) { $x++ } begin { m(@x); }", &["arg-type"]),
        ("macro m(@x) { @x++ } begin { m(@x[1]); }", &["arg-type"]),
        ("macro m(a) { a } begin { m(1, 2); }", &["arg-count"]),
        ("macro strlen(a, b) { a } begin { strlen(\"a\"); strlen(1, 2); }", &none),
        ("macro m(a) { 1 } macro m(b) { 2 } begin { m(1); }", &["defined-twice"]),
        ("macro m($a) { 1 } macro m(@a) { 2 } begin { m(@x); }", &none),
        ("macro m(a, a) { 1 } begin { m(1, 2); }", &["parameter-twice"]),
    ] {
        assert_eq!(codes(text), expected, "{text}");
    }
}

/// Twenty macros, each of which uses its argument twice: a million copies of a million copies.
#[test]
fn growth_is_bounded() {
    let mut text = "macro m0(x) { x + x } ".to_string();
    for i in 1..20 {
        text += &format!("macro m{i}(x) {{ m{}(m{}(x)) }} ", i - 1, i - 1);
    }
    assert_eq!(codes(&format!("{text} begin {{ m19(1); }}")), ["expansion-size"]);
}

#[test]
fn variables_of_a_body_are_its_own() {
    let (script, _) = awl_grammar::parse("macro m($a, e) { let $x = e; $a = $x } begin { $x = 1; m($x, $x + 1); }", FileId(0));
    let dump = awl_grammar::dump(&expand(&script, &|_| false, &mut Vec::new()));
    assert!(dump.contains("let $x#1"), "{dump}");
    assert_eq!(dump.matches("$x#1").count(), 2, "{dump}");
}
