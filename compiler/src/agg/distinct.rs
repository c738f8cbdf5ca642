//! `distinct(x)`: how many different values there were, by HyperLogLog.
//!
//! Slot: 4096 registers of one byte, each the largest number of zeros (and one) that a hash with its index began with.
//! The largest of all CPUs are what one CPU would have: merging is exact. The estimate is off by 1.6 % (one standard
//! deviation).

use super::{Slots, View};
use crate::lower::body::{Addr, Body};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 12;
const REGISTERS: usize = 1 << INDEX_BITS;

/// Bytes of one CPU's slot.
pub const SLOT: u32 = REGISTERS as u32;

/// Spreads the bits of a number over all 64, so that any of them is as good as a coin.
pub fn mix(mut x: u64) -> u64 {
    for (shift, by) in MIXING {
        x = (x ^ (x >> shift)).wrapping_mul(by);
    }
    x ^ (x >> 31)
}

/// Shifts and multipliers of the finalizer of splitmix64.
const MIXING: [(u32, u64); 2] = [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)];

/// `mix` in a program.
pub fn mix_in(b: &mut Body, x: Value) -> Value {
    let mut x = x;
    for (shift, by) in MIXING {
        let high = b.shr_imm(x, i64::from(shift));
        let both = b.b.ins().bxor(x, high);
        x = b.mul_imm(both, by as i64);
    }
    let high = b.shr_imm(x, 31);
    b.b.ins().bxor(x, high)
}

/// Register and rank of a hash.
#[cfg(test)]
fn place(hash: u64) -> (usize, u8) {
    let rest = hash << INDEX_BITS | 1 << (INDEX_BITS - 1);
    ((hash >> (64 - INDEX_BITS)) as usize, rest.leading_zeros() as u8 + 1)
}

pub fn update(b: &mut Body, slot: Addr, value: Value) {
    let hash = mix_in(b, value);
    let index = b.shr_imm(hash, 64 - i64::from(INDEX_BITS));
    let rest = b.shl_imm(hash, i64::from(INDEX_BITS));
    let stop = b.int(1 << (INDEX_BITS - 1));
    let rest = b.b.ins().bor(rest, stop);
    let log = super::hist::log2(b, rest);
    let top = b.int(64);
    let rank = b.b.ins().isub(top, log);
    let last = b.int(REGISTERS as i64 - 1);
    let index = b.b.ins().umin(index, last);
    let start = b.address(slot);
    let at = b.add(start, index);
    let had = b.load(Addr::ptr(at), 1, false);
    let more = b.compare(IntCC::UnsignedGreaterThan, rank, had);
    b.when(more, |b| b.store(rank, Addr::ptr(at), 1));
}

pub fn view(slots: Slots) -> View {
    let mut registers = [0u8; REGISTERS];
    for slot in slots {
        for (r, have) in registers.iter_mut().zip(slot) {
            *r = (*r).max(*have);
        }
    }
    View::Uint(estimate(&registers))
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|r| (-f64::from((*r).min(64))).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let empty = registers.iter().filter(|r| **r == 0).count();
    // Few values: how many registers are empty tells more.
    let best = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
    best.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: std::ops::Range<u64>) -> Vec<u8> {
        let mut registers = vec![0u8; REGISTERS];
        for v in values {
            let (i, rank) = place(mix(v));
            registers[i] = registers[i].max(rank);
        }
        registers
    }

    fn see(slots: &[Vec<u8>]) -> u64 {
        match view(&mut slots.iter().map(Vec::as_slice)) {
            View::Uint(n) => n,
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn within_three_deviations() {
        assert_eq!(see(&[]), 0);
        assert_eq!(see(&[of(0..1)]), 1);
        for n in [10u64, 1000, 20_000, 1_000_000] {
            let got = see(&[of(0..n)]);
            assert!(got.abs_diff(n) * 20 <= n.max(20), "{got} instead of {n}");
        }
    }

    #[test]
    fn cpus_merge_exactly() {
        assert_eq!(see(&[of(0..700), of(300..1000)]), see(&[of(0..1000)]));
    }
}
