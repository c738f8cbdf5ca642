//! Maps that only grow: what is said of them before they are full, at the statement that makes them grow.

use crate::artifact::{EventKind, MapKind};
use crate::builtin::{Passing, passing};
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind, MapId, Program, Stmt, StmtKind};
use crate::lower::walk;
use crate::types::Ty;
use awl_grammar::span::Span;

/// How a map was seen to be used.
#[derive(Clone, Default)]
struct Use {
    /// the first statement that makes an element for each event, or for each thread or object, and its key
    grows: Option<(Span, Passing, bool)>,
    /// elements are taken out somewhere
    shrinks: bool,
}

/// A warning for each map that nothing is ever taken out of though its keys don't come again: new ones at each event, or
/// those of threads and objects that end. Counts by thread stay silent: they are the answer, not a state.
pub fn warnings(program: &Program) -> Vec<Diagnostic> {
    let mut uses = vec![Use::default(); program.maps.len()];
    for e in &program.events {
        if let EventKind::TakeMap(m) | EventKind::Clear(m) = e.kind {
            uses[m].shrinks = true;
        }
    }
    // What runs once makes one element.
    for p in program.probes.iter().filter(|p| !matches!(p.context, Context::None)) {
        for s in &p.body {
            let (mut stored, mut stepped, mut shrunk) = (Vec::new(), Vec::new(), Vec::new());
            let mut note = |s: &Stmt| match &s.kind {
                StmtKind::SetMap { map, keys, .. } => stored.push((*map, s.span, key(keys), false)),
                StmtKind::AddMap { map, keys, .. } | StmtKind::Aggregate { map, keys, .. } => stored.push((*map, s.span, key(keys), true)),
                _ => {}
            };
            let mut look = |e: &Expr| match &e.kind {
                ExprKind::StepMap { map, keys, .. } => stepped.push((*map, e.span, key(keys), true)),
                ExprKind::Call { builtin, args } if builtin.takes_out() => {
                    if let Some(Expr { kind: ExprKind::MapGet { map, .. }, .. }) = args.first() {
                        shrunk.push(*map);
                    }
                }
                _ => {}
            };
            walk::in_stmt(s, &mut note, &mut look);
            for (map, span, passing, counts) in stored.into_iter().chain(stepped) {
                uses[map].grows = uses[map].grows.or_else(|| Some((span, passing?, counts)));
            }
            shrunk.into_iter().for_each(|map: MapId| uses[map].shrinks = true);
        }
    }
    uses.iter().zip(&program.maps).filter_map(|(u, m)| said(u, &m.name, m.declared)).collect()
}

fn said(u: &Use, name: &str, declared: Option<(MapKind, u32)>) -> Option<Diagnostic> {
    let (span, passing, counts) = u.grows.filter(|_| !u.shrinks)?;
    if declared.is_some_and(|(kind, _)| !matches!(kind, MapKind::Hash | MapKind::PercpuHash)) {
        return None;
    }
    let (label, help) = match passing {
        Passing::Event => (
            "each event makes an element of its own",
            format!("print what is to be seen at once, or keep the last: `let @{name} = lruhash(1000);`"),
        ),
        Passing::Object if counts => return None,
        Passing::Object => (
            "those of threads and objects that ended stay",
            format!("take the element out when it was used: `delete(@{name}, ...)`; or keep the last: `let @{name} = lruhash(10000);`"),
        ),
    };
    Some(Diagnostic::warning("map-grows", span, format!("nothing is ever taken out of `@{name}`")).label(label).help(help))
}

/// What passes in a key, the most fleeting first. What is computed from it (`nsecs / 1000000000`) may well come again.
fn key(keys: &[Expr]) -> Option<Passing> {
    let all = keys.iter().filter_map(|k| match (&k.kind, &k.ty) {
        (ExprKind::Call { builtin, .. }, _) => passing(builtin.name),
        // An address of an object of the kernel or of a process: what it was of goes.
        (ExprKind::Arg(_) | ExprKind::Parameter(_) | ExprKind::Field { .. }, Ty::Ptr(..)) => Some(Passing::Object),
        (ExprKind::Cast(inner), _) => key(std::slice::from_ref(inner)),
        (ExprKind::Tuple(parts), _) => key(parts),
        _ => None,
    });
    all.min_by_key(|p| *p == Passing::Object)
}
