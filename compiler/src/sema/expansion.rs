//! Uses of macros and functions: their bodies, in the place of the call.

use super::Checker;
use crate::diagnostic::{Diagnostic, Label};
use crate::expand::COPY;
use crate::hir::{Expr, ExprKind, LocalId, Stmt, StmtKind};
use crate::types::Ty;
use awl_grammar::ast;
use awl_grammar::span::Span;

/// A macro or function in whose body the checker is.
pub(crate) struct Use {
    name: String,
    call: Span,
    definition: Span,
}

/// A function in whose body the checker is.
pub(crate) struct Frame {
    name: ast::Ident,
    result: LocalId,
    /// `Some`: its definition says what it returns
    ret: Option<(Ty, Span)>,
    /// `return e` was met, at this place
    value: Option<Span>,
}

impl Checker<'_> {
    pub(crate) fn expansion(&mut self, x: &ast::Expansion, span: Span) -> Expr {
        let Some(f) = &x.function else { return self.macro_body(x, span) };
        let args: Vec<Expr> = f.args.iter().map(|(_, _, e)| self.expr(e)).collect();
        self.push_scope();
        let mut body = Vec::new();
        for ((param, ty, _), arg) in f.args.iter().zip(args) {
            self.parameter(x, param, ty.as_ref(), arg, &mut body);
        }
        self.enter_use(x, span);
        let (result, ty) = self.function_body(&x.name, f.ret.as_ref(), &x.body, &mut body);
        self.at.uses.pop();
        self.pop_scope();
        let result = (ty != Ty::Void).then_some(result);
        Expr::new(ExprKind::Inline { body, result }, ty, span)
    }

    /// The body of a function behind its parameters: where its result is put, and the type of that.
    pub(super) fn function_body(
        &mut self,
        name: &ast::Ident,
        ret: Option<&ast::Type>,
        block: &ast::Block,
        body: &mut Vec<Stmt>,
    ) -> (LocalId, Ty) {
        let ret = ret.map(|t| {
            let ty = self.resolve_type(t);
            (self.pointing_as(ty, None), t.span)
        });
        let declared = ret.as_ref().map_or(Ty::Error, |(t, _)| t.clone());
        let result = self.new_local(&format!("{}()", name.name), if declared == Ty::Void { Ty::Error } else { declared }, name.span);
        self.at.frames.push(Frame { name: name.clone(), result, ret, value: None });
        let loops = std::mem::take(&mut self.at.loops);
        body.extend(self.block(block));
        if let Some(tail) = &block.tail {
            self.function_tail(tail, body);
        }
        self.at.loops = loops;
        let frame = self.at.frames.pop();
        (result, frame.map_or(Ty::Error, |frame| self.function_type(frame, body)))
    }

    fn macro_body(&mut self, x: &ast::Expansion, span: Span) -> Expr {
        self.enter_use(x, span);
        self.push_scope();
        let mut stmts = self.block(&x.body);
        let value = match x.body.tail.as_deref() {
            // An `if` without `else` has no value.
            Some(tail @ ast::Expr { kind: ast::ExprKind::If { other: None, .. }, .. }) => {
                stmts.push(self.expr_stmt(tail));
                None
            }
            Some(tail) => Some(self.expr(tail)),
            None => None,
        };
        self.pop_scope();
        self.at.uses.pop();
        let value = value.unwrap_or_else(|| Expr::new(ExprKind::Void, Ty::Void, span));
        if stmts.is_empty() {
            return Expr { span, ..value };
        }
        let ty = value.ty.clone();
        Expr::new(ExprKind::Block(stmts, Box::new(value)), ty, span)
    }

    fn enter_use(&mut self, x: &ast::Expansion, call: Span) {
        self.at.uses.push(Use { name: x.name.name.clone(), call, definition: x.span });
    }

    fn parameter(&mut self, x: &ast::Expansion, param: &ast::Ident, ty: Option<&ast::Type>, arg: Expr, body: &mut Vec<Stmt>) {
        let declared = match ty {
            Some(t) => {
                let ty = self.resolve_type(t);
                self.pointing_as(ty, Some(&arg.ty))
            }
            None => self.storable(&arg),
        };
        let declared = self.stored_type(&declared);
        let id = self.new_local(&param.name, declared.clone(), param.span);
        let span = arg.span;
        if arg.is_error() || declared == Ty::Error {
            return;
        }
        let ty = if ty.is_some() { declared } else { self.at.locals[id].ty.clone() };
        let name = shown(&param.name);
        if let Some(arg) = self.coerce_declared(arg, &ty, &format!("given to `${name}` of `{}`", x.name.name)) {
            body.push(Stmt { kind: StmtKind::SetLocal(id, arg), span });
        }
    }

    /// The last expression of a function is what it returns, if it has a value.
    fn function_tail(&mut self, tail: &ast::Expr, body: &mut Vec<Stmt>) {
        if let ast::ExprKind::If { cond, then, other } = &tail.kind {
            let cond = self.expr(cond);
            let cond = self.condition(cond);
            let arm = |s: &mut Self, b: &ast::Block| {
                s.push_scope();
                let mut out = s.block(b);
                if let Some(tail) = &b.tail {
                    s.function_tail(tail, &mut out);
                }
                s.pop_scope();
                out
            };
            let then = arm(self, then);
            let other = other.as_ref().map(|b| arm(self, b)).unwrap_or_default();
            body.push(Stmt { kind: StmtKind::If { cond, then, other }, span: tail.span });
            return;
        }
        let e = self.expr(tail);
        match e.ty {
            Ty::Void | Ty::Error => body.push(Stmt { kind: StmtKind::Expr(e), span: tail.span }),
            _ => self.leave_function(Some(e), tail.span, body),
        }
    }

    /// `return` in a function; false outside of one.
    pub(crate) fn return_from_function(&mut self, value: Option<&ast::Expr>, span: Span, out: &mut Vec<Stmt>) -> bool {
        if self.at.frames.is_empty() {
            return false;
        }
        let value = value.map(|v| self.expr(v));
        self.leave_function(value, span, out);
        true
    }

    fn leave_function(&mut self, value: Option<Expr>, span: Span, out: &mut Vec<Stmt>) {
        let Some(frame) = self.at.frames.last_mut() else { return };
        let (name, result, ret) = (frame.name.clone(), frame.result, frame.ret.clone());
        match value {
            Some(v) if v.ty != Ty::Void => {
                frame.value.get_or_insert(v.span);
                if let Some((Ty::Void, at)) = ret {
                    let d =
                        Diagnostic::error("return-type", v.span, format!("`{}` returns nothing, here it returns `{}`", name.name, v.ty))
                            .label("expected no value")
                            .because(at, "it says so here");
                    self.report(d);
                    return;
                }
                let ty = self.storable(&v);
                let ty = self.stored_type(&ty);
                if ret.is_none() && !self.widen_local(result, &ty) {
                    let had = self.at.locals[result].ty.clone();
                    let d = Diagnostic::error("return-type", v.span, format!("`{}` returns `{had}`, here it returns `{ty}`", name.name))
                        .label(format!("expected `{had}`"))
                        .help("say what it returns: `fn name(...) : T { ... }`");
                    self.report(d);
                    return;
                }
                let want = ret.map_or_else(|| self.at.locals[result].ty.clone(), |(t, _)| t);
                let at = v.span;
                if let Some(v) = self.coerce_declared(v, &want, &format!("returned by `{}`", name.name)) {
                    out.push(Stmt { kind: StmtKind::SetLocal(result, v), span: at });
                }
            }
            value => {
                if let Some((t, at)) = ret.filter(|(t, _)| *t != Ty::Void && *t != Ty::Error) {
                    let d = Diagnostic::error("return-type", span, format!("`{}` returns `{t}`, here it returns nothing", name.name))
                        .label(format!("expected `return` with a `{t}`"))
                        .because(at, "it says so here");
                    self.report(d);
                }
                if let Some(v) = value {
                    out.push(Stmt { kind: StmtKind::Expr(v), span });
                }
            }
        }
        out.push(Stmt { kind: StmtKind::Return(None), span });
    }

    /// What the function returns; every path has to, if one does.
    fn function_type(&mut self, frame: Frame, body: &[Stmt]) -> Ty {
        let ty = match &frame.ret {
            Some((t, _)) => t.clone(),
            None if frame.value.is_none() => Ty::Void,
            None => self.at.locals[frame.result].ty.clone(),
        };
        if !matches!(ty, Ty::Void | Ty::Error) && !always_returns(body) {
            let mut d =
                Diagnostic::error("no-return", frame.name.span, format!("`{}` doesn't return a value on every path", frame.name.name))
                    .label("its end can be reached without a `return`");
            if let Some(at) = frame.ret.map(|(_, at)| at).or(frame.value) {
                d = d.because(at, format!("it returns `{ty}`"));
            }
            self.report(d.help("end it with the value: `return 0;`"));
        }
        ty
    }

    /// In a body that was copied, a complaint is shown at the use, with the place in the definition below it.
    pub(super) fn at_use(&self, mut d: Diagnostic) -> Diagnostic {
        if self.at.locals.iter().any(|l| l.name.contains(COPY)) {
            let texts = d.primary.iter_mut().chain(&mut d.secondary).map(|l| &mut l.text).chain(d.help.as_mut());
            for t in texts.chain([&mut d.message]) {
                *t = without_copies(t);
            }
        }
        for u in self.at.uses.iter().rev() {
            let Some(p) = &mut d.primary else { break };
            let inside = p.span.file == u.definition.file && p.span.start >= u.definition.start && p.span.end <= u.definition.end;
            if inside && p.span != u.call {
                let place = std::mem::replace(p, Label { span: u.call, text: format!("in this use of `{}`", u.name) });
                d.secondary.insert(0, place);
            }
        }
        d
    }
}

/// A variable's name as it was written.
pub(crate) fn shown(name: &str) -> &str {
    name.split(COPY).next().unwrap_or(name)
}

/// The text with the names of variables as they were written: `$x#2` is `$x`.
fn without_copies(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, name) = rest.split_at(at);
        out.push_str(before);
        let end = name[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(name.len(), |n| n + 1);
        out.push_str(&name[..end]);
        rest = &name[end..];
        if end > 1
            && let Some(number) = rest.strip_prefix(COPY)
        {
            rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
        }
    }
    out + rest
}

fn always_returns(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|s| match &s.kind {
        StmtKind::Return(_) => true,
        StmtKind::If { then, other, .. } => always_returns(then) && always_returns(other),
        StmtKind::Block(inner) => always_returns(inner),
        StmtKind::While { cond, .. } => cond.as_int().is_some_and(|c| c != 0),
        StmtKind::Expr(Expr { kind: ExprKind::Block(inner, _), .. }) => always_returns(inner),
        _ => false,
    })
}
