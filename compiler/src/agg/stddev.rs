//! `stddev(n)`: the standard deviation of all values.
//!
//! Slot: `{ u64 total; u64 count; u64 squares_low; u64 squares_high }`. The sum of the squares has 128 bits, so that what
//! the CPUs counted adds up exactly.

use super::{Slots, View, widen, word};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Bytes of one CPU's slot.
pub const SLOT: u32 = 32;

/// Adds the value and its square, which is made of 32-bit halves: there is no wider multiplication.
pub fn update(b: &mut Body, signed: bool, slot: Addr, value: Value) {
    super::avg::update(b, slot, value);
    let size = if signed {
        let negative = b.b.ins().ineg(value);
        let below = b.compare_imm(IntCC::SignedLessThan, value, 0);
        b.select(below, negative, value)
    } else {
        value
    };
    let (high, low) = (b.shr_imm(size, 32), b.and_imm(size, 0xffff_ffff));
    let (hh, hl, ll) = (b.b.ins().imul(high, high), b.b.ins().imul(high, low), b.b.ins().imul(low, low));
    // size² = hh·2^64 + hl·2^33 + ll
    let (hl_low, hl_high) = (b.shl_imm(hl, 33), b.shr_imm(hl, 31));
    let square_low = b.add(ll, hl_low);
    let carry = b.compare(IntCC::UnsignedLessThan, square_low, ll);
    let square_high = b.add(hh, hl_high);
    let square_high = b.add(square_high, carry);
    let had = b.load(slot.at(16), 8, false);
    let new = b.add(had, square_low);
    let carry = b.compare(IntCC::UnsignedLessThan, new, had);
    b.store(new, slot.at(16), 8);
    let more = b.add(square_high, carry);
    b.bump(more, slot.at(24));
}

pub fn view(signed: bool, slots: Slots) -> View {
    let (mut total, mut count, mut squares) = (0i128, 0u64, 0u128);
    for s in slots {
        total += widen(word(s, 0), signed);
        count = count.wrapping_add(word(s, 1));
        squares = squares.wrapping_add(u128::from(word(s, 2)) | u128::from(word(s, 3)) << 64);
    }
    View::Deviation(deviation(total, count, squares))
}

/// Of the values themselves, not of a larger whole that they are a sample of.
fn deviation(total: i128, count: u64, squares: u128) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let n = count as f64;
    let exact = u128::from(count).checked_mul(squares).zip(total.unsigned_abs().checked_mul(total.unsigned_abs()));
    let variance = match exact {
        Some((a, b)) => a.saturating_sub(b) as f64 / (n * n),
        None => (squares as f64 / n - (total as f64 / n).powi(2)).max(0.0),
    };
    variance.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    fn of(values: &[i64]) -> Vec<u8> {
        let squares: u128 = values.iter().map(|v| u128::from(v.unsigned_abs()).pow(2)).sum();
        let total: i64 = values.iter().sum();
        slot(&[total as u64, values.len() as u64, squares as u64, (squares >> 64) as u64])
    }

    fn see(slots: &[Vec<u8>]) -> f64 {
        match view(true, &mut slots.iter().map(Vec::as_slice)) {
            View::Deviation(d) => d,
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn cpus_add_up_exactly() {
        assert_eq!(see(&[of(&[2, 4, 4, 4]), of(&[5, 5, 7, 9])]), 2.0);
        assert_eq!(see(&[of(&[-3, 3])]), 3.0);
        assert_eq!(see(&[vec![], of(&[7])]), 0.0);
        // a small difference of large values
        assert_eq!(see(&[of(&[1 << 40, (1 << 40) + 2])]), 1.0);
        assert_eq!(see(&[]), 0.0);
    }
}
