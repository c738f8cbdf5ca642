//! `&`: addresses of variables, of maps without keys, and of what a pointer leads to. `s[a..b]`.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::types::{Space, Ty};
use awl_grammar::ast::{self, BinOp};
use awl_grammar::span::Span;

impl Checker<'_> {
    pub(crate) fn address_of(&mut self, inner: &ast::Expr, span: Span) -> Expr {
        let e = self.expr(inner);
        if e.is_error() {
            return e;
        }
        self.address_of_value(e, span)
    }

    /// An array behind a pointer is its address where a pointer is wanted, as in C: `(struct tcp_skb_cb *)$skb->cb`.
    pub(crate) fn array_as_address(&mut self, e: Expr) -> Expr {
        let span = e.span;
        let array = matches!(e.ty, Ty::Str(_) | Ty::Array(..)) && place(&e).is_some();
        if array { self.address_of_value(e, span) } else { e }
    }

    fn address_of_value(&mut self, e: Expr, span: Span) -> Expr {
        // Our own memory is read as the kernel's: an address may have gone through a map, where its origin is forgotten.
        match &e.kind {
            ExprKind::Local(_) => {
                let ty = Ty::ptr(e.ty.clone(), Space::Kernel);
                return Expr::new(ExprKind::AddressOf(Box::new(e)), ty, span);
            }
            ExprKind::MapGet { keys, .. } if keys.is_empty() && !matches!(e.ty, Ty::Agg(_)) => {
                let ty = Ty::ptr(e.ty.clone(), Space::Kernel);
                return Expr::new(ExprKind::AddressOf(Box::new(e)), ty, span);
            }
            ExprKind::MapGet { .. } => {
                let d = Diagnostic::error("no-address", e.span, "an element of a map has no lasting address")
                    .label("it may be gone at any time")
                    .help("copy it first: `$x = @m[...]; ... &$x`");
                return self.fail(d);
            }
            ExprKind::Field { field, .. } if field.bits.is_some() => {
                let d = Diagnostic::error("no-address", e.span, "a bit-field has no address").label("it begins inside of a byte");
                return self.fail(d);
            }
            _ => {}
        }
        match place(&e) {
            Some((base, offset, space)) => {
                let at = base.span;
                let base = Expr::new(ExprKind::Cast(Box::new(base)), Ty::U64, at);
                let sum = Expr::new(ExprKind::Binary(BinOp::Add, Box::new(base), Box::new(offset)), Ty::U64, span);
                let ty = self.stored_type(&Ty::ptr(e.ty, space));
                Expr::new(ExprKind::Cast(Box::new(sum)), ty, span)
            }
            None => {
                let d = Diagnostic::error("no-address", e.span, "this has no address")
                    .label("expected a variable, a map without keys, or something behind a pointer");
                self.fail(d)
            }
        }
    }

    /// `s[a..b]`: the bytes of a string from `a` up to `b`, which is out.
    pub(crate) fn slice(&mut self, b: Expr, from: &ast::Expr, to: &ast::Expr, span: Span) -> Expr {
        let (from, to) = (self.expr(from), self.expr(to));
        if from.is_error() || to.is_error() {
            return Expr::error(span);
        }
        let (Ty::Str(capacity), Some(row)) = (&b.ty, crate::builtin::find("substr")) else {
            let d = Diagnostic::error("operand-type", b.span, format!("`[a..b]` of a `{}`", b.ty))
                .label("expected a string")
                .help("bytes behind a pointer: `buf(p + a, b - a)`");
            return self.fail(d);
        };
        let mut capacity = *capacity;
        if let (Some(a), Some(z)) = (from.as_int(), to.as_int()) {
            if a < 0 || z < a {
                let d = Diagnostic::error("index-range", from.span.to(to.span), format!("there is nothing from {a} to {z}"))
                    .label("expected 0 <= a <= b");
                return self.fail(d);
            }
            capacity = capacity.min((z - a).min(i64::from(u32::MAX) - 1) as u32 + 1);
        }
        let from = self.to_int64(from);
        let at = to.span;
        let to = self.to_int64(to);
        let len = self.binary(BinOp::Sub, to, from.clone(), at);
        if from.is_error() || len.is_error() {
            return Expr::error(span);
        }
        Expr::new(ExprKind::Call { builtin: row, args: vec![b, from, len] }, Ty::Str(capacity), span)
    }
}

/// The pointer through which a place is reached, its distance in bytes from there, and the memory it is in.
fn place(e: &Expr) -> Option<(Expr, Expr, Space)> {
    let (base, more) = match &e.kind {
        ExprKind::Field { base, field } if !field.data_loc => (base, Expr::int(i64::from(field.offset), Ty::U64, e.span)),
        ExprKind::Deref(base) => (base, Expr::int(0, Ty::U64, e.span)),
        ExprKind::Index { base, index } => {
            let size = i64::from(e.ty.size());
            let scaled = match index.as_int() {
                Some(i) => Expr::int(i.wrapping_mul(size), Ty::U64, index.span),
                None => {
                    let size = Expr::int(size, Ty::U64, index.span);
                    Expr::new(ExprKind::Binary(BinOp::Mul, index.clone(), Box::new(size)), Ty::U64, index.span)
                }
            };
            (base, scaled)
        }
        _ => return None,
    };
    match &base.ty {
        Ty::Ptr(_, space) => Some(((**base).clone(), more, *space)),
        _ => {
            let (pointer, offset, space) = place(base)?;
            let sum = match (offset.as_int(), more.as_int()) {
                (Some(a), Some(b)) => Expr::int(a + b, Ty::U64, e.span),
                _ => Expr::new(ExprKind::Binary(BinOp::Add, Box::new(offset), Box::new(more)), Ty::U64, e.span),
            };
            Some((pointer, sum, space))
        }
    }
}
