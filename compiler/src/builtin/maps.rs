//! Functions of maps.

use super::{Builtin, Check, Lower};
use crate::artifact::{EventKind, MapKind};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Body, Operand};
use crate::sema::{Call, Checker, is_keyless};
use crate::types::Ty;
use awl_grammar::ast;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "delete",
        aliases: &[],
        signature: "delete(map, key?) -> bool",
        is_unsafe: false,
        doc: "removes an element (`delete(@m, key)`, or `delete(@m[key])`); true if it was there",
        example: "begin { @[1] = 2; delete(@, 1); exit(); }",
        check: Check::Custom(|c, call| c.delete_device(call).unwrap_or_else(|| element(c, call, true))),
        lower: Lower::Code(|b, e, args, _| match &args[0].kind {
            ExprKind::MapGet { map, keys } => {
                let told = b.unheard == Some(e.span);
                Operand::Scalar(b.delete(*map, keys, told))
            }
            _ => Operand::None,
        }),
    },
    Builtin {
        name: "has_key",
        aliases: &[],
        signature: "has_key(map, key) -> bool",
        is_unsafe: false,
        doc: "is there an element of that key?",
        example: "begin { @[1] = 2; if (has_key(@, 1)) { printf(\"yes\\n\"); } exit(); }",
        check: Check::Custom(|c, call| match keyless(c, call) {
            Some((map, MapKind::BloomFilter)) => with_value(c, call, map, Ty::Bool),
            _ => element(c, call, false),
        }),
        lower: Lower::Code(|b, _, args, _| match (&args[0].kind, args.get(1)) {
            (ExprKind::MapGet { map, .. }, Some(value)) => Operand::Scalar(b.may_hold(*map, value)),
            (ExprKind::MapGet { map, keys }, None) => Operand::Scalar(b.has_key(*map, keys)),
            _ => Operand::None,
        }),
    },
    Builtin {
        name: "find",
        aliases: &[],
        signature: "find(map, key, $out) -> bool",
        is_unsafe: false,
        doc: "is there an element of that key? If so it is put into the variable, with one look-up",
        example: "begin { @[1] = 2; if (find(@, 1, $x)) { print($x); } exit(); }",
        check: Check::Custom(find),
        lower: Lower::Code(|b, _, args, _| match (&args[0].kind, args.get(1).map(|e| &e.kind)) {
            (ExprKind::MapGet { map, keys }, Some(ExprKind::Local(local))) => Operand::Scalar(b.find_element(*map, keys, *local)),
            _ => Operand::None,
        }),
    },
    Builtin {
        name: "push",
        aliases: &[],
        signature: "push(map, value) -> void",
        is_unsafe: false,
        doc: "adds a value to a map of kind queue, stack or bloom",
        example: "let @q = queue(8); begin { push(@q, 1); exit(); }",
        check: Check::Custom(|c, call| match keyless(c, call) {
            Some((map, _)) => with_value(c, call, map, Ty::Void),
            None => not_keyless(c, call),
        }),
        lower: Lower::Code(|b, _, args, _| {
            if let (ExprKind::MapGet { map, .. }, Some(value)) = (&args[0].kind, args.get(1)) {
                b.push_element(*map, value);
            }
            Operand::None
        }),
    },
    Builtin {
        name: "pop",
        aliases: &[],
        signature: "pop(map, $out) -> bool",
        is_unsafe: false,
        doc: "takes the oldest value of a queue or the newest of a stack into a variable; false if there is none",
        example: "let @q = queue(8); begin { push(@q, 1); if (pop(@q, $x)) { print($x); } exit(); }",
        check: Check::Custom(take),
        lower: Lower::Code(|b, _, args, _| popped(b, args, false)),
    },
    Builtin {
        name: "peek",
        aliases: &[],
        signature: "peek(map, $out) -> bool",
        is_unsafe: false,
        doc: "as `pop`, and the value stays",
        example: "let @q = stack(8); begin { push(@q, 1); if (peek(@q, $x)) { print($x); } exit(); }",
        check: Check::Custom(take),
        lower: Lower::Code(|b, _, args, _| popped(b, args, true)),
    },
    Builtin {
        name: "clear",
        aliases: &[],
        signature: "clear(map: map) -> void",
        is_unsafe: false,
        doc: "removes all elements",
        example: "interval:s:1 { print(@); clear(@); exit(); } tracepoint:sched:sched_switch { @[comm] = count(); }",
        check: Check::Custom(|c, call| whole(c, call, EventKind::Clear)),
        lower: Lower::Never,
    },
    Builtin {
        name: "zero",
        aliases: &[],
        signature: "zero(map: map) -> void",
        is_unsafe: false,
        doc: "sets all elements to zero",
        example: "interval:s:1 { print(@); zero(@); exit(); } tracepoint:sched:sched_switch { @[comm] = count(); }",
        check: Check::Custom(|c, call| whole(c, call, EventKind::Zero)),
        lower: Lower::Never,
    },
    Builtin {
        name: "len",
        aliases: &[],
        signature: "len(map) -> int64",
        is_unsafe: false,
        doc: "how many elements a map has, or frames a stack",
        example: "begin { @[1] = 2; print(len(@)); exit(); }",
        check: Check::Custom(len),
        lower: Lower::Code(|b, _, args, _| match &args[0].kind {
            ExprKind::MapGet { map, .. } => Operand::Scalar(b.map_len(*map)),
            _ => super::stacks::depth(b, &args[0]),
        }),
    },
];

/// The map of a call whose elements have no keys, and its kind.
fn keyless(c: &mut Checker, call: &Call) -> Option<(usize, MapKind)> {
    let (name, span) = call.map(0)?;
    let map = c.map_id(name, span);
    c.kind_of(map).filter(|k| is_keyless(*k)).map(|k| (map, k))
}

fn not_keyless(c: &mut Checker, call: &Call) -> Expr {
    let d = Diagnostic::error("map-kind", call.span, format!("`{}` is for queues and stacks", call.row.name))
        .label("not declared as one")
        .note(call.row.signature)
        .help("declare the map: `let @q = queue(64);`");
    c.fail(d)
}

/// A call with a map and a value that widens the map's.
fn with_value(c: &mut Checker, call: &Call, map: usize, result: Ty) -> Expr {
    let (2, Some(value)) = (call.args.len(), call.ast(1)) else {
        c.checked_args(call);
        return Expr::error(call.span);
    };
    let value = c.expr(value);
    let ty = c.storable(&value);
    c.maps[map].keys = Some(Vec::new());
    if value.is_error() || !c.widen_map_value(map, &ty, value.span) {
        return Expr::error(call.span);
    }
    let ty = c.maps[map].value.clone();
    let Some(value) = c.coerce(value, &ty, "put into this map") else { return Expr::error(call.span) };
    let place = Expr::new(ExprKind::MapGet { map, keys: Vec::new() }, ty, call.span);
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![place, value] }, result, call.span)
}

/// The variable that a call's argument names, which takes values of the map; it is made where there is none yet.
fn out_variable(c: &mut Checker, call: &Call, i: usize, map: usize) -> Option<Expr> {
    let Some(ast::Expr { kind: ast::ExprKind::Var(name), span }) = call.ast(i) else {
        let span = call.ast(i).map_or(call.span, |e| e.span);
        let d = Diagnostic::error("arg-type", span, format!("`{}` puts the value into a variable", call.row.name))
            .label("expected a variable, `$x`")
            .note(call.row.signature);
        c.report(d);
        return None;
    };
    let ty = match c.maps[map].value.clone() {
        t @ Ty::Agg(_) => {
            let d = Diagnostic::error("arg-type", call.span, format!("the map holds a `{t}`, which is no value to copy"))
                .label("an aggregation")
                .help("read it as a number: `$x = (int64)@m[k]`");
            c.report(d);
            return None;
        }
        t => t,
    };
    match c.local(name) {
        Some(id) => {
            if !c.widen_local(id, &ty) {
                let had = c.at.locals[id].ty.clone();
                c.report(
                    Diagnostic::error("type-change", *span, format!("`${name}` holds `{had}`, the map `{ty}`"))
                        .label(format!("expected a variable of type `{ty}`")),
                );
                return None;
            }
            Some(Expr::new(ExprKind::Local(id), c.at.locals[id].ty.clone(), *span))
        }
        None => {
            let id = c.new_local(name, ty.clone(), *span);
            Some(Expr::new(ExprKind::Local(id), ty, *span))
        }
    }
}

fn find(c: &mut Checker, call: &Call) -> Expr {
    if call.args.len() != 3 {
        c.checked_args(call);
        return Expr::error(call.span);
    }
    let first = Call { row: call.row, name: call.name, args: &call.args[..2], span: call.span };
    let found = element(c, &first, false);
    let ExprKind::Call { mut args, .. } = found.kind else { return found };
    let ExprKind::MapGet { map, .. } = args[0].kind else { return Expr::error(call.span) };
    let Some(out) = out_variable(c, call, 2, map) else { return Expr::error(call.span) };
    args.push(out);
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Bool, call.span)
}

/// `pop` and `peek`
fn take(c: &mut Checker, call: &Call) -> Expr {
    if call.args.len() != 2 {
        c.checked_args(call);
        return Expr::error(call.span);
    }
    let Some((map, _)) = keyless(c, call).filter(|(_, k)| *k != MapKind::BloomFilter) else { return not_keyless(c, call) };
    c.maps[map].keys = Some(Vec::new());
    c.maps[map].read.get_or_insert(call.span);
    let Some(out) = out_variable(c, call, 1, map) else { return Expr::error(call.span) };
    let place = Expr::new(ExprKind::MapGet { map, keys: Vec::new() }, c.maps[map].value.clone(), call.span);
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![place, out] }, Ty::Bool, call.span)
}

fn popped(b: &mut Body, args: &[Expr], keep: bool) -> Operand {
    match (&args[0].kind, args.get(1).map(|e| &e.kind)) {
        (ExprKind::MapGet { map, .. }, Some(ExprKind::Local(local))) => Operand::Scalar(b.pop_element(*map, *local, keep)),
        _ => Operand::None,
    }
}

fn whole(c: &mut Checker, call: &Call, kind: fn(usize) -> EventKind) -> Expr {
    if call.args.len() != 1 {
        c.checked_args(call);
        return Expr::error(call.span);
    }
    match c.map_arg(call, 0) {
        Some(map) => c.emit(kind(map), Vec::new(), call.span),
        None => Expr::error(call.span),
    }
}

/// `f(@m, key)`, and for `delete` the older `f(@m[key])` with any number of those, or a map without keys.
fn element(c: &mut Checker, call: &Call, old_form: bool) -> Expr {
    let wrong = |c: &mut Checker| {
        let d = Diagnostic::error("arg-type", call.span, format!("`{}` takes a map and a key", call.row.name))
            .label("expected a map and a key")
            .note(call.row.signature)
            .help(format!("for instance: {}", call.row.example));
        c.fail(d)
    };
    let found = |c: &mut Checker, map: usize, keys: Vec<Expr>, span| {
        c.maps[map].read.get_or_insert(call.span);
        let ty = c.maps[map].value.clone();
        let place = Expr::new(ExprKind::MapGet { map, keys }, if ty == Ty::Error { Ty::I64 } else { ty }, span);
        Expr::new(ExprKind::Call { builtin: call.row, args: vec![place] }, Ty::Bool, call.span)
    };
    match (call.map(0), call.args.len()) {
        (Some((name, span)), 2) => {
            let map = c.map_id(name, span);
            if !c.has_places(map, call.span) {
                return Expr::error(call.span);
            }
            let Some(key) = call.ast(1) else { return wrong(c) };
            // A tuple stands for several keys; written here they are the keys themselves.
            let several = c.maps[map].keys.as_ref().is_none_or(|k| k.len() > 1);
            let keys = match (&key.kind, c.network_keys(map, key)) {
                (_, Some(network)) => network,
                (ast::ExprKind::Tuple(items), None) if several => items.iter().map(|k| c.expr(k)).collect(),
                _ => vec![c.expr(key)],
            };
            match c.map_keys(map, keys, call.span) {
                Some(keys) => found(c, map, keys, span),
                None => Expr::error(call.span),
            }
        }
        (Some((name, _)), n) if n > 2 && !call.ast(1).is_some_and(is_place) => {
            let keys = vec!["..."; n - 1].join(", ");
            let d = Diagnostic::error("arg-count", call.span, format!("`{}` takes a map and its key, found {n} arguments", call.row.name));
            let d = d.label("expected 2 arguments").note(call.row.signature);
            c.fail(d.help(format!("several keys are one tuple: `{}(@{name}, ({keys}))`", call.row.name)))
        }
        (_, n) if old_form && n >= 1 => {
            let mut all = Vec::new();
            for i in 0..n {
                let Some(place) = call.ast(i) else { return wrong(c) };
                if !is_place(place) {
                    return wrong(c);
                }
                let Some((map, keys)) = c.map_place(place) else { return Expr::error(call.span) };
                all.push(found(c, map, keys, place.span));
            }
            match all.len() {
                1 => all.remove(0),
                _ => {
                    let stmts = all.into_iter().map(|e| crate::hir::Stmt { span: e.span, kind: crate::hir::StmtKind::Expr(e) }).collect();
                    Expr::new(ExprKind::Block(stmts, Box::new(Expr::new(ExprKind::Void, Ty::Void, call.span))), Ty::Void, call.span)
                }
            }
        }
        _ => wrong(c),
    }
}

/// A map, or an element of one.
fn is_place(e: &ast::Expr) -> bool {
    matches!(e.kind, ast::ExprKind::Map(_) | ast::ExprKind::MapIndex { .. })
}

/// Its frames are in the kernel's map of stacks, which programs can't read.
fn kept_stack(c: &mut Checker, span: awl_grammar::span::Span) -> Expr {
    let d = Diagnostic::error("arg-type", span, "how many frames a stack that was kept has is known when it is printed");
    c.fail(d.label("expected `kstack` or `ustack` itself").help("keep the number beside it: `@n[tid] = len(ustack);`"))
}

fn len(c: &mut Checker, call: &Call) -> Expr {
    if let Some((name, span)) = call.map(0)
        && call.args.len() == 1
    {
        let map = c.map_id(name, span);
        c.maps[map].read.get_or_insert(span);
        if !c.is_walked(map, span) {
            return Expr::error(span);
        }
        let keyless = c.maps[map].keys.as_ref().is_some_and(Vec::is_empty);
        if keyless && matches!(c.maps[map].value, Ty::Stack { .. }) {
            return kept_stack(c, span);
        }
        if keyless {
            let d = Diagnostic::error("no-keys", span, format!("`@{name}` has no keys to count")).label("this map holds a single value");
            return c.fail(d);
        }
        let place = Expr::new(ExprKind::MapGet { map, keys: Vec::new() }, Ty::I64, span);
        return Expr::new(ExprKind::Call { builtin: call.row, args: vec![place] }, Ty::I64, call.span);
    }
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    match &args[0].ty {
        Ty::Stack { .. } if matches!(args[0].kind, ExprKind::Call { .. }) => {
            Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::I64, call.span)
        }
        Ty::Stack { .. } => kept_stack(c, args[0].span),
        t => {
            let d = Diagnostic::error("arg-type", args[0].span, format!("`len` of a `{t}`"))
                .label("expected a map or a stack")
                .help("the length of a string is `strlen(...)`");
            c.fail(d)
        }
    }
}
