//! Times as `strftime` formats them, with bpftrace's `%f`.

use crate::sys::library;
use awl_compiler::format::{TimePiece, parse_time};
use std::collections::HashMap;
use std::ffi::CString;

#[derive(Default)]
pub struct Times {
    /// by the format's text
    formats: HashMap<String, Vec<Piece>>,
}

enum Piece {
    /// with the second that was last formatted and its text: events come in crowds
    Libc {
        format: CString,
        secs: Option<i64>,
        text: Vec<u8>,
    },
    Text(Vec<u8>),
    Micros,
}

impl Times {
    /// Appends the local time `ns` (since 1970).
    pub fn format(&mut self, out: &mut Vec<u8>, format: &str, ns: i64) {
        if !self.formats.contains_key(format) {
            let pieces = parse_time(format).into_iter().filter_map(piece).collect();
            self.formats.insert(format.to_string(), pieces);
        }
        let Some(pieces) = self.formats.get_mut(format) else {
            return;
        };
        let (now, below) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000) / 1000);
        for piece in pieces {
            match piece {
                Piece::Libc { format, secs, text } => {
                    if *secs != Some(now) {
                        text.clear();
                        library::strftime(text, format, now);
                        *secs = Some(now);
                    }
                    out.extend_from_slice(text);
                }
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Micros => out.extend_from_slice(format!("{below:06}").as_bytes()),
            }
        }
    }
}

fn piece(piece: TimePiece) -> Option<Piece> {
    Some(match piece {
        TimePiece::Libc(text) => Piece::Libc {
            // the parser takes NULs out
            format: CString::new(text).ok()?,
            secs: None,
            text: Vec::new(),
        },
        TimePiece::Text(text) => Piece::Text(text.into_bytes()),
        TimePiece::Micros => Piece::Micros,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(format: &str, ns: i64) -> String {
        let mut out = b">".to_vec();
        Times::default().format(&mut out, format, ns);
        String::from_utf8(out).unwrap()
    }

    /// `date` of the same system is the oracle: it knows the same time zone.
    fn date(format: &str, secs: i64) -> String {
        let mut date = std::process::Command::new("date");
        date.args(["-d", &format!("@{secs}"), &format!("+{format}")]);
        let out = date.output().unwrap().stdout;
        String::from_utf8(out).unwrap().trim_end().to_string()
    }

    #[test]
    fn as_date_says() {
        for secs in [0, 1, 1_000_000_000, 1_710_000_000, -5] {
            let ns = secs * 1_000_000_000 + 1_234_999;
            let format = "%Y-%m-%d %H:%M:%S %z %a";
            assert_eq!(formatted(format, ns), format!(">{}", date(format, secs)));
        }
        assert_eq!(formatted("%S.%f|%%f|%f", 1_500_000_123_456_000), ">00.123456|%f|123456");
        assert_eq!(formatted("%f", -1), ">999999");
    }

    #[test]
    fn odd_formats() {
        assert_eq!(formatted("", 0), ">");
        assert_eq!(formatted("a\0b", 0), ">a\0b");
        assert_eq!(formatted("%", 0), ">%");
        assert_eq!(formatted(&"é%%".repeat(3000), 0).len(), 1 + 3 * 3000);
        formatted("%c", i64::MAX);
        formatted("%c", i64::MIN);
    }
}
