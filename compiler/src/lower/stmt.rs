//! Statements.

use super::body::{Body, Facts, Home, Loop};
use super::expr::in_register;
use super::helper;
use crate::hir::{Expr, Stmt, StmtKind};
use crate::sema::Loops;
use crate::types::Ty;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// A range loop with constant bounds and at most so many turns is a plain loop, which the verifier walks; a longer one, or
/// one whose bounds are known only at run time, is a callback of `bpf_loop`.
const PLAIN_TURNS: i64 = 256;
/// The same where the program was too complex with more.
const FEW_TURNS: i64 = 4;

impl Body<'_> {
    pub(crate) fn stmts(&mut self, stmts: &[Stmt]) {
        for s in stmts {
            if self.dead {
                // Nothing reaches the rest.
                return;
            }
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &Stmt) {
        self.at(s.span);
        let mark = self.mark();
        match &s.kind {
            StmtKind::Expr(e) => self.effect(e),
            StmtKind::SetLocal(id, e) => self.set_local(*id, e),
            StmtKind::SetMap { map, keys, value } => self.set_map(*map, keys, value),
            StmtKind::SetField { place, value } => self.set_field(place, value),
            StmtKind::AddMap { map, keys, value } => self.add_map(*map, keys, value),
            StmtKind::Aggregate { map, keys, agg, arg } => self.aggregate(*map, keys, agg, arg.as_ref()),
            StmtKind::If { cond, then, other } => self.if_stmt(cond, then, other),
            StmtKind::While { cond, body } if self.m.options.loops == Loops::Called => self.while_callback(cond, body),
            StmtKind::While { cond, body } => self.while_stmt(cond, body),
            StmtKind::ForRange { var, from, to, body } => self.for_range(*var, from, to, body),
            StmtKind::ForMap { var, map, body } => self.for_map(*var, *map, body),
            StmtKind::Break => match self.loops.last().copied() {
                Some(Loop::Blocks { done, .. }) => self.jump(done),
                _ => self.leave_callback(1),
            },
            StmtKind::Continue => match self.loops.last().copied() {
                Some(Loop::Blocks { next, .. }) => self.jump(next),
                _ => self.leave_callback(0),
            },
            StmtKind::Return(e) => {
                match e {
                    Some(e) if self.verdict.is_some() => {
                        let mut v = self.scalar(e);
                        if e.as_int().is_none() {
                            v = self.proven_verdict(v);
                        }
                        self.set_verdict(v);
                    }
                    Some(e) => self.effect(e),
                    None => {}
                }
                self.leave();
            }
            StmtKind::Block(stmts) => self.stmts(stmts),
        }
        self.release(mark);
    }

    /// Code that nothing reaches still has to stand somewhere.
    pub(crate) fn settle(&mut self) {
        if self.dead {
            let unreached = self.block();
            self.enter(unreached);
        }
    }

    /// The body of a function in the place of its call.
    pub(crate) fn inline(&mut self, body: &[Stmt]) {
        let done = self.block();
        self.calls.push(done);
        self.push_facts();
        self.stmts(body);
        self.pop_facts();
        self.calls.pop();
        self.jump(done);
        self.enter(done);
    }

    /// Ends the function that is inlined here, or the program's run.
    pub(crate) fn leave(&mut self) {
        if let Some(done) = self.calls.last().copied() {
            self.jump(done);
        } else if self.in_callback {
            self.note_return();
            self.leave_callback(1);
        } else {
            let exit = self.exit;
            self.jump(exit);
        }
    }

    fn leave_callback(&mut self, code: i64) {
        if !self.dead {
            let v = self.int(code);
            self.b.ins().return_(&[v]);
        }
        self.dead = true;
    }

    fn effect(&mut self, e: &Expr) {
        match &e.kind {
            crate::hir::ExprKind::Emit { event, args } => self.emit(*event, args),
            crate::hir::ExprKind::Inline { body, .. } => self.inline(body),
            crate::hir::ExprKind::Block(stmts, value) => {
                self.stmts(stmts);
                if !self.dead {
                    self.effect(value);
                }
            }
            _ if in_register(&e.ty) => {
                self.unheard = Some(e.span);
                self.scalar(e);
                self.unheard = None;
            }
            _ if matches!(e.ty, Ty::Void) => {
                self.call(e, None);
            }
            _ => {
                self.memory(e);
            }
        }
    }

    fn set_local(&mut self, id: usize, e: &Expr) {
        match self.homes.get(&id).copied() {
            Some(Home::Register(_)) => {
                let v = self.scalar(e);
                self.set_register(id, v);
            }
            Some(Home::Memory(a)) if in_register(&e.ty) => {
                let v = self.scalar(e);
                self.store(v, a, 8);
            }
            Some(Home::Memory(a)) => {
                if mentions(e, id) {
                    // The old value is read while the new one is made.
                    let t = self.temp(e.ty.size(), "value");
                    self.into(e, t);
                    self.copy(a, t, e.ty.size());
                } else {
                    self.into(e, a);
                }
            }
            None => self.effect(e),
        }
    }

    pub(crate) fn set_register(&mut self, id: usize, v: Value) {
        match self.homes.get(&id).copied() {
            Some(Home::Register(var)) => self.b.def_var(var, v),
            Some(Home::Memory(a)) => self.store(v, a, 8),
            None => {}
        }
    }

    fn if_stmt(&mut self, cond: &Expr, then: &[Stmt], other: &[Stmt]) {
        if let Some(c) = cond.as_int() {
            self.stmts(if c != 0 { then } else { other });
            return;
        }
        let (yes, no, done) = (self.block(), self.block(), self.block());
        let mut facts = self.branch_on(cond, yes, if other.is_empty() { done } else { no });
        let mut reached = other.is_empty();
        for (block, stmts) in [(yes, then), (no, other)] {
            if block == no && other.is_empty() {
                continue;
            }
            self.enter(block);
            self.push_facts();
            // Those of the condition, on the way on which it holds.
            self.add_facts(std::mem::take(&mut facts));
            self.stmts(stmts);
            self.pop_facts();
            reached |= !self.dead;
            self.jump(done);
        }
        if reached {
            self.enter(done);
        }
        self.dead = !reached;
    }

    fn while_stmt(&mut self, cond: &Expr, body: &[Stmt]) {
        let (head, inside, done) = (self.block(), self.block(), self.block());
        if self.probe.acts {
            // What is known of the packet here may not hold at the next turn.
            self.forget_packet();
        }
        self.jump(head);
        self.enter(head);
        self.push_facts();
        self.at(cond.span);
        let mut facts = Facts::new();
        match cond.as_int() {
            Some(0) => self.jump(done),
            Some(_) => self.jump(inside),
            None => facts = self.branch_on(cond, inside, done),
        }
        self.enter(inside);
        self.add_facts(facts);
        self.loops.push(Loop::Blocks { next: head, done });
        self.stmts(body);
        self.loops.pop();
        self.jump(head);
        self.pop_facts();
        self.enter(done);
    }

    fn for_range(&mut self, var: usize, from: &Expr, to: &Expr, body: &[Stmt]) {
        if !plain_range(self.m.options.loops, from, to) {
            self.for_range_callback(var, from, to, body);
            return;
        }
        let (start, end) = (from.as_int().unwrap_or(0), to.as_int().unwrap_or(0));
        if end <= start {
            return;
        }
        let counter = self.b.declare_var(cranelift_codegen::ir::types::I64);
        let first = self.int(start);
        self.b.def_var(counter, first);
        let (head, inside, next, done) = (self.block(), self.block(), self.block(), self.block());
        if self.probe.acts {
            // What is known of the packet here may not hold at the next turn.
            self.forget_packet();
        }
        self.jump(head);
        self.enter(head);
        self.push_facts();
        let i = self.b.use_var(counter);
        self.branch_if(IntCC::SignedLessThan, i, end, inside, done);
        self.enter(inside);
        self.set_register(var, i);
        self.loops.push(Loop::Blocks { next, done });
        self.stmts(body);
        self.loops.pop();
        self.jump(next);
        self.enter(next);
        let i = self.b.use_var(counter);
        let up = self.add_imm(i, 1);
        self.b.def_var(counter, up);
        self.jump(head);
        self.pop_facts();
        self.enter(done);
    }

    /// Seconds and kin come from one clock each.
    pub fn now(&mut self) -> Value {
        self.helper(helper::KTIME_GET_NS, &[])
    }
}

pub(crate) fn plain_range(loops: Loops, from: &Expr, to: &Expr) -> bool {
    let most = if loops == Loops::Called { FEW_TURNS } else { PLAIN_TURNS };
    matches!((from.as_int(), to.as_int()), (Some(a), Some(b)) if b.saturating_sub(a) <= most)
}

/// Does the expression read this local?
fn mentions(e: &Expr, id: usize) -> bool {
    let mut found = false;
    super::walk::exprs(e, &mut |e| found |= matches!(e.kind, crate::hir::ExprKind::Local(l) if l == id));
    found
}
