//! Scripts with words exchanged, doubled, left out: all passes say something sensible or compile. `AWL_MUTATIONS` is how
//! many, `AWL_SEED` where they begin.

use super::{on_a_small_stack, scripts, tried};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The longest that one text may take on a busy machine, made without optimization.
const MOST: Duration = Duration::from_secs(10);

/// Words, numbers, strings and single marks, with the blanks between them.
fn tokens(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '$' || c == '@' => 1,
        c if c.is_whitespace() => 2,
        _ => 0,
    };
    let mut out: Vec<String> = Vec::new();
    let mut last = 0;
    for c in text.chars() {
        match out.last_mut() {
            Some(t) if kind(c) != 0 && kind(c) == last => t.push(c),
            _ => out.push(c.to_string()),
        }
        last = kind(c);
    }
    out
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

const WORDS: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ";",
    ",",
    "-",
    "!",
    "*",
    "&",
    "=",
    "++",
    "?",
    ":",
    "..",
    "->",
    ".",
    "/",
    "0",
    "1",
    "-1",
    "0xffffffffffffffff",
    "9223372036854775808",
    "\"\"",
    "\"%s%d\"",
    "@",
    "@x",
    "$x",
    "int8",
    "uint64",
    "struct",
    "if",
    "while (1)",
    "for",
    "unroll (3)",
    "return",
    "break",
    "let",
    "macro",
    "fn",
    "sizeof",
    "comptime",
    "args",
    "ctx",
    "comm",
    "count()",
    "hist(1)",
    "print",
    "printf",
    "begin",
    "kprobe:vfs_read",
    "// ",
    "/* ",
    "#define ",
    "\u{0}",
    "\u{e9}",
];

fn mutated(seed: u64, all: &[Vec<String>]) -> String {
    let mut rng = Rng(seed);
    let mut text = all[rng.below(all.len())].clone();
    for _ in 0..1 + rng.below(3) {
        let (n, at) = (text.len(), rng.below(text.len()));
        if n == 0 {
            break;
        }
        match rng.below(6) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, text[at].clone()),
            2 => text.swap(at, rng.below(n)),
            3 => text[at] = WORDS[rng.below(WORDS.len())].to_owned(),
            4 => text.insert(at, WORDS[rng.below(WORDS.len())].to_owned()),
            _ => {
                let other = &all[rng.below(all.len())];
                let from = rng.below(other.len());
                let part = &other[from..other.len().min(from + 1 + rng.below(12))];
                text.splice(at..at, part.iter().cloned());
            }
        }
    }
    text.concat()
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

#[test]
fn mutated_scripts_are_compiled_or_refused() {
    let (from, n) = (setting("AWL_SEED", 1), setting("AWL_MUTATIONS", 20_000));
    let all: Arc<Vec<Vec<String>>> = Arc::new(scripts().iter().filter(|s| s.len() < 1200).map(|s| tokens(s)).collect());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
    let workers: Vec<_> = (0..threads)
        .map(|t| {
            let all = all.clone();
            std::thread::spawn(move || {
                on_a_small_stack("mutations", move || {
                    let (mut wrong, mut compiled) = (Vec::new(), 0usize);
                    for seed in (from + t..from + n).step_by(threads as usize) {
                        let text = mutated(seed, &all);
                        match catch_unwind(AssertUnwindSafe(|| tried(&text))) {
                            Err(_) => wrong.push(format!("seed {seed} panics:\n{text}")),
                            Ok((_, took)) if took > MOST => wrong.push(format!("seed {seed} takes {took:?}:\n{text}")),
                            Ok((c, _)) => {
                                let defect = c.diagnostics.iter().find(|d| d.blame == awl_compiler::diagnostic::Blame::Awl);
                                if let Some(d) = defect {
                                    wrong.push(format!("seed {seed}: {}: {}\n{text}", d.code, d.message));
                                }
                                compiled += usize::from(!c.failed());
                            }
                        }
                    }
                    (wrong, compiled)
                })
            })
        })
        .collect();
    let (mut wrong, mut compiled) = (Vec::new(), 0);
    for w in workers {
        let (bad, good) = w.join().unwrap();
        wrong.extend(bad);
        compiled += good;
    }
    println!("{n} texts, {compiled} of them compile");
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(compiled as u64 > n / 50, "nearly all are refused: the passes behind the checker are not tried");
}
