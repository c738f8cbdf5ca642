//! `s =~ "a*b?"`: all ways to match are followed at once, one bit for each place in the pattern (Shift-And, Baeza-Yates and
//! Gonnet 1992), so that a string is gone through once and the verifier looks at one turn.

use super::body::{Addr, Body};
use crate::hir::Expr;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Characters of a pattern, not counting `*`: one bit each and one for the end.
pub const LONGEST: usize = 62;

/// A pattern as bits: bit `i` stands for the place in front of its `i`th character.
pub struct Pattern {
    /// for each byte, the places that it leads on from
    next: Vec<u64>,
    /// places in front of which a `*` stands: any byte stays there
    stars: u64,
    end: u32,
}

impl Pattern {
    /// `None`: too long.
    pub fn new(text: &[u8]) -> Option<Pattern> {
        let mut p = Pattern { next: vec![0; 256], stars: 0, end: 0 };
        for c in text {
            if *c == b'*' {
                p.stars |= 1 << p.end;
                continue;
            }
            if p.end as usize == LONGEST {
                return None;
            }
            for byte in 0..256usize {
                if *c == b'?' || usize::from(*c) == byte {
                    p.next[byte] |= 1 << p.end;
                }
            }
            p.end += 1;
        }
        Some(p)
    }

    #[cfg(test)]
    fn matches(&self, text: &[u8]) -> bool {
        let places = text.iter().fold(1u64, |at, c| ((at & self.next[usize::from(*c)]) << 1) | (at & self.stars));
        places >> self.end & 1 == 1
    }
}

impl Body<'_> {
    /// 1 where the whole string matches.
    pub(crate) fn matches(&mut self, s: &Expr, pattern: &[u8]) -> Value {
        let Some(p) = Pattern::new(pattern) else { return self.int(0) };
        let (text, len) = self.string_copy(s);
        let text = self.address(text);
        let table: Vec<u8> = p.next.iter().flat_map(|w| w.to_le_bytes()).collect();
        let table = self.m.literal(&table);
        let start = self.int(1);
        let last = i64::from(s.ty.size().max(1)) - 1;
        let words = self.repeat(len, &[start, text], |b, i, words| {
            let (at, text) = (b.load(words, 8, false), b.load(words.at(8), 8, false));
            let last = b.int(last);
            let i = b.b.ins().umin(i, last);
            let byte = b.add(text, i);
            let byte = b.load(Addr::ptr(byte), 1, false);
            let row = b.mul_imm(byte, 8);
            let rows = b.rodata(table);
            let rows = b.address(rows);
            let row = b.add(rows, row);
            let next = b.load(Addr::ptr(row), 8, false);
            let on = b.b.ins().band(at, next);
            let on = b.shl_imm(on, 1);
            let stay = b.and_imm(at, p.stars as i64);
            let at = b.b.ins().bor(on, stay);
            b.store(at, words, 8);
            // Nothing is left to match.
            b.compare_imm(cranelift_codegen::ir::condcodes::IntCC::Equal, at, 0)
        });
        let at = self.load(words, 8, false);
        let end = self.shr_imm(at, i64::from(p.end));
        self.and_imm(end, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, yes) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("abc*", "abc", true),
            ("abc*", "abcdef", true),
            ("*def", "abcdef", true),
            ("*def", "abcde", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*a*", "bab", true),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            ("?b?", "abc", true),
            ("?b?", "ab", false),
            ("a*b", "aab", true),
            ("a*aab", "aaaab", true),
        ] {
            assert_eq!(Pattern::new(pattern.as_bytes()).unwrap().matches(text.as_bytes()), yes, "{pattern} {text}");
        }
        assert!(Pattern::new(&[b'a'; LONGEST + 1]).is_none());
    }
}
