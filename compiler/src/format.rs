//! Format strings of `printf` and of `strftime`. Both parsers are total: what is no conversion stands for itself, as in
//! bpftrace, and the checker may warn of it.

use crate::artifact::{Format, Piece, Verb};
use crate::types::Ty;

/// A `%` that starts no conversion that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// bytes from the format's start, half-open
    pub start: usize,
    pub end: usize,
    pub message: String,
}

/// Longest width and precision; more would only fill the disk, and Rust's own formats take no more.
const WIDEST: u32 = u16::MAX as u32;

/// `%[-+ #0][width][.precision][hlLjzt]conversion`, with `%%` for a percent sign. Escapes (`\n`) are the grammar's business.
pub fn parse(text: &str) -> (Format, Vec<Problem>) {
    let (mut pieces, mut problems) = (Vec::new(), Vec::new());
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('%') {
            plain.push('%');
            rest = tail;
            continue;
        }
        match verb(after) {
            Ok((verb, len)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Verb(verb));
                rest = &after[len..];
            }
            Err((len, message)) => {
                let start = text.len() - after.len() - 1;
                problems.push(Problem { start, end: start + 1 + len, message });
                plain.push('%');
                // A percent sign at its end begins no other one.
                let own = if after[..len].ends_with('%') { len } else { 0 };
                plain.push_str(&after[..own]);
                rest = &after[own..];
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    (Format { pieces }, problems)
}

/// One conversion after its `%`, with its length in bytes; or how much of it was understood, and what is wrong.
fn verb(text: &str) -> Result<(Verb, usize), (usize, String)> {
    let mut verb = Verb::default();
    let mut rest = text;
    while let Some(c) = rest.bytes().next() {
        match c {
            b'-' => verb.minus = true,
            b'+' => verb.plus = true,
            b' ' => verb.space = true,
            b'#' => verb.alt = true,
            b'0' => verb.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    verb.width = number(&mut rest);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        verb.precision = Some(number(&mut rest).unwrap_or(0));
    }
    for length in ["hh", "h", "ll", "l", "L", "j", "z", "t"] {
        if let Some(after) = rest.strip_prefix(length) {
            verb.length = length.to_string();
            rest = after;
            break;
        }
    }
    for conversion in ["gr", "rx", "rh", "r", "d", "i", "u", "o", "x", "X", "c", "p", "s"] {
        if let Some(after) = rest.strip_prefix(conversion) {
            verb.conversion = conversion.to_string();
            return Ok((verb, text.len() - after.len()));
        }
    }
    let understood = text.len() - rest.len();
    let Some(c) = rest.chars().next() else {
        let message = "the format ends in the middle of a conversion; a percent sign is `%%`";
        return Err((understood, message.to_string()));
    };
    let message = match c {
        '*' => "`*` is not supported here: write the width as a number".to_string(),
        'f' | 'e' | 'g' | 'a' => {
            format!("`%{c}` prints floating-point numbers; there are none, use `%d`")
        }
        _ => format!("`%{}{c}` is no conversion; a percent sign is `%%`", &text[..understood]),
    };
    Err((understood + c.len_utf8(), message))
}

fn number(rest: &mut &str) -> Option<u32> {
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(len);
    *rest = after;
    if digits.is_empty() {
        return None;
    }
    // only digits: what doesn't parse is too long
    Some(digits.parse().unwrap_or(WIDEST).min(WIDEST))
}

impl Format {
    /// The conversions in order: one argument each.
    pub fn verbs(&self) -> impl Iterator<Item = &Verb> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Verb(verb) => Some(verb),
            Piece::Text(_) => None,
        })
    }
}

/// May this conversion print a value of that type? If not: what it expects, in words.
pub fn expects(verb: &Verb, ty: &Ty) -> Result<(), &'static str> {
    let number = match ty {
        Ty::Error => return Ok(()),
        Ty::Agg(agg) => crate::agg::number_type(agg).is_some(),
        Ty::Ksym | Ty::Usym => true,
        _ => ty.is_scalar(),
    };
    match verb.conversion.as_str() {
        "s" if matches!(ty, Ty::Void) => Err("a value"),
        "s" => Ok(()),
        "r" | "rx" | "rh" => match ty {
            Ty::Buf(_) | Ty::Str(_) | Ty::Mac | Ty::Inet | Ty::Ipv4 | Ty::Ipv6 => Ok(()),
            Ty::Array(of, _) if of.size() == 1 => Ok(()),
            _ => Err("a buffer: `buf(pointer, length)`"),
        },
        "c" if number => Ok(()),
        "c" => Err("a character's number"),
        "p" if number => Ok(()),
        "p" => Err("a pointer or an integer"),
        _ if number => Ok(()),
        _ => Err("an integer"),
    }
}

/// A part of a `strftime` format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimePiece {
    /// for the C library's `strftime`; no NUL in it
    Libc(String),
    /// what the C library can't be given: bytes as they are
    Text(String),
    /// `%f`: microseconds, six digits
    Micros,
}

/// Takes bpftrace's own `%f` out of what is the C library's.
pub fn parse_time(text: &str) -> Vec<TimePiece> {
    let (mut pieces, mut libc) = (Vec::new(), String::new());
    let flush = |libc: &mut String, pieces: &mut Vec<TimePiece>| {
        if !libc.is_empty() {
            pieces.push(TimePiece::Libc(std::mem::take(libc)));
        }
    };
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\0' => {
                flush(&mut libc, &mut pieces);
                pieces.push(TimePiece::Text("\0".to_string()));
            }
            '%' => match chars.clone().next() {
                Some('f') => {
                    chars.next();
                    flush(&mut libc, &mut pieces);
                    pieces.push(TimePiece::Micros);
                }
                // the pair stays together, so that the `f` of `%%f` is a letter
                Some('%') => {
                    chars.next();
                    libc.push_str("%%");
                }
                _ => libc.push('%'),
            },
            c => libc.push(c),
        }
    }
    flush(&mut libc, &mut pieces);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Agg;

    fn text(t: &str) -> Piece {
        Piece::Text(t.into())
    }

    fn plain(conversion: &str) -> Verb {
        Verb { conversion: conversion.into(), ..Verb::default() }
    }

    fn clean(format: &str) -> Vec<Piece> {
        let (parsed, problems) = parse(format);
        assert_eq!(problems, [], "{format}");
        parsed.pieces
    }

    #[test]
    fn text_and_verbs() {
        assert_eq!(clean(""), []);
        assert_eq!(clean("%d: %s\n"), [Piece::Verb(plain("d")), text(": "), Piece::Verb(plain("s")), text("\n")]);
        assert_eq!(clean("100%% %rhéx"), [text("100% "), Piece::Verb(plain("rh")), text("éx")]);
        assert_eq!(clean("%rx%r.%rr"), [Piece::Verb(plain("rx")), Piece::Verb(plain("r")), text("."), Piece::Verb(plain("r")), text("r")]);
    }

    #[test]
    fn every_part_of_a_verb() {
        let [Piece::Verb(verb)] = &clean("%-+ #012.34llx")[..] else {
            panic!("one verb");
        };
        assert!(verb.minus && verb.plus && verb.space && verb.alt && verb.zero);
        assert_eq!((verb.width, verb.precision), (Some(12), Some(34)));
        assert_eq!((&*verb.length, &*verb.conversion), ("ll", "x"));
        let [Piece::Verb(verb)] = &clean("%.hhd")[..] else {
            panic!("one verb");
        };
        assert_eq!((verb.width, verb.precision), (None, Some(0)));
        assert_eq!(verb.length, "hh");
        let [Piece::Verb(verb)] = &clean("%99999999999d")[..] else {
            panic!("one verb");
        };
        assert_eq!(verb.width, Some(WIDEST));
    }

    #[test]
    fn what_is_no_conversion_stands_for_itself() {
        for (format, start, end) in
            [("a %y", 2, 4), ("50%", 2, 3), ("%-5", 0, 3), ("%5 d", 0, 3), ("%é", 0, 3), ("%*d", 0, 2), ("%f", 0, 2)]
        {
            let (parsed, problems) = parse(format);
            assert_eq!(parsed.pieces, [text(format)]);
            assert_eq!((problems[0].start, problems[0].end), (start, end));
            assert_eq!(problems.len(), 1);
        }
        let (parsed, problems) = parse("%y%d");
        assert_eq!(parsed.pieces, [text("%y"), Piece::Verb(plain("d"))]);
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn conversions_and_types() {
        let buf = Ty::Buf(8);
        assert!(expects(&plain("d"), &Ty::I64).is_ok());
        assert!(expects(&plain("d"), &Ty::Str(8)).is_err());
        assert!(expects(&plain("s"), &Ty::I64).is_ok());
        assert!(expects(&plain("rx"), &buf).is_ok());
        assert!(expects(&plain("rx"), &Ty::I64).is_err());
        assert!(expects(&plain("x"), &buf).is_err());
        assert!(expects(&plain("d"), &Ty::Agg(Agg::Count)).is_ok());
        assert!(expects(&plain("d"), &Ty::Agg(Agg::Hist { bits: 0 })).is_err());
    }

    #[test]
    fn time_formats() {
        let libc = |s: &str| TimePiece::Libc(s.into());
        assert_eq!(parse_time("%H:%M:%S.%f|"), [libc("%H:%M:%S."), TimePiece::Micros, libc("|")]);
        assert_eq!(parse_time("%%f %"), [libc("%%f %")]);
        assert_eq!(parse_time("%f%f"), [TimePiece::Micros, TimePiece::Micros]);
        assert_eq!(parse_time("a\0%f"), [libc("a"), TimePiece::Text("\0".into()), TimePiece::Micros]);
        assert_eq!(parse_time(""), []);
    }
}
