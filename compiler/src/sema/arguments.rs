//! `print(args)`: all arguments of a probe as one value.

use super::{Checker, Context};
use crate::hir::{Expr, ExprKind};
use crate::types::{Field, FieldTy, RecordDef, Ty, struct_layout};
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::sync::Arc;

impl Checker<'_> {
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
