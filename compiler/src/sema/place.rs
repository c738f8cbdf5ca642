//! Places and parts of values: maps, fields, elements, what pointers point to.

use super::{Checker, join};
use crate::diagnostic::{Diagnostic, begun};
use crate::hir::{Context, Expr, ExprKind, FieldRef, MapId};
use crate::probe::convention::{Parameter, Signature};
use crate::types::{Field, RecordDef, Space, Ty};
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::sync::Arc;

/// Functions with more arguments are not written by people.
const MOST_ARGUMENTS: u32 = 32;

impl Checker<'_> {
    /// The map and its keys that `@x[...]` means; reports and gives `None` when the keys don't fit.
    pub(crate) fn map_place(&mut self, e: &ast::Expr) -> Option<(MapId, Vec<Expr>)> {
        self.place_with(e, None)
    }

    /// The same with one key more behind those that were written.
    pub(crate) fn place_with_key(&mut self, e: &ast::Expr, key: Expr) -> Option<(MapId, Vec<Expr>)> {
        self.place_with(e, Some(key))
    }

    fn place_with(&mut self, e: &ast::Expr, last: Option<Expr>) -> Option<(MapId, Vec<Expr>)> {
        let (name, at, keys): (&str, Span, &[ast::Expr]) = match &e.kind {
            ast::ExprKind::Map(name) => (name, e.span, &[]),
            ast::ExprKind::MapIndex { map, keys } => (&map.name, map.span, keys),
            _ => return None,
        };
        let map = self.map_id(name, at);
        if !self.has_places(map, e.span) {
            return None;
        }
        let network = if let [one] = keys { self.network_keys(map, one) } else { None };
        let keys: Vec<Expr> = network.unwrap_or_else(|| keys.iter().map(|k| self.expr(k)).chain(last).collect());
        self.map_keys(map, keys, e.span).map(|keys| (map, keys))
    }

    /// Fits keys to a map's key types, which they may widen.
    pub(crate) fn map_keys(&mut self, map: MapId, mut keys: Vec<Expr>, span: Span) -> Option<Vec<Expr>> {
        if keys.iter().any(Expr::is_error) {
            return None;
        }
        // Aggregations in keys are their number.
        keys = keys.into_iter().map(|k| if matches!(k.ty, Ty::Agg(_)) { self.to_int64(k) } else { k }).collect();
        if keys.iter().any(Expr::is_error) {
            return None;
        }
        if let Some(k) = keys.iter().find(|k| k.ty == Ty::Void) {
            let d = Diagnostic::error("key-type", k.span, format!("a `{}` can't be a key", k.ty)).label("expected a value");
            self.report(d);
            return None;
        }
        let had = self.maps[map].keys.clone();
        if let [one] = keys.as_slice()
            && let Ty::Tuple(ts) = one.ty.clone()
            && ts.len() > 1
        {
            // `@x[(1, 2)]` is `@x[1, 2]`.
            let one = one.clone();
            keys = match one.kind {
                ExprKind::Tuple(items) => items,
                _ => ts
                    .iter()
                    .enumerate()
                    .map(|(index, t)| Expr::new(ExprKind::TupleField { base: Box::new(one.clone()), index }, t.clone(), one.span))
                    .collect(),
            };
        }
        let keys = self.fit_kind(map, keys, span)?;
        let types: Vec<Ty> = keys.iter().map(|k| self.stored_type(&k.ty)).collect();
        let joined = match &had {
            None => types.clone(),
            Some(had) if had.len() != types.len() => {
                let (name, first) = (self.maps[map].name.clone(), self.maps[map].keys_span);
                let count = |n: usize| match n {
                    0 => "no keys".to_string(),
                    1 => "one key".to_string(),
                    n => format!("{n} keys"),
                };
                self.report(
                    Diagnostic::error("key-count", span, format!("`@{name}` has {}, here it has {}", count(had.len()), count(types.len())))
                        .label(format!("expected {}", count(had.len())))
                        .because(first, "first used so here"),
                );
                return None;
            }
            Some(had) => {
                let mut joined = Vec::new();
                for ((h, t), k) in had.iter().zip(&types).zip(&keys) {
                    match join::join(h, t) {
                        Some(j) => joined.push(j),
                        None => {
                            let (name, first) = (self.maps[map].name.clone(), self.maps[map].keys_span);
                            self.report(
                                Diagnostic::error("key-type", k.span, format!("a key of `@{name}` is `{h}`, here it is `{t}`"))
                                    .label(format!("expected `{h}`"))
                                    .because(first, "first used so here"),
                            );
                            return None;
                        }
                    }
                }
                joined
            }
        };
        if had.as_ref() != Some(&joined) {
            if had.is_none() {
                self.maps[map].keys_span = span;
            }
            self.maps[map].keys = Some(joined.clone());
            self.changed = true;
        }
        keys.into_iter().zip(&joined).map(|(k, t)| self.coerce(k, t, "a key")).collect()
    }

    pub(crate) fn map_get(&mut self, e: &ast::Expr) -> Expr {
        let Some((map, keys)) = self.map_place(e) else { return Expr::error(e.span) };
        self.maps[map].read.get_or_insert(e.span);
        match self.maps[map].value.clone() {
            Ty::Error => Expr::error(e.span),
            ty => Expr::new(ExprKind::MapGet { map, keys }, ty, e.span),
        }
    }

    /// `++` and `--`
    pub(crate) fn step(&mut self, place: &ast::Expr, inc: bool, old: bool, span: Span) -> Expr {
        let by = if inc { 1 } else { -1 };
        match &place.kind {
            ast::ExprKind::Var(name) => {
                let Some(local) = self.local(name) else { return self.variable(name, place.span) };
                let ty = self.at.locals[local].ty.clone();
                if ty == Ty::Error {
                    return Expr::error(span);
                }
                if !ty.is_int() && !matches!(ty, Ty::Ptr(..)) {
                    return self.step_type(&ty, place.span);
                }
                if ty.is_int() && !self.at.sized.contains(&local) {
                    if !inc {
                        // What is counted down is signed.
                        let key = self.local_key(local);
                        self.sign_said.insert(key);
                        self.at.open_sign.remove(&local);
                    }
                    self.widen_local(local, &counted(&ty, inc));
                }
                let ty = self.at.locals[local].ty.clone();
                let by = match &ty {
                    Ty::Ptr(t, _) => by * i64::from(t.size().max(1)),
                    _ => by,
                };
                Expr::new(ExprKind::StepLocal { local, by, old }, ty, span)
            }
            ast::ExprKind::Map(_) | ast::ExprKind::MapIndex { .. } => {
                let Some((map, keys)) = self.map_place(place) else { return Expr::error(span) };
                if let t @ Ty::Agg(_) = self.maps[map].value.clone() {
                    return self.step_type(&t, place.span);
                }
                let want = counted(&self.maps[map].value, inc);
                if !self.widen_map_by(map, inc, &want, span) {
                    return Expr::error(span);
                }
                match self.maps[map].value.clone() {
                    ty if ty.is_int() => Expr::new(ExprKind::StepMap { map, keys, by, old }, ty, span),
                    ty => self.step_type(&ty, place.span),
                }
            }
            _ => {
                let d = Diagnostic::error("not-a-place", place.span, "`++` and `--` need a variable or a map")
                    .label("expected `$x` or `@x[...]`");
                self.fail(d)
            }
        }
    }

    fn step_type(&mut self, ty: &Ty, span: Span) -> Expr {
        let d = Diagnostic::error("operand-type", span, format!("`++` and `--` of a `{ty}`")).label("expected an integer");
        self.fail(match ty {
            Ty::Agg(_) => d.help("an aggregation grows by its function: `@x = count()`"),
            _ => d,
        })
    }

    /// `base.name`, `base->name`
    pub(crate) fn field(&mut self, base: &ast::Expr, name: &ast::Ident, span: Span) -> Expr {
        self.at.of_field = matches!(base.kind, ast::ExprKind::Name(_));
        let b = self.expr(base);
        self.at.of_field = false;
        self.member(b, name, span)
    }

    /// `args.NAME` of a program's function
    fn typed_parameter(&mut self, s: &Signature, name: &ast::Ident, span: Span) -> Expr {
        let names: Vec<&str> = s.parameters.iter().map(|p| p.name.as_str()).collect();
        match s.parameters.iter().find(|p| p.name == name.name) {
            Some(Parameter { place: Ok(place), ty, .. }) => Expr::new(ExprKind::Parameter(*place), ty.clone(), span),
            Some(Parameter { place: Err(why), ty, .. }) => {
                let d = Diagnostic::error("arg-number", span, format!("`{}` (`{ty}`) is where a probe can't read it", name.name));
                self.fail(d.label(why.clone()))
            }
            None => {
                let d = Diagnostic::error("unknown-field", name.span, format!("this function has no parameter `{}`", name.name));
                self.fail(match self.nearest(&name.name, names.iter().copied()) {
                    Some(n) => d.label(format!("did you mean `{n}`?")),
                    None if names.is_empty() => d.label("it has none"),
                    None => d.label("no such parameter").help(format!("it has {}", names.join(", "))),
                })
            }
        }
    }

    /// The end of a system call is seen here.
    pub(crate) fn returns_here(&self) -> bool {
        match &self.at.context {
            Some(Context::Syscall { exit, .. } | Context::RawSyscall { exit, .. }) => *exit,
            Some(Context::Record(_)) => {
                self.args_fields().iter().any(|f| f == "ret") && self.at.provider == crate::probe::syscall::ROWS[0].name
            }
            _ => false,
        }
    }

    pub(crate) fn member(&mut self, b: Expr, name: &ast::Ident, span: Span) -> Expr {
        if b.is_error() {
            return b;
        }
        if let (ExprKind::Ctx, Some(Context::Registers { typed: Some(s), .. })) = (&b.kind, &self.at.context) {
            let s = Arc::clone(s);
            return self.typed_parameter(&s, name, span);
        }
        let (record, space) = match &b.ty {
            Ty::Record(r) => (r.clone(), self.space_of(&b)),
            Ty::Ptr(t, s) => match &**t {
                Ty::Record(r) => (r.clone(), *s),
                _ => return self.no_fields(&b, name),
            },
            Ty::NamedTuple(ts) => {
                let Some(index) = ts.iter().position(|(n, _)| *n == name.name) else {
                    return self.no_field(&b.ty, ts.iter().map(|(n, _)| n.as_str()).collect(), name);
                };
                let ty = ts[index].1.clone();
                if let ExprKind::Tuple(items) = &b.kind
                    && (items.len() == 1 || items.iter().all(|i| i.as_int().is_some() || i.as_str().is_some()))
                {
                    return items[index].clone();
                }
                return Expr::new(ExprKind::TupleField { base: Box::new(b), index }, ty, span);
            }
            _ => return self.no_fields(&b, name),
        };
        let Some(index) = self.field_index(&record, name) else {
            // What takes more than a load has a builtin: `dns.qname` is `dns_qname`.
            if space == Space::Packet
                && let Some(row) = crate::builtin::find(&format!("{}_{}", record.name.trim_start_matches("struct "), name.name))
            {
                return self.call_row(row, name, &[], span);
            }
            // Until 0.11 bpftrace called so what says where in the record the bytes lie.
            let dynamic = name.name.strip_prefix("data_loc_").and_then(|n| record.fields.iter().find(|f| f.data_loc && f.name == n));
            if let (Some(f), Some(Context::Record(_))) = (dynamic, &self.at.context) {
                let field = FieldRef { name: f.name.clone(), offset: f.offset, bits: None, data_loc: false, big_endian: false };
                return Expr::new(ExprKind::Field { base: Box::new(b), field }, Ty::U32, span);
            }
            if matches!(b.kind, ExprKind::Ctx) {
                self.lacking.push((name.clone(), self.at.instance));
            }
            return self.no_field(&b.ty, record.fields.iter().map(|f| f.name.as_str()).collect(), name);
        };
        let f = &record.fields[index];
        let is_args = matches!(b.kind, ExprKind::Ctx);
        if is_args && crate::target::tracefs::is_common(f) && matches!(self.at.context, Some(Context::Record(_))) {
            let d = Diagnostic::error("unknown-field", name.span, format!("`{}` is not for programs to read", f.name))
                .label("the kernel keeps something else there");
            return self.fail(match f.name.as_str() {
                "common_pid" => d.help("`tid` is the same number"),
                _ => d.help("the event's own fields are there: `awl -lv tracepoint:...`"),
            });
        }
        if is_args && matches!(self.at.context, Some(Context::Iter { .. })) {
            let ty = self.types.resolve(&f.ty, Space::Btf).unwrap_or(Ty::Error);
            return Expr::new(ExprKind::Arg(index), ty, span);
        }
        let ty = match self.field_type(f, space, is_args) {
            Ok(t) => t,
            Err(what) => {
                let d = Diagnostic::error("unknown-type", name.span, format!("the type of `{}` is not known: {what}", f.name))
                    .label("its definition was not found");
                return self.fail(d);
            }
        };
        match &self.at.context {
            Some(Context::RawArgs(_) | Context::Function { .. } | Context::Syscall { .. } | Context::RawSyscall { .. }) if is_args => {
                return Expr::new(ExprKind::Arg(index), ty, span);
            }
            _ => {}
        }
        let (ty, big_endian) = match ty {
            Ty::Be(bytes) => (Ty::Int { bytes, signed: false }, true),
            t => (t, false),
        };
        let field = FieldRef { name: f.name.clone(), offset: f.offset, bits: f.bits, data_loc: f.data_loc, big_endian };
        Expr::new(ExprKind::Field { base: Box::new(b), field }, ty, span)
    }

    /// A field by its name, or by the one that it has in other kernels.
    fn field_index(&mut self, record: &RecordDef, name: &ast::Ident) -> Option<usize> {
        let by_name = |name: &str| record.fields.iter().position(|f| f.name == name);
        if let Some(index) = by_name(&name.name) {
            return Some(index);
        }
        // Of an argument that may be null newer kernels say so in its name (`bpf_lsm_mmap_file`, 6.16).
        if record.name == ARGS && record.btf_id.is_none() {
            return match name.name.strip_suffix(NULLABLE) {
                Some(plain) => by_name(plain),
                None => by_name(&format!("{}{NULLABLE}", name.name)),
            };
        }
        record.btf_id?;
        let other = awl_stdlib::renamed_field(&record.name, &name.name)?;
        let index = by_name(other)?;
        self.report(
            Diagnostic::warning("renamed-field", name.span, format!("this kernel calls it `{other}`"))
                .label(format!("`{}` has no `{}` here", record.name, name.name))
                .help(format!("`{other}` is read; write that to be rid of this warning")),
        );
        Some(index)
    }

    fn field_type(&self, f: &Field, space: Space, is_args: bool) -> Result<Ty, String> {
        if f.data_loc {
            // The bytes lie in the record; `str()` or `buf()` reads them.
            return Ok(Ty::ptr(Ty::Int { bytes: 1, signed: true }, Space::Kernel));
        }
        let inner = if space == Space::Ctx && is_args { Space::Kernel } else { space };
        let ty = self.types.resolve(&f.ty, inner)?;
        Ok(match ty {
            Ty::Array(t, n) if *t == (Ty::Int { bytes: 1, signed: true }) && n > 0 => Ty::Str(n),
            t => t,
        })
    }

    fn no_fields(&mut self, b: &Expr, name: &ast::Ident) -> Expr {
        if let (ExprKind::Call { builtin, .. }, Err(why)) = (&b.kind, self.target.btf())
            && let Some((_, record)) = builtin.signature.split_once("-> struct ")
        {
            let record = record.trim_end_matches('*').to_string();
            let d = Diagnostic::environment(why.code, format!("`struct {record}` is not known here: {}", why.message))
                .at(name.span, format!("`{}` is in it", name.name))
                .help(why.help);
            return self.fail(d);
        }
        let d = Diagnostic::error("no-fields", name.span, format!("a `{}` has no fields", b.ty))
            .label(format!("no `{}` here", name.name))
            .because(b.span, format!("this is `{}`", b.ty));
        self.fail(match &b.ty {
            Ty::Int { .. } | Ty::Ptr(..) => d.help(format!("say what it points to: `((struct NAME *)...).{}`", name.name)),
            _ => d,
        })
    }

    fn no_field(&mut self, ty: &Ty, names: Vec<&str>, name: &ast::Ident) -> Expr {
        let ty = match ty {
            Ty::Ptr(t, _) => (**t).clone(),
            t => t.clone(),
        };
        let mut d = Diagnostic::error("unknown-field", name.span, format!("`{ty}` has no field `{}`", name.name));
        d = match self.nearest(&name.name, names.iter().copied()).or_else(|| begun(&name.name, names.iter().copied())) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("no such field"),
        };
        let shown: Vec<&str> = names.iter().copied().filter(|n| !n.starts_with("common_") && !n.is_empty()).take(12).collect();
        if !shown.is_empty() {
            let more = if names.len() > shown.len() { ", ..." } else { "" };
            d = d.note(format!("its fields: {}{more}", shown.join(", ")));
        }
        self.fail(d)
    }

    /// `e.0`
    pub(crate) fn tuple_field(&mut self, base: &ast::Expr, index: u32, span: Span) -> Expr {
        let b = self.base(base);
        let n = match &b.ty {
            Ty::Error => return b,
            Ty::Tuple(ts) => ts.len(),
            Ty::NamedTuple(ts) => ts.len(),
            t => {
                let d = Diagnostic::error("not-a-tuple", b.span, format!("`.{index}` of a `{t}`")).label("expected a tuple");
                return self.fail(d);
            }
        };
        let index = index as usize;
        let ty = match &b.ty {
            Ty::Tuple(ts) => ts.get(index).cloned(),
            Ty::NamedTuple(ts) => ts.get(index).map(|(_, t)| t.clone()),
            _ => None,
        };
        match ty {
            Some(ty) => Expr::new(ExprKind::TupleField { base: Box::new(b), index }, ty, span),
            None => {
                let d = Diagnostic::error("tuple-index", span, format!("`.{index}` of a tuple of {n}"))
                    .label(format!("its fields are .0 to .{}", n.saturating_sub(1)));
                self.fail(d)
            }
        }
    }

    /// `e[i]`
    pub(crate) fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Expr {
        let b = self.base(base);
        let i = self.expr(index);
        if b.is_error() || i.is_error() {
            return Expr::error(span);
        }
        if let (ExprKind::Arg(_), Some(Context::RawSyscall { .. }), Ty::Array(..)) = (&b.kind, &self.at.context, &b.ty) {
            let i = self.to_int64(i);
            return Expr::new(ExprKind::SyscallArg(Box::new(i)), Ty::U64, span);
        }
        let elem = match &b.ty {
            Ty::Array(t, n) => {
                if let Some(v) = i.as_int()
                    && *n > 0
                    && !(0..i64::from(*n)).contains(&v)
                {
                    let d = Diagnostic::error("index-range", i.span, format!("element {v} of an array of {n}"))
                        .label(format!("its elements are 0 to {}", n - 1));
                    return self.fail(d);
                }
                (**t).clone()
            }
            Ty::Ptr(t, _) if matches!(b.kind, ExprKind::Ctx) && matches!(**t, Ty::Record(_)) => {
                let d =
                    Diagnostic::error("not-an-array", b.span, "arguments have names here, and no numbers").label("this is not an array");
                return self.fail(d.help("name one: `args.NAME`; `-lv` lists them"));
            }
            Ty::Ptr(t, _) if **t != Ty::Void => (**t).clone(),
            Ty::Str(_) => Ty::Int { bytes: 1, signed: true },
            Ty::Buf(_) => Ty::Int { bytes: 1, signed: false },
            Ty::Tuple(parts) => {
                let most = parts.len().saturating_sub(1);
                return match i.as_int() {
                    Some(v) if u32::try_from(v).is_ok() => self.tuple_field(base, v as u32, span),
                    known => {
                        let found = known.map_or("this is known only at run time".into(), |v| format!("this is {v}"));
                        let d = Diagnostic::error("tuple-index", i.span, "the parts of a tuple are of different types").label(found);
                        self.fail(d.help(format!("say which: a constant from 0 to {most}, or `.0` to `.{most}`")))
                    }
                };
            }
            t => {
                let d = Diagnostic::error("not-an-array", b.span, format!("`[...]` of a `{t}`"))
                    .label("expected an array, a string or a pointer");
                return self.fail(d);
            }
        };
        let i = self.to_int64(i);
        if i.is_error() {
            return i;
        }
        Expr::new(ExprKind::Index { base: Box::new(b), index: Box::new(i) }, elem, span)
    }

    /// `*p`
    pub(crate) fn deref(&mut self, e: Expr, span: Span) -> Expr {
        match &e.ty {
            Ty::Ptr(t, Space::Ctx)
                if matches!((&e.kind, &**t), (ExprKind::Ctx, Ty::Record(_))) && !matches!(self.at.context, Some(Context::Iter { .. })) =>
            {
                self.arguments(span)
            }
            Ty::Ptr(t, _) if **t != Ty::Void => {
                let ty = (**t).clone();
                Expr::new(ExprKind::Deref(Box::new(e)), ty, span)
            }
            // An integer is an address of eight bytes, as older scripts have it.
            Ty::Int { .. } => {
                let ptr = Ty::ptr(Ty::U64, self.default_space());
                let at = e.span;
                Expr::new(ExprKind::Deref(Box::new(Expr::new(ExprKind::Cast(Box::new(e)), ptr, at))), Ty::U64, span)
            }
            t => {
                let d = Diagnostic::error("operand-type", e.span, format!("`*` of a `{t}`")).label("expected a pointer to something");
                self.fail(d)
            }
        }
    }

    /// Memory that a value of a record or array type lies in.
    fn space_of(&self, e: &Expr) -> Space {
        match &e.kind {
            ExprKind::Field { base, .. } | ExprKind::Index { base, .. } | ExprKind::Deref(base) => match &base.ty {
                Ty::Ptr(_, s) => *s,
                _ => self.space_of(base),
            },
            ExprKind::Ctx => Space::Ctx,
            _ => Space::Own,
        }
    }

    /// `arg0`, `arg1`, ...
    pub(crate) fn register_argument(&mut self, n: u32, span: Span) -> Expr {
        match &self.at.context {
            Some(Context::Registers { ret: false, .. }) if n < MOST_ARGUMENTS => Expr::new(ExprKind::Arg(n as usize), Ty::U64, span),
            Some(Context::Registers { ret: false, .. }) => {
                let d = Diagnostic::error("arg-number", span, format!("no function has an `arg{n}`"))
                    .label(format!("expected arg0 to arg{}", MOST_ARGUMENTS - 1));
                self.fail(d)
            }
            Some(Context::RawArgs(args) | Context::Function { args, .. }) => match args.get(n as usize) {
                Some((_, ty)) => Expr::new(ExprKind::Arg(n as usize), ty.clone(), span),
                None => {
                    let d = Diagnostic::error("arg-number", span, format!("this probe has {} arguments", args.len()))
                        .label(format!("no `arg{n}`"));
                    self.fail(d)
                }
            },
            Some(Context::Static(args)) => {
                let d = match args.get(n as usize) {
                    Some(Ok(_)) => return Expr::new(ExprKind::Arg(n as usize), Ty::U64, span),
                    Some(Err(text)) => Diagnostic::error("arg-number", span, format!("`arg{n}` is where a probe can't read it: `{text}`"))
                        .label("expected a general register, a constant, or memory that a register points to")
                        .help("other arguments of this probe may do"),
                    None => Diagnostic::error("arg-number", span, format!("this probe has {} arguments", args.len()))
                        .label(format!("no `arg{n}`")),
                };
                self.fail(d)
            }
            Some(Context::Registers { ret: true, .. }) => {
                let d = Diagnostic::error("no-args", span, "a return probe has no arguments")
                    .label("they are gone when the function returns")
                    .help("the returned value is `retval`; keep an argument in a map: `@a[tid] = arg0` at the entry");
                self.fail(d)
            }
            _ => {
                let provider = self.at.provider;
                let d = Diagnostic::error("no-args", span, format!("a `{provider}` probe has no `arg{n}`")).label("nothing to read here");
                self.fail(match self.at.context {
                    Some(Context::Record(_) | Context::Syscall { .. } | Context::RawSyscall { .. }) => {
                        d.help("its fields are `args.NAME`: see `awl -lv tracepoint:...`")
                    }
                    _ => d.help("functions have arguments: `kprobe:vfs_read { print(arg0); }`"),
                })
            }
        }
    }

    pub(crate) fn offset_of(&mut self, what: &ast::TypeOrExpr, path: &[ast::Ident], span: Span) -> Expr {
        let mut ty = self.type_or_expr(what);
        let mut offset = 0;
        for name in path {
            if let Ty::Ptr(t, _) = &ty {
                ty = (**t).clone();
            }
            let Ty::Record(r) = &ty else {
                if ty == Ty::Error {
                    return Expr::error(span);
                }
                let d = Diagnostic::error("no-fields", name.span, format!("a `{ty}` has no fields")).label("expected a struct or union");
                return self.fail(d);
            };
            let Some(f) = r.fields.iter().find(|f| f.name == name.name) else {
                return self.no_field(&ty, r.fields.iter().map(|f| f.name.as_str()).collect(), name);
            };
            offset += i64::from(f.offset);
            ty = self.types.resolve(&f.ty, Space::Kernel).unwrap_or(Ty::Error);
        }
        Expr::int(offset, Ty::U64, span)
    }
}

/// What the record of arguments is called.
const ARGS: &str = "args";
const NULLABLE: &str = "__nullable";

/// The arguments of a raw tracepoint as the fields of a record, eight bytes each.
pub(crate) fn raw_record(args: &[(String, Ty)]) -> RecordDef {
    let fields = args.iter().enumerate().map(|(i, (name, ty))| Field {
        name: name.clone(),
        ty: crate::types::FieldTy::Known(ty.clone()),
        offset: i as u32 * 8,
        bits: None,
        data_loc: false,
    });
    RecordDef { name: ARGS.into(), union: false, size: args.len() as u32 * 8, align: 8, fields: fields.collect(), btf_id: None }
}

/// What `++` and `--` make of a number: 64 bits, unsigned where it was and only grows.
fn counted(ty: &Ty, inc: bool) -> Ty {
    match ty {
        Ty::Int { signed: false, .. } if inc => Ty::U64,
        _ => Ty::I64,
    }
}
