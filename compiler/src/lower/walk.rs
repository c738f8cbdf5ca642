//! Going through typed trees.

use crate::hir::{Expr, ExprKind, Stmt, StmtKind};

/// Calls `f` for the expression and all expressions inside of it.
pub fn exprs(e: &Expr, f: &mut dyn FnMut(&Expr)) {
    in_expr(e, &mut |_| {}, f);
}

/// Calls `f` for the expression and all inside of it, `stmt` for the statements there.
fn in_expr(e: &Expr, stmt: &mut dyn FnMut(&Stmt), f: &mut dyn FnMut(&Expr)) {
    f(e);
    match &e.kind {
        ExprKind::MapGet { keys, .. } | ExprKind::StepMap { keys, .. } | ExprKind::MapSum { keys, .. } => {
            keys.iter().for_each(|k| in_expr(k, stmt, f))
        }
        ExprKind::Call { args, .. } | ExprKind::Emit { args, .. } | ExprKind::Tuple(args) => args.iter().for_each(|a| in_expr(a, stmt, f)),
        ExprKind::Unary(_, a)
        | ExprKind::AddressOf(a)
        | ExprKind::Deref(a)
        | ExprKind::Cast(a)
        | ExprKind::SyscallArg(a)
        | ExprKind::PacketBytes { base: a, .. }
        | ExprKind::InNetwork { address: a, .. } => in_expr(a, stmt, f),
        ExprKind::Field { base, .. } | ExprKind::TupleField { base, .. } => in_expr(base, stmt, f),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => {
            in_expr(a, stmt, f);
            in_expr(b, stmt, f);
        }
        ExprKind::Ternary { cond, then, other } | ExprKind::If { cond, then, other } => {
            [cond, then, other].into_iter().for_each(|e| in_expr(e, stmt, f));
        }
        ExprKind::Block(stmts, value) => {
            stmts.iter().for_each(|s| in_stmt(s, stmt, f));
            in_expr(value, stmt, f);
        }
        ExprKind::Inline { body, .. } => body.iter().for_each(|s| in_stmt(s, stmt, f)),
        ExprKind::Error
        | ExprKind::Void
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bytes(_)
        | ExprKind::Local(_)
        | ExprKind::StepLocal { .. }
        | ExprKind::Ctx
        | ExprKind::Arg(_)
        | ExprKind::Parameter(_)
        | ExprKind::ProbeName { .. } => {}
    }
}

/// Calls `stmt` for the statement and all inside of it, `expr` for every expression.
pub fn in_stmt(s: &Stmt, stmt: &mut dyn FnMut(&Stmt), expr: &mut dyn FnMut(&Expr)) {
    stmt(s);
    match &s.kind {
        StmtKind::Expr(e) | StmtKind::SetLocal(_, e) | StmtKind::Return(Some(e)) => in_expr(e, stmt, expr),
        StmtKind::SetMap { keys, value, .. } | StmtKind::AddMap { keys, value, .. } => {
            keys.iter().for_each(|k| in_expr(k, stmt, expr));
            in_expr(value, stmt, expr);
        }
        StmtKind::SetField { place, value } => {
            exprs(place, expr);
            exprs(value, expr);
        }
        StmtKind::Aggregate { keys, arg, .. } => {
            keys.iter().for_each(|k| in_expr(k, stmt, expr));
            arg.iter().for_each(|a| in_expr(a, stmt, expr));
        }
        StmtKind::If { cond, then, other } => {
            in_expr(cond, stmt, expr);
            then.iter().chain(other).for_each(|s| in_stmt(s, stmt, expr));
        }
        StmtKind::While { cond, body } => {
            in_expr(cond, stmt, expr);
            body.iter().for_each(|s| in_stmt(s, stmt, expr));
        }
        StmtKind::ForRange { from, to, body, .. } => {
            in_expr(from, stmt, expr);
            in_expr(to, stmt, expr);
            body.iter().for_each(|s| in_stmt(s, stmt, expr));
        }
        StmtKind::ForMap { body, .. } | StmtKind::Block(body) => body.iter().for_each(|s| in_stmt(s, stmt, expr)),
        StmtKind::Break | StmtKind::Continue | StmtKind::Return(None) => {}
    }
}
