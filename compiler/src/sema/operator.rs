//! Operators: arithmetic is done in 64 bits; it is unsigned when both sides are.

use super::{Checker, join};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::pattern::LONGEST;
use crate::types::Ty;
use awl_grammar::ast::{self, BinOp, UnOp};
use awl_grammar::span::Span;

impl Checker<'_> {
    /// A value used as a truth value.
    pub(crate) fn condition(&mut self, e: Expr) -> Expr {
        match &e.ty {
            Ty::Error => e,
            t if t.is_scalar() => e,
            Ty::Agg(_) => self.to_int64(e),
            t => {
                let d = Diagnostic::error("condition-type", e.span, format!("`{t}` is neither true nor false"))
                    .label("expected a number, a boolean or a pointer")
                    .help(match t {
                        Ty::Str(_) => "compare it: `... == \"text\"`".into(),
                        // `if (pid = 1)`
                        Ty::NamedTuple(fields) if fields.len() == 1 => format!("to compare, write `{} == ...`", fields[0].0),
                        _ => "compare it with something".to_string(),
                    });
                self.fail(d)
            }
        }
    }

    pub(crate) fn unary(&mut self, op: UnOp, inner: &ast::Expr, span: Span) -> Expr {
        if op == UnOp::AddrOf {
            return self.address_of(inner, span);
        }
        self.at.of_field = op == UnOp::Deref && matches!(inner.kind, ast::ExprKind::Name(_));
        let e = self.expr(inner);
        self.at.of_field = false;
        let e = self.number_of_agg(e);
        if e.is_error() {
            let ty = match op {
                UnOp::Deref => Ty::Error,
                _ if !self.supposing || self.last => Ty::Error,
                UnOp::Not => Ty::Bool,
                _ => Ty::I64,
            };
            return Expr::new(ExprKind::Error, ty, span);
        }
        match op {
            UnOp::Deref => return self.deref(e, span),
            UnOp::Not => {
                let e = self.condition(e);
                if let Some(v) = e.as_int() {
                    return Expr::int(i64::from(v == 0), Ty::Bool, span);
                }
                return Expr::new(ExprKind::Unary(op, Box::new(e)), Ty::Bool, span);
            }
            _ => {}
        }
        if !e.ty.is_int() {
            let d = Diagnostic::error("operand-type", e.span, format!("`{}` of `{}`", symbol_unary(op), e.ty)).label("expected an integer");
            return self.fail(d);
        }
        // `-9223372036854775808` is the smallest integer, though what stands behind its sign is none.
        let smallest = op == UnOp::Neg && e.as_int() == Some(i64::MIN);
        let ty = if smallest || e.ty.is_signed() { Ty::I64 } else { Ty::U64 };
        let Some(e) = self.coerce(e, &ty, "an operand") else { return Expr::error(span) };
        match e.as_int() {
            Some(v) => Expr::int(if op == UnOp::Neg { v.wrapping_neg() } else { !v }, ty, span),
            None => Expr::new(ExprKind::Unary(op, Box::new(e)), ty, span),
        }
    }

    /// `flags & 4 == 4` is `flags & (4 == 4)`, as in C, and hardly ever meant.
    pub(crate) fn bits_of_comparison(&mut self, op: BinOp, a: (&ast::Expr, &Expr), b: (&ast::Expr, &Expr), span: Span) {
        let (compared, bits, first) = match (bare_comparison(a.0), bare_comparison(b.0)) {
            (Some(compared), None) => (compared, b.1, true),
            (None, Some(compared)) => (compared, a.1, false),
            _ => return,
        };
        if !matches!(op, BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor) || !bits.ty.is_int() {
            return;
        }
        let (op, compares) = (symbol(op), symbol(compared));
        let d = Diagnostic::warning(
            "bit-compare",
            span,
            format!("`{compares}` goes before `{op}`: the bits are those of its answer, true or false"),
        );
        let (is, meant) = match first {
            true => (format!("`a {compares} b {op} c` is `(a {compares} b) {op} c`"), format!("`a {compares} (b {op} c)`")),
            false => (format!("`a {op} b {compares} c` is `a {op} (b {compares} c)`"), format!("`(a {op} b) {compares} c`")),
        };
        self.report(d.label(is).help(format!("write {meant}")));
    }

    pub(crate) fn binary(&mut self, op: BinOp, a: Expr, b: Expr, span: Span) -> Expr {
        if a.is_error() || b.is_error() {
            let ty = match op {
                _ if !self.supposing => Ty::Error,
                _ if is_arithmetic(op) && (a.ty.is_int() || b.ty.is_int()) => Ty::I64,
                _ if is_arithmetic(op) || self.last => Ty::Error,
                // What they are of doesn't matter.
                _ => Ty::Bool,
            };
            return Expr::new(ExprKind::Error, ty, span);
        }
        let (a, b) = (self.number_of_agg(a), self.number_of_agg(b));
        let (a, b) = match (&a.ty, &b.ty) {
            (x, y) if x == y => (a, b),
            (Ty::Record(_), _) | (_, Ty::Ipv4 | Ty::Str(_)) => (self.one_value(a), b),
            (_, Ty::Record(_)) | (Ty::Ipv4 | Ty::Str(_), _) => (a, self.one_value(b)),
            _ => (a, b),
        };
        match op {
            BinOp::And | BinOp::Or => {
                let (a, b) = (self.condition(a), self.condition(b));
                if a.is_error() || b.is_error() {
                    return Expr::error(span);
                }
                if let (Some(x), Some(y)) = (a.as_int(), b.as_int()) {
                    let holds = if op == BinOp::And { x != 0 && y != 0 } else { x != 0 || y != 0 };
                    return Expr::int(i64::from(holds), Ty::Bool, span);
                }
                Expr::new(ExprKind::Binary(op, Box::new(a), Box::new(b)), Ty::Bool, span)
            }
            BinOp::Eq | BinOp::Ne if !(a.ty.is_scalar() && b.ty.is_scalar()) => self.compare_memory(op, a, b, span),
            BinOp::Match => self.pattern(a, b, span),
            _ if matches!(a.ty, Ty::Ptr(..)) || matches!(b.ty, Ty::Ptr(..)) => self.pointer_operation(op, a, b, span),
            _ => self.integer_operation(op, a, b, span),
        }
    }

    /// Aggregations in expressions are their number.
    fn number_of_agg(&mut self, e: Expr) -> Expr {
        if matches!(e.ty, Ty::Agg(_)) { self.to_int64(e) } else { e }
    }

    /// `s =~ "pat*"`
    fn pattern(&mut self, a: Expr, b: Expr, span: Span) -> Expr {
        if !matches!(a.ty, Ty::Str(_)) {
            let d = Diagnostic::error("operand-type", a.span, format!("`=~` of a `{}`", a.ty)).label("expected a string");
            return self.fail(match &a.ty {
                Ty::Ptr(..) | Ty::Int { .. } => d.help("read the string that it points to: `str(...) =~ \"...\"`"),
                _ => d,
            });
        }
        let Some(text) = b.as_str() else {
            let d = Diagnostic::error("not-constant", b.span, "a pattern is known before the script runs")
                .label("expected text in quotes")
                .help("`s =~ \"abc*\"`; to search for any string: `strcontains(s, ...)`");
            return self.fail(d);
        };
        if text.iter().filter(|c| **c != b'*').count() > LONGEST {
            let d = Diagnostic::error("pattern-size", b.span, format!("a pattern has up to {LONGEST} characters beside its `*`"))
                .label("too long");
            return self.fail(d);
        }
        Expr::new(ExprKind::Binary(BinOp::Match, Box::new(a), Box::new(b)), Ty::Bool, span)
    }

    fn integer_operation(&mut self, op: BinOp, a: Expr, b: Expr, span: Span) -> Expr {
        for (e, other) in [(&a, &b), (&b, &a)] {
            if !e.ty.is_int() {
                let d = Diagnostic::error("operand-type", e.span, format!("`{}` of `{}` and `{}`", symbol(op), a.ty, b.ty))
                    .label(format!("expected an integer, found `{}`", e.ty))
                    .because(other.span, format!("this is `{}`", other.ty));
                return self.fail(match (&e.ty, &other.ty) {
                    (Ty::Str(_), Ty::Str(_)) if op == BinOp::Add => {
                        d.help("strings are joined by `str_concat(a, b)`, or printed in a row: `printf(\"%s%s\", a, b)`")
                    }
                    (Ty::Str(_), _) if op == BinOp::Add => d.help("print one behind the other: `printf(\"%s%d\", a, b)`"),
                    _ => d,
                });
            }
        }
        let compares = is_comparison(op);
        // A literal takes the other side's sign, and what got nothing else.
        let literal = |e: &Expr| self.open_sign(e);
        let unsigned = |e: &Expr| !e.ty.is_signed();
        let shift = matches!(op, BinOp::Shl | BinOp::Shr);
        let is_unsigned = if shift {
            unsigned(&a)
        } else {
            (unsigned(&a) || literal(&a)) && (unsigned(&b) || literal(&b)) && (unsigned(&a) || unsigned(&b))
        };
        let operand = if is_unsigned { Ty::U64 } else { Ty::I64 };
        let sign_matters = matches!(op, BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge | BinOp::Div | BinOp::Mod);
        if sign_matters && unsigned(&a) != unsigned(&b) && !literal(&a) && !literal(&b) && whole(&a, &b) {
            self.report(
                Diagnostic::warning("sign-mismatch", span, format!("`{}` of a signed and an unsigned value", symbol(op)))
                    .label("both are taken as signed here")
                    .because(a.span, format!("this is `{}`", a.ty))
                    .because(b.span, format!("this is `{}`", b.ty))
                    .help("say which is meant: `(uint64)...` or `(int64)...`"),
            );
        }
        let (Some(a), Some(b)) = (self.coerce(a, &operand, "an operand"), self.coerce(b, &operand, "an operand")) else {
            return Expr::error(span);
        };
        if let BinOp::Div | BinOp::Mod = op
            && b.as_int() == Some(0)
        {
            let d = Diagnostic::error("division-by-zero", b.span, "division by zero").label("this is zero");
            return self.fail(d);
        }
        let ty = if compares {
            Ty::Bool
        } else if op == BinOp::Sub {
            Ty::I64
        } else {
            operand
        };
        if let (Some(x), Some(y)) = (a.as_int(), b.as_int()) {
            return Expr::int(fold(op, x, y, is_unsigned), ty, span);
        }
        Expr::new(ExprKind::Binary(op, Box::new(a), Box::new(b)), ty, span)
    }

    fn pointer_operation(&mut self, op: BinOp, a: Expr, b: Expr, span: Span) -> Expr {
        let ok = a.ty.is_scalar() && b.ty.is_scalar();
        match op {
            _ if ok && is_comparison(op) => Expr::new(ExprKind::Binary(op, Box::new(plain(a)), Box::new(plain(b))), Ty::Bool, span),
            BinOp::Add | BinOp::Sub if ok => {
                let (p, n) = if matches!(a.ty, Ty::Ptr(..)) { (a, b) } else { (b, a) };
                if matches!(n.ty, Ty::Ptr(..)) {
                    // The distance of two pointers, in bytes.
                    return Expr::new(ExprKind::Binary(op, Box::new(plain(p)), Box::new(plain(n))), Ty::I64, span);
                }
                let Ty::Ptr(to, _) = &p.ty else { return Expr::error(span) };
                let step = i64::from(to.size().max(1));
                let ty = self.stored_type(&p.ty);
                let Some(n) = self.coerce(n, &Ty::I64, "an offset") else { return Expr::error(span) };
                let scaled = match n.as_int() {
                    Some(v) => Expr::int(v.wrapping_mul(step), Ty::I64, n.span),
                    None if step == 1 => n,
                    None => {
                        let at = n.span;
                        Expr::new(ExprKind::Binary(BinOp::Mul, Box::new(n), Box::new(Expr::int(step, Ty::I64, at))), Ty::I64, at)
                    }
                };
                Expr::new(ExprKind::Binary(op, Box::new(plain(p)), Box::new(scaled)), ty, span)
            }
            _ => {
                // Masks and alignments of addresses are common in kernel scripts: the address as a number.
                let (a, b) = (plain(a), plain(b));
                self.integer_operation(op, a, b, span)
            }
        }
    }

    /// `==` and `!=` of strings, buffers, tuples, arrays.
    fn compare_memory(&mut self, op: BinOp, a: Expr, b: Expr, span: Span) -> Expr {
        let b = as_buffer(b, &a.ty);
        let a = as_buffer(a, &b.ty);
        let (x, y) = (self.stored_type(&a.ty), self.stored_type(&b.ty));
        let Some(ty) = join::join(&x, &y) else {
            let d = Diagnostic::error("type-mismatch", b.span, format!("`{}` compared with `{}`", a.ty, b.ty))
                .label(format!("expected `{}`", a.ty))
                .because(a.span, format!("this is `{}`", a.ty));
            let d = match (&a.ty, &b.ty) {
                (Ty::Str(_), Ty::Ptr(..)) | (Ty::Ptr(..), Ty::Str(_)) => d.help("read the string that it points to: `str(...)`"),
                _ => d,
            };
            return self.fail(d);
        };
        if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
            return Expr::int(i64::from((x == y) == (op == BinOp::Eq)), Ty::Bool, span);
        }
        if matches!(ty, Ty::Str(_)) {
            // Capacities may differ: the comparison ends at the first NUL.
            return Expr::new(ExprKind::Binary(op, Box::new(a), Box::new(b)), Ty::Bool, span);
        }
        if !matches!(
            ty,
            Ty::Tuple(_)
                | Ty::NamedTuple(_)
                | Ty::Buf(_)
                | Ty::Array(..)
                | Ty::Mac
                | Ty::Ipv4
                | Ty::Ipv6
                | Ty::Inet
                | Ty::Ksym
                | Ty::Usym
                | Ty::Stack { .. }
                | Ty::Username
        ) {
            let d = Diagnostic::error("operand-type", span, format!("values of type `{ty}` can't be compared"))
                .label("no comparison for this type");
            return self.fail(d);
        }
        let (Some(a), Some(b)) = (self.coerce(a, &ty, "an operand"), self.coerce(b, &ty, "an operand")) else {
            return Expr::error(span);
        };
        Expr::new(ExprKind::Binary(op, Box::new(a), Box::new(b)), Ty::Bool, span)
    }
}

/// Only two whole registers can really differ by their sign: narrower values fit into the signed one.
fn whole(a: &Expr, b: &Expr) -> bool {
    let u = if a.ty.is_signed() { b } else { a };
    u.ty.size() == 8
}

/// A literal that is compared with bytes or with an address: what its text says.
pub(super) fn as_buffer(e: Expr, other: &Ty) -> Expr {
    match (&e.kind, other) {
        (ExprKind::Str(text), Ty::Buf(_)) => {
            let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
            bytes.extend(text);
            Expr::new(ExprKind::Bytes(bytes), Ty::Buf(text.len() as u32), e.span)
        }
        // `ip.saddr == $1`
        (ExprKind::Str(text), Ty::Ipv4 | Ty::Ipv6 | Ty::Mac) => {
            let address = std::str::from_utf8(text).ok().and_then(|t| super::packet::literal(t, e.span));
            address.unwrap_or(e)
        }
        _ => e,
    }
}

/// A pointer as its address.
fn plain(e: Expr) -> Expr {
    if let Ty::Ptr(..) = &e.ty {
        let span = e.span;
        return Expr::new(ExprKind::Cast(Box::new(e)), Ty::U64, span);
    }
    e
}

fn fold(op: BinOp, x: i64, y: i64, unsigned: bool) -> i64 {
    let (ux, uy) = (x as u64, y as u64);
    let truth = |b: bool| i64::from(b);
    match op {
        BinOp::Add => x.wrapping_add(y),
        BinOp::Sub => x.wrapping_sub(y),
        BinOp::Mul => x.wrapping_mul(y),
        BinOp::Div if unsigned => (ux / uy.max(1)) as i64,
        BinOp::Div => x.wrapping_div(if y == 0 { 1 } else { y }),
        BinOp::Mod if unsigned => (ux % uy.max(1)) as i64,
        BinOp::Mod => x.wrapping_rem(if y == 0 { 1 } else { y }),
        BinOp::BitAnd => x & y,
        BinOp::BitOr => x | y,
        BinOp::BitXor => x ^ y,
        BinOp::Shl => x.wrapping_shl(y as u32),
        BinOp::Shr if unsigned => ux.wrapping_shr(y as u32) as i64,
        BinOp::Shr => x.wrapping_shr(y as u32),
        BinOp::And => truth(x != 0 && y != 0),
        BinOp::Or => truth(x != 0 || y != 0),
        BinOp::Eq => truth(x == y),
        BinOp::Ne => truth(x != y),
        BinOp::Lt => truth(if unsigned { ux < uy } else { x < y }),
        BinOp::Le => truth(if unsigned { ux <= uy } else { x <= y }),
        BinOp::Gt => truth(if unsigned { ux > uy } else { x > y }),
        BinOp::Ge => truth(if unsigned { ux >= uy } else { x >= y }),
        BinOp::Match => 0,
    }
}

pub fn symbol(op: BinOp) -> &'static str {
    match op {
        BinOp::Add => "+",
        BinOp::Sub => "-",
        BinOp::Mul => "*",
        BinOp::Div => "/",
        BinOp::Mod => "%",
        BinOp::BitAnd => "&",
        BinOp::BitOr => "|",
        BinOp::BitXor => "^",
        BinOp::Shl => "<<",
        BinOp::Shr => ">>",
        BinOp::And => "&&",
        BinOp::Or => "||",
        BinOp::Eq => "==",
        BinOp::Ne => "!=",
        BinOp::Lt => "<",
        BinOp::Le => "<=",
        BinOp::Gt => ">",
        BinOp::Ge => ">=",
        BinOp::Match => "=~",
    }
}

pub fn symbol_unary(op: UnOp) -> &'static str {
    match op {
        UnOp::Neg => "-",
        UnOp::Not => "!",
        UnOp::BitNot => "~",
        UnOp::Deref => "*",
        UnOp::AddrOf => "&",
    }
}

/// Does it make an integer of integers?
fn is_arithmetic(op: BinOp) -> bool {
    use BinOp::{Add, BitAnd, BitOr, BitXor, Div, Mod, Mul, Shl, Shr, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | BitAnd | BitOr | BitXor | Shl | Shr)
}

fn is_comparison(op: BinOp) -> bool {
    matches!(op, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge)
}

/// The operator of a comparison that stands in no parentheses of its own.
fn bare_comparison(e: &ast::Expr) -> Option<BinOp> {
    match &e.kind {
        ast::ExprKind::Binary(op, left, _) if is_comparison(*op) => (e.span.start == left.span.start).then_some(*op),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Space;

    #[test]
    fn folding() {
        assert_eq!(fold(BinOp::Div, -7, 2, false), -3);
        assert_eq!(fold(BinOp::Mod, -7, 2, false), -1);
        assert_eq!(fold(BinOp::Lt, -1, 1, true), 0);
        assert_eq!(fold(BinOp::Shr, -8, 1, false), -4);
        assert_eq!(plain(Expr::int(0, Ty::ptr(Ty::Void, Space::User), Span::default())).ty, Ty::U64);
    }
}
