//! Functions of maps.

use super::{Builtin, Check, Lower};
use crate::artifact::EventKind;
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::Operand;
use crate::sema::{Call, Checker};
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
        check: Check::Custom(|c, call| element(c, call, true)),
        lower: Lower::Code(|b, _, args, _| match &args[0].kind {
            ExprKind::MapGet { map, keys } => Operand::Scalar(b.delete(*map, keys)),
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
        check: Check::Custom(|c, call| element(c, call, false)),
        lower: Lower::Code(|b, _, args, _| match &args[0].kind {
            ExprKind::MapGet { map, keys } => Operand::Scalar(b.has_key(*map, keys)),
            _ => Operand::None,
        }),
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
            _ => Operand::None,
        }),
    },
];

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
            let Some(key) = call.ast(1) else { return wrong(c) };
            // A tuple stands for several keys; written here they are the keys themselves.
            let several = c.maps[map].keys.as_ref().is_none_or(|k| k.len() > 1);
            let keys = match &key.kind {
                ast::ExprKind::Tuple(items) if several => items.iter().map(|k| c.expr(k)).collect(),
                _ => vec![c.expr(key)],
            };
            match c.map_keys(map, keys, call.span) {
                Some(keys) => found(c, map, keys, span),
                None => Expr::error(call.span),
            }
        }
        (_, n) if old_form && n >= 1 => {
            let mut all = Vec::new();
            for i in 0..n {
                let Some(place) = call.ast(i) else { return wrong(c) };
                if !matches!(place.kind, ast::ExprKind::Map(_) | ast::ExprKind::MapIndex { .. }) {
                    return wrong(c);
                }
                let Some((map, keys)) = c.map_place(place) else { return Expr::error(call.span) };
                all.push(found(c, map, keys, place.span));
            }
            match all.len() {
                1 => all.remove(0),
                _ => {
                    let last = all.pop().unwrap_or_else(|| Expr::error(call.span));
                    let stmts = all.into_iter().map(|e| crate::hir::Stmt { span: e.span, kind: crate::hir::StmtKind::Expr(e) }).collect();
                    Expr::new(ExprKind::Block(stmts, Box::new(last)), Ty::Bool, call.span)
                }
            }
        }
        _ => wrong(c),
    }
}

fn len(c: &mut Checker, call: &Call) -> Expr {
    if let Some((name, span)) = call.map(0)
        && call.args.len() == 1
    {
        let map = c.map_id(name, span);
        c.maps[map].read.get_or_insert(span);
        if c.maps[map].keys.as_ref().is_some_and(Vec::is_empty) && !matches!(c.maps[map].value, Ty::Stack { .. }) {
            let d = Diagnostic::error("no-keys", span, format!("`@{name}` has no keys to count")).label("this map holds a single value");
            return c.fail(d);
        }
        let place = Expr::new(ExprKind::MapGet { map, keys: Vec::new() }, Ty::I64, span);
        return Expr::new(ExprKind::Call { builtin: call.row, args: vec![place] }, Ty::I64, call.span);
    }
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    match &args[0].ty {
        Ty::Stack { .. } => {
            c.not_yet("`len` of a stack", call.span);
            Expr::error(call.span)
        }
        t => {
            let d = Diagnostic::error("arg-type", args[0].span, format!("`len` of a `{t}`"))
                .label("expected a map or a stack")
                .help("the length of a string is `strlen(...)`");
            c.fail(d)
        }
    }
}
