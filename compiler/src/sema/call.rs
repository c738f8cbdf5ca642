//! Calls: arguments are checked against the row's signature, then the row's own rule has its say.

use super::Checker;
use crate::agg::{self, rows::Takes};
use crate::builtin::signature::{self, Kind, Param};
use crate::builtin::{self, Builtin, Check};
use crate::config::Unstable;
use crate::diagnostic::{Diagnostic, counted};
use crate::hir::{Expr, ExprKind};
use crate::types::{Agg, Ty};
use awl_grammar::ast::{self, Arg};
use awl_grammar::span::Span;

/// A call as it was written.
pub struct Call<'a> {
    pub row: &'static Builtin,
    pub name: &'a ast::Ident,
    pub args: &'a [Arg],
    pub span: Span,
}

impl Call<'_> {
    /// The argument when it is a map written as a whole, `@x`.
    pub fn map(&self, i: usize) -> Option<(&str, Span)> {
        match self.args.get(i) {
            Some(Arg::Expr(ast::Expr { kind: ast::ExprKind::Map(name), span })) => Some((name, *span)),
            _ => None,
        }
    }

    pub fn ast(&self, i: usize) -> Option<&ast::Expr> {
        match self.args.get(i) {
            Some(Arg::Expr(e)) => Some(e),
            _ => None,
        }
    }
}

/// An aggregation call whose arguments are bad is `Some(None)`: it was reported.
pub(crate) type Aggregation = Option<Option<Aggregated>>;

pub(crate) struct Aggregated {
    pub agg: Agg,
    pub arg: Option<Expr>,
    /// one more key of the map
    pub key: Option<Expr>,
}

impl Checker<'_> {
    pub(crate) fn call(&mut self, name: &ast::Ident, args: &[Arg], span: Span) -> Expr {
        if let Some(row) = builtin::find(&name.name) {
            return self.call_row(row, name, args, span);
        }
        if agg::find(&name.name).is_some() {
            let d = Diagnostic::error("aggregation-place", span, format!("`{}()` only makes sense as a map's value", name.name))
                .label("not assigned to a map")
                .help(format!("`@ = {}(...);` or `@[comm] = {}(...);`", name.name, name.name));
            return self.fail(d);
        }
        let values: Vec<ast::Expr> = args.iter().filter_map(|a| if let Arg::Expr(e) = a { Some(e.clone()) } else { None }).collect();
        if let Some(e) = self.types.define_call(&name.name, &values) {
            return self.expr(&e);
        }
        let names = builtin::all().map(|b| b.name).chain(agg::ROWS.iter().map(|r| r.name));
        let names = names.chain(awl_stdlib::macros().map(|m| m.name));
        let d = Diagnostic::error("unknown-function", name.span, format!("unknown function `{}`", name.name));
        if let Some(advice) = awl_stdlib::foreign_name(&name.name) {
            return self.fail(d.label("no function has this name").help(advice));
        }
        if let Some((why, statements)) = self.types.define_call_refused(&name.name, args.len()) {
            let (d, small) = (d.label(why), name.name.to_lowercase());
            return self.fail(match statements {
                true => d.help(format!("statements are a macro's: `macro {small}(x) {{ ... }}`, used as `{small}(...)`")),
                false => d,
            });
        }
        let near = self.nearest(&name.name, names).map(str::to_owned);
        self.fail(match near {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no function has this name").help("`awl doc` lists all functions"),
        })
    }

    /// What the settings say about the use of a part of the language.
    pub(crate) fn unstable(&mut self, feature: &str, span: Span) {
        let level = self.options.config.unstable.iter().find(|(f, _)| *f == feature).map_or(Unstable::Enable, |(_, l)| *l);
        let what = format!("`{feature}` may still change");
        match level {
            Unstable::Enable => {}
            // Once is enough.
            Unstable::Warn if self.diagnostics.iter().any(|d| d.code == "unstable" && d.message == what) => {}
            Unstable::Warn => self.report(Diagnostic::warning("unstable", span, what).label("the settings ask for this warning")),
            Unstable::Error => {
                self.report(Diagnostic::error("unstable", span, what).label("refused by the settings, or by the environment"));
            }
        }
    }

    pub(crate) fn call_row(&mut self, row: &'static Builtin, name: &ast::Ident, args: &[Arg], span: Span) -> Expr {
        self.unstable(row.name, name.span);
        if row.is_unsafe && !self.options.allow_unsafe {
            let d = Diagnostic::error("needs-unsafe", span, format!("`{}` changes the system that it watches", row.name))
                .label("refused without your consent")
                .help("run awl with `--unsafe` if you mean it");
            return self.fail(d);
        }
        let call = Call { row, name, args, span };
        match row.check {
            Check::Custom(check) => check(self, &call),
            Check::Signature => {
                let Some(args) = self.checked_args(&call) else { return Expr::error(span) };
                let ty = signature::result_type(signature::parse(row.signature).result);
                Expr::new(ExprKind::Call { builtin: row, args }, ty, span)
            }
        }
    }

    /// The arguments, checked against the signature; what may be left out and was is absent. `None` after a report.
    pub fn checked_args(&mut self, call: &Call) -> Option<Vec<Expr>> {
        let sig = signature::parse(call.row.signature);
        let need = sig.params.iter().filter(|p| !p.optional).count();
        let given = call.args.len();
        if given < need || (given > sig.params.len() && !sig.rest) {
            let most = sig.params.len();
            let expected = if sig.rest {
                format!("at least {need}")
            } else if need == most {
                format!("{need}")
            } else {
                format!("{need} to {most}")
            };
            let plural = if expected == "1" { "" } else { "s" };
            self.report(
                Diagnostic::error("arg-count", call.span, format!("`{}` takes {expected} argument{plural}, found {given}", call.row.name))
                    .label(format!("expected {expected} argument{plural}"))
                    .note(call.row.signature.to_string())
                    .help(format!("for instance: {}", call.row.example)),
            );
            return None;
        }
        let mut out = Vec::new();
        let mut ok = true;
        for (i, a) in call.args.iter().enumerate() {
            let e = match a {
                Arg::Expr(e) => self.expr(e),
                Arg::Type(t) => {
                    self.report(Diagnostic::error("arg-type", t.span, "expected a value, found a type").label("this is a type"));
                    ok = false;
                    continue;
                }
            };
            if e.is_error() {
                ok = false;
                continue;
            }
            match sig.params.get(i) {
                Some(p) if !self.fits(p, &e) => {
                    self.arg_type(call, p, &e);
                    ok = false;
                }
                _ if e.ty == Ty::Void => {
                    self.report(Diagnostic::error("no-value", e.span, "this has no value").label("expected a value"));
                    ok = false;
                }
                Some(p) if p.kind == Kind::Str && !matches!(e.ty, Ty::Str(_)) => out.push(self.string_at(e)),
                _ => out.push(e),
            }
        }
        ok.then_some(out)
    }

    fn fits(&self, p: &Param, e: &Expr) -> bool {
        match p.kind {
            Kind::Int => e.ty.is_int(),
            Kind::ConstInt => e.ty.is_int() && e.as_int().is_some(),
            Kind::Str => match &e.ty {
                Ty::Str(_) => true,
                Ty::Ptr(to, _) => matches!(**to, Ty::Int { bytes: 1, .. }),
                _ => false,
            },
            Kind::ConstStr => e.as_str().is_some(),
            Kind::Ptr => matches!(e.ty, Ty::Ptr(..) | Ty::Int { .. } | Ty::Str(_) | Ty::Array(..) | Ty::Buf(_)),
            Kind::Address => matches!(e.ty, Ty::Ptr(..) | Ty::Int { .. }),
            Kind::Map => false,
            Kind::Ipv4 => e.ty == Ty::Ipv4,
            Kind::Any => true,
        }
    }

    /// A pointer to characters where a string is wanted: the string that it points to.
    pub(crate) fn string_at(&mut self, e: Expr) -> Expr {
        let (span, size) = (e.span, self.options.config.strlen());
        match builtin::find("str") {
            Some(row) => Expr::new(ExprKind::Call { builtin: row, args: vec![e] }, Ty::Str(size), span),
            None => Expr::error(span),
        }
    }

    fn arg_type(&mut self, call: &Call, p: &Param, e: &Expr) {
        let constant = matches!(p.kind, Kind::ConstInt | Kind::ConstStr);
        let found = if constant && (e.ty.is_int() || matches!(e.ty, Ty::Str(_))) && e.as_int().is_none() {
            format!("a `{}` that is known only at run time", e.ty)
        } else {
            format!("`{}`", e.ty)
        };
        self.report(
            Diagnostic::error(
                "arg-type",
                e.span,
                format!("`{}` of `{}` is {}, found {found}", p.name, call.row.name, signature::kind_words(p.kind)),
            )
            .label(format!("expected {}", signature::kind_words(p.kind)))
            .note(call.row.signature.to_string()),
        );
    }

    /// A map that a function takes as a whole; reports when the argument is something else.
    pub fn map_arg(&mut self, call: &Call, i: usize) -> Option<usize> {
        match call.map(i) {
            Some((name, span)) => {
                let name = name.to_string();
                let id = self.map_id(&name, span);
                self.maps[id].read.get_or_insert(span);
                Some(id)
            }
            None => {
                let span = call.ast(i).map_or(call.span, |e| e.span);
                self.report(
                    Diagnostic::error("arg-type", span, format!("`{}` takes a map", call.row.name))
                        .label("expected a map as a whole, `@x`")
                        .note(call.row.signature.to_string())
                        .help(format!("for instance: {}", call.row.example)),
                );
                None
            }
        }
    }

    /// The aggregation that a call makes; `None`: it is another function.
    pub(crate) fn aggregation(&mut self, name: &ast::Ident, args: &[Arg], span: Span) -> Aggregation {
        let row = agg::find(&name.name)?;
        self.unstable(row.name, name.span);
        let exprs: Vec<Expr> = args
            .iter()
            .map(|a| match a {
                Arg::Expr(e) => self.expr(e),
                Arg::Type(t) => Expr::error(t.span),
            })
            .collect();
        if exprs.iter().any(Expr::is_error) {
            return Some(None);
        }
        let sig = signature::parse(row.signature);
        let need = sig.params.iter().filter(|p| !p.optional).count();
        if exprs.len() < need || (exprs.len() > sig.params.len() && !sig.rest) {
            self.report(
                Diagnostic::error(
                    "arg-count",
                    span,
                    format!("`{}` takes {}, found {}", row.name, counted(need as u64, "argument"), exprs.len()),
                )
                .label(format!("expected {need}"))
                .note(row.signature.to_string())
                .help(format!("for instance: {}", row.example)),
            );
            return Some(None);
        }
        let more = Param { name: "...", kind: Kind::ConstInt, optional: true };
        let (mut consts, mut spans) = (Vec::new(), Vec::new());
        for (i, e) in exprs.iter().enumerate() {
            let p = sig.params.get(i).unwrap_or(&more);
            let word = || e.as_str().and_then(|s| row.words.iter().position(|w| w.as_bytes() == s));
            let fits = match (p.kind, row.takes) {
                (Kind::ConstStr, _) => word().is_some(),
                (Kind::ConstInt, _) => e.ty.is_int() && e.as_int().is_some(),
                (_, Takes::Any) => e.ty.is_int() || matches!(e.ty, Ty::Ptr(..) | Ty::Str(_) | Ty::Ksym),
                (_, Takes::Key) => !matches!(e.ty, Ty::Void | Ty::Agg(_)),
                (_, Takes::Number) => e.ty.is_int() || matches!(e.ty, Ty::Ptr(..) | Ty::Agg(_)),
            };
            if !fits {
                let expected = match p.kind {
                    Kind::ConstStr => format!("one of {}", row.words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ")),
                    kind => signature::kind_words(kind).to_string(),
                };
                self.report(
                    Diagnostic::error("arg-type", e.span, format!("`{}` of `{}` is {expected}, found `{}`", p.name, row.name, e.ty))
                        .label(format!("expected {expected}"))
                        .note(row.signature.to_string()),
                );
                return Some(None);
            }
            consts.extend(match p.kind {
                Kind::ConstInt => Some(e.as_int().unwrap_or(0)),
                Kind::ConstStr => Some(word().unwrap_or(0) as i64),
                _ => None,
            });
            spans.resize(consts.len(), e.span);
        }
        let signed = exprs.first().is_some_and(|e| e.ty.is_signed());
        match (row.make)(signed, &consts) {
            Ok(kind) => {
                let first = exprs.into_iter().next();
                let (key, first) = if row.takes == Takes::Key { (first, None) } else { (None, first) };
                let arg = match first {
                    Some(e) if matches!(e.ty, Ty::Str(_)) => Some(self.hashed(e)),
                    Some(e) => Some(self.to_int64(e)),
                    // What counts for itself counts one each time.
                    None if kind == Agg::Rate => Some(Expr::int(1, Ty::I64, span)),
                    None => None,
                };
                if arg.as_ref().is_some_and(Expr::is_error) {
                    return Some(None);
                }
                Some(Some(Aggregated { agg: kind, arg, key }))
            }
            Err((which, why)) => {
                let span = which.and_then(|i| spans.get(i).copied()).unwrap_or(span);
                self.report(Diagnostic::error("arg-value", span, why).label("out of range").help(format!("for instance: {}", row.example)));
                Some(None)
            }
        }
    }
}

impl Checker<'_> {
    /// A string as a number that stands for it.
    fn hashed(&mut self, e: Expr) -> Expr {
        let span = e.span;
        match builtin::find("hash") {
            Some(row) => Expr::new(ExprKind::Call { builtin: row, args: vec![e] }, Ty::U64, span),
            None => Expr::error(span),
        }
    }
}

/// One aggregation for two uses of one map: only their sign may differ.
pub(crate) fn join_agg(a: &Agg, b: &Agg) -> Option<Agg> {
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Agg::Sum { .. }, Agg::Sum { .. }) => Agg::Sum { signed: true },
        (Agg::Avg { .. }, Agg::Avg { .. }) => Agg::Avg { signed: true },
        (Agg::Min { .. }, Agg::Min { .. }) => Agg::Min { signed: true },
        (Agg::Max { .. }, Agg::Max { .. }) => Agg::Max { signed: true },
        (Agg::Stats { .. }, Agg::Stats { .. }) => Agg::Stats { signed: true },
        (Agg::Stddev { .. }, Agg::Stddev { .. }) => Agg::Stddev { signed: true },
        (Agg::Series { interval, count, how, .. }, Agg::Series { interval: i, count: c, how: h, .. })
            if (interval, count, how) == (i, c, h) =>
        {
            Agg::Series { interval: *interval, count: *count, how: *how, signed: true }
        }
        _ => return None,
    })
}
