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

/// `2026-11-25T08:00:00.123456789Z` of ns since 1970.
pub fn utc(ns: i64) -> String {
    let (secs, below) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{below:09}Z")
}

/// Year, month and day of a number of days since 1970, by the Gregorian calendar. Years begin with March here, so that the
/// day that some have more is their last; 400 of them have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
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
    fn utc_is_as_date_says() {
        for secs in [0, 951_782_399, 951_782_400, 1_709_164_800, 4_107_542_399, -1, 1_790_000_000] {
            let mut date = std::process::Command::new("date");
            let out = date.args(["-u", "-d", &format!("@{secs}"), "+%Y-%m-%dT%H:%M:%S.000000007Z"]).output().unwrap().stdout;
            assert_eq!(utc(secs * 1_000_000_000 + 7), String::from_utf8(out).unwrap().trim_end());
        }
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
