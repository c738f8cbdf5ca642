//! What holds for every text: for the tests here, and for the fuzzers.

use awl_grammar::ast::Script;
use awl_grammar::span::FileId;
use awl_grammar::{dump, dump_spans, is_incomplete, parse, parse_expr, parse_line, parse_points, parse_type, print};

fn comments(script: &Script, text: &str) -> Vec<String> {
    let squeezed = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
    script.comments.iter().map(|c| squeezed(&text[c.start as usize..c.end as usize])).collect()
}

/// Prints and reads again. The text must be free of errors.
pub fn round_trip(name: &str, text: &str) {
    let (script, errors) = parse(text, FileId(0));
    assert!(errors.is_empty(), "{name}: {errors:#?}");
    let printed = print(&script, text);
    let (again, errors) = parse(&printed, FileId(0));
    assert!(errors.is_empty(), "{name}: printed as\n{printed}\n{errors:#?}");
    assert_eq!(dump(&script), dump(&again), "{name}: from\n{text}\nprinted as\n{printed}");
    assert_eq!(comments(&script, text), comments(&again, &printed), "{name}: from\n{text}\nprinted as\n{printed}");
    let twice = print(&again, &printed);
    assert_eq!(printed, twice, "{name}: not stable, from\n{text}");
}

/// Every way into the parser, with any text.
pub fn read_anyhow(text: &str) {
    let (script, errors) = parse(text, FileId(0));
    for e in &errors {
        assert!(e.span.start <= e.span.end && e.span.end as usize <= text.len(), "{text:?}: {e:?}");
        assert!(text.is_char_boundary(e.span.start as usize) && text.is_char_boundary(e.span.end as usize), "{e:?}");
        assert!(!e.message.is_empty() && !e.message.contains("Rule"), "{e:?}");
        if let Some((span, _)) = &e.related {
            assert!(span.start <= span.end && span.end as usize <= text.len(), "{text:?}: {e:?}");
        }
    }
    dump_spans(&script, text);
    print(&script, text);
    let _ = parse_line(text, FileId(0));
    let _ = parse_expr(text, FileId(0), 3);
    let _ = parse_type(text, FileId(0), 3);
    let _ = parse_points(text, FileId(0), 3);
    is_incomplete(text);
}
