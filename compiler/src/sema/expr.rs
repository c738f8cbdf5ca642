//! Expressions.

use super::{Checker, join};
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind};
use crate::types::{Space, Ty};
use crate::{agg, builtin};
use awl_grammar::ast::{self, BinOp};
use awl_grammar::span::Span;

impl Checker<'_> {
    pub fn expr(&mut self, e: &ast::Expr) -> Expr {
        let span = e.span;
        match &e.kind {
            ast::ExprKind::Int { value, unsigned } => {
                let ty = if *unsigned || *value > i64::MAX as u64 { Ty::U64 } else { Ty::I64 };
                Expr::int(*value as i64, ty, span)
            }
            ast::ExprKind::Bool(b) => Expr::int(i64::from(*b), Ty::Bool, span),
            ast::ExprKind::Str(s) => self.string_literal(s, span),
            ast::ExprKind::Addr(text) => self.address(text, span),
            ast::ExprKind::Name(name) => self.name(name, span),
            ast::ExprKind::Var(name) => {
                let e = self.variable(name, span);
                self.as_a_whole(e, name)
            }
            ast::ExprKind::Map(_) | ast::ExprKind::MapIndex { .. } => self.map_get(e),
            ast::ExprKind::Param(n) => self.param(*n, span),
            ast::ExprKind::ParamCount => Expr::int(self.options.params.len() as i64, Ty::I64, span),
            ast::ExprKind::Call { name, args } => self.call(name, args, span),
            ast::ExprKind::Unary(op, inner) => self.unary(*op, inner, span),
            ast::ExprKind::Binary(op, a, b) => {
                if let Some(e) = self.membership(*op, a, b, span) {
                    return e;
                }
                let (first, a) = (a, self.expr(a));
                if let Some(decided) = decided(*op, &a) {
                    // What can't be reached need not make sense here: `!has_cpid || pid == cpid`.
                    return Expr::int(i64::from(decided), Ty::Bool, span);
                }
                let (written, b) = (b, self.expr(b));
                if let (ast::ExprKind::Param(n), Ty::Str(_)) = (&written.kind, &a.ty)
                    && b.ty.is_int()
                {
                    return self.number_of_parameter(*n, &b, &a);
                }
                if let (ast::ExprKind::Param(n), Ty::Str(_)) = (&first.kind, &b.ty)
                    && a.ty.is_int()
                {
                    return self.number_of_parameter(*n, &a, &b);
                }
                self.bits_of_comparison(*op, (first, &a), (written, &b), span);
                self.binary(*op, a, b, span)
            }
            ast::ExprKind::Step { place, inc, prefix } => self.step(place, *inc, !*prefix, span),
            ast::ExprKind::Ternary { cond, then, other } => self.ternary(cond, then.as_deref(), other, span),
            ast::ExprKind::If { cond, then, other } => self.if_value(cond, then, other.as_ref(), span),
            ast::ExprKind::Block(b) => self.block_value(b),
            ast::ExprKind::Expansion(x) => self.expansion(x, span),
            ast::ExprKind::Field { base, name, arrow: _ } => self.field(base, name, span),
            ast::ExprKind::TupleField { base, index } => self.tuple_field(base, *index, span),
            ast::ExprKind::Index { base, index } => self.index(base, index, span),
            ast::ExprKind::Slice { base, from, to } => {
                let base = self.expr(base);
                if base.is_error() {
                    return base;
                }
                match self.packet_slice(&base, from, to, span) {
                    Some(e) => e,
                    None => self.slice(base, from, to, span),
                }
            }
            ast::ExprKind::Cast(ty, inner) => self.cast(ty, inner, span),
            ast::ExprKind::Tuple(items) => self.tuple(items, span),
            ast::ExprKind::Record(fields) => {
                let typed: Vec<_> = fields.iter().map(|(n, e)| (n.name.clone(), self.part(e))).collect();
                if typed.iter().any(|(_, e)| e.is_error()) {
                    return Expr::error(span);
                }
                let ty = Ty::NamedTuple(typed.iter().map(|(n, e)| (n.clone(), self.stored_type(&e.ty))).collect::<Vec<_>>().into());
                Expr::new(ExprKind::Tuple(typed.into_iter().map(|(_, e)| e).collect()), ty, span)
            }
            ast::ExprKind::Sizeof(what) => {
                let ty = self.type_or_expr(what);
                if ty == Ty::Error { Expr::error(span) } else { Expr::int(i64::from(ty.size()), Ty::U64, span) }
            }
            ast::ExprKind::Offsetof(what, path) => self.offset_of(what, path, span),
            ast::ExprKind::Typeinfo(what) => self.type_info(what, span),
            ast::ExprKind::Comptime(inner) => {
                let e = self.expr(inner);
                if e.is_error() || e.as_int().is_some() || e.as_str().is_some() {
                    return e;
                }
                self.fail(
                    Diagnostic::error("not-constant", span, "`comptime` needs a value that is known before the script runs")
                        .label("this is known only at run time"),
                )
            }
        }
    }

    /// `$1 == "all"`, where `$1` is a number, or was not given.
    fn number_of_parameter(&mut self, n: u32, number: &Expr, text: &Expr) -> Expr {
        let d = Diagnostic::error("type-mismatch", number.span, format!("`${n}` is a number here, compared with a `{}`", text.ty))
            .label("what isn't given is 0")
            .because(text.span, "this is text");
        self.fail(d.help(format!("as text it is `str(${n})`")))
    }

    pub(crate) fn string_literal(&mut self, bytes: &[u8], span: Span) -> Expr {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Expr::new(ExprKind::Str(bytes[..end].to_vec()), Ty::Str(end as u32 + 1), span)
    }

    /// `$1`: a number when it looks like one, else a string. What isn't given, or empty, is zero.
    fn param(&mut self, n: u32, span: Span) -> Expr {
        match self.options.params.get((n as usize).wrapping_sub(1)).cloned().filter(|text| !text.is_empty()) {
            None => Expr::int(0, Ty::I64, span),
            Some(text) => match parse_number(&text) {
                Some((v, unsigned)) => Expr::int(v, if unsigned { Ty::U64 } else { Ty::I64 }, span),
                None => self.string_literal(text.as_bytes(), span),
            },
        }
    }

    /// What a part is taken of.
    pub(crate) fn base(&mut self, e: &ast::Expr) -> Expr {
        match &e.kind {
            ast::ExprKind::Var(name) => self.variable(name, e.span),
            _ => self.expr(e),
        }
    }

    /// Of an element of a map of histograms, say, a loop has the key alone: the rest is not one value.
    fn as_a_whole(&mut self, e: Expr, name: &str) -> Expr {
        let Ty::Tuple(parts) = &e.ty else { return e };
        let Some(held) = parts.iter().find(|t| matches!(t, Ty::Agg(_))) else { return e };
        let d = Diagnostic::error("type-mismatch", e.span, format!("`${name}` has a `{held}` in it, which is not a number"))
            .label("its parts can't be had as one value")
            .help(format!("the key is `${name}.0`; all are printed by `print(@x)`"));
        self.fail(d)
    }

    pub(crate) fn variable(&mut self, name: &str, span: Span) -> Expr {
        match self.local(name) {
            Some(id) => Expr::new(ExprKind::Local(id), self.at.locals[id].ty.clone(), span),
            None => {
                if let Some(ended) = self.ended_local(name, span) {
                    return ended;
                }
                let names: Vec<String> = self.at.locals.iter().map(|l| l.name.clone()).collect();
                let near = self.nearest(name, names.iter().map(String::as_str)).map(str::to_string);
                let d = Diagnostic::error("undefined-variable", span, format!("variable `${name}` has no value yet"));
                self.fail(match near {
                    Some(n) => d.label(format!("did you mean `${n}`?")),
                    None => d.label("never assigned before this").help(format!("assign it first: `${name} = 0;`")),
                })
            }
        }
    }

    /// A bare word: a builtin variable, a constant of an enum, a `#define`.
    fn name(&mut self, name: &str, span: Span) -> Expr {
        if let Some(row) = builtin::find(name) {
            return self.call_row(row, &ast::Ident { name: name.to_string(), span }, &[], span);
        }
        if let Some(argument) = name.strip_prefix("arg").and_then(|n| n.parse::<u32>().ok()) {
            return self.register_argument(argument, span);
        }
        // Those on the stack, which bpftrace counted by themselves until 0.21.
        if let Some(argument) = name.strip_prefix("sarg").and_then(|n| n.parse::<u32>().ok())
            && matches!(self.at.context, Some(Context::Registers { ret: false, .. }))
        {
            let in_registers = crate::lower::context::registers(self.target.arch()).args.len() as u32;
            return self.register_argument(argument.saturating_add(in_registers), span);
        }
        if let Some(e) = self.own_verdict(name, span) {
            return e;
        }
        if let Some((value, ty)) = self.types.enum_value(name) {
            return Expr::int(value, ty, span);
        }
        if let Some(e) = self.types.define(name, span) {
            return self.expr(&e);
        }
        if let Some(e) = self.foreign_verdict(name, span) {
            return e;
        }
        self.unknown_name(name, span)
    }

    fn unknown_name(&mut self, name: &str, span: Span) -> Expr {
        let mut d = Diagnostic::error("unknown-name", span, format!("unknown name `{name}`"));
        let upper = name.bytes().any(|b| b.is_ascii_uppercase());
        if let Some(note) = self.types.preamble().left_out().filter(|_| upper) {
            d = d.note(note);
        }
        if self.args_fields().iter().chain(&self.unread_fields()).any(|f| f == name) {
            return self.fail(
                d.label(format!("did you mean `args.{name}`?")).help(format!("write `args.{name}`: it is an argument of the probe")),
            );
        }
        if let Some(advice) = awl_stdlib::foreign_name(name) {
            return self.fail(d.label("no builtin and no constant has this name").help(advice));
        }
        let signature =
            builtin::find(name).map(|b| b.signature).or_else(|| agg::rows::ROWS.iter().find(|a| a.name == name).map(|a| a.signature));
        if let Some(signature) = signature {
            let end = if signature.contains("()") { "()" } else { "(...)" };
            return self.fail(d.label("this is a function").note(signature).help(format!("call it: `{name}{end}`")));
        }
        let mut own: Vec<&str> = self.types.preamble().constant_names().collect();
        own.sort_unstable();
        let of_headers = awl_stdlib::constant_names().filter(|_| upper);
        let near =
            self.nearest(name, own).or_else(|| self.nearest(name, builtin::all().map(|b| b.name).chain(of_headers))).map(str::to_owned);
        self.fail(match near {
            Some(n) => d.label(format!("did you mean `{n}`?")).help(format!("write `{n}`; variables are `$name`, maps `@name`")),
            None => {
                d.label("no builtin and no constant has this name").help("variables are `$name`, maps `@name`, text goes in \"quotes\"")
            }
        })
    }

    fn ternary(&mut self, cond: &ast::Expr, then: Option<&ast::Expr>, other: &ast::Expr, span: Span) -> Expr {
        let mut before = Vec::new();
        let mut c = self.expr(cond);
        let then = match then {
            Some(t) => self.expr(t),
            None => {
                c = self.once(c, &mut before);
                c.clone()
            }
        };
        let c = self.condition(c);
        let other = self.expr(other);
        let chosen = self.choose(c, then, other, span);
        if before.is_empty() || chosen.is_error() {
            return chosen;
        }
        let ty = chosen.ty.clone();
        Expr::new(ExprKind::Block(before, Box::new(chosen)), ty, span)
    }

    fn choose(&mut self, cond: Expr, then: Expr, other: Expr, span: Span) -> Expr {
        if cond.is_error() || then.is_error() || other.is_error() {
            return self.chosen_later(&then, &other, span);
        }
        let (t, o) = (self.stored_type(&then.ty), self.stored_type(&other.ty));
        let Some(ty) = join::join(&t, &o).filter(|t| *t != Ty::Void) else {
            let d = Diagnostic::error("type-mismatch", other.span, format!("one branch is `{}`, the other `{}`", then.ty, other.ty))
                .label(format!("expected `{}`", then.ty))
                .because(then.span, format!("this is `{}`", then.ty));
            return self.fail(d);
        };
        let (Some(then), Some(other)) = (self.coerce(then, &ty, "a branch"), self.coerce(other, &ty, "a branch")) else {
            return Expr::error(span);
        };
        Expr::new(ExprKind::Ternary { cond: Box::new(cond), then: Box::new(then), other: Box::new(other) }, ty, span)
    }

    /// What has no type may get it from this very choice: in `@most = n > @most ? n : @most` the other branch says what `@most` is.
    fn chosen_later(&self, then: &Expr, other: &Expr, span: Span) -> Expr {
        let ty = match (then.is_error(), other.is_error()) {
            (true, true) => None,
            (true, false) => Some(self.stored_type(&other.ty)),
            (false, true) => Some(self.stored_type(&then.ty)),
            (false, false) => join::join(&self.stored_type(&then.ty), &self.stored_type(&other.ty)),
        };
        match ty.filter(|t| self.supposing && !self.last && *t != Ty::Void) {
            Some(ty) => Expr::new(ExprKind::Error, ty, span),
            None => Expr::error(span),
        }
    }

    fn if_value(&mut self, cond: &ast::Expr, then: &ast::Block, other: Option<&ast::Block>, span: Span) -> Expr {
        let Some(other) = other else {
            return self.fail(
                Diagnostic::error("no-value", span, "an `if` that is a value needs an `else`")
                    .label("no value when the condition is false")
                    .help("add `else { ... }`"),
            );
        };
        if let ast::ExprKind::Comptime(_) = cond.kind {
            return match self.known_condition(cond) {
                Some(holds) => self.block_value(if holds { then } else { other }),
                None => Expr::error(span),
            };
        }
        let c = self.expr(cond);
        let c = self.condition(c);
        let (t, o) = (self.block_value(then), self.block_value(other));
        self.choose(c, t, o, span)
    }

    fn block_value(&mut self, b: &ast::Block) -> Expr {
        self.push_scope();
        let stmts = self.block(b);
        let value = match &b.tail {
            Some(t) => self.expr(t),
            None => Expr::new(ExprKind::Void, Ty::Void, b.span),
        };
        self.pop_scope();
        if stmts.is_empty() {
            return value;
        }
        let ty = value.ty.clone();
        Expr::new(ExprKind::Block(stmts, Box::new(value)), ty, b.span)
    }

    /// A part of a tuple: aggregations are their number.
    fn part(&mut self, e: &ast::Expr) -> Expr {
        let e = self.expr(e);
        if matches!(e.ty, Ty::Agg(_)) { self.to_int64(e) } else { e }
    }

    fn tuple(&mut self, items: &[ast::Expr], span: Span) -> Expr {
        let items: Vec<Expr> = items.iter().map(|e| self.part(e)).collect();
        if items.iter().any(Expr::is_error) {
            return Expr::error(span);
        }
        if let Some(e) = items.iter().find(|e| e.ty == Ty::Void) {
            let d = Diagnostic::error("no-value", e.span, "this has no value").label("expected something to put in the tuple");
            return self.fail(d);
        }
        let ty = Ty::Tuple(items.iter().map(|e| self.stored_type(&e.ty)).collect::<Vec<_>>().into());
        Expr::new(ExprKind::Tuple(items), ty, span)
    }

    /// The type in which a value of this type is kept: pointers into the context become plain addresses.
    pub(crate) fn stored_type(&self, ty: &Ty) -> Ty {
        match ty {
            Ty::Ptr(t, Space::Ctx | Space::Btf) => Ty::Ptr(t.clone(), Space::Kernel),
            Ty::Agg(a) => crate::agg::number_type(a).unwrap_or(Ty::I64),
            t => t.clone(),
        }
    }
}

/// The value of `&&` or `||` where the left side alone says it.
fn decided(op: BinOp, a: &Expr) -> Option<bool> {
    let a = a.as_int()? != 0;
    match op {
        BinOp::And if !a => Some(false),
        BinOp::Or if a => Some(true),
        _ => None,
    }
}

/// A parameter's number, written as in a script but with a sign, and whether it needs all 64 bits for itself.
pub(crate) fn parse_number(text: &str) -> Option<(i64, bool)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // The literal's own grammar, which begins with a digit.
    let value = digits.starts_with(|c: char| c.is_ascii_digit()).then(|| awl_grammar::number(digits)).flatten()?;
    match negative {
        true => 0i64.checked_sub_unsigned(value).map(|v| (v, false)),
        false => Some((value as i64, value > i64::MAX as u64)),
    }
}
