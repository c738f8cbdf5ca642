//! Conversions, written ones and silent ones.

use super::Checker;
use crate::builtin::{self, Builtin};
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind};
use crate::target::btf::Kind;
use crate::types::{Space, Ty};
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::sync::Arc;

/// `(string[64])arg0` is what lies at an address, as `str(arg0, 64)` has it, or `buf`: that function, and the bytes.
fn read_as(ty: &Ty) -> Option<(&'static Builtin, u32)> {
    match ty {
        Ty::Str(n) => Some((builtin::find("str")?, *n)),
        Ty::Buf(n) => Some((builtin::find("buf")?, *n)),
        _ => None,
    }
}

/// The fields of `have`, in their order, with the types that those of `want` have; `None` where it is the same order or others are
/// named.
fn in_order_of(have: &[(String, Ty)], want: &[(String, Ty)]) -> Option<Arc<[(String, Ty)]>> {
    let same_order = have.iter().map(|(n, _)| n).eq(want.iter().map(|(n, _)| n));
    if same_order || have.len() != want.len() {
        return None;
    }
    have.iter().map(|(n, _)| want.iter().find(|(m, _)| m == n).cloned()).collect()
}

impl Checker<'_> {
    /// `e` as a value of type `to`, where the language converts silently; `None` after a report.
    pub(crate) fn coerce(&mut self, e: Expr, to: &Ty, what: &str) -> Option<Expr> {
        if e.is_error() || *to == Ty::Error {
            return None;
        }
        if e.ty == *to {
            return Some(e);
        }
        let span = e.span;
        if let (Ty::NamedTuple(have), Ty::NamedTuple(want)) = (&e.ty, to)
            && let Some(ordered) = in_order_of(have, want)
        {
            // Its parts are evaluated as they are written, then put in their places.
            let e = self.coerce(e, &Ty::NamedTuple(ordered), what)?;
            return Some(Expr::new(ExprKind::Cast(Box::new(e)), to.clone(), span));
        }
        let fits = match (&e.ty, to) {
            (Ty::Agg(_), Ty::Int { .. }) => return Some(self.to_int64(e)),
            (a, b) if a.is_scalar() && b.is_scalar() => true,
            (Ty::Str(m), Ty::Str(n)) => m <= n,
            (Ty::Buf(m), Ty::Buf(n)) => m <= n,
            (Ty::Tuple(xs), Ty::Tuple(ys)) => xs.len() == ys.len(),
            (Ty::NamedTuple(xs), Ty::NamedTuple(ys)) => xs.len() == ys.len(),
            (Ty::Ptr(..), _) | (_, Ty::Ptr(..)) => false,
            _ => false,
        };
        if !fits {
            let d = Diagnostic::error("type-mismatch", span, format!("`{}` {what}, which holds `{to}`", e.ty))
                .label(format!("expected `{to}`"));
            self.report(d);
            return None;
        }
        if let ExprKind::Int(v) = e.kind {
            return Some(Expr::int(wrap(v, to), to.clone(), span));
        }
        if let ExprKind::Tuple(items) = e.kind {
            let want: Vec<Ty> = match to {
                Ty::Tuple(ts) => ts.to_vec(),
                Ty::NamedTuple(ts) => ts.iter().map(|(_, t)| t.clone()).collect(),
                _ => return None,
            };
            let items = items.into_iter().zip(&want).map(|(i, t)| self.coerce(i, t, what)).collect::<Option<Vec<_>>>()?;
            return Some(Expr::new(ExprKind::Tuple(items), to.clone(), span));
        }
        if let ExprKind::Str(_) = e.kind {
            return Some(Expr::new(e.kind, to.clone(), span));
        }
        Some(Expr::new(ExprKind::Cast(Box::new(e)), to.clone(), span))
    }

    /// A value for something whose type is declared: an integer that doesn't fit into it is worth a warning.
    pub(crate) fn coerce_declared(&mut self, e: Expr, to: &Ty, what: &str) -> Option<Expr> {
        let fits = match (&e.ty, to) {
            (Ty::Int { .. }, Ty::Int { .. }) => match e.as_int() {
                Some(v) => wrap(v, to) == v && (to.is_signed() || to.size() < 8 || v >= 0 || !e.ty.is_signed()),
                None => super::join::join(&e.ty, to).as_ref() == Some(to) || to.size() == 8,
            },
            _ => true,
        };
        if fits {
            return self.coerce(e, to, what);
        }
        let d = Diagnostic::warning("narrowing", e.span, format!("`{}` {what}, which holds `{to}`", own_type(&e)))
            .label(format!("what doesn't fit into `{to}` is cut off"))
            .help(format!("say that it is meant: `({to})...`"));
        self.report(d);
        self.coerce(e, to, what)
    }

    /// Any number as 64 bits with its own sign.
    pub(crate) fn to_int64(&mut self, e: Expr) -> Expr {
        let span = e.span;
        match &e.ty {
            Ty::Error => e,
            Ty::Agg(a) => match (crate::agg::number_type(a), &e.kind) {
                (Some(ty), ExprKind::MapGet { map, keys }) => Expr::new(ExprKind::MapSum { map: *map, keys: keys.clone() }, ty, span),
                _ => {
                    let d = Diagnostic::error("type-mismatch", span, format!("a `{}` is not a number", e.ty))
                        .label("expected a number")
                        .help("print it: `print(@x)`");
                    self.fail(d)
                }
            },
            t if t.is_scalar() => {
                let ty = if t.is_signed() { Ty::I64 } else { Ty::U64 };
                self.coerce(e, &ty, "a number").unwrap_or_else(|| Expr::error(span))
            }
            t => {
                let d = Diagnostic::error("type-mismatch", span, format!("`{t}` is not a number")).label("expected a number");
                self.fail(d)
            }
        }
    }

    /// `(type)e`
    pub(crate) fn cast(&mut self, ty: &ast::Type, inner: &ast::Expr, span: Span) -> Expr {
        let to = self.resolve_type(ty);
        let e = self.expr(inner);
        if to == Ty::Error {
            return Expr::error(span);
        }
        if e.is_error() {
            // What comes of a cast is known without its operand, which may be of use in the next round.
            return if to.is_int() { Expr::new(ExprKind::Error, to, span) } else { Expr::error(span) };
        }
        let e = if matches!(e.ty, Ty::Agg(_)) { self.to_int64(e) } else { e };
        let e = if matches!(to, Ty::Ptr(..)) { self.array_as_address(e) } else { e };
        let e = if matches!(to, Ty::Ipv4 | Ty::Ipv6) || (to.is_int() && matches!(e.ty, Ty::Record(_))) { self.one_value(e) } else { e };
        if e.ty == to && matches!(to, Ty::Ipv4 | Ty::Ipv6) {
            return e;
        }
        let address = matches!(e.ty, Ty::Ptr(..) | Ty::Int { bytes: 8, .. }) && e.as_int().is_none();
        if let (true, Some((reader, bytes))) = (address, read_as(&to)) {
            let args = vec![e, Expr::int(i64::from(bytes), Ty::U32, span)];
            return Expr::new(ExprKind::Call { builtin: reader, args }, to, span);
        }
        let to = match to {
            // `(uint8[])x`: as many as the value has.
            Ty::Array(t, 0) if t.size() > 0 && own_type(&e).size().is_multiple_of(t.size()) => {
                Ty::Array(t.clone(), own_type(&e).size() / t.size())
            }
            to => self.pointing_as(to, Some(&e.ty)),
        };
        let ok = match (&e.ty, &to) {
            (a, b) if a.is_scalar() && b.is_scalar() => true,
            (Ty::Str(_), Ty::Str(_)) | (Ty::Buf(_), Ty::Buf(_)) => true,
            (Ty::Str(n), Ty::Array(t, _)) if t.size() == 1 => *n <= to.size(),
            (a, Ty::Array(..)) if a.is_int() && own_type(&e).size() <= to.size() => true,
            (Ty::Array(t, n), b) if b.is_int() && t.is_int() => t.size() * n <= 8,
            (Ty::Record(_), Ty::Record(_)) => e.ty == to,
            (Ty::Username | Ty::Ksym | Ty::Ipv4, b) => b.is_int(),
            (a, Ty::Ipv4) => a.is_int(),
            // `sizeof(((struct x)0).field)`, until bpftrace 0.13: nothing is read.
            (a, Ty::Record(_)) => a.is_scalar() && self.at.for_type,
            _ => false,
        };
        if !ok {
            let d = Diagnostic::error("cast-type", span, format!("`{}` can't be cast to `{to}`", e.ty)).label("no such conversion");
            return self.fail(match (&e.ty, &to) {
                (_, Ty::Record(r)) => d.help(format!("cast to a pointer: `({} *)...`", r.name)),
                _ => d,
            });
        }
        if let (Some(v), true) = (e.as_int(), to.is_int()) {
            return Expr::int(wrap(v, &to), to, span);
        }
        Expr::new(ExprKind::Cast(Box::new(e)), to, span)
    }

    /// A written pointer type says nothing of memory: it points where the value does, or where this probe's arguments come
    /// from.
    pub(crate) fn pointing_as(&self, ty: Ty, value: Option<&Ty>) -> Ty {
        match (ty, value) {
            // The verifier knows what lies there and lets nothing else be read by plain loads.
            (Ty::Ptr(to, Space::Unknown), Some(Ty::Ptr(known, Space::Btf))) if *known != to => Ty::Ptr(to, Space::Kernel),
            (Ty::Ptr(to, Space::Unknown), Some(Ty::Ptr(known, Space::Ctx))) if *known != to && !self.lies_at_context(&to) => {
                Ty::Ptr(to, Space::Kernel)
            }
            (Ty::Ptr(to, Space::Unknown), Some(Ty::Ptr(_, space))) if *space != Space::Unknown => Ty::Ptr(to, *space),
            (Ty::Ptr(to, Space::Unknown), _) => Ty::Ptr(to, self.default_space()),
            (ty, _) => ty,
        }
    }

    /// May the context be read as this by plain loads? Those of packets and of samples aren't in memory what programs see.
    fn lies_at_context(&self, to: &Ty) -> bool {
        match (&self.at.context, to) {
            (Some(Context::Packet(_) | Context::PerfEvent), _) => true,
            (Some(Context::Registers { .. } | Context::Static(_)), Ty::Record(r)) => r.name == "struct pt_regs",
            _ => false,
        }
    }

    /// Memory that an address without a type is taken to be in.
    pub(crate) fn default_space(&self) -> Space {
        match self.at.context {
            Some(Context::Registers { user: true, .. } | Context::Static(_)) => Space::User,
            _ => Space::Kernel,
        }
    }

    pub(crate) fn type_or_expr(&mut self, what: &ast::TypeOrExpr) -> Ty {
        match what {
            ast::TypeOrExpr::Type(t) => self.resolve_type(t),
            ast::TypeOrExpr::Expr(e) => match &e.kind {
                // A bare word may be a type: `sizeof(pid_t)`.
                ast::ExprKind::Name(n) if crate::builtin::find(n).is_none() && self.types.named(n).is_some() => {
                    self.types.named(n).unwrap_or(Ty::Error)
                }
                _ => {
                    let outer = std::mem::replace(&mut self.at.for_type, true);
                    let e = self.expr(e);
                    self.at.for_type = outer;
                    own_type(&e)
                }
            },
        }
    }

    /// `typeinfo(x)`: a record of what is known of a type.
    pub(crate) fn type_info(&mut self, what: &ast::TypeOrExpr, span: Span) -> Expr {
        self.unstable("typeinfo", span);
        let ty = self.type_or_expr(what);
        if ty == Ty::Error {
            return Expr::error(span);
        }
        let id = match &ty {
            Ty::Record(r) => r.btf_id.unwrap_or(0),
            _ => 0,
        };
        let base = match &ty {
            Ty::Void => "void",
            Ty::Bool => "bool",
            Ty::Int { .. } => "int",
            Ty::Enum(_) => "enum",
            Ty::Str(_) => "string",
            Ty::Buf(_) => "buffer",
            Ty::Ptr(..) => "pointer",
            Ty::Record(_) => "record",
            Ty::Array(..) => "array",
            Ty::Tuple(_) | Ty::NamedTuple(_) => "tuple",
            _ => "none",
        };
        let id = Expr::int(i64::from(id), Ty::U32, span);
        let (base, full) = (self.string_literal(base.as_bytes(), span), self.string_literal(ty.to_string().as_bytes(), span));
        let fields = [("btf_id", &id), ("base_type", &base), ("full_type", &full)];
        let ty = Ty::NamedTuple(fields.iter().map(|(n, e)| (n.to_string(), e.ty.clone())).collect::<Vec<_>>().into());
        Expr::new(ExprKind::Tuple(vec![id, base, full]), ty, span)
    }

    pub(crate) fn resolve_type(&mut self, t: &ast::Type) -> Ty {
        match &t.kind {
            ast::TypeKind::Named(n) => match self.types.named(n) {
                Some(t) => t,
                None if n == "string" => Ty::Str(self.options.config.strlen()),
                // Scripts of the first years leave the tag out.
                None => match ["struct", "union", "enum"].iter().find_map(|tag| self.types.named(&format!("{tag} {n}"))) {
                    Some(t) => t,
                    None => self.unknown_type(n, t.span),
                },
            },
            ast::TypeKind::Tagged(tag, n) => {
                let keyword = match tag {
                    ast::Tag::Struct => "struct",
                    ast::Tag::Union => "union",
                    ast::Tag::Enum => "enum",
                };
                let name = format!("{keyword} {n}");
                match self.types.named(&name) {
                    Some(t) => t,
                    None => self.unknown_type(&name, t.span),
                }
            }
            ast::TypeKind::Pointer(inner) => match self.resolve_type_behind_pointer(inner) {
                Ty::Error => Ty::Error,
                t => Ty::Ptr(Arc::new(t), Space::Unknown),
            },
            ast::TypeKind::Array(inner, len) => {
                let elem = self.resolve_type(inner);
                match len {
                    Some(n) => match self.expr(n).as_int() {
                        Some(n) if (0..=1 << 20).contains(&n) && elem != Ty::Error => Ty::Array(Arc::new(elem), n as u32),
                        _ => Ty::Error,
                    },
                    None => Ty::Array(Arc::new(elem), 0),
                }
            }
            ast::TypeKind::Sized(word, len) => match (word.as_str(), self.expr(len).as_int()) {
                ("string", Some(n)) if n > 0 => Ty::Str(n as u32),
                ("buffer", Some(n)) if n > 0 => Ty::Buf(n as u32),
                ("inet", Some(_)) => Ty::Inet,
                _ => self.unknown_type(word, t.span),
            },
            ast::TypeKind::Tuple(ts) => {
                let ts: Vec<Ty> = ts.iter().map(|t| self.resolve_type(t)).collect();
                if ts.contains(&Ty::Error) { Ty::Error } else { Ty::Tuple(ts.into()) }
            }
            ast::TypeKind::Typeof(what) => self.type_or_expr(what),
        }
    }

    /// What a pointer points to need not be known in full: `struct x *` is an address first of all.
    fn resolve_type_behind_pointer(&mut self, t: &ast::Type) -> Ty {
        match &t.kind {
            ast::TypeKind::Named(n) if n == "void" => Ty::Void,
            _ => self.resolve_type(t),
        }
    }

    fn unknown_type(&mut self, name: &str, span: Span) -> Ty {
        let mut d = Diagnostic::error("unknown-type", span, format!("unknown type `{name}`"));
        d = match self.near_type(name) {
            Some(n) => return self.report_type(d.label(format!("did you mean `{n}`?"))),
            None => d.label("not defined in the script"),
        };
        d = match self.target.btf() {
            Ok(_) => d.note("the running kernel's BTF has no such type either"),
            Err(why) => d.note(format!("and the kernel's types can't be read: {why}")).help(why.help),
        };
        if let Some(note) = self.types.preamble().left_out() {
            d = d.note(note);
        }
        if name.starts_with("struct ") && d.help.is_none() {
            d = d.help(format!("define it at the top of the script: `{name} {{ ... }};`"));
        }
        self.report_type(d)
    }

    fn report_type(&mut self, d: Diagnostic) -> Ty {
        self.report(d);
        Ty::Error
    }

    /// A type whose name is almost this, of the script's, the language's and the kernel's.
    fn near_type(&self, name: &str) -> Option<String> {
        let (keyword, bare) = name.split_once(' ').unwrap_or(("", name));
        let mut names = self.types.preamble().type_names();
        if keyword.is_empty() {
            names.extend(BASIC_TYPES.iter().map(|n| (*n).to_owned()));
        }
        if let Some(n) = self.nearest(name, names.iter().map(String::as_str)) {
            return Some(n.to_owned());
        }
        let kind = match keyword {
            "struct" => Kind::Struct,
            "union" => Kind::Union,
            "enum" => Kind::Enum,
            _ => Kind::Typedef,
        };
        let btf = self.target.btf().ok()?;
        let near = self.nearest(bare, btf.names(kind).map(|(n, _)| n))?;
        Some(if keyword.is_empty() { near.to_owned() } else { format!("{keyword} {near}") })
    }
}

/// What a misspelt type without keyword was likely meant to be.
const BASIC_TYPES: &[&str] =
    &["bool", "string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "inet", "buffer"];

/// The type of a value by itself: a literal has the smallest signed one that holds it.
pub(crate) fn own_type(e: &Expr) -> Ty {
    match e.kind {
        ExprKind::Int(v) if e.ty == Ty::I64 => {
            let bytes = [1, 2, 4].into_iter().find(|n| wrap(v, &Ty::Int { bytes: *n, signed: true }) == v).unwrap_or(8);
            Ty::Int { bytes, signed: true }
        }
        _ => e.ty.clone(),
    }
}

/// A constant as a value of the type: cut to its bytes, extended by its sign.
pub(crate) fn wrap(v: i64, ty: &Ty) -> i64 {
    match (ty, ty.size(), ty.is_signed()) {
        (Ty::Bool, ..) => i64::from(v != 0),
        (_, 1, true) => i64::from(v as i8),
        (_, 2, true) => i64::from(v as i16),
        (_, 4, true) => i64::from(v as i32),
        (_, 1, false) => i64::from(v as u8),
        (_, 2, false) => i64::from(v as u16),
        (_, 4, false) => i64::from(v as u32),
        _ => v,
    }
}
