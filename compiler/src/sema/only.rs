//! Probes of one process: what `-p`, `-c` and `--follow` add to their conditions.

use super::{Checker, follow, points};
use crate::artifact::{Attach, AttachTo};
use crate::hir::Expr;
use crate::probe::Process;
use crate::types::Ty;
use awl_grammar::ast;
use awl_grammar::span::Span;

impl Checker<'_> {
    /// Whose memory a watchpoint is about with `-c`: before Linux 5.13 children are handed the breakpoint with threads.
    pub(super) fn watched_child(&self, instance: &points::Instance) -> Option<u32> {
        let of_process = |a: &Attach| matches!(a.to, AttachTo::Watchpoint { address, .. } if address >> 63 == 0);
        self.options.child.filter(|pid| *pid != 0 && instance.attach.iter().any(of_process))
    }

    /// A probe of the account of processes itself.
    pub(super) fn of_family(&self, instance: &points::Instance) -> bool {
        self.options.follow.as_ref().and_then(|f| f.family).is_some_and(|file| instance.source.span.file == file)
    }

    /// The condition that the running process is the watched one or one of its children, where the probe is to have it. Watchpoints
    /// are about the memory of one process.
    pub(super) fn family_of(&self, instance: &points::Instance) -> Option<ast::Expr> {
        let file = self.options.follow.as_ref()?.family.filter(|_| !self.of_family(instance))?;
        let filtered = match (instance.provider.process, self.options.pid) {
            (Process::Nobody | Process::Memory, _) => false,
            (Process::Any, pid) => pid.is_some(),
            (Process::Program, _) => true,
        };
        follow::condition(self.script, file).filter(|_| filtered).cloned()
    }

    pub(super) fn only_family(&mut self, own: &ast::Expr, predicate: Option<Expr>, span: Span) -> Expr {
        let e = self.expr(own);
        let ours = self.condition(e);
        match predicate {
            Some(p) => self.binary(ast::BinOp::And, ours, p, span),
            None => ours,
        }
    }

    /// `-p`: the probe runs only in that process.
    pub(super) fn only_process(&mut self, pid: u32, predicate: Option<Expr>, span: Span) -> Expr {
        let own = ast::Ident { name: "pid".into(), span };
        let running = self.call(&own, &[], span);
        let wanted = Expr::int(i64::from(pid), Ty::U32, span);
        let ours = self.binary(ast::BinOp::Eq, running, wanted, span);
        match predicate {
            Some(p) => self.binary(ast::BinOp::And, ours, p, span),
            None => ours,
        }
    }
}
