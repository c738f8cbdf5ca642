//! Loops that the verifier is not asked to walk turn by turn.

use crate::hir::{Context, Expr, ExprKind, LocalId, Probe, Stmt, StmtKind};
use crate::types::{Space, Ty};
use awl_grammar::ast::BinOp;

/// Turns of a loop through a packet that are walked in place. Of 1400 the verifier takes three times as long as of a callback, and
/// the program is quicker by little.
const FEW: i64 = 256;

/// Has the probe a `while` through a packet without a counter that ends it soon? Places that the packet itself says differ at each turn, so the
/// verifier walks on until it gives up, for half a second and more.
pub(super) fn walks_packet(probe: &Probe) -> bool {
    let mut found = false;
    let mut look = |s: &Stmt| {
        if let StmtKind::While { cond, body } = &s.kind {
            found |= reads_packet(cond, body) && !is_short(cond, body);
        }
    };
    let of_packet = matches!(probe.context, Context::Packet(_));
    probe.body.iter().filter(|_| of_packet).for_each(|s| super::walk::in_stmt(s, &mut look, &mut |_| {}));
    found
}

fn reads_packet(cond: &Expr, body: &[Stmt]) -> bool {
    let mut found = false;
    let mut look = |e: &Expr| found |= matches!(e.ty, Ty::Ptr(_, Space::Packet));
    super::walk::exprs(cond, &mut look);
    body.iter().for_each(|s| super::walk::in_stmt(s, &mut |_| {}, &mut look));
    found
}

/// `$n < 100 && ...`, where nothing but steps of a constant changes `$n`.
fn is_short(cond: &Expr, body: &[Stmt]) -> bool {
    match &cond.kind {
        ExprKind::Binary(BinOp::And, a, b) => is_short(a, body) || is_short(b, body),
        ExprKind::Binary(BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge | BinOp::Ne, a, b) => match (counter(a), b.as_int()) {
            (Some((id, stepped)), Some(bound)) if bound.abs() <= FEW => steps(id, body).is_some_and(|inside| inside || stepped),
            _ => false,
        },
        ExprKind::Cast(of) => is_short(of, body),
        _ => false,
    }
}

/// The variable that is compared, and whether that is a step (`$n++`).
fn counter(e: &Expr) -> Option<(LocalId, bool)> {
    match &e.kind {
        ExprKind::Local(id) => Some((*id, false)),
        ExprKind::StepLocal { local, .. } => Some((*local, true)),
        ExprKind::Cast(of) => counter(of),
        _ => None,
    }
}

/// Whether there are steps; `None`: it is set to something else.
fn steps(id: LocalId, body: &[Stmt]) -> Option<bool> {
    let (stepped, mut set) = (std::cell::Cell::new(false), false);
    for s in body {
        super::walk::in_stmt(
            s,
            &mut |s| match &s.kind {
                StmtKind::SetLocal(l, e) if *l == id => match &e.kind {
                    ExprKind::Binary(BinOp::Add | BinOp::Sub, a, by) if counter(a) == Some((id, false)) && by.as_int().is_some() => {
                        stepped.set(true)
                    }
                    _ => set = true,
                },
                _ => {}
            },
            &mut |e| {
                if matches!(e.kind, ExprKind::StepLocal { local, .. } if local == id) {
                    stepped.set(true);
                }
            },
        );
    }
    (!set).then(|| stepped.get())
}
