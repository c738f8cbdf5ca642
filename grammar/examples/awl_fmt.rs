use std::io::Read;
fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let (script, errors) = awl_grammar::parse(&text, awl_grammar::span::FileId(0));
    for e in &errors {
        eprintln!("{e:?}");
    }
    print!("{}", awl_grammar::print(&script, &text));
}
