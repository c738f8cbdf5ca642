//! An aggregation as a number inside of a program: all CPUs' slots, one after another.

use crate::lower::body::{Addr, Body};
use crate::types::Agg;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::Variable;

/// The number so far; its update in `add` is the in-kernel half of each aggregation's `view`.
pub struct Total {
    agg: Agg,
    value: Variable,
    /// values counted (avg), or whether any CPU has one (min, max)
    seen: Variable,
}

impl Total {
    pub fn new(b: &mut Body, agg: &Agg) -> Total {
        let (value, seen) = (b.b.declare_var(types::I64), b.b.declare_var(types::I64));
        let zero = b.int(0);
        b.b.def_var(value, zero);
        b.b.def_var(seen, zero);
        Total { agg: agg.clone(), value, seen }
    }

    /// Takes one CPU's slot in.
    pub fn add(&mut self, b: &mut Body, slot: Addr) {
        let v = b.load(slot, 8, false);
        let had = b.b.use_var(self.value);
        let new = match &self.agg {
            Agg::Min { signed } | Agg::Max { signed } => {
                let set = b.load(slot.at(8), 8, false);
                let seen = b.b.use_var(self.seen);
                let cc = match (&self.agg, signed) {
                    (Agg::Min { .. }, true) => IntCC::SignedLessThan,
                    (Agg::Min { .. }, false) => IntCC::UnsignedLessThan,
                    (_, true) => IntCC::SignedGreaterThan,
                    (_, false) => IntCC::UnsignedGreaterThan,
                };
                let better = b.compare(cc, v, had);
                let first = b.compare_imm(IntCC::Equal, seen, 0);
                let take = b.b.ins().bor(better, first);
                let take = b.b.ins().band(take, set);
                let any = b.b.ins().bor(seen, set);
                b.b.def_var(self.seen, any);
                b.select(take, v, had)
            }
            _ => b.add(had, v),
        };
        b.b.def_var(self.value, new);
        if let Agg::Avg { .. } = self.agg {
            let n = b.load(slot.at(8), 8, false);
            let seen = b.b.use_var(self.seen);
            let seen = b.add(seen, n);
            b.b.def_var(self.seen, seen);
        }
    }

    pub fn finish(self, b: &mut Body) -> Value {
        let v = b.b.use_var(self.value);
        match self.agg {
            Agg::Avg { signed } => {
                let n = b.b.use_var(self.seen);
                b.divide(true, signed, v, n, None)
            }
            _ => v,
        }
    }
}
