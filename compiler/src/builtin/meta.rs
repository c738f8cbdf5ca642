//! What is decided while the script is compiled: types, assertions, offsets.

use super::{Builtin, Check, Lower};
use crate::artifact::{EventKind, Piece};
use crate::diagnostic::Diagnostic;
use crate::format;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind};
use crate::sema::{Call, Checker};
use crate::types::Ty;
use awl_grammar::ast::{self, Arg, BinOp, UnOp};
use std::sync::Arc;

/// A row that the checker replaces by something else.
macro_rules! row {
    ($name:literal, $signature:literal, $doc:literal, $example:literal, $check:expr) => {
        Builtin {
            name: $name,
            aliases: &[],
            signature: $signature,
            is_unsafe: false,
            doc: $doc,
            example: $example,
            check: Check::Custom($check),
            lower: Lower::Never,
        }
    };
}

pub const ROWS: &[Builtin] = &[
    row!(
        "static_assert",
        "static_assert(condition: const int, message?: const string) -> void",
        "refuses the script where a condition that is known beforehand doesn't hold",
        "begin { static_assert(sizeof(struct task_struct) > 100, \"no task\"); exit(); }",
        static_assert
    ),
    row!(
        "fail",
        "fail(message: const string, ...) -> void",
        "refuses the script, unless it stands where an `if` whose condition is known doesn't lead",
        "begin { if comptime (sizeof(void *) != 8) { fail(\"64 bits only\"); } exit(); }",
        fail
    ),
    row!(
        "assert",
        "assert(condition, message?: const string) -> void",
        "prints the message as an error and ends the session with status 1 where a condition doesn't hold",
        "begin { assert(pid > 0, \"no process\"); exit(); }",
        assert
    ),
    row!("is_ptr", "is_ptr(value) -> bool", "is it a pointer?", "begin { print(is_ptr(curtask)); exit(); }", |c, call| {
        about(c, call, |e| matches!(e.ty, Ty::Ptr(..)))
    }),
    row!("is_str", "is_str(value) -> bool", "is it a string?", "begin { print(is_str(comm)); exit(); }", |c, call| {
        about(c, call, |e| matches!(e.ty, Ty::Str(_)))
    }),
    row!("is_array", "is_array(value) -> bool", "is it an array?", "begin { print(is_array(curtask.comm)); exit(); }", |c, call| {
        about(c, call, |e| matches!(e.ty, Ty::Array(..)))
    }),
    row!("is_integer", "is_integer(value) -> bool", "is it an integer?", "begin { print(is_integer(pid)); exit(); }", |c, call| {
        about(c, call, |e| matches!(e.ty, Ty::Int { .. }))
    }),
    row!(
        "is_unsigned_integer",
        "is_unsigned_integer(value) -> bool",
        "is it an integer without a sign?",
        "begin { print(is_unsigned_integer(pid)); exit(); }",
        |c, call| about(c, call, |e| matches!(e.ty, Ty::Int { signed: false, .. }))
    ),
    row!(
        "is_literal",
        "is_literal(value) -> bool",
        "is it known while the script is compiled?",
        "begin { print(is_literal(5)); exit(); }",
        |c, call| about(c, call, |e| matches!(e.kind, ExprKind::Int(_) | ExprKind::Str(_)))
    ),
    row!(
        "assert_str",
        "assert_str(value) -> void",
        "refuses the script where a value is no text: neither a string nor an array of or a pointer to `int8`",
        "begin { assert_str(comm); exit(); }",
        assert_str
    ),
    row!(
        "default_str_length",
        "default_str_length() -> uint64",
        "bytes that a string has room for where no length is given (`max_strlen`)",
        "begin { print(default_str_length()); exit(); }",
        |c, call| match c.checked_args(call) {
            Some(_) => Expr::int(i64::from(c.options.config.strlen()), Ty::U64, call.span),
            None => Expr::error(call.span),
        }
    ),
    row!(
        "container_of",
        "container_of(member: ptr, type, name) -> ptr",
        "the struct of the given type whose member `name` (`a.b` in one inside) a pointer points to",
        "begin { $t = curtask; print(container_of(&$t.pid, struct task_struct, pid) == $t); exit(); }",
        container_of
    ),
];

fn about(c: &mut Checker, call: &Call, is: fn(&Expr) -> bool) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    Expr::int(i64::from(args.first().is_some_and(is)), Ty::Bool, call.span)
}

fn message(args: &[Expr], i: usize) -> Option<String> {
    args.get(i).and_then(Expr::as_str).map(|m| String::from_utf8_lossy(m).into_owned())
}

fn static_assert(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if args[0].as_int() == Some(0) && !c.at.unreached {
        let said = message(&args, 1).map_or(String::new(), |m| format!(": {m}"));
        let d = Diagnostic::error("static-assert", args[0].span, format!("the script asserts what doesn't hold{said}"))
            .label("this is false here");
        return c.fail(d);
    }
    Expr::new(ExprKind::Void, Ty::Void, call.span)
}

fn assert_str(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let Some(value) = args.first() else { return Expr::error(call.span) };
    let text = match &value.ty {
        Ty::Error | Ty::Str(_) => true,
        Ty::Array(t, _) | Ty::Ptr(t, _) => matches!(**t, Ty::Int { bytes: 1, signed: true } | Ty::Str(_)),
        _ => false,
    };
    if !text {
        let d = Diagnostic::error("static-assert", value.span, format!("`{}` is no text", value.ty))
            .label("expected a string, an array of `int8` or a pointer to it");
        return c.fail(d);
    }
    Expr::new(ExprKind::Void, Ty::Void, call.span)
}

fn fail(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if c.at.unreached {
        return Expr::new(ExprKind::Void, Ty::Void, call.span);
    }
    let said = message(&args, 0).map_or(String::new(), |format| filled(&format, args.get(1..).unwrap_or_default()));
    let d = Diagnostic::error("fail", call.span, format!("the script refuses to run: {said}")).label("reached while compiling");
    c.fail(d)
}

/// A format with constants in the places of its conversions. What is known at run time only leaves its conversion as it is.
fn filled(format: &str, args: &[Expr]) -> String {
    let (format, _) = format::parse(format);
    let mut args = args.iter();
    let mut out = String::new();
    for piece in &format.pieces {
        let verb = match piece {
            Piece::Text(t) => {
                out.push_str(t);
                continue;
            }
            Piece::Verb(v) => v,
        };
        let arg = args.next();
        let text = match (arg.and_then(Expr::as_int), arg.and_then(Expr::as_str), verb.conversion.as_str()) {
            (Some(n), _, "x") => format!("{n:x}"),
            (Some(n), _, "X") => format!("{n:X}"),
            (Some(n), _, "p") => format!("{n:#x}"),
            (Some(n), _, "o") => format!("{n:o}"),
            (Some(n), _, "u") => (n as u64).to_string(),
            (Some(n), _, "c") => u8::try_from(n).map_or('?', char::from).to_string(),
            (Some(n), _, "s") if arg.is_some_and(|a| a.ty == Ty::Bool) => (n != 0).to_string(),
            (Some(n), ..) => n.to_string(),
            (_, Some(s), _) => String::from_utf8_lossy(s).into_owned(),
            _ => format!("%{}", verb.conversion),
        };
        let width = verb.width.unwrap_or(0) as usize;
        out.push_str(&match (verb.minus, verb.zero && !text.starts_with('-')) {
            (true, _) => format!("{text:<width$}"),
            (false, true) => format!("{text:0>width$}"),
            (false, false) => format!("{text:>width$}"),
        });
    }
    out
}

fn assert(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if c.at.unreached {
        return Expr::new(ExprKind::Void, Ty::Void, call.span);
    }
    let said = message(&args, 1).unwrap_or_else(|| "an assertion does not hold".into());
    let mut args = args.into_iter();
    let Some(holds) = args.next() else { return Expr::error(call.span) };
    let holds = c.condition(holds);
    if holds.is_error() {
        return holds;
    }
    let span = call.span;
    let (text, _) = format::parse(&said.replace('%', "%%"));
    let say = c.emit(EventKind::Errorf(Arc::new(text)), Vec::new(), span);
    let end = c.emit(EventKind::Exit, vec![Expr::int(1, Ty::I64, span)], span);
    let cond = Expr::new(ExprKind::Unary(UnOp::Not, Box::new(holds)), Ty::Bool, span);
    let then = vec![Stmt { kind: StmtKind::Expr(say), span }, Stmt { kind: StmtKind::Expr(end), span }];
    let check = Stmt { kind: StmtKind::If { cond, then, other: Vec::new() }, span };
    Expr::new(ExprKind::Block(vec![check], Box::new(Expr::new(ExprKind::Void, Ty::Void, span))), Ty::Void, span)
}

fn container_of(c: &mut Checker, call: &Call) -> Expr {
    let (Some(Arg::Expr(member)), Some(ty), Some(Arg::Expr(path))) = (call.args.first(), call.args.get(1), call.args.get(2)) else {
        let d = Diagnostic::error("arg-count", call.span, "`container_of` takes a pointer, a type and a member")
            .label("expected 3 arguments")
            .note(call.row.signature.to_string())
            .help(format!("for instance: {}", call.row.example));
        return c.fail(d);
    };
    let what = match ty {
        Arg::Type(t) => ast::TypeOrExpr::Type(Box::new(t.clone())),
        Arg::Expr(e) => ast::TypeOrExpr::Expr(Box::new(e.clone())),
    };
    let Some(path) = member_path(path) else {
        let d = Diagnostic::error("arg-type", path.span, "the third argument of `container_of` is the name of a member")
            .label("expected a member's name")
            .help(format!("for instance: {}", call.row.example));
        return c.fail(d);
    };
    let p = c.expr(member);
    let offset = c.offset_of(&what, &path, call.span);
    let outer = c.type_or_expr(&what);
    let (Some(offset), false) = (offset.as_int(), p.is_error() || outer == Ty::Error) else { return Expr::error(call.span) };
    let space = match &p.ty {
        Ty::Ptr(_, s) => *s,
        Ty::Int { .. } => c.default_space(),
        t => {
            let d = Diagnostic::error("arg-type", p.span, format!("`member` of `container_of` is a pointer, found `{t}`"))
                .label("expected a pointer to the member");
            return c.fail(d);
        }
    };
    let at = p.span;
    let address = Expr::new(ExprKind::Cast(Box::new(p)), Ty::U64, at);
    let offset = Expr::int(offset, Ty::U64, call.span);
    let start = Expr::new(ExprKind::Binary(BinOp::Sub, Box::new(address), Box::new(offset)), Ty::U64, call.span);
    Expr::new(ExprKind::Cast(Box::new(start)), c.stored_type(&Ty::ptr(outer, space)), call.span)
}

/// `a` or `a.b`
fn member_path(e: &ast::Expr) -> Option<Vec<ast::Ident>> {
    match &e.kind {
        ast::ExprKind::Name(n) => Some(vec![ast::Ident { name: n.clone(), span: e.span }]),
        ast::ExprKind::Field { base, name, .. } => {
            let mut path = member_path(base)?;
            path.push(name.clone());
            Some(path)
        }
        _ => None,
    }
}
