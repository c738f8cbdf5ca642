//! `count()`: how often it ran.
//!
//! Slot: `{ u64 count }`.

use super::{Slots, View, word};
use crate::lower::body::{Addr, Body};

/// Bytes of one CPU's slot.
pub const SLOT: u32 = 8;

/// What the program does to its CPU's slot.
pub fn update(b: &mut Body, slot: Addr) {
    let one = b.int(1);
    b.grow(one, slot);
}

pub fn view(slots: Slots) -> View {
    View::Int(slots.fold(0i64, |n, slot| n.wrapping_add(word(slot, 0) as i64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_all_cpus() {
        let slots = [3u64.to_le_bytes(), 0u64.to_le_bytes(), 4u64.to_le_bytes()];
        let mut slots = slots.iter().map(|s| s.as_slice());
        assert_eq!(view(&mut slots), View::Int(7));
    }
}
