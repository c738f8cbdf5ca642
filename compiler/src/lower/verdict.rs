//! What a program returns: its verdict, or 0 where nobody asks for one.

use super::body::{Addr, Body};
use crate::artifact::{AttachTo, ProgramKind};
use crate::packet::verdict::{self, COUNTERS};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Body<'_> {
    /// Before anything else: until the script says otherwise, things go on.
    pub(crate) fn open_verdict(&mut self) {
        let default = match (verdict::family(self.probe.kind), self.probe.attach.first().map(|a| &a.to)) {
            (Some(family), _) => family.default.into(),
            // What a test returns is asked for, too.
            (None, Some(AttachTo::Test)) => 0,
            (None, _) => return,
        };
        let v = self.b.declare_var(types::I64);
        let default = self.int(default);
        self.b.def_var(v, default);
        self.verdict = Some(v);
    }

    pub(crate) fn set_verdict(&mut self, v: Value) {
        if let Some(var) = self.verdict {
            self.b.def_var(var, v);
        }
    }

    /// A verdict that is known at run time only, as one that the kernel takes: its verifier wants the bounds proven (`lsm` from 6.12 on,
    /// cgroups on all kernels). A number that is no verdict lets things go on.
    pub(crate) fn proven_verdict(&mut self, v: Value) -> Value {
        match self.probe.kind {
            ProgramKind::Cgroup(_) => self.and_imm(v, 1),
            ProgramKind::Lsm { .. } => {
                let done = self.block();
                let result = self.b.append_block_param(done, types::I64);
                let (low, fits) = (self.block(), self.block());
                let zero = self.int(0);
                // The largest error number (MAX_ERRNO) and up.
                let lowest = self.int(-4095);
                let above = self.b.ins().icmp(IntCC::SignedGreaterThan, v, zero);
                self.b.ins().brif(above, done, &[zero.into()], low, &[]);
                self.enter(low);
                let below = self.b.ins().icmp(IntCC::SignedLessThan, v, lowest);
                self.b.ins().brif(below, done, &[zero.into()], fits, &[]);
                self.enter(fits);
                self.jump_with(done, v);
                self.enter(done);
                result
            }
            _ => v,
        }
    }

    /// A change that is not made.
    pub(crate) fn count_change(&mut self) {
        if let Some(offset) = self.m.watched(self.probe, self.program) {
            let one = self.int(1);
            let at = self.percpu(offset + 8 * COUNTERS);
            self.bump(one, at);
        }
    }

    /// At the program's very end. Where verdicts are only watched, they are counted here and things go on.
    pub(crate) fn final_value(&mut self) -> Value {
        let Some(var) = self.verdict else {
            // 0: the kernel need not go on into perf's own path.
            return self.int(0);
        };
        let v = self.b.use_var(var);
        let Some(family) = verdict::family(self.probe.kind) else { return v };
        let Some(offset) = self.m.watched(self.probe, self.program) else { return v };
        let number = self.add_imm(v, 1);
        let last = self.int(i64::from(COUNTERS) - 1);
        let number = self.b.ins().umin(number, last);
        let at = self.shl_imm(number, 3);
        self.forget_facts();
        let counters = self.percpu(offset);
        let start = self.address(counters);
        let counter = self.add(start, at);
        let one = self.int(1);
        self.bump(one, Addr::ptr(counter));
        self.int(family.default.into())
    }
}
