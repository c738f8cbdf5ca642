//! Blocks and statements.

use super::Printer;
use crate::ast::{Block, Expr, ExprKind, ForOver, Stmt, StmtKind};

impl<'a> Printer<'a> {
    /// A block on lines of its own; what stands in front of `{` is on the line already, and `}` is left on the next.
    pub(super) fn body(&mut self, block: &Block) {
        let (open, close) = self.braces(block);
        self.comments_inside(open);
        if block.stmts.is_empty() && block.tail.is_none() && !self.has_comment(open, close) {
            self.line.push("{ }");
            return;
        }
        self.line.push("{");
        let starts: Vec<usize> =
            block.stmts.iter().map(|s| s.span.start as usize).chain(block.tail.iter().map(|t| t.span.start as usize)).collect();
        self.done = open + 1;
        self.trailing(open + 1, starts.first().copied());
        self.end_line();
        self.indent += 1;
        let statements = block.stmts.iter().map(Ok).chain(block.tail.iter().map(|tail| Err(&**tail)));
        for (n, one) in statements.enumerate() {
            let start = starts[n];
            self.comments_above(start, false);
            let end = match one {
                Ok(stmt) => {
                    let last = n + 1 == starts.len();
                    self.stmt(stmt, last);
                    stmt.span.end as usize
                }
                Err(tail) => {
                    self.statement_expr(tail);
                    tail.span.end as usize
                }
            };
            self.done = self.done.max(end);
            let next = starts.get(n + 1).copied();
            self.comments_at_end(end);
            self.trailing(end, next.or(Some(close)));
            self.end_line();
        }
        self.comments_above(close, false);
        self.end_line();
        self.indent -= 1;
        self.done = self.done.max(close + 1);
        self.line.push("}");
    }

    /// Where the braces of a block are. The span of a block that stands for an `else if` has none.
    fn braces(&self, block: &Block) -> (usize, usize) {
        (block.span.start as usize, (block.span.end as usize).saturating_sub(1))
    }

    /// An expression that is a statement: what has a block stands on several lines.
    fn statement_expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::If { .. } if !self.own_parens(expr) => self.if_lines(expr),
            ExprKind::Block(block) if !self.own_parens(expr) => self.body(block),
            _ => self.expr(expr, 0),
        }
    }

    pub(super) fn if_lines(&mut self, expr: &Expr) {
        let ExprKind::If { cond, then, other } = &expr.kind else {
            return;
        };
        self.line.push("if ");
        self.expr(cond, 0);
        self.line.space();
        self.body(then);
        let Some(other) = other else { return };
        self.comments_inside(other.span.start as usize);
        self.line.space();
        self.line.push("else ");
        match &other.tail {
            // the block of an `else if` is that `if`
            Some(tail) if other.stmts.is_empty() && tail.span == other.span => self.if_lines(tail),
            _ => self.body(other),
        }
    }

    /// `last`: nothing follows in its block, not even a value. A `;` then says that what has braces isn't one.
    fn stmt(&mut self, stmt: &Stmt, last: bool) {
        match &stmt.kind {
            StmtKind::Expr(e) => {
                self.statement_expr(e);
                let braces = matches!(e.kind, ExprKind::If { .. } | ExprKind::Block(_)) && !self.own_parens(e);
                if braces && !last {
                    return;
                }
            }
            StmtKind::Let { var, ty, init } => {
                self.line.push("let ");
                self.comments_inside(var.span.start as usize);
                self.line.push(&format!("${}", var.name));
                if let Some(ty) = ty {
                    self.line.push(": ");
                    self.ty(ty);
                }
                if let Some(init) = init {
                    self.line.push(" = ");
                    self.expr(init, 0);
                }
            }
            StmtKind::Discard(e) => {
                self.line.push("_ = ");
                self.expr(e, 0);
            }
            StmtKind::Assign { place, op, value } => {
                self.expr(place, 0);
                self.line.push(&format!(" {}= ", op.map_or("", |op| op.symbol())));
                self.expr(value, 0);
            }
            StmtKind::While { cond, body } => {
                self.line.push("while ");
                self.expr(cond, 0);
                self.line.space();
                return self.body(body);
            }
            StmtKind::Unroll { count, body } => {
                self.line.push(if self.own_parens(count) { "unroll" } else { "unroll " });
                self.expr(count, 0);
                self.line.space();
                return self.body(body);
            }
            StmtKind::For { var, over, body } => {
                self.line.push("for (");
                self.comments_inside(var.span.start as usize);
                self.line.push(&format!("${} : ", var.name));
                match over {
                    ForOver::Map(map) => {
                        self.comments_inside(map.span.start as usize);
                        self.line.push(&format!("@{}", map.name));
                    }
                    ForOver::Range(from, to) => {
                        self.expr(from, 0);
                        self.line.push("..");
                        self.expr(to, 0);
                    }
                }
                self.line.push(") ");
                return self.body(body);
            }
            StmtKind::Break => self.line.push("break"),
            StmtKind::Continue => self.line.push("continue"),
            StmtKind::Return(value) => {
                self.line.push("return");
                if let Some(value) = value {
                    self.line.push(" ");
                    self.expr(value, 0);
                }
            }
            StmtKind::Import(import) => return self.import(import),
        }
        self.line.push(";");
    }
}
