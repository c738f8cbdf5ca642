//! `stats(n)`: count, average and total in one.
//!
//! Slot: as that of `avg`.

use super::{Slots, View, avg};

/// Bytes of one CPU's slot.
pub const SLOT: u32 = avg::SLOT;

pub fn view(signed: bool, slots: Slots) -> View {
    let (total, count) = avg::totals(signed, slots);
    View::Stats { count, average: avg::average(total, count), total }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agg::tests::slot;

    #[test]
    fn all_three() {
        let slots = [slot(&[-7i64 as u64, 1]), slot(&[-8i64 as u64, 1]), vec![]];
        let expected = View::Stats { count: 2, average: -7, total: -15 };
        let slots = &mut slots.iter().map(Vec::as_slice);
        assert_eq!(view(true, slots), expected);
    }
}
