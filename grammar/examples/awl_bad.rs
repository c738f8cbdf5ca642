use std::io::BufRead;
fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap().replace("\\n", "\n");
        let (_, errors) = awl_grammar::parse(&line, awl_grammar::span::FileId(0));
        println!("--- {line}");
        if errors.is_empty() {
            println!("    OK");
        }
        for e in errors {
            let pad = " ".repeat(4 + line[..e.span.start as usize].chars().count());
            let mark = "^".repeat(line[e.span.start as usize..e.span.end as usize].chars().count().max(1));
            println!("{pad}{mark} {}", e.label);
            println!("      {}: {}", e.code, e.message);
            if let Some((s, w)) = e.related {
                println!("      related {}: {w}", s.start);
            }
            if let Some(h) = e.help {
                println!("      help: {h}");
            }
        }
    }
}
