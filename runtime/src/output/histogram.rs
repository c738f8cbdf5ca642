//! Rows of a histogram as text.

use super::number;
use awl_compiler::agg::{Hist, Scale};

const LABEL: usize = 16;
const COUNT: usize = 8;
const BAR: u128 = 52;

/// One row for each bucket. `div` scales the counts that are written, not the bars.
pub fn rows(out: &mut Vec<u8>, hist: &Hist, div: i128) {
    let most = hist.buckets.iter().map(|b| b.count).max().unwrap_or(0);
    for bucket in &hist.buckets {
        let start = out.len();
        label(out, hist.scale, bucket.lo, bucket.hi);
        let used = out.len() - start;
        number::fill(out, b' ', LABEL.saturating_sub(used));
        let start = out.len();
        number::wide(out, i128::from(bucket.count) / div.max(1));
        let padding = COUNT.saturating_sub(out.len() - start);
        // the count is right-aligned: the padding goes in front of what has just been written
        let count = out.split_off(start);
        number::fill(out, b' ', padding);
        out.extend_from_slice(&count);
        out.extend_from_slice(b" |");
        let bar = (u128::from(bucket.count) * BAR / u128::from(most.max(1))) as usize;
        number::fill(out, b'@', bar);
        number::fill(out, b' ', BAR as usize - bar);
        out.extend_from_slice(b"|\n");
    }
}

fn label(out: &mut Vec<u8>, scale: Scale, lo: Option<i128>, hi: Option<i128>) {
    match (lo, hi) {
        (Some(lo), Some(hi)) if lo == hi && matches!(scale, Scale::Log2 { .. }) => {
            out.push(b'[');
            bound(out, scale, lo);
            return out.push(b']');
        }
        (Some(lo), _) => {
            out.push(b'[');
            bound(out, scale, lo);
        }
        (None, _) => out.extend_from_slice(b"(..."),
    }
    out.extend_from_slice(b", ");
    match hi {
        Some(hi) => bound(out, scale, hi + 1),
        None => out.extend_from_slice(b"..."),
    }
    out.push(b')');
}

/// A bound with its unit: as large a one as leaves the bounds of that size whole.
fn bound(out: &mut Vec<u8>, scale: Scale, n: i128) {
    const UNITS: &[u8] = b"KMGTPE";
    let power = match scale {
        // sub-buckets of a power need `bits` more binary places than the power itself
        Scale::Log2 { bits } if n > 0 => (n.ilog2().saturating_sub(u32::from(bits)) / 10) as usize,
        Scale::Linear { step } if n != 0 && step % 1024 == 0 => (n.trailing_zeros() / 10).min(UNITS.len() as u32) as usize,
        _ => 0,
    };
    match power.checked_sub(1).and_then(|p| UNITS.get(p)) {
        Some(unit) => {
            number::wide(out, n >> (10 * power));
            out.push(*unit);
        }
        None => number::wide(out, n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use awl_compiler::agg::{Bucket, hist, lhist};

    fn shown(scale: Scale, range: (Option<i128>, Option<i128>)) -> String {
        let mut out = Vec::new();
        label(&mut out, scale, range.0, range.1);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels_of_powers_of_two() {
        let label = |bits, n| shown(Scale::Log2 { bits }, hist::range(bits, hist::index(bits, n)));
        assert_eq!(label(0, -7), "(..., 0)");
        assert_eq!(label(0, 0), "[0]");
        assert_eq!(label(0, 1), "[1]");
        assert_eq!(label(0, 3), "[2, 4)");
        assert_eq!(label(0, 600), "[512, 1K)");
        assert_eq!(label(0, 1 << 20), "[1M, 2M)");
        assert_eq!(label(0, 1 << 39), "[512G, 1T)");
        assert_eq!(label(0, 1 << 62), "[4E, 8E)");
        assert_eq!(label(0, 1 << 63), "[8E, 16E)");
        assert_eq!(label(2, 3), "[3]");
        assert_eq!(label(2, 9), "[8, 10)");
        assert_eq!(label(2, 1029), "[1024, 1280)");
        assert_eq!(label(2, 4000), "[3584, 4K)");
        assert_eq!(label(2, 4096), "[4K, 5K)");
        assert_eq!(label(2, 1 << 20), "[1024K, 1280K)");
        assert_eq!(label(2, (1 << 22) - 1), "[3584K, 4M)");
        assert_eq!(label(3, 7700), "[7680, 8K)");
        assert_eq!(label(5, 70), "[70, 72)");
        assert_eq!(label(1, 2), "[2]");
    }

    #[test]
    fn labels_of_equal_steps() {
        let label = |min, max, step, n| {
            let at = lhist::index(min, max, step, n);
            shown(Scale::Linear { step }, lhist::range(min, max, step, at))
        };
        assert_eq!(label(0, 10, 1, 5), "[5, 6)");
        assert_eq!(label(0, 10, 1, -1), "(..., 0)");
        assert_eq!(label(0, 10, 1, 10), "[10, ...)");
        assert_eq!(label(0, 100_000, 1024, 2048), "[2K, 3K)");
        assert_eq!(label(0, 5120, 512, 1024), "[1024, 1536)");
        assert_eq!(label(0, 1_536_000, 153_600, 0), "[0, 150K)");
        assert_eq!(label(0, 1_536_000, 153_600, 1 << 40), "[1500K, ...)");
        assert_eq!(label(1_000_448, 1_060_000, 1024, 1 << 20), "[1M, 1025K)");
        assert_eq!(label(1000, 10_000, 1024, 5000), "[4072, 5096)");
        assert_eq!(label(-4096, 4096, 1024, -3000), "[-3K, -2K)");
    }

    #[test]
    fn bars_and_counts() {
        let bucket = |n: i128, count| Bucket { lo: Some(n), hi: Some(n), count };
        let hist = Hist { scale: Scale::Log2 { bits: 0 }, buckets: vec![bucket(0, 3), bucket(1, 1), bucket(2, u64::MAX)] };
        let mut out = Vec::new();
        rows(&mut out, &hist, 1);
        let bar = "@".repeat(52);
        let none = " ".repeat(52);
        let expected = format!(
            "[0]                    3 |{none}|\n\
             [1]                    1 |{none}|\n\
             [2]             18446744073709551615 |{bar}|\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let hist = Hist { buckets: vec![bucket(0, 2), bucket(1, 1)], ..hist };
        let mut out = Vec::new();
        rows(&mut out, &hist, 2);
        let half = "@".repeat(26) + &" ".repeat(26);
        let expected = format!("[0]                    1 |{bar}|\n[1]                    0 |{half}|\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
