//! Round trips over the corpus: all of it parses, printing keeps the tree and the comments, printing twice changes nothing;
//! and no prefix or mutation of it makes the parser panic.

mod common;

use awl_grammar::span::FileId;
use awl_grammar::{dump, dump_spans, parse};
use common::{read_anyhow, round_trip};

const CORPUS: &str = include_str!("corpus.txt");

/// Names and texts of the corpus.
fn snippets() -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for part in CORPUS.split("==== ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        out.push((name, text.to_string()));
        if name == "windows line ends" || name == "preamble" {
            out.push(("with carriage returns", text.replace('\n', "\r\n")));
        }
    }
    assert!(out.len() >= 60, "{} snippets", out.len());
    out
}

#[test]
fn corpus_round_trips() {
    for (name, text) in snippets() {
        round_trip(name, &text);
    }
}

/// A name ends where its line does: printed, one with a line's end in it would be another.
#[test]
fn names_of_places_end_with_the_line() {
    for text in ["kprobe:\\\n/pid/ { }", "kprobe:a\\\r\n{ }", "uprobe:\"a\\\nb\":c { }"] {
        let (script, errors) = parse(text, FileId(0));
        assert!(!errors.is_empty(), "{text:?} is read as {}", dump(&script));
    }
    round_trip("a blank in a path", "uprobe:/opt/a\\ b:f { }");
    round_trip("nothing to join", "#inc\\");
    round_trip("a blank at the end", "#inc\\ \nBEGIN { }");
    round_trip("a blank line joined", "#define A(b) b + \\\n  \n\n#define C 1\nBEGIN { }");
    round_trip("a comment joins nothing", "#define A 1 // a \\\n // b\nBEGIN { }");
    round_trip("no joining", "#x \\\\\n#define C 1\nBEGIN { }");
    round_trip("a name that is a type's", "BEGIN { $b = ((u64)) * 2; $c = ( /* no */ (int)) & 1; $d = ((x)) * 2; }");
}

#[test]
fn dumps_are_deterministic() {
    for (_, text) in snippets() {
        let (a, _) = parse(&text, FileId(0));
        let (b, _) = parse(&text, FileId(7));
        assert_eq!(dump(&a), dump(&b));
        assert_eq!(dump_spans(&a, &text), dump_spans(&b, &text));
        assert_eq!(dump(&a).lines().count(), dump_spans(&a, &text).lines().count());
    }
}

#[test]
fn prefixes_are_read_or_refused() {
    for (_, text) in snippets() {
        for (at, _) in text.char_indices() {
            read_anyhow(&text[..at]);
        }
    }
}

/// A small generator, so that every run sees the same mutations.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// `AWL_MUTATIONS=100000` looks longer; another `AWL_SEED` looks elsewhere.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn mutations_are_read_or_refused() {
    const PIECES: [&str; 44] = [
        "(", ")", "{", "}", "[", "]", "\"", "'", "/", "*", "//", "/*", "*/", ";", ":", ",", ".", "->", "$", "@", "$x", "@y", "=", "==",
        "?", "+", "++", "-", "!", "&", "#", "\\", "\n", " ", "if ", "else ", "for ", "(u64)", "struct x", "1", "é", "::", "..", "_t",
    ];
    let mut random = Random(setting("AWL_SEED", 0x5eed));
    let snippets = snippets();
    let mut whole = 0;
    let rounds = setting("AWL_MUTATIONS", 2500);
    for _ in 0..rounds {
        let (_, text) = &snippets[random.below(snippets.len())];
        let mut text = text.clone();
        for _ in 0..1 + random.below(3) {
            let mut at = random.below(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match random.below(4) {
                0 => text.insert_str(at, PIECES[random.below(PIECES.len())]),
                1 if at < text.len() => {
                    text.remove(at);
                }
                2 if at < text.len() => {
                    text.remove(at);
                    text.insert_str(at, PIECES[random.below(PIECES.len())]);
                }
                _ => {
                    let mut to = (at + random.below(20)).min(text.len());
                    while !text.is_char_boundary(to) {
                        to -= 1;
                    }
                    let piece = text[at..to].to_string();
                    text.insert_str(at, &piece);
                }
            }
        }
        read_anyhow(&text);
        if parse(&text, FileId(0)).1.is_empty() {
            whole += 1;
            round_trip("mutation", &text);
        }
    }
    // the mutations are small enough that some still parse, and round trips of those find what the corpus doesn't
    assert!(whole > rounds / 20, "{whole} of {rounds}");
}
