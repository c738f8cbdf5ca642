//! The inside of literals: numbers with their suffixes, escapes of strings, network addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a literal isn't one. `at` is the offset in the literal's text, in bytes, where the trouble begins; `len` its length.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLiteral {
    pub code: &'static str,
    pub at: usize,
    pub len: usize,
    pub message: String,
    pub help: Option<String>,
}

impl BadLiteral {
    fn whole(code: &'static str, text: &str, message: String, help: Option<&str>) -> BadLiteral {
        BadLiteral { code, at: 0, len: text.len(), message, help: help.map(str::to_string) }
    }
}

/// Units of a duration, in nanoseconds.
const DURATIONS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The value of `42`, `0x2a`, `052`, `1e6`, `1_000`, `5ms` (nanoseconds), and whether a suffix `u` made it unsigned.
pub fn number(text: &str) -> Result<(u64, bool), BadLiteral> {
    let too_large = || {
        BadLiteral::whole(
            "number-too-large",
            text,
            format!("`{text}` doesn't fit in 64 bits"),
            Some("the largest number is 18446744073709551615 (0xffffffffffffffff)"),
        )
    };
    let bad = |message: String, help: Option<&str>| BadLiteral::whole("bad-number", text, message, help);

    if let Some(rest) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '_').unwrap_or(rest.len());
        let (digits, suffix) = rest.split_at(end);
        let value = digits_in(digits, 16).ok_or_else(|| bad(format!("`{text}` has no digits after `0x`"), None))?;
        let unsigned = int_suffix(suffix).ok_or_else(|| bad(format!("`{suffix}` can't follow a hexadecimal number"), None))?;
        return Ok((value.map_err(|()| too_large())?, unsigned));
    }

    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, mut rest) = text.split_at(end);
    let mut scale = 1u64;
    let mut exponent = None;
    if let Some(after) = rest.strip_prefix(['e', 'E']) {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        if end == 0 {
            return Err(bad(format!("`{text}` has no exponent"), Some("write `1e6` for a million; there are no fractions")));
        }
        exponent = Some(&after[..end]);
        rest = &after[end..];
    }
    let mut unsigned = false;
    let mut duration = false;
    if let Some((_, ns)) = DURATIONS.iter().find(|(unit, _)| *unit == rest) {
        scale = *ns;
        duration = true;
    } else {
        unsigned = int_suffix(rest).ok_or_else(|| {
            bad(
                format!("`{rest}` can't follow a number"),
                Some("units of time are ns, us, ms, s, m, h and d; suffixes of C are u, l, ul, ll and ull"),
            )
        })?;
    }
    let octal = digits.len() > 1 && digits.starts_with('0') && exponent.is_none() && !duration;
    if octal && digits.contains(['8', '9']) {
        return Err(bad(
            format!("`{digits}` begins with 0, so it's octal, and octal has no digits 8 and 9"),
            Some("leave out the leading 0 for a decimal number"),
        ));
    }
    let mut value = match digits_in(digits, if octal { 8 } else { 10 }) {
        Some(v) => v.map_err(|()| too_large())?,
        None => return Err(bad(format!("`{text}` isn't a number"), None)),
    };
    if let Some(exponent) = exponent {
        // 10^20 is beyond 64 bits; a mantissa of zero stays zero
        let power = exponent.parse::<u32>().ok().and_then(|e| 10u64.checked_pow(e));
        value = match power {
            _ if value == 0 => 0,
            Some(power) => value.checked_mul(power).ok_or_else(too_large)?,
            None => return Err(too_large()),
        };
    }
    value = value.checked_mul(scale).ok_or_else(too_large)?;
    Ok((value, unsigned))
}

/// `None`: no digit at all. `Some(Err)`: more than 64 bits.
fn digits_in(digits: &str, radix: u64) -> Option<Result<u64, ()>> {
    let mut value = Some(0u64);
    let mut any = false;
    for c in digits.chars().filter(|c| *c != '_') {
        let d = u64::from(c.to_digit(radix as u32)?);
        any = true;
        value = value.and_then(|v| v.checked_mul(radix)).and_then(|v| v.checked_add(d));
    }
    any.then(|| value.ok_or(()))
}

/// Is `text` an integer suffix of C (or nothing), and does it say unsigned?
fn int_suffix(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "" | "l" | "ll" => Some(false),
        "u" | "ul" | "ull" | "lu" | "llu" => Some(true),
        _ => None,
    }
}

/// The bytes of a string literal, given with its quotes.
pub fn string(text: &str) -> Result<Vec<u8>, BadLiteral> {
    let inner = text.strip_prefix('"').unwrap_or(text);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    unescape(inner, 1)
}

/// The value of a character literal, given with its quotes.
pub fn character(text: &str) -> Result<u64, BadLiteral> {
    let inner = text.strip_prefix('\'').unwrap_or(text);
    let inner = inner.strip_suffix('\'').unwrap_or(inner);
    let bytes = unescape(inner, 1)?;
    match bytes.as_slice() {
        [one] => Ok(u64::from(*one)),
        _ => Err(BadLiteral::whole(
            "bad-char",
            text,
            format!("`{text}` is {} bytes long; a character is one byte", bytes.len()),
            Some("write several characters as a string, in double quotes"),
        )),
    }
}

/// `offset` is where `inner` begins in the literal.
fn unescape(inner: &str, offset: usize) -> Result<Vec<u8>, BadLiteral> {
    let bytes = inner.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        if b != b'\\' {
            out.push(b);
            i += 1;
            continue;
        }
        let start = i;
        i += 2;
        let simple = match bytes.get(start + 1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'v') => 11,
            Some(b'e') => 27,
            Some(&c @ (b'"' | b'\\' | b'\'')) => c,
            Some(b'x' | b'X') => {
                let digits = bytes[i..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
                if digits == 0 {
                    return Err(BadLiteral {
                        code: "bad-escape",
                        at: offset + start,
                        len: 2,
                        message: "`\\x` needs one or two hexadecimal digits".into(),
                        help: Some("write a backslash itself as `\\\\`".into()),
                    });
                }
                i += digits;
                number_of(&bytes[i - digits..i], 16)
            }
            Some(b'0'..=b'7') => {
                let digits = bytes[start + 1..].iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
                i = start + 1 + digits;
                // `\400` and above don't fit in a byte; C keeps the low eight bits
                number_of(&bytes[start + 1..i], 8)
            }
            _ => {
                let shown: String = inner[start + 1..].chars().take(1).collect();
                return Err(BadLiteral {
                    code: "bad-escape",
                    at: offset + start,
                    len: 1 + shown.len(),
                    message: format!("`\\{shown}` isn't an escape"),
                    help: Some(
                        "escapes are \\n \\t \\r \\a \\b \\e \\f \\v \\\" \\\\ \\xNN and \\NNN (octal); write a backslash itself as `\\\\`"
                            .into(),
                    ),
                });
            }
        };
        out.push(simple);
    }
    Ok(out)
}

fn number_of(digits: &[u8], radix: u32) -> u8 {
    let value = digits.iter().fold(0, |v, b| v * radix + (*b as char).to_digit(radix).unwrap_or(0));
    (value & 0xff) as u8
}

/// Is the text that the grammar took for a network address one?
pub fn address(text: &str) -> Result<(), BadLiteral> {
    let (addr, prefix) = match text.split_once('/') {
        Some((addr, prefix)) => (addr, Some(prefix)),
        None => (text, None),
    };
    let bad = |message: String| Err(BadLiteral::whole("bad-address", text, message, None));
    let bits = if addr.contains('.') && !addr.contains(':') {
        if addr.parse::<Ipv4Addr>().is_err() {
            return bad(format!("`{addr}` isn't an IPv4 address: every part is a number from 0 to 255, without leading zeros"));
        }
        32
    } else if addr.parse::<Ipv6Addr>().is_ok() {
        128
    } else if addr.len() == 17 && !addr.contains("::") {
        // the grammar has checked the shape of a MAC address
        0
    } else {
        return bad(format!("`{addr}` isn't an IPv6 address"));
    };
    match prefix.map(|p| p.parse::<u32>()) {
        None => Ok(()),
        Some(Ok(n)) if n <= bits => Ok(()),
        Some(_) => bad(format!("the prefix of `{text}` is longer than the {bits} bits of the address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, want) in [
            ("0", 0),
            ("42", 42),
            ("0x2A", 42),
            ("0XffULL", 255),
            ("052", 42),
            ("1e6", 1_000_000),
            ("2e3", 2000),
            ("0e99", 0),
            ("1_000_123", 1_000_123),
            ("5ms", 5_000_000),
            ("1d", 86_400_000_000_000),
            ("10UL", 10),
            ("08s", 8_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(number(text).map(|n| n.0), Ok(want), "{text}");
        }
        assert_eq!(number("7u"), Ok((7, true)));
        for (text, code) in [
            ("18446744073709551616", "number-too-large"),
            ("0x1ffffffffffffffff", "number-too-large"),
            ("1e20", "number-too-large"),
            ("400000d", "number-too-large"),
            ("08", "bad-number"),
            ("1e", "bad-number"),
            ("0x", "bad-number"),
            ("1kb", "bad-number"),
            ("12abc", "bad-number"),
        ] {
            assert_eq!(number(text).map_err(|e| e.code), Err(code), "{text}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(string(r#""a\n\t\x41\101\0\"\\""#), Ok(b"a\n\tAA\0\"\\".to_vec()));
        assert_eq!(string(r#""\x4z""#), Ok(b"\x04z".to_vec()));
        assert_eq!(string(r#""é""#), Ok("é".as_bytes().to_vec()));
        let fault = string(r#""ab\q""#).unwrap_err();
        assert_eq!((fault.code, fault.at, fault.len), ("bad-escape", 3, 2));
        assert_eq!(character("'a'"), Ok(97));
        assert_eq!(character(r"'\n'"), Ok(10));
        assert_eq!(character("'é'").map_err(|e| e.code), Err("bad-char"));
    }

    #[test]
    fn addresses() {
        for ok in ["10.0.0.1", "10.0.0.0/8", "::", "::1/128", "2001:db8::/32", "::ffff:10.0.0.1", "02:00:00:00:00:01"] {
            assert_eq!(address(ok), Ok(()), "{ok}");
        }
        for bad in ["10.0.0.256", "10.0.0.0/33", "1::2::3", "::1/129", "02:00:00:00:00:01/8"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
