//! `args`: what a probe hands over, and all of it as one value (`print(args)`).

use super::place::raw_record;
use super::{Checker, Context};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::target::tracefs;
use crate::types::{Field, FieldTy, RecordDef, Space, Ty, struct_layout};
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::sync::Arc;

impl Checker<'_> {
    /// Names in `args`, as far as the probe has any.
    pub(crate) fn args_fields(&self) -> Vec<String> {
        match &self.at.context {
            Some(Context::Record(r) | Context::Syscall { record: r, .. } | Context::RawSyscall { record: r, .. }) => {
                r.fields.iter().map(|f| f.name.clone()).collect()
            }
            Some(Context::RawArgs(args) | Context::Function { args, .. }) => args.iter().map(|(name, _)| name.clone()).collect(),
            Some(Context::Registers { typed: Some(s), ret: false, .. }) => s.parameters.iter().map(|p| p.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The same of a tracepoint whose record nothing reads, so that it isn't known yet.
    pub(crate) fn unread_fields(&self) -> Vec<String> {
        let point = self.at.points.first().and_then(|p| self.program.points.get(*p));
        let mut parts = point.map_or("", String::as_str).splitn(3, ':');
        let (Some("tracepoint"), Some(category), Some(event)) = (parts.next(), parts.next(), parts.next()) else { return Vec::new() };
        let format = self.target.tracepoint_format(category, event).ok().flatten();
        let record = format.and_then(|text| tracefs::parse(category, event, &text).ok()).map(|f| f.record);
        record.map_or_else(Vec::new, |r| r.fields.iter().filter(|f| !tracefs::is_common(f)).map(|f| f.name.clone()).collect())
    }

    /// `args`: what the probe hands over.
    pub(crate) fn args(&mut self, span: Span) -> Expr {
        let record = match &self.at.context {
            Some(Context::Record(r) | Context::Syscall { record: r, .. } | Context::RawSyscall { record: r, .. }) => r.clone(),
            Some(Context::RawArgs(args) | Context::Function { args, .. }) => Arc::new(raw_record(args)),
            // They lie together nowhere: `member` finds each.
            Some(Context::Registers { typed: Some(_), ret: false, .. }) if self.at.of_field => Arc::new(raw_record(&[])),
            _ => {
                let provider = self.at.provider;
                let d = Diagnostic::error("no-args", span, format!("a `{provider}` probe has no `args`")).label("nothing to read here");
                return self.fail(match self.at.context {
                    Some(Context::Registers { ret: false, typed: Some(_), .. }) => {
                        d.help("its arguments are not one value: name one, `args.NAME`, or take all of them, `*args`")
                    }
                    Some(Context::Registers { ret: false, user: false, .. }) => {
                        d.help("arguments are `arg0`, `arg1`, ... here; an `fentry` has them by name")
                    }
                    Some(Context::Registers { ret: false, .. }) => d.help("arguments are `arg0`, `arg1`, ... here"),
                    Some(Context::Iter { .. }) => d.help("what it is at is in `ctx.NAME`: see `awl -lv 'iter:*'`"),
                    Some(Context::Registers { ret: true, .. }) => d.help("the returned value is `retval`"),
                    Some(Context::Packet(_)) => {
                        d.help("headers go by their names: `ip.saddr`, `tcp.dport`; a packet's length is `pkt.len`")
                    }
                    _ => d.help("tracepoints have `args`: see `awl -lv tracepoint:...`"),
                });
            }
        };
        Expr::new(ExprKind::Ctx, Ty::ptr(Ty::Record(record), Space::Ctx), span)
    }

    /// The arguments, read one by one, as a structure. Where they lie together in memory a program can't read it as a whole: some of it is
    /// the kernel's own, and strings lie behind it.
    pub(crate) fn arguments(&mut self, span: Span) -> Expr {
        self.at.of_field = true;
        let args = self.args(span);
        self.at.of_field = false;
        let names = match &self.at.context {
            _ if args.is_error() => return args,
            Some(Context::Registers { typed: Some(s), .. }) => {
                s.parameters.iter().filter(|p| p.place.is_ok()).map(|p| p.name.clone()).collect()
            }
            _ => self.args_fields(),
        };
        let (mut parts, mut fields) = (Vec::new(), Vec::new());
        for name in names.into_iter().filter(|n| !n.is_empty() && !n.starts_with("common_")) {
            let text = self.is_text(&args, &name);
            let part = self.member(args.clone(), &ast::Ident { name: name.clone(), span }, span);
            if part.is_error() {
                return part;
            }
            let part = if text { self.string_at(part) } else { part };
            let ty = self.stored_type(&part.ty);
            let part = if ty == part.ty { part } else { Expr::new(ExprKind::Cast(Box::new(part)), ty, span) };
            fields.push((name, part.ty.clone()));
            parts.push(part);
        }
        let (offsets, size) = struct_layout(fields.iter().map(|(_, t)| t));
        let fields: Vec<Field> = fields
            .into_iter()
            .zip(offsets)
            .map(|((name, ty), offset)| Field { name, ty: FieldTy::Known(ty), offset, bits: None, data_loc: false })
            .collect();
        let def = RecordDef { name: "args".into(), union: false, size, align: 8, fields, btf_id: None };
        Expr::new(ExprKind::Tuple(parts), Ty::Record(Arc::new(def)), span)
    }

    /// A string of a tracepoint's record, which lies behind its fields.
    fn is_text(&self, args: &Expr, name: &str) -> bool {
        let Ty::Ptr(t, _) = &args.ty else { return false };
        let Ty::Record(record) = &**t else { return false };
        let character = FieldTy::Known(Ty::Int { bytes: 1, signed: true });
        let text = |f: &Field| f.data_loc && matches!(&f.ty, FieldTy::Array(of, _) if **of == character);
        record.fields.iter().any(|f| f.name == name && text(f))
    }
}
