//! Integers as text: quickly, and as C's `printf` writes them.

/// `00` to `99`, two digits at a time.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Digits of `n` at the end of `buffer`; where they begin.
fn digits(mut n: u64, buffer: &mut [u8; 20]) -> usize {
    let mut at = buffer.len();
    while n >= 100 {
        let pair = (n % 100) as usize * 2;
        n /= 100;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if n >= 10 {
        let pair = n as usize * 2;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buffer[at] = b'0' + n as u8;
    }
    at
}

pub fn unsigned(out: &mut Vec<u8>, n: u64) {
    let mut buffer = [0; 20];
    let at = digits(n, &mut buffer);
    out.extend_from_slice(&buffer[at..]);
}

pub fn signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    unsigned(out, n.unsigned_abs());
}

pub fn wide(out: &mut Vec<u8>, n: i128) {
    match (u64::try_from(n), i64::try_from(n)) {
        (Ok(n), _) => unsigned(out, n),
        (_, Ok(n)) => signed(out, n),
        _ => out.extend_from_slice(n.to_string().as_bytes()),
    }
}

/// `0x` and lower-case digits.
/// With a unit, to three digits: `999`, `1.23k`, `45.6M`.
pub fn human(out: &mut Vec<u8>, n: i128) {
    let size = n.unsigned_abs();
    let unit = (1..=6).rfind(|u| size >= 1000u128.pow(*u));
    let Some(unit) = unit else { return wide(out, n) };
    // In hundredths of the unit.
    let hundredths = size / (1000u128.pow(unit) / 100);
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let digits = match whole {
        0..10 => format!("{whole}.{part:02}"),
        10..100 => format!("{whole}.{}", part / 10),
        _ => whole.to_string(),
    };
    let sign = if n < 0 { "-" } else { "" };
    out.extend_from_slice(format!("{sign}{digits}{}", ["", "k", "M", "G", "T", "P", "E"][unit as usize]).as_bytes());
}

pub fn hex(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"0x");
    bare_hex(out, n);
}

pub fn bare_hex(out: &mut Vec<u8>, n: u64) {
    let mut buffer = [0; 22];
    let at = radix(n, 4, b"0123456789abcdef", &mut buffer);
    out.extend_from_slice(&buffer[at..]);
}

/// Digits of `n` in base `2^bits` at the end of `buffer`; where they begin.
fn radix(mut n: u64, bits: u32, digits: &[u8; 16], buffer: &mut [u8; 22]) -> usize {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = digits[(n & ((1 << bits) - 1)) as usize];
        n >>= bits;
        if n == 0 {
            return at;
        }
    }
}

/// Flags, width and precision of a conversion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub minus: bool,
    pub plus: bool,
    pub space: bool,
    pub alt: bool,
    pub zero: bool,
    pub width: usize,
    pub precision: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `d`, `i`: two's complement
    Signed,
    Decimal,
    Octal,
    Hex,
    UpperHex,
}

/// `n` as C's `printf` writes it with these flags.
pub fn formatted(out: &mut Vec<u8>, spec: &Spec, base: Base, n: u64) {
    let negative = base == Base::Signed && (n as i64) < 0;
    let magnitude = if negative { n.wrapping_neg() } else { n };
    let mut wide = [0; 22];
    let at = match base {
        Base::Signed | Base::Decimal => {
            let mut narrow = [0; 20];
            let at = digits(magnitude, &mut narrow);
            wide[2..].copy_from_slice(&narrow);
            at + 2
        }
        Base::Octal => radix(magnitude, 3, b"0123456789abcdef", &mut wide),
        Base::Hex => radix(magnitude, 4, b"0123456789abcdef", &mut wide),
        Base::UpperHex => radix(magnitude, 4, b"0123456789ABCDEF", &mut wide),
    };
    let mut digits = &wide[at..];
    if magnitude == 0 && spec.precision == Some(0) {
        digits = &[];
    }
    let prefix: &[u8] = match base {
        Base::Signed if negative => b"-",
        Base::Signed if spec.plus => b"+",
        Base::Signed if spec.space => b" ",
        Base::Hex if spec.alt && magnitude != 0 => b"0x",
        Base::UpperHex if spec.alt && magnitude != 0 => b"0X",
        _ => b"",
    };
    let mut zeros = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    if base == Base::Octal && spec.alt && zeros == 0 && digits.first() != Some(&b'0') {
        zeros = 1;
    }
    let len = prefix.len() + zeros + digits.len();
    let mut padding = spec.width.saturating_sub(len);
    if spec.zero && !spec.minus && spec.precision.is_none() {
        zeros += padding;
        padding = 0;
    }
    if !spec.minus {
        fill(out, b' ', padding);
    }
    out.extend_from_slice(prefix);
    fill(out, b'0', zeros);
    out.extend_from_slice(digits);
    if spec.minus {
        fill(out, b' ', padding);
    }
}

/// `%p`: `0x...`, or `(nil)` as glibc writes it.
pub fn pointer(out: &mut Vec<u8>, spec: &Spec, n: u64) {
    if n == 0 {
        let spec = Spec { precision: None, ..*spec };
        return text(out, &spec, b"(nil)");
    }
    let spec = Spec { alt: true, ..*spec };
    formatted(out, &spec, Base::Hex, n);
}

/// `%s`: cut at the precision, padded with spaces to the width, both in bytes.
pub fn text(out: &mut Vec<u8>, spec: &Spec, bytes: &[u8]) {
    let len = spec.precision.map_or(bytes.len(), |p| p.min(bytes.len()));
    let padding = spec.width.saturating_sub(len);
    if !spec.minus {
        fill(out, b' ', padding);
    }
    out.extend_from_slice(&bytes[..len]);
    if spec.minus {
        fill(out, b' ', padding);
    }
}

pub fn fill(out: &mut Vec<u8>, byte: u8, n: usize) {
    out.resize(out.len() + n, byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_numbers() {
        let mut n = 1u64;
        for _ in 0..64 {
            for n in [n - 1, n, n + 1, !n] {
                assert_eq!(made(|o| unsigned(o, n)), n.to_string());
                assert_eq!(made(|o| signed(o, n as i64)), (n as i64).to_string());
                assert_eq!(made(|o| hex(o, n)), format!("{n:#x}"));
            }
            n = n.wrapping_mul(2).max(1);
        }
        assert_eq!(made(|o| wide(o, i128::MIN)), i128::MIN.to_string());
        assert_eq!(made(|o| wide(o, -5)), "-5");
        assert_eq!(made(|o| wide(o, i128::from(u64::MAX))), u64::MAX.to_string());
    }

    /// The host's own `printf` is the oracle: every combination of flags, widths and precisions.
    #[test]
    fn with_units() {
        let human = |n: i128| made(|o| super::human(o, n));
        assert_eq!([0, 999, 1000, 1234, 12345].map(human), ["0", "999", "1.00k", "1.23k", "12.3k"]);
        assert_eq!([123_456, 45_600_000, -7_000_000_000].map(human), ["123k", "45.6M", "-7.00G"]);
        assert_eq!(human(i128::from(u64::MAX)), "18.4E");
    }

    #[test]
    fn as_the_shell_prints_it() {
        let values = [0u64, 1, 9, 255, 1 << 40, u64::MAX, 1 << 63, -77i64 as u64];
        let mut script = String::new();
        let mut ours = String::new();
        for flags in 0..32u32 {
            for width in [None, Some(1), Some(12)] {
                for precision in [None, Some(0), Some(3), Some(9)] {
                    for (base, c) in
                        [(Base::Signed, 'd'), (Base::Decimal, 'u'), (Base::Octal, 'o'), (Base::Hex, 'x'), (Base::UpperHex, 'X')]
                    {
                        let spec = Spec {
                            minus: flags & 1 != 0,
                            plus: flags & 2 != 0,
                            space: flags & 4 != 0,
                            alt: flags & 8 != 0,
                            zero: flags & 16 != 0,
                            width: width.unwrap_or(0),
                            precision,
                        };
                        let mut f = String::from("%");
                        for (bit, c) in ['-', '+', ' ', '#', '0'].iter().enumerate() {
                            if flags & (1 << bit) != 0 {
                                f.push(*c);
                            }
                        }
                        if let Some(w) = width {
                            f += &w.to_string();
                        }
                        if let Some(p) = precision {
                            f += &format!(".{p}");
                        }
                        f.push(c);
                        for v in values {
                            let v = if base == Base::Signed { (v as i64).to_string() } else { v.to_string() };
                            script += &format!("printf '{f}|\\n' {v}\n");
                        }
                        for v in values {
                            ours += &made(|o| formatted(o, &spec, base, v));
                            ours += "|\n";
                        }
                    }
                }
            }
        }
        let mut shell = std::process::Command::new("sh");
        shell.stdin(std::process::Stdio::piped());
        shell.stdout(std::process::Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            stdin.write_all(script.as_bytes())
        });
        let theirs = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let theirs = String::from_utf8(theirs.stdout).unwrap();
        for (i, (a, b)) in ours.lines().zip(theirs.lines()).enumerate() {
            assert_eq!(a, b, "line {i}");
        }
        assert_eq!(ours.lines().count(), theirs.lines().count());
    }

    #[test]
    fn pointers_and_text() {
        let spec = |width, minus, precision| Spec { width, minus, precision, ..Spec::default() };
        assert_eq!(made(|o| pointer(o, &spec(10, false, None), 1)), "       0x1");
        assert_eq!(made(|o| pointer(o, &spec(6, true, None), 2)), "0x2   ");
        assert_eq!(made(|o| pointer(o, &spec(0, false, None), 0)), "(nil)");
        assert_eq!(made(|o| text(o, &spec(6, false, Some(2)), b"abcdef")), "    ab");
        assert_eq!(made(|o| text(o, &spec(5, true, None), b"abc")), "abc  ");
        assert_eq!(made(|o| text(o, &spec(2, true, None), b"abc")), "abc");
    }
}
