//! Sums that other CPUs spoil: `@n = @n + 1` reads, adds and writes, and what another CPU wrote in between is gone.

use crate::artifact::AttachTo;
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind, Map, Program, Stmt, StmtKind};
use crate::lower::walk;
use awl_grammar::ast::BinOp;

/// What can't be the same on two CPUs at once: an element by it has one writer.
const OF_ONE_CPU: &[&str] = &["tid", "cpu"];

/// A warning for each such statement of a probe that runs on several CPUs. `+=` and `++` are atomic.
pub fn warnings(program: &Program) -> Vec<Diagnostic> {
    let alone = |to: &AttachTo| matches!(to, AttachTo::Begin | AttachTo::End | AttachTo::Interval { .. });
    let mut said = Vec::new();
    for p in program.probes.iter().filter(|p| p.attach.iter().any(|a| !alone(&a.to))) {
        for s in &p.body {
            walk::in_stmt(s, &mut |s| said.extend(race(s, &program.maps)), &mut |_| {});
        }
    }
    said
}

fn race(s: &Stmt, maps: &[Map]) -> Option<Diagnostic> {
    let StmtKind::SetMap { map, keys, value } = &s.kind else { return None };
    let (op, left, right) = match &bare(value).kind {
        ExprKind::Binary(op @ (BinOp::Add | BinOp::Sub), l, r) => (*op, bare(l), bare(r)),
        _ => return None,
    };
    let read = |e: &Expr| matches!(&e.kind, ExprKind::MapGet { map: m, keys: k } if m == map && same_all(k, keys));
    if !(read(left) || op == BinOp::Add && read(right)) || keys.iter().any(of_one_cpu) {
        return None;
    }
    let name = &maps[*map].name;
    let key = if keys.is_empty() { "" } else { "[...]" };
    let by_one = [left, right].iter().any(|e| matches!(e.kind, ExprKind::Int(1)));
    let step = match (op, by_one) {
        (BinOp::Add, true) => "++",
        (BinOp::Add, false) => " += ...",
        (_, true) => "--",
        (_, false) => " -= ...",
    };
    let d = Diagnostic::warning("lost-update", s.span, format!("what other CPUs do to `@{name}` meanwhile is lost"));
    let d = d.label("reads, calculates and writes: three steps");
    Some(d.help(format!("in one step, which loses nothing: `@{name}{key}{step}`")))
}

fn bare(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(inner) => bare(inner),
        _ => e,
    }
}

fn of_one_cpu(key: &Expr) -> bool {
    match &bare(key).kind {
        ExprKind::Call { builtin, .. } => OF_ONE_CPU.contains(&builtin.name),
        ExprKind::Tuple(parts) => parts.iter().any(of_one_cpu),
        _ => false,
    }
}

fn same_all(a: &[Expr], b: &[Expr]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Surely the same value: what isn't told here is taken for another one.
fn same(a: &Expr, b: &Expr) -> bool {
    match (&bare(a).kind, &bare(b).kind) {
        (ExprKind::Int(a), ExprKind::Int(b)) => a == b,
        (ExprKind::Str(a), ExprKind::Str(b)) => a == b,
        (ExprKind::Local(a), ExprKind::Local(b)) => a == b,
        (ExprKind::Tuple(a), ExprKind::Tuple(b)) => same_all(a, b),
        (ExprKind::Call { builtin: f, args: a }, ExprKind::Call { builtin: g, args: b }) => f.name == g.name && same_all(a, b),
        _ => false,
    }
}
