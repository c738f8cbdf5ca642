//! Scratch: reads a script from standard input and shows tree and errors.
use std::io::Read;
fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let t = std::time::Instant::now();
    let (script, errors) = awl_grammar::parse(&text, awl_grammar::span::FileId(0));
    let took = t.elapsed();
    if std::env::args().nth(1).as_deref() == Some("-q") {
        println!(
            "{} items {} errors {took:?}",
            script.items.len(),
            errors.len()
        );
    } else {
        print!("{}", awl_grammar::dump_spans(&script, &text));
    }
    for e in errors.iter().take(10) {
        println!(
            "{}: {:?} {} [{}] {:?} {:?}",
            e.code,
            &text[e.span.start as usize..e.span.end as usize],
            e.message,
            e.label,
            e.related.as_ref().map(|r| (r.0.start, r.1.clone())),
            e.help
        );
    }
}
