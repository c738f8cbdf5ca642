//! Expressions. A chain of operators arrives as a flat list and becomes a tree here, by the table in ops.rs.
//!
//! Every builder of something that nests returns how high its tree is: chains make trees high without a single bracket, and
//! a tree beyond [`MAX_DEPTH`] is refused.

use std::iter::Peekable;

use super::{Builder, P, Ps, Rule};
use crate::ast::{Arg, Expr, ExprKind, Ident, Type, TypeOrExpr, UnOp};
use crate::errors::SyntaxError;
use crate::literal;
use crate::ops;
use crate::scan::{MAX_DEPTH, too_deep};
use crate::span::Span;

/// An expression and the height of its tree.
pub type Tall<T> = (T, usize);

/// What stands in front of an operand.
enum Prefix {
    Op(UnOp),
    Step { inc: bool },
    Cast(Type),
}

impl<'a> Builder<'a> {
    pub(super) fn expr(&mut self, pair: P<'a>) -> Tall<Expr> {
        let span = self.span(&pair);
        let mut list = pair.into_inner().peekable();
        let built = self.chain(&mut list, 0, 0, span);
        if let Some(stray) = list.next() {
            // only `:` and `?` stop a chain, and `?` never at its loosest
            let span = self.span(&stray);
            self.errors.push(
                SyntaxError::new("syntax", span, "`:` without a `?` in front of it")
                    .help("a choice is written `condition ? value : other`"),
            );
        }
        built
    }

    pub(super) fn boxed(&mut self, pair: P<'a>) -> Tall<Box<Expr>> {
        let (expr, h) = self.expr(pair);
        (Box::new(expr), h)
    }

    /// What stands for an expression that could not be built.
    pub(super) fn nothing(&self, span: Span) -> Tall<Expr> {
        let kind = ExprKind::Int { value: 0, unsigned: false };
        (Expr { kind, span }, 1)
    }

    /// Puts a node on top of trees of height `h`, unless that makes it too high.
    fn node(&mut self, kind: ExprKind, span: Span, h: usize) -> Tall<Expr> {
        if h >= MAX_DEPTH {
            // one report a text is enough: what surrounds this is too high as well
            if !self.errors.iter().any(|e| e.code == "too-deep") {
                self.errors.push(too_deep(span));
            }
            return self.nothing(span);
        }
        (Expr { kind, span }, h + 1)
    }

    /// Reads operators that bind at least as tightly as `min`. `level` counts the choices that are open.
    fn chain(&mut self, list: &mut Peekable<Ps<'a>>, min: u8, level: usize, whole: Span) -> Tall<Expr> {
        let (mut left, mut height) = self.operand(list, level, whole);
        if level > MAX_DEPTH {
            list.by_ref().for_each(drop);
            return self.node(left.kind, left.span, MAX_DEPTH);
        }
        while let Some(next) = list.peek() {
            if next.as_rule() != Rule::infix {
                break;
            }
            let symbol = next.as_str();
            if let Some(row) = ops::infix(symbol) {
                if row.prec < min {
                    break;
                }
                list.next();
                let (right, h) = self.chain(list, row.prec + 1, level, whole);
                let span = left.span.to(right.span);
                let kind = ExprKind::Binary(row.op, Box::new(left), Box::new(right));
                (left, height) = self.node(kind, span, height.max(h));
                continue;
            }
            if !symbol.starts_with('?') || ops::TERNARY < min {
                break;
            }
            let mark = self.span(next);
            list.next();
            let (then, h1) = if symbol.len() > 1 {
                (None, 0)
            } else {
                let (then, h) = self.chain(list, ops::TERNARY, level + 1, whole);
                if list.next_if(|p| p.as_str() == ":").is_none() {
                    self.errors.push(
                        SyntaxError::new("syntax", mark, "this `?` has no `:`")
                            .label("needs `: other` after its first value")
                            .help("a choice is written `condition ? value : other`"),
                    );
                    return (left, height);
                }
                (Some(Box::new(then)), h)
            };
            let (other, h2) = self.chain(list, ops::TERNARY, level + 1, whole);
            let span = left.span.to(other.span);
            let kind = ExprKind::Ternary { cond: Box::new(left), then, other: Box::new(other) };
            (left, height) = self.node(kind, span, height.max(h1).max(h2));
        }
        (left, height)
    }

    /// Prefixes, a primary and its postfixes.
    fn operand(&mut self, list: &mut Peekable<Ps<'a>>, level: usize, whole: Span) -> Tall<Expr> {
        let mut prefixes: Vec<(Prefix, Span)> = Vec::new();
        let mut cast_height = 0;
        let mut built = loop {
            let Some(pair) = list.next() else {
                return self.nothing(whole);
            };
            let span = self.span(&pair);
            let prefix = match pair.as_rule() {
                Rule::prefix_op => match pair.as_str() {
                    "++" => Prefix::Step { inc: true },
                    "--" => Prefix::Step { inc: false },
                    symbol => Prefix::Op(ops::prefix(symbol).unwrap_or(UnOp::Neg)),
                },
                Rule::cast => {
                    let mut inner = pair.into_inner();
                    let Some(ty) = inner.next() else { continue };
                    let (ty, h) = self.ty(ty);
                    cast_height = cast_height.max(h);
                    Prefix::Cast(ty)
                }
                Rule::comptime => {
                    // takes everything to its right, as `return` does
                    let (inner, h) = self.chain(list, 0, level + 1, whole);
                    let span = span.to(inner.span);
                    break self.node(ExprKind::Comptime(Box::new(inner)), span, h);
                }
                _ => {
                    let mut built = self.primary(pair);
                    while let Some(p) = list.next_if(|p| is_postfix(p.as_rule())) {
                        built = self.postfix(built, p);
                    }
                    break built;
                }
            };
            prefixes.push((prefix, span));
        };
        built.1 = built.1.max(cast_height);
        for (prefix, at) in prefixes.into_iter().rev() {
            let (inner, h) = built;
            let span = at.to(inner.span);
            let kind = match prefix {
                Prefix::Op(op) => ExprKind::Unary(op, Box::new(inner)),
                Prefix::Cast(ty) => ExprKind::Cast(ty, Box::new(inner)),
                Prefix::Step { inc } => self.step(inner, inc, true, at),
            };
            built = self.node(kind, span, h);
        }
        built
    }

    fn step(&mut self, place: Expr, inc: bool, prefix: bool, at: Span) -> ExprKind {
        if !is_place(&place) {
            let symbol = if inc { "++" } else { "--" };
            self.errors.push(
                SyntaxError::new("bad-place", at, format!("`{symbol}` needs a variable or a map element"))
                    .related(place.span, "this is a value that can't change"),
            );
        }
        let place = Box::new(place);
        ExprKind::Step { place, inc, prefix }
    }

    fn postfix(&mut self, (base, height): Tall<Expr>, pair: P<'a>) -> Tall<Expr> {
        let at = self.span(&pair);
        let span = base.span.to(at);
        let rule = pair.as_rule();
        let text = pair.as_str();
        let mut inner = pair.into_inner();
        match rule {
            Rule::step => {
                let kind = self.step(base, text == "++", false, at);
                self.node(kind, span, height)
            }
            Rule::tuple_field => {
                let digits = inner.next().map_or("", |p| p.as_str());
                self.no_fraction(&base, span);
                let index = digits.parse().unwrap_or_else(|_| {
                    let message = format!("`.{digits}`: no tuple has that many fields");
                    self.errors.push(SyntaxError::new("number-too-large", at, message));
                    0
                });
                let base = Box::new(base);
                self.node(ExprKind::TupleField { base, index }, span, height)
            }
            Rule::index => self.index(base, height, inner, span),
            _ => {
                let Some(name) = inner.next() else {
                    return (base, height);
                };
                let name = self.ident(&name);
                let kind = ExprKind::Field { base: Box::new(base), name, arrow: rule == Rule::arrow };
                self.node(kind, span, height)
            }
        }
    }

    /// `1.5` reads like a field of a number.
    fn no_fraction(&mut self, base: &Expr, span: Span) {
        let mut number = base;
        let mut dots = 1;
        while let ExprKind::TupleField { base, .. } = &number.kind {
            number = base;
            dots += 1;
        }
        if matches!(number.kind, ExprKind::Addr(_)) && !self.text_of(number.span).starts_with('(') {
            let error = SyntaxError::new("bad-address", span, "an address has no fields");
            self.errors.push(error.related(number.span, "this is an address"));
            return;
        }
        if !matches!(number.kind, ExprKind::Int { .. }) || self.text_of(number.span).starts_with(['(', '\'']) {
            return;
        }
        // one report for `1.2.3`, the longest one
        if self.errors.last().is_some_and(|e| e.code == "bad-number" && e.span.start == span.start) {
            self.errors.pop();
        }
        let error = if dots == 1 {
            SyntaxError::new("bad-number", span, "there are no numbers with a fraction")
                .help("count in a smaller unit: `1500ms` instead of 1.5 seconds")
        } else {
            SyntaxError::new("bad-number", span, "this is neither a number nor an address")
                .help("an IPv4 address has four parts, as in `10.0.0.1`")
        };
        self.errors.push(error);
    }

    fn index(&mut self, base: Expr, height: usize, inner: Ps<'a>, span: Span) -> Tall<Expr> {
        let mut height = height;
        let mut keys = Vec::new();
        let mut end = None;
        for pair in inner {
            let slice = pair.as_rule() == Rule::slice_end;
            let Some(pair) = (if slice { pair.into_inner().next() } else { Some(pair) }) else {
                continue;
            };
            let (key, h) = self.expr(pair);
            height = height.max(h);
            if slice {
                end = Some(Box::new(key));
            } else {
                keys.push(key);
            }
        }
        if let Some(to) = end {
            let from = Box::new(keys.pop().unwrap_or_else(|| self.nothing(span).0));
            let base = Box::new(base);
            return self.node(ExprKind::Slice { base, from, to }, span, height);
        }
        if let ExprKind::Map(name) = base.kind {
            let map = Ident { name, span: base.span };
            return self.node(ExprKind::MapIndex { map, keys }, span, height);
        }
        if let [_, second, ..] = keys.as_slice() {
            self.errors.push(
                SyntaxError::new("syntax", second.span, "only maps have several keys")
                    .label("one index is enough here")
                    .help("index an array of arrays as `x[1][2]`"),
            );
        }
        let index = Box::new(keys.into_iter().next().unwrap_or_else(|| self.nothing(span).0));
        let base = Box::new(base);
        self.node(ExprKind::Index { base, index }, span, height)
    }

    pub(super) fn literal(&mut self, pair: P<'a>) -> Expr {
        self.primary(pair).0
    }

    fn primary(&mut self, pair: P<'a>) -> Tall<Expr> {
        let span = self.span(&pair);
        let text = pair.as_str();
        let kind = match pair.as_rule() {
            Rule::var => ExprKind::Var(text[1..].to_string()),
            Rule::map => ExprKind::Map(text[1..].to_string()),
            Rule::param_count => ExprKind::ParamCount,
            Rule::param => ExprKind::Param(self.param_number(text, span)),
            Rule::string => ExprKind::Str(literal::string(text).unwrap_or_else(|bad| {
                self.bad_literal(span, bad);
                Vec::new()
            })),
            Rule::number => {
                let (value, unsigned) = literal::number(text).unwrap_or_else(|bad| {
                    self.bad_literal(span, bad);
                    (0, false)
                });
                ExprKind::Int { value, unsigned }
            }
            Rule::char => ExprKind::Int {
                value: literal::character(text).unwrap_or_else(|bad| {
                    self.bad_literal(span, bad);
                    0
                }),
                unsigned: false,
            },
            Rule::addr => {
                if let Err(bad) = literal::address(text) {
                    self.bad_literal(span, bad);
                }
                ExprKind::Addr(text.to_string())
            }
            Rule::named => return self.named(pair),
            Rule::name => return self.plain_name(&pair),
            Rule::paren => return self.paren(pair),
            Rule::record => return self.record(pair),
            Rule::block => {
                let (block, h) = self.block(pair);
                return self.node(ExprKind::Block(block), span, h);
            }
            Rule::if_expr => return self.if_expr(pair),
            Rule::sizeof | Rule::typeinfo => {
                let sizeof = pair.as_rule() == Rule::sizeof;
                let Some(of) = pair.into_inner().nth(1) else {
                    return self.nothing(span);
                };
                let (of, h) = self.type_or_expr(of);
                let kind = if sizeof { ExprKind::Sizeof(of) } else { ExprKind::Typeinfo(of) };
                return self.node(kind, span, h);
            }
            Rule::offsetof => {
                let mut inner = pair.into_inner().skip(1);
                let Some(of) = inner.next() else {
                    return self.nothing(span);
                };
                let (of, h) = self.type_or_expr(of);
                let path = inner.map(|p| self.ident(&p)).collect();
                return self.node(ExprKind::Offsetof(of, path), span, h);
            }
            _ => return self.nothing(span),
        };
        self.node(kind, span, 0)
    }

    fn param_number(&mut self, text: &str, span: Span) -> u32 {
        text[1..].parse().unwrap_or_else(|_| {
            self.errors.push(SyntaxError::new("number-too-large", span, format!("`{text}`: there are never that many parameters")));
            0
        })
    }

    fn plain_name(&mut self, pair: &P<'a>) -> Tall<Expr> {
        let kind = match pair.as_str() {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            name => ExprKind::Name(name.to_string()),
        };
        self.node(kind, self.span(pair), 0)
    }

    /// A name, or a call when arguments follow.
    fn named(&mut self, pair: P<'a>) -> Tall<Expr> {
        let whole = self.span(&pair);
        let mut inner = pair.into_inner();
        let Some(name) = inner.next() else {
            return self.nothing(whole);
        };
        let Some(list) = inner.next() else {
            return self.plain_name(&name);
        };
        let name = self.ident(&name);
        let span = name.span.to(self.span(&list));
        let mut height = 0;
        let mut args = Vec::new();
        for arg in list.into_inner() {
            if arg.as_rule() == Rule::type_arg {
                let (ty, h) = self.ty(arg);
                height = height.max(h);
                args.push(Arg::Type(ty));
            } else {
                let (expr, h) = self.expr(arg);
                height = height.max(h);
                args.push(Arg::Expr(expr));
            }
        }
        self.node(ExprKind::Call { name, args }, span, height)
    }

    /// `(e)` is `e` with a wider span; `()`, `(e,)` and `(e, f)` are tuples.
    fn paren(&mut self, pair: P<'a>) -> Tall<Expr> {
        let span = self.span(&pair);
        let mut height = 0;
        let mut tuple = false;
        let mut items = Vec::new();
        for inner in pair.into_inner() {
            if inner.as_rule() == Rule::trailing {
                tuple = true;
                continue;
            }
            let (expr, h) = self.expr(inner);
            height = height.max(h);
            items.push(expr);
        }
        if items.len() == 1
            && !tuple
            && let Some(inner) = items.pop()
        {
            return (Expr { kind: inner.kind, span }, height);
        }
        self.node(ExprKind::Tuple(items), span, height)
    }

    fn record(&mut self, pair: P<'a>) -> Tall<Expr> {
        let span = self.span(&pair);
        let mut height = 0;
        let mut items = Vec::new();
        for item in pair.into_inner() {
            let mut inner = item.into_inner();
            if let (Some(name), Some(value)) = (inner.next(), inner.next()) {
                let name = self.ident(&name);
                let (value, h) = self.expr(value);
                height = height.max(h);
                items.push((name, value));
            }
        }
        self.node(ExprKind::Record(items), span, height)
    }

    /// `if a { } else if b { } else { }`: what follows an `else if` is the tail of the `else`.
    pub(super) fn if_expr(&mut self, pair: P<'a>) -> Tall<Expr> {
        let whole = self.span(&pair);
        // (place of `if`, condition, block), and the last block
        let mut arms = Vec::new();
        let mut last = None;
        let mut height = 0;
        let mut cond: Option<(Span, Expr)> = None;
        let mut at = whole;
        let mut flat = Vec::new();
        for part in pair.into_inner() {
            if part.as_rule() == Rule::else_if {
                flat.extend(part.into_inner());
            } else {
                flat.push(part);
            }
        }
        for part in flat {
            match part.as_rule() {
                Rule::kw_else => {}
                Rule::kw_if => at = self.span(&part),
                Rule::block => {
                    let (block, h) = self.block(part);
                    height = height.max(h);
                    match cond.take() {
                        Some((at, cond)) => arms.push((at, cond, block)),
                        None => last = Some(block),
                    }
                }
                _ => {
                    let (c, h) = self.expr(part);
                    height = height.max(h);
                    cond = Some((at, c));
                }
            }
        }
        let mut built = None;
        while let Some((at, cond, then)) = arms.pop() {
            let other = match built.take() {
                Some((inner, h)) => {
                    let inner: Expr = inner;
                    height = height.max(h);
                    let span = inner.span;
                    Some(crate::ast::Block { stmts: Vec::new(), tail: Some(Box::new(inner)), span })
                }
                None => last.take(),
            };
            let span = at.to(other.as_ref().map_or(then.span, |b| b.span));
            let kind = ExprKind::If { cond: Box::new(cond), then, other };
            let (expr, h) = self.node(kind, span, height);
            height = height.max(h);
            built = Some((expr, h));
        }
        built.unwrap_or_else(|| self.nothing(whole))
    }

    pub(super) fn type_or_expr(&mut self, pair: P<'a>) -> Tall<TypeOrExpr> {
        let span = self.span(&pair);
        let Some(inner) = pair.into_inner().next() else {
            let (expr, h) = self.nothing(span);
            return (TypeOrExpr::Expr(Box::new(expr)), h);
        };
        if inner.as_rule() == Rule::type_sure {
            let (ty, h) = self.ty(inner);
            (TypeOrExpr::Type(Box::new(ty)), h)
        } else {
            let (expr, h) = self.boxed(inner);
            (TypeOrExpr::Expr(expr), h)
        }
    }
}

fn is_postfix(rule: Rule) -> bool {
    matches!(rule, Rule::step | Rule::tuple_field | Rule::dot | Rule::arrow | Rule::index)
}

/// May it stand left of `=`? Whether it really can be written is the checker's to say.
pub(super) fn is_place(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Var(_) | ExprKind::Map(_) | ExprKind::MapIndex { .. } | ExprKind::Name(_) => true,
        ExprKind::Field { .. } | ExprKind::TupleField { .. } | ExprKind::Index { .. } => true,
        ExprKind::Unary(op, _) => *op == UnOp::Deref,
        _ => false,
    }
}
