//! Expressions and types.

use super::Printer;
use crate::ast::{Arg, Block, Expr, ExprKind, Type, TypeOrExpr, UnOp};
use crate::ops::{ATOM, POSTFIX, PREFIX, TERNARY};
use crate::span::Span;

/// A block or an `if` that is part of a line stays on it when it has no more than this many nodes.
const SMALL: usize = 12;

impl<'a> Printer<'a> {
    /// Prints an expression that stands where operators bind at least as tightly as `min`.
    pub(super) fn expr(&mut self, expr: &Expr, min: u8) {
        self.comments_inside(expr.span.start as usize);
        let parens = if self.twice(expr) { 2 } else { usize::from(self.own_parens(expr) || prec(expr) < min) };
        self.line.push(&"(".repeat(parens));
        self.bare(expr);
        self.line.push(&")".repeat(parens));
    }

    /// `((u64)) * 2` is a product; with one pair it would be a cast.
    fn twice(&self, expr: &Expr) -> bool {
        let ExprKind::Name(name) = &expr.kind else { return false };
        let opened = self.code(expr.span).chars().take_while(|c| *c == '(' || c.is_whitespace()).filter(|c| *c == '(').count();
        let alone = |text: &str| crate::parse_expr(text, expr.span.file, 0).map(|e| e.kind);
        opened > 1 && matches!(alone(&format!("({name})*1")), Ok(ExprKind::Cast(..)))
    }

    /// Did this expression stand in parentheses? They are part of its span.
    pub(super) fn own_parens(&self, expr: &Expr) -> bool {
        let start = expr.span.start;
        if !self.slice(expr.span).starts_with('(') {
            return false;
        }
        match &expr.kind {
            ExprKind::Binary(_, first, _) | ExprKind::Ternary { cond: first, .. } => first.span.start > start,
            ExprKind::Field { base, .. }
            | ExprKind::TupleField { base, .. }
            | ExprKind::Index { base, .. }
            | ExprKind::Slice { base, .. }
            | ExprKind::Step { place: base, prefix: false, .. } => base.span.start > start,
            ExprKind::MapIndex { map, .. } => map.span.start > start,
            ExprKind::Cast(_, inner) => inner.span.end < expr.span.end,
            ExprKind::Tuple(_) | ExprKind::Record(_) => false,
            _ => true,
        }
    }

    /// A literal as it was written, without the parentheses around it.
    fn literal(&mut self, span: Span) {
        let text = self.code(span);
        let text = text.trim_matches(|c: char| c == '(' || c == ')' || c.is_whitespace());
        self.line.push(text);
    }

    /// The text of a span with its comments blanked out.
    pub(super) fn code(&self, span: Span) -> String {
        let mut text = self.slice(span).to_string();
        let inside = self.comments.iter().filter(|c| c.start >= span.start && c.end <= span.end);
        for c in inside {
            let range = (c.start - span.start) as usize..(c.end - span.start) as usize;
            let blank = " ".repeat(range.len());
            text.replace_range(range, &blank);
        }
        text
    }

    fn bare(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int { .. } | ExprKind::Str(_) | ExprKind::Addr(_) => self.literal(expr.span),
            ExprKind::Bool(b) => self.line.push(if *b { "true" } else { "false" }),
            ExprKind::Name(name) => self.line.push(name),
            ExprKind::Var(name) => self.line.push(&format!("${name}")),
            ExprKind::Map(name) => self.line.push(&format!("@{name}")),
            ExprKind::MapIndex { map, keys } => {
                self.line.push(&format!("@{}[", map.name));
                self.list(keys);
                self.line.push("]");
            }
            ExprKind::Param(n) => self.line.push(&format!("${n}")),
            ExprKind::ParamCount => self.line.push("$#"),
            ExprKind::Call { name, args } => {
                self.line.push(&format!("{}(", name.name));
                for (n, arg) in args.iter().enumerate() {
                    self.comma(n);
                    match arg {
                        Arg::Expr(e) => self.expr(e, 0),
                        Arg::Type(ty) => self.ty(ty),
                    }
                }
                self.line.push(")");
            }
            ExprKind::Unary(op, inner) => {
                self.line.push(op.symbol());
                // `- -x` is no decrement, `& &x` no conjunction
                let twice = match &inner.kind {
                    ExprKind::Unary(next, _) => next == op && matches!(op, UnOp::Neg | UnOp::AddrOf),
                    ExprKind::Step { inc, prefix, .. } => *prefix && !*inc && *op == UnOp::Neg,
                    _ => false,
                };
                if twice && !self.own_parens(inner) {
                    self.line.push(" ");
                }
                self.expr(inner, PREFIX);
            }
            ExprKind::Binary(op, left, right) => {
                self.expr(left, op.prec());
                if op.prec() <= 3 {
                    self.line.soft();
                } else {
                    self.line.space();
                }
                self.line.push(op.symbol());
                self.line.push(" ");
                self.expr(right, op.prec() + 1);
            }
            ExprKind::Step { place, inc, prefix } => {
                let symbol = if *inc { "++" } else { "--" };
                if *prefix {
                    self.line.push(symbol);
                    self.expr(place, PREFIX);
                } else {
                    self.expr(place, POSTFIX);
                    self.line.push(symbol);
                }
            }
            ExprKind::Ternary { cond, then, other } => {
                self.expr(cond, TERNARY + 1);
                self.line.soft();
                match then {
                    Some(then) => {
                        self.line.push("? ");
                        self.expr(then, 0);
                        self.line.soft();
                        self.line.push(": ");
                    }
                    None => self.line.push("?: "),
                }
                self.expr(other, TERNARY);
            }
            ExprKind::If { cond, then, other } => {
                let inline = self.small(then) && other.as_ref().is_some_and(|b| self.small(b));
                let Some(other) = other.as_ref().filter(|_| inline) else {
                    return self.if_lines(expr);
                };
                self.line.push("if ");
                self.expr(cond, 0);
                self.line.space();
                self.small_block(then);
                self.line.push(" else ");
                self.small_block(other);
            }
            ExprKind::Block(block) if self.small(block) => self.small_block(block),
            ExprKind::Block(block) => self.body(block),
            ExprKind::Field { base, name, arrow } => {
                self.expr(base, POSTFIX);
                self.line.push(if *arrow { "->" } else { "." });
                self.line.push(&name.name);
            }
            ExprKind::TupleField { base, index } => {
                self.expr(base, POSTFIX);
                self.line.push(&format!(".{index}"));
            }
            ExprKind::Index { base, index } => {
                self.expr(base, POSTFIX);
                self.line.push("[");
                self.expr(index, 0);
                self.line.push("]");
            }
            ExprKind::Slice { base, from, to } => {
                self.expr(base, POSTFIX);
                self.line.push("[");
                self.expr(from, 0);
                self.line.push("..");
                self.expr(to, 0);
                self.line.push("]");
            }
            ExprKind::Cast(ty, inner) => {
                self.line.push("(");
                self.ty(ty);
                self.line.push(")");
                self.expr(inner, PREFIX);
            }
            ExprKind::Tuple(items) => {
                self.line.push("(");
                self.list(items);
                self.line.push(if items.len() == 1 { ",)" } else { ")" });
            }
            ExprKind::Record(items) => {
                self.line.push("(");
                for (n, (name, value)) in items.iter().enumerate() {
                    self.comma(n);
                    self.comments_inside(name.span.start as usize);
                    self.line.push(&format!("{}=", name.name));
                    self.expr(value, 0);
                }
                self.line.push(")");
            }
            ExprKind::Sizeof(of) => self.about("sizeof", of, &[]),
            ExprKind::Typeinfo(of) => self.about("typeinfo", of, &[]),
            ExprKind::Offsetof(of, path) => {
                let path: Vec<&str> = path.iter().map(|p| p.name.as_str()).collect();
                self.about("offsetof", of, &path);
            }
            ExprKind::Comptime(inner) => {
                self.line.push("comptime ");
                self.expr(inner, 0);
            }
            ExprKind::Expansion(e) => self.body(&e.body),
        }
    }

    fn list(&mut self, items: &[Expr]) {
        for (n, item) in items.iter().enumerate() {
            self.comma(n);
            self.expr(item, 0);
        }
    }

    fn about(&mut self, word: &str, of: &TypeOrExpr, path: &[&str]) {
        self.line.push(word);
        self.line.push("(");
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(e) => self.expr(e, 0),
        }
        if !path.is_empty() {
            self.line.push(", ");
            self.line.push(&path.join("."));
        }
        self.line.push(")");
    }

    /// Does this block fit on the line that it is part of? Only what the tree says counts, so that it stays there.
    fn small(&self, block: &Block) -> bool {
        let (start, end) = (block.span.start as usize, block.span.end as usize);
        block.stmts.is_empty() && block.tail.as_ref().is_some_and(|t| nodes(t, SMALL) <= SMALL) && !self.has_comment(start, end)
    }

    fn small_block(&mut self, block: &Block) {
        self.line.push("{ ");
        if let Some(tail) = &block.tail {
            self.expr(tail, 0);
        }
        self.line.push(" }");
    }

    /// A type, from its text: the tree has lost its `const`.
    pub(super) fn ty(&mut self, ty: &Type) {
        self.comments_inside(ty.span.start as usize);
        let code = self.code(ty.span);
        let mut out = String::new();
        for c in code.chars() {
            let last = out.trim_end().chars().next_back().unwrap_or('(');
            match c {
                c if c.is_whitespace() => {
                    if !out.ends_with(' ') && !matches!(last, '(' | '[') {
                        out.push(' ');
                    }
                }
                '*' if is_word(last) => {
                    out.truncate(out.trim_end().len());
                    out.push_str(" *");
                }
                // No comment begins here.
                '*' if last == '/' => out.push(c),
                '*' | '[' | ']' | ')' | ',' => {
                    out.truncate(out.trim_end().len());
                    out.push(c);
                    if c == ',' {
                        out.push(' ');
                    }
                }
                c => out.push(c),
            }
        }
        self.line.push(out.trim());
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// How tightly an expression holds together; see ops.rs.
fn prec(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Comptime(_) => 0,
        ExprKind::Ternary { .. } => TERNARY,
        ExprKind::Binary(op, ..) => op.prec(),
        ExprKind::Unary(..) | ExprKind::Cast(..) | ExprKind::Step { prefix: true, .. } => PREFIX,
        ExprKind::Step { .. } | ExprKind::Field { .. } | ExprKind::TupleField { .. } | ExprKind::Index { .. } | ExprKind::Slice { .. } => {
            POSTFIX
        }
        _ => ATOM,
    }
}

/// The number of nodes of an expression without blocks, or more than `limit`.
fn nodes(expr: &Expr, limit: usize) -> usize {
    let sum = |list: &mut dyn Iterator<Item = &Expr>| {
        let mut total = 1;
        for e in list {
            if total > limit {
                break;
            }
            total += nodes(e, limit);
        }
        total
    };
    match &expr.kind {
        ExprKind::If { .. } | ExprKind::Block(_) | ExprKind::Expansion(_) => limit + 1,
        ExprKind::Unary(_, e) | ExprKind::Cast(_, e) | ExprKind::Comptime(e) => 1 + nodes(e, limit),
        ExprKind::Step { place: e, .. } | ExprKind::Field { base: e, .. } | ExprKind::TupleField { base: e, .. } => 1 + nodes(e, limit),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => sum(&mut [&**a, &**b].into_iter()),
        ExprKind::Slice { base, from, to } => sum(&mut [&**base, &**from, &**to].into_iter()),
        ExprKind::Ternary { cond, then, other } => sum(&mut [Some(&**cond), then.as_deref(), Some(&**other)].into_iter().flatten()),
        ExprKind::MapIndex { keys, .. } => sum(&mut keys.iter()),
        ExprKind::Tuple(items) => sum(&mut items.iter()),
        ExprKind::Record(items) => sum(&mut items.iter().map(|i| &i.1)),
        ExprKind::Call { args, .. } => sum(&mut args.iter().filter_map(|a| match a {
            Arg::Expr(e) => Some(e),
            Arg::Type(_) => None,
        })),
        _ => 1,
    }
}
