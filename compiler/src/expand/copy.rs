//! Copies of trees in which a macro's parameters stand for its arguments.

use super::{COPY, Expander};
use awl_grammar::ast::{self, Arg, Block, Expr, ExprKind, ForOver, Ident, MacroParam, Stmt, StmtKind, Type, TypeKind, TypeOrExpr};
use awl_grammar::span::Span;
use std::collections::HashMap;

/// What names mean in the body that is copied.
#[derive(Default)]
pub(super) struct Names {
    /// number of this copy; 0: a probe's own body, in which names stay
    copy: usize,
    vars: HashMap<String, String>,
    /// `None`: every map is in reach
    maps: Option<HashMap<String, String>>,
    exprs: HashMap<String, Given>,
}

/// An argument, with how many expressions it is made of and how deep they are nested.
#[derive(Clone)]
pub(super) struct Given {
    pub arg: Arg,
    nodes: usize,
    height: usize,
}

impl Names {
    pub(super) fn of_macro(m: &ast::Macro, args: &[Given], copy: usize) -> Names {
        let mut maps = HashMap::new();
        let mut names = Names { copy, ..Names::default() };
        for (p, a) in m.params.iter().zip(args) {
            match (p, &a.arg) {
                (MacroParam::Var(p), Arg::Expr(Expr { kind: ExprKind::Var(v), .. })) => {
                    names.vars.insert(p.name.clone(), v.clone());
                }
                (MacroParam::Map(p), Arg::Expr(Expr { kind: ExprKind::Map(v), .. })) => {
                    maps.insert(p.name.clone(), v.clone());
                }
                (MacroParam::Expr(p), _) => {
                    names.exprs.insert(p.name.clone(), a.clone());
                }
                _ => {}
            }
        }
        names.maps = Some(maps);
        names
    }

    pub(super) fn of_function(copy: usize) -> Names {
        Names { copy, ..Names::default() }
    }
}

pub(super) struct Copier<'e, 'a, 'b> {
    pub of: &'e mut Expander<'a, 'b>,
    pub names: Names,
}

impl Copier<'_, '_, '_> {
    fn var(&self, name: &str) -> String {
        match self.names.vars.get(name) {
            Some(given) => given.clone(),
            None if self.names.copy == 0 => name.to_string(),
            None => format!("{name}{COPY}{}", self.names.copy),
        }
    }

    /// A variable as it is named in this copy.
    pub(super) fn own(&self, v: &Ident) -> Ident {
        Ident { name: self.var(&v.name), span: v.span }
    }

    fn map(&mut self, name: &str, span: Span) -> String {
        match &self.names.maps {
            None => name.to_string(),
            Some(maps) => match maps.get(name) {
                Some(given) => given.clone(),
                None => {
                    self.of.foreign_map(name, span);
                    name.to_string()
                }
            },
        }
    }

    fn map_ident(&mut self, m: &Ident) -> Ident {
        Ident { name: self.map(&m.name, m.span), span: m.span }
    }

    pub(super) fn block(&mut self, b: &Block) -> Block {
        self.of.depth += 1;
        let out = self.in_block(b);
        self.of.depth -= 1;
        out
    }

    fn in_block(&mut self, b: &Block) -> Block {
        let stmts = b.stmts.iter().map(|s| self.stmt(s)).collect();
        Block { stmts, tail: b.tail.as_ref().map(|t| self.boxed(t)), span: b.span }
    }

    fn stmt(&mut self, s: &Stmt) -> Stmt {
        let kind = match &s.kind {
            StmtKind::Expr(e) => StmtKind::Expr(self.expr(e)),
            StmtKind::Let { var, ty, init } => {
                let ty = ty.as_ref().map(|t| self.ty(t));
                let init = init.as_ref().map(|e| self.expr(e));
                StmtKind::Let { var: self.own(var), ty, init }
            }
            StmtKind::Discard(e) => StmtKind::Discard(self.expr(e)),
            StmtKind::Assign { place, op, value } => StmtKind::Assign { place: self.expr(place), op: *op, value: self.expr(value) },
            StmtKind::While { cond, body } => StmtKind::While { cond: self.expr(cond), body: self.block(body) },
            StmtKind::For { var, over, body } => {
                let over = match over {
                    ForOver::Map(m) => ForOver::Map(match self.names.exprs.get(&m.name) {
                        Some(Given { arg: Arg::Expr(Expr { kind: ExprKind::Map(given), .. }), .. }) => {
                            Ident { name: given.clone(), span: m.span }
                        }
                        _ => self.map_ident(m),
                    }),
                    ForOver::Range(a, b) => ForOver::Range(self.boxed(a), self.boxed(b)),
                };
                StmtKind::For { var: self.own(var), over, body: self.block(body) }
            }
            StmtKind::Unroll { count, body } => StmtKind::Unroll { count: self.expr(count), body: self.block(body) },
            StmtKind::Return(e) => StmtKind::Return(e.as_ref().map(|e| self.expr(e))),
            StmtKind::Break | StmtKind::Continue | StmtKind::Import(_) => s.kind.clone(),
        };
        Stmt { kind, span: s.span }
    }

    fn boxed(&mut self, e: &Expr) -> Box<Expr> {
        Box::new(self.expr(e))
    }

    fn given(&self, name: &str) -> Option<Arg> {
        self.names.exprs.get(name).map(|g| g.arg.clone())
    }

    pub(super) fn expr(&mut self, e: &Expr) -> Expr {
        if !self.of.room_for(1, 1, e.span) {
            return nothing(e.span);
        }
        self.of.depth += 1;
        let out = self.inside(e);
        self.of.depth -= 1;
        out
    }

    fn inside(&mut self, e: &Expr) -> Expr {
        let span = e.span;
        let kind = match &e.kind {
            ExprKind::Name(n) => match self.names.exprs.get(n) {
                Some(Given { arg: Arg::Expr(given), nodes, height }) => {
                    return if self.of.room_for(*nodes, *height, span) { given.clone() } else { nothing(span) };
                }
                Some(_) => e.kind.clone(),
                None => match self.of.call(n, span, &[], span) {
                    Some(made) => return made.unwrap_or_else(|| nothing(span)),
                    None => e.kind.clone(),
                },
            },
            ExprKind::Call { name, args } => {
                let args: Vec<Given> = args.iter().map(|a| self.measured(a)).collect();
                match self.of.call(&name.name, name.span, &args, span) {
                    Some(made) => return made.unwrap_or_else(|| nothing(span)),
                    None => ExprKind::Call { name: name.clone(), args: args.into_iter().map(|g| g.arg).collect() },
                }
            }
            ExprKind::Var(n) => ExprKind::Var(self.var(n)),
            ExprKind::Map(n) => ExprKind::Map(self.map(n, span)),
            ExprKind::MapIndex { map, keys } => {
                ExprKind::MapIndex { map: self.map_ident(map), keys: keys.iter().map(|k| self.expr(k)).collect() }
            }
            ExprKind::Unary(op, a) => ExprKind::Unary(*op, self.boxed(a)),
            ExprKind::Binary(op, a, b) => ExprKind::Binary(*op, self.boxed(a), self.boxed(b)),
            ExprKind::Step { place, inc, prefix } => ExprKind::Step { place: self.boxed(place), inc: *inc, prefix: *prefix },
            ExprKind::Ternary { cond, then, other } => {
                ExprKind::Ternary { cond: self.boxed(cond), then: then.as_ref().map(|t| self.boxed(t)), other: self.boxed(other) }
            }
            ExprKind::If { cond, then, other } => {
                ExprKind::If { cond: self.boxed(cond), then: self.block(then), other: other.as_ref().map(|b| self.block(b)) }
            }
            ExprKind::Block(b) => ExprKind::Block(self.block(b)),
            ExprKind::Field { base, name, arrow } => ExprKind::Field { base: self.boxed(base), name: name.clone(), arrow: *arrow },
            ExprKind::TupleField { base, index } => ExprKind::TupleField { base: self.boxed(base), index: *index },
            ExprKind::Index { base, index } => match self.expr(base) {
                // `m[k]` where `m` stands for a map.
                Expr { kind: ExprKind::Map(name), span } if matches!(base.kind, ExprKind::Name(_)) => {
                    ExprKind::MapIndex { map: Ident { name, span }, keys: vec![self.expr(index)] }
                }
                base => ExprKind::Index { base: Box::new(base), index: self.boxed(index) },
            },
            ExprKind::Slice { base, from, to } => ExprKind::Slice { base: self.boxed(base), from: self.boxed(from), to: self.boxed(to) },
            ExprKind::Cast(t, a) => ExprKind::Cast(self.ty(t), self.boxed(a)),
            ExprKind::Tuple(es) => ExprKind::Tuple(es.iter().map(|e| self.expr(e)).collect()),
            ExprKind::Record(fs) => ExprKind::Record(fs.iter().map(|(n, e)| (n.clone(), self.expr(e))).collect()),
            ExprKind::Sizeof(w) => ExprKind::Sizeof(self.type_or_expr(w)),
            ExprKind::Offsetof(w, path) => ExprKind::Offsetof(self.type_or_expr(w), path.clone()),
            ExprKind::Typeinfo(w) => ExprKind::Typeinfo(self.type_or_expr(w)),
            ExprKind::Comptime(a) => ExprKind::Comptime(self.boxed(a)),
            ExprKind::Int { .. }
            | ExprKind::Bool(_)
            | ExprKind::Str(_)
            | ExprKind::Addr(_)
            | ExprKind::Param(_)
            | ExprKind::ParamCount
            | ExprKind::Expansion(_) => e.kind.clone(),
        };
        Expr { kind, span }
    }

    fn measured(&mut self, a: &Arg) -> Given {
        let (nodes, outer) = (self.of.nodes, self.of.deepest);
        self.of.deepest = self.of.depth;
        let arg = self.arg(a);
        let given = Given { arg, nodes: self.of.nodes - nodes, height: self.of.deepest - self.of.depth };
        self.of.deepest = self.of.deepest.max(outer);
        given
    }

    fn arg(&mut self, a: &Arg) -> Arg {
        match a {
            Arg::Expr(Expr { kind: ExprKind::Name(n), .. }) if matches!(self.given(n), Some(Arg::Type(_))) => match self.given(n) {
                Some(given) => given,
                None => a.clone(),
            },
            Arg::Expr(e) => Arg::Expr(self.expr(e)),
            Arg::Type(t) => Arg::Type(self.ty(t)),
        }
    }

    fn type_or_expr(&mut self, w: &TypeOrExpr) -> TypeOrExpr {
        match w {
            TypeOrExpr::Expr(e) => match &e.kind {
                ExprKind::Name(n) if matches!(self.given(n), Some(Arg::Type(_))) => match self.given(n) {
                    Some(Arg::Type(t)) => TypeOrExpr::Type(Box::new(t)),
                    _ => w.clone(),
                },
                _ => TypeOrExpr::Expr(self.boxed(e)),
            },
            TypeOrExpr::Type(t) => TypeOrExpr::Type(Box::new(self.ty(t))),
        }
    }

    pub(super) fn ty(&mut self, t: &Type) -> Type {
        let kind = match &t.kind {
            TypeKind::Named(n) => match self.given(n) {
                Some(Arg::Type(given)) => return given,
                Some(Arg::Expr(Expr { kind: ExprKind::Name(given), .. })) => TypeKind::Named(given),
                Some(Arg::Expr(given)) => TypeKind::Typeof(TypeOrExpr::Expr(Box::new(given))),
                None => t.kind.clone(),
            },
            TypeKind::Tagged(..) => t.kind.clone(),
            TypeKind::Pointer(to) => TypeKind::Pointer(Box::new(self.ty(to))),
            TypeKind::Array(of, n) => TypeKind::Array(Box::new(self.ty(of)), n.as_ref().map(|n| self.boxed(n))),
            TypeKind::Sized(word, n) => TypeKind::Sized(word.clone(), self.boxed(n)),
            TypeKind::Tuple(ts) => TypeKind::Tuple(ts.iter().map(|t| self.ty(t)).collect()),
            TypeKind::Typeof(w) => TypeKind::Typeof(self.type_or_expr(w)),
        };
        Type { kind, span: t.span }
    }
}

/// Stands where a use was refused: no more is said of it.
fn nothing(span: Span) -> Expr {
    Expr { kind: ExprKind::Int { value: 0, unsigned: false }, span }
}
