//! What a program returns: its verdict, or 0 where nobody asks for one.

use super::body::{Addr, Body};
use crate::artifact::AttachTo;
use crate::packet::verdict::{self, COUNTERS};
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
