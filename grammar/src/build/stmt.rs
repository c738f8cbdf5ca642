//! Blocks and statements.

use super::expr::{Tall, is_place};
use super::{Builder, P, Ps, Rule};
use crate::ast::{Block, Expr, ExprKind, ForOver, Ident, Stmt, StmtKind};
use crate::errors::SyntaxError;
use crate::ops;
use crate::span::Span;

impl<'a> Builder<'a> {
    pub(super) fn block(&mut self, pair: P<'a>) -> Tall<Block> {
        let span = self.span(&pair);
        self.stmts(pair.into_inner(), span)
    }

    /// The statements between two braces. A last expression without a semicolon is the block's value.
    pub(super) fn stmts(&mut self, pairs: Ps<'a>, span: Span) -> Tall<Block> {
        let mut stmts: Vec<Stmt> = Vec::new();
        let mut height = 0;
        let mut open = false;
        for pair in pairs {
            match pair.as_rule() {
                Rule::EOI => {}
                Rule::semi => open = false,
                _ => {
                    let (stmt, h) = self.stmt(pair);
                    height = height.max(h);
                    stmts.push(stmt);
                    open = true;
                }
            }
        }
        let mut tail = None;
        if open {
            tail = match stmts.pop() {
                Some(Stmt { kind: StmtKind::Expr(expr), .. }) => Some(Box::new(expr)),
                Some(other) => {
                    stmts.push(other);
                    None
                }
                None => None,
            };
        }
        (Block { stmts, tail, span }, height)
    }

    fn stmt(&mut self, pair: P<'a>) -> Tall<Stmt> {
        let whole = self.span(&pair);
        let rule = pair.as_rule();
        let mut inner = pair.into_inner();
        match rule {
            Rule::simple => self.simple(inner, whole),
            Rule::if_stmt | Rule::block_stmt => {
                let (expr, h) = match inner.next() {
                    Some(p) if p.as_rule() == Rule::if_expr => self.if_expr(p),
                    Some(p) => {
                        let span = self.span(&p);
                        let (block, h) = self.block(p);
                        let kind = ExprKind::Block(block);
                        (Expr { kind, span }, h + 1)
                    }
                    None => self.nothing(whole),
                };
                let span = expr.span;
                let kind = StmtKind::Expr(expr);
                (Stmt { kind, span }, h)
            }
            Rule::let_stmt => self.let_stmt(inner, whole),
            Rule::jump => {
                let span = inner.next().map_or(whole, |p| self.span(&p));
                let kind = if self.text_of(span).starts_with('b') { StmtKind::Break } else { StmtKind::Continue };
                (Stmt { kind, span }, 1)
            }
            Rule::return_stmt => {
                let mut span = inner.next().map_or(whole, |p| self.span(&p));
                let value = inner.next().map(|p| self.expr(p));
                let h = value.as_ref().map_or(0, |v| v.1);
                let value = value.map(|v| v.0);
                if let Some(value) = &value {
                    span = span.to(value.span);
                }
                let kind = StmtKind::Return(value);
                (Stmt { kind, span }, h + 1)
            }
            Rule::import_stmt => {
                let start = inner.next().map_or(whole, |p| self.span(&p));
                match inner.next() {
                    Some(path) => {
                        let mut import = self.import_path(path);
                        import.span = start.to(import.span);
                        let span = import.span;
                        let kind = StmtKind::Import(import);
                        (Stmt { kind, span }, 1)
                    }
                    None => self.no_stmt(whole),
                }
            }
            Rule::while_stmt | Rule::unroll_stmt => {
                let (Some(word), Some(cond), Some(body)) = (inner.next(), inner.next(), inner.next()) else {
                    return self.no_stmt(whole);
                };
                let (e, h1) = self.expr(cond);
                let (body, h2) = self.block(body);
                let span = self.span(&word).to(body.span);
                let kind = if rule == Rule::while_stmt { StmtKind::While { cond: e, body } } else { StmtKind::Unroll { count: e, body } };
                (Stmt { kind, span }, h1.max(h2) + 1)
            }
            Rule::for_stmt => self.for_stmt(inner, whole),
            _ => self.no_stmt(whole),
        }
    }

    fn no_stmt(&self, span: Span) -> Tall<Stmt> {
        let (expr, h) = self.nothing(span);
        let kind = StmtKind::Expr(expr);
        (Stmt { kind, span }, h)
    }

    fn simple(&mut self, mut inner: Ps<'a>, whole: Span) -> Tall<Stmt> {
        let Some(first) = inner.next() else {
            return self.no_stmt(whole);
        };
        let (place, h1) = self.expr(first);
        let (Some(op), Some(value)) = (inner.next(), inner.next()) else {
            let span = place.span;
            let kind = StmtKind::Expr(place);
            return (Stmt { kind, span }, h1);
        };
        let op_span = self.span(&op);
        let op = op.as_str().trim_end_matches('=');
        let (value, h2) = self.expr(value);
        let span = place.span.to(value.span);
        let height = h1.max(h2) + 1;
        if op.is_empty() && matches!(&place.kind, ExprKind::Name(n) if n == "_") {
            let kind = StmtKind::Discard(value);
            return (Stmt { kind, span }, height);
        }
        if !is_place(&place) {
            let mut error = SyntaxError::new("bad-place", place.span, "this can't be assigned to")
                .label("only variables and maps can")
                .related(op_span, "assigned here");
            if op.is_empty() {
                error = error.help("to compare, write `==`");
            }
            self.errors.push(error);
        }
        let op = ops::infix(op).map(|row| row.op);
        let kind = StmtKind::Assign { place, op, value };
        (Stmt { kind, span }, height)
    }

    fn let_stmt(&mut self, mut inner: Ps<'a>, whole: Span) -> Tall<Stmt> {
        let (Some(word), Some(var)) = (inner.next(), inner.next()) else {
            return self.no_stmt(whole);
        };
        let var = self.sigil_ident(&var);
        let mut span = self.span(&word).to(var.span);
        let (mut ty, mut init, mut height) = (None, None, 0);
        for part in inner {
            if part.as_rule() == Rule::type_full {
                let (t, h) = self.ty(part);
                span = span.to(t.span);
                height = height.max(h);
                ty = Some(t);
            } else {
                let (e, h) = self.expr(part);
                span = span.to(e.span);
                height = height.max(h);
                init = Some(e);
            }
        }
        let kind = StmtKind::Let { var, ty, init };
        (Stmt { kind, span }, height + 1)
    }

    fn for_stmt(&mut self, inner: Ps<'a>, whole: Span) -> Tall<Stmt> {
        let mut start = whole;
        let mut var = None;
        let mut bounds = Vec::new();
        let mut body = None;
        let mut height = 0;
        for part in inner {
            match part.as_rule() {
                Rule::kw_for => start = self.span(&part),
                Rule::var => var = Some(self.sigil_ident(&part)),
                Rule::block => {
                    let (b, h) = self.block(part);
                    height = height.max(h);
                    body = Some(b);
                }
                _ => {
                    let (e, h) = self.expr(part);
                    height = height.max(h);
                    bounds.push(e);
                }
            }
        }
        let (Some(var), Some(body)) = (var, body) else {
            return self.no_stmt(whole);
        };
        let mut bounds = bounds.into_iter();
        let over = match (bounds.next(), bounds.next()) {
            (Some(from), Some(to)) => ForOver::Range(Box::new(from), Box::new(to)),
            (Some(one), None) => ForOver::Map(self.looped_map(one)),
            (None, _) => return self.no_stmt(whole),
        };
        let span = start.to(body.span);
        let kind = StmtKind::For { var, over, body };
        (Stmt { kind, span }, height + 1)
    }

    fn looped_map(&mut self, over: Expr) -> Ident {
        let span = over.span;
        if let ExprKind::Map(name) = over.kind {
            return Ident { name, span };
        }
        self.errors.push(
            SyntaxError::new("syntax", span, "`for` goes over a map or a range")
                .help("write `for ($kv : @map) { ... }` or `for ($i : 0..10) { ... }`"),
        );
        Ident { name: String::new(), span }
    }

    /// The text of a span that this builder made.
    pub(super) fn text_of(&self, span: Span) -> &'a str {
        let start = (span.start as usize).saturating_sub(self.origin);
        let end = (span.end as usize).saturating_sub(self.origin);
        self.text.get(start..end).unwrap_or("")
    }
}
