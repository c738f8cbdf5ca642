//! What a body mentions, before it is typed: decides how its probe is attached.

use awl_grammar::ast::{self, Arg, Block, Expr, ExprKind, ForOver, Stmt, StmtKind, TypeOrExpr};
use std::collections::HashSet;

/// Bare words and called functions of a probe's predicate and body; `name()` is one that is called with arguments.
#[derive(Debug, Default)]
pub struct Uses {
    names: HashSet<String>,
    /// those that have to be known while compiling
    fixed: HashSet<String>,
    in_comptime: bool,
}

impl Uses {
    pub fn of(probe: &ast::Probe) -> Uses {
        let mut u = Uses::default();
        if let Some(p) = &probe.predicate {
            u.expr(p);
        }
        u.block(&probe.body);
        u
    }

    pub fn of_function(f: &ast::Function) -> Uses {
        let mut u = Uses::default();
        u.block(&f.body);
        u
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// It reads what the attach point hands over, whose types differ from point to point.
    pub fn args(&self) -> bool {
        self.has("args") || self.has("ctx") || self.names.iter().any(|n| is_register(n))
    }

    /// It asks at which attach point it is.
    pub fn point(&self) -> bool {
        self.has("probe") || self.has("func")
    }

    /// The runtime wants to know at which attach point it is, whatever the body says.
    pub fn ask_for_point(&mut self) {
        self.names.insert("probe".into());
    }

    /// What it means differs from probe to probe.
    pub fn any_of_the_probe(&self) -> bool {
        self.args() || self.point() || self.has("probetype") || self.has("retval") || self.place()
    }

    /// It asks for other tasks, which the kernel lets programs do that it knows the types of.
    pub fn tasks(&self) -> bool {
        self.has("comm()")
    }

    /// It asks where in the process it is: each place needs a program of its own.
    pub fn place(&self) -> bool {
        self.has("uaddr")
    }

    /// It decides by the attach point what is compiled.
    pub fn fixed_point(&self) -> bool {
        self.fixed.contains("probe") || self.fixed.contains("func")
    }

    fn name(&mut self, name: &str) {
        self.names.insert(name.to_owned());
        if self.in_comptime {
            self.fixed.insert(name.to_owned());
        }
    }

    fn block(&mut self, b: &Block) {
        b.stmts.iter().for_each(|s| self.stmt(s));
        if let Some(t) = &b.tail {
            self.expr(t);
        }
    }

    fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Expr(e) | StmtKind::Discard(e) => self.expr(e),
            StmtKind::Let { init, .. } => init.iter().for_each(|e| self.expr(e)),
            StmtKind::Assign { place, value, .. } => {
                self.expr(place);
                self.expr(value);
            }
            StmtKind::While { cond, body } => {
                self.expr(cond);
                self.block(body);
            }
            StmtKind::For { over, body, .. } => {
                if let ForOver::Range(a, b) = over {
                    self.expr(a);
                    self.expr(b);
                }
                self.block(body);
            }
            StmtKind::Unroll { count, body } => {
                self.expr(count);
                self.block(body);
            }
            StmtKind::Return(e) => e.iter().for_each(|e| self.expr(e)),
            StmtKind::Break | StmtKind::Continue | StmtKind::Import(_) => {}
        }
    }

    fn type_or_expr(&mut self, t: &TypeOrExpr) {
        if let TypeOrExpr::Expr(e) = t {
            self.expr(e);
        }
    }

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(n) => self.name(n),
            ExprKind::Call { name, args } => {
                self.name(&name.name);
                if !args.is_empty() {
                    self.names.insert(format!("{}()", name.name));
                }
                for a in args {
                    if let Arg::Expr(e) = a {
                        self.expr(e);
                    }
                }
            }
            ExprKind::MapIndex { keys, .. } => keys.iter().for_each(|k| self.expr(k)),
            ExprKind::Unary(_, e) | ExprKind::Cast(_, e) => self.expr(e),
            ExprKind::Comptime(e) => {
                let outer = std::mem::replace(&mut self.in_comptime, true);
                self.expr(e);
                self.in_comptime = outer;
            }
            ExprKind::Step { place, .. } => self.expr(place),
            ExprKind::Field { base, .. } | ExprKind::TupleField { base, .. } => self.expr(base),
            ExprKind::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.expr(index);
            }
            ExprKind::Slice { base, from, to } => [base, from, to].into_iter().for_each(|e| self.expr(e)),
            ExprKind::Ternary { cond, then, other } => {
                self.expr(cond);
                then.iter().for_each(|e| self.expr(e));
                self.expr(other);
            }
            ExprKind::If { cond, then, other } => {
                self.expr(cond);
                self.block(then);
                other.iter().for_each(|b| self.block(b));
            }
            ExprKind::Block(b) => self.block(b),
            ExprKind::Expansion(x) => {
                x.function.iter().flat_map(|f| &f.args).for_each(|(_, _, e)| self.expr(e));
                self.block(&x.body);
            }
            ExprKind::Tuple(es) => es.iter().for_each(|e| self.expr(e)),
            ExprKind::Record(fs) => fs.iter().for_each(|(_, e)| self.expr(e)),
            ExprKind::Sizeof(t) | ExprKind::Offsetof(t, _) | ExprKind::Typeinfo(t) => self.type_or_expr(t),
            ExprKind::Int { .. }
            | ExprKind::Bool(_)
            | ExprKind::Str(_)
            | ExprKind::Addr(_)
            | ExprKind::Var(_)
            | ExprKind::Map(_)
            | ExprKind::Param(_)
            | ExprKind::ParamCount => {}
        }
    }
}

fn is_register(name: &str) -> bool {
    name.strip_prefix("arg").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
