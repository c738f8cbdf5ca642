//! Going through typed trees.

use crate::hir::{Expr, ExprKind, Stmt, StmtKind};

/// Calls `f` for the expression and all inside of it.
pub fn exprs(e: &Expr, f: &mut dyn FnMut(&Expr)) {
    f(e);
    match &e.kind {
        ExprKind::MapGet { keys, .. } | ExprKind::StepMap { keys, .. } | ExprKind::MapSum { keys, .. } => {
            keys.iter().for_each(|k| exprs(k, f))
        }
        ExprKind::Call { args, .. } | ExprKind::Emit { args, .. } | ExprKind::Tuple(args) => args.iter().for_each(|a| exprs(a, f)),
        ExprKind::Unary(_, a)
        | ExprKind::Deref(a)
        | ExprKind::Cast(a)
        | ExprKind::SyscallArg(a)
        | ExprKind::PacketBytes { base: a, .. }
        | ExprKind::InNetwork { address: a, .. } => exprs(a, f),
        ExprKind::Field { base, .. } | ExprKind::TupleField { base, .. } => exprs(base, f),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => {
            exprs(a, f);
            exprs(b, f);
        }
        ExprKind::Ternary { cond, then, other } | ExprKind::If { cond, then, other } => {
            [cond, then, other].into_iter().for_each(|e| exprs(e, f));
        }
        ExprKind::Block(stmts, value) => {
            stmts.iter().for_each(|s| in_stmt(s, &mut |_| {}, f));
            exprs(value, f);
        }
        ExprKind::Error
        | ExprKind::Void
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bytes(_)
        | ExprKind::Local(_)
        | ExprKind::StepLocal { .. }
        | ExprKind::Ctx
        | ExprKind::Arg(_)
        | ExprKind::ProbeName { .. } => {}
    }
}

/// Calls `stmt` for the statement and all inside of it, `expr` for every expression.
pub fn in_stmt(s: &Stmt, stmt: &mut dyn FnMut(&Stmt), expr: &mut dyn FnMut(&Expr)) {
    stmt(s);
    match &s.kind {
        StmtKind::Expr(e) | StmtKind::SetLocal(_, e) | StmtKind::Return(Some(e)) => exprs(e, expr),
        StmtKind::SetMap { keys, value, .. } | StmtKind::AddMap { keys, value, .. } => {
            keys.iter().for_each(|k| exprs(k, expr));
            exprs(value, expr);
        }
        StmtKind::Aggregate { keys, arg, .. } => {
            keys.iter().for_each(|k| exprs(k, expr));
            arg.iter().for_each(|a| exprs(a, expr));
        }
        StmtKind::If { cond, then, other } => {
            exprs(cond, expr);
            then.iter().chain(other).for_each(|s| in_stmt(s, stmt, expr));
        }
        StmtKind::While { cond, body } => {
            exprs(cond, expr);
            body.iter().for_each(|s| in_stmt(s, stmt, expr));
        }
        StmtKind::ForRange { from, to, body, .. } => {
            exprs(from, expr);
            exprs(to, expr);
            body.iter().for_each(|s| in_stmt(s, stmt, expr));
        }
        StmtKind::ForMap { body, .. } | StmtKind::Block(body) => body.iter().for_each(|s| in_stmt(s, stmt, expr)),
        StmtKind::Break | StmtKind::Continue | StmtKind::Return(None) => {}
    }
}
