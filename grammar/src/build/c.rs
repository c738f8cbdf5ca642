//! The part of a script that is C: directives, records, enums, typedefs.

use super::expr::Tall;
use super::ty::tag_of;
use super::{Builder, Directive, P, Rule};
use crate::ast::{CCond, CEnum, CField, CItem, CItemKind, CRecord, CType, CTypeKind, Ident, Tag};
use crate::errors::SyntaxError;
use crate::scan::{MAX_DEPTH, too_deep};
use crate::span::Span;

/// What `__attribute__` and its short forms say about a record.
#[derive(Default)]
struct Attrs {
    packed: bool,
    align: Option<u64>,
}

impl<'a> Builder<'a> {
    pub(super) fn directive(&mut self, pair: P<'a>) -> Directive {
        let whole = self.span(&pair);
        let line = pair.as_str();
        // the span of a directive leaves out what follows its last word
        let used = without_comments(line).trim_end().len();
        let span = Span::new(self.file, whole.start as usize, whole.start as usize + used);
        let plain = |kind| Directive::Plain(CItem { kind, span });
        let Some(what) = pair.into_inner().next() else {
            let rest = without_comments(line.strip_prefix('#').unwrap_or(line)).trim().to_string();
            return plain(CItemKind::Directive { name: String::new(), rest });
        };
        let rule = what.as_rule();
        let mut name = String::new();
        let mut params = None;
        let mut path = None;
        let mut rest = (String::new(), span);
        for part in what.into_inner() {
            match part.as_rule() {
                Rule::ident => name = part.as_str().to_string(),
                Rule::d_params => params = Some(part.into_inner().map(|p| p.as_str().to_string()).collect::<Vec<_>>()),
                Rule::d_system | Rule::d_local => {
                    let text = part.as_str();
                    path = Some((text[1..text.len() - 1].to_string(), part.as_rule() == Rule::d_system));
                }
                Rule::d_rest => rest = self.directive_rest(&part),
                _ => {}
            }
        }
        let (body, body_span) = rest;
        match rule {
            Rule::d_include => {
                let (path, system) = path.unwrap_or_default();
                plain(CItemKind::Include { path, system })
            }
            Rule::d_define => plain(CItemKind::Define { name, params, body, body_span }),
            Rule::d_undef => plain(CItemKind::Undef(name)),
            Rule::d_ifdef => Directive::If(CCond::Defined(name)),
            Rule::d_ifndef => Directive::If(CCond::NotDefined(name)),
            Rule::d_if => Directive::If(CCond::Expr(body)),
            Rule::d_elif => Directive::Elif(CCond::Expr(body)),
            Rule::d_else => Directive::Else,
            Rule::d_endif => Directive::Endif,
            _ => plain(CItemKind::Directive { name, rest: body }),
        }
    }

    /// The text after a directive's name. Comments and joined line ends become blanks, so that an offset in it is an offset
    /// in its span.
    fn directive_rest(&mut self, pair: &P<'a>) -> (String, Span) {
        let clean = without_comments(pair.as_str());
        let start = clean.len() - clean.trim_start().len();
        let body = clean.trim().to_string();
        let at = self.span(pair).start as usize + start;
        let span = Span::new(self.file, at, at + body.len());
        (body, span)
    }

    pub(super) fn c_item(&mut self, pair: P<'a>) -> Vec<CItem> {
        let whole = self.span(&pair);
        let mut items = Vec::new();
        let mut base = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::c_tagged => {
                    let (ty, _) = self.c_tagged(part);
                    let kind = match ty.kind {
                        CTypeKind::Record(record) => CItemKind::Record(*record),
                        CTypeKind::Enum(e) => CItemKind::Enum(*e),
                        // `struct x;` only says that there is one, which the language never asks
                        _ => continue,
                    };
                    items.push(CItem { kind, span: whole });
                }
                Rule::c_spec => base = Some(self.c_spec(part)),
                Rule::c_declarator => {
                    let Some((base, h)) = &base else { continue };
                    let (name, ty, _) = self.declarator(part, base.clone(), *h);
                    match name {
                        Some(name) => items.push(CItem { kind: CItemKind::Typedef { name, ty }, span: whole }),
                        None => self.expected_name(ty.span),
                    }
                }
                _ => {}
            }
        }
        items
    }

    /// `struct x`, `struct x { ... }`, `enum { ... }`
    fn c_tagged(&mut self, pair: P<'a>) -> Tall<CType> {
        let whole = self.span(&pair);
        let mut span = whole;
        let mut tag = Tag::Struct;
        let mut name: Option<Ident> = None;
        let mut attrs = Attrs::default();
        let mut fields = None;
        let mut variants = None;
        let mut height = 0;
        for part in pair.into_inner() {
            let at = self.span(&part);
            match part.as_rule() {
                Rule::tag => {
                    tag = tag_of(part.as_str());
                    span = at;
                    continue;
                }
                Rule::ident => name = Some(self.ident(&part)),
                Rule::c_attr => {
                    self.attribute(part, &mut attrs);
                    continue;
                }
                Rule::c_fields => {
                    let (list, h) = self.c_fields(part);
                    height = height.max(h);
                    fields = Some(list);
                }
                Rule::c_variants => variants = Some(self.c_variants(part)),
                _ => continue,
            }
            span = span.to(at);
        }
        let kind = if let Some(fields) = fields {
            CTypeKind::Record(Box::new(CRecord { union: tag == Tag::Union, name, fields, packed: attrs.packed, align: attrs.align, span }))
        } else if let Some(variants) = variants {
            CTypeKind::Enum(Box::new(CEnum { name, variants, span }))
        } else {
            CTypeKind::Tagged(tag, name.map(|n| n.name).unwrap_or_default())
        };
        (CType { kind, span }, height + 1)
    }

    fn attribute(&mut self, pair: P<'a>, attrs: &mut Attrs) {
        let text = pair.as_str();
        if text.contains("packed") {
            attrs.packed = true;
        }
        if let Some(at) = text.find("aligned") {
            let digits: String = text[at..]
                .chars()
                .skip_while(|c| *c != '(')
                .skip(1)
                .skip_while(|c| *c == '(' || c.is_whitespace())
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            if let Ok((align, _)) = crate::literal::number(&digits) {
                attrs.align = Some(align);
            }
        }
    }

    fn c_variants(&mut self, pair: P<'a>) -> Vec<(Ident, Option<crate::ast::Expr>)> {
        let mut variants = Vec::new();
        for variant in pair.into_inner() {
            let mut inner = variant.into_inner();
            if let Some(name) = inner.next() {
                let name = self.ident(&name);
                variants.push((name, inner.next().map(|e| self.expr(e).0)));
            }
        }
        variants
    }

    fn c_fields(&mut self, pair: P<'a>) -> Tall<Vec<CField>> {
        let mut fields = Vec::new();
        let mut height = 0;
        for field in pair.into_inner().filter(|p| p.as_rule() == Rule::c_field) {
            let whole = self.span(&field);
            let mut inner = field.into_inner();
            let Some(spec) = inner.next() else { continue };
            let (base, base_height) = self.c_spec(spec);
            let mut any = false;
            for declarator in inner.filter(|p| p.as_rule() == Rule::c_declarator) {
                any = true;
                let bits = self.bits(&declarator);
                let (name, ty, h) = self.declarator(declarator, base.clone(), base_height);
                height = height.max(h);
                if name.is_none() && bits.is_none() && !matches!(ty.kind, CTypeKind::Record(_) | CTypeKind::Enum(_)) {
                    self.expected_name(ty.span);
                }
                fields.push(CField { name, ty, bits, span: whole });
            }
            if !any {
                height = height.max(base_height);
                fields.push(CField { name: None, ty: base, bits: None, span: whole });
            }
        }
        (fields, height)
    }

    fn bits(&mut self, declarator: &P<'a>) -> Option<u32> {
        let bits = declarator.clone().into_inner().find(|p| p.as_rule() == Rule::c_bits)?;
        let number = bits.into_inner().next()?;
        let span = self.span(&number);
        match crate::literal::number(number.as_str()) {
            Ok((n, _)) if n <= 64 => Some(n as u32),
            _ => {
                self.errors.push(SyntaxError::new("bad-number", span, "a bit-field has at most 64 bits"));
                None
            }
        }
    }

    fn c_spec(&mut self, pair: P<'a>) -> Tall<CType> {
        let whole = self.span(&pair);
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::c_tagged => return self.c_tagged(part),
                Rule::base_words => {
                    let (words, span) = self.joined(part, span);
                    let kind = CTypeKind::Named(words);
                    return (CType { kind, span }, 1);
                }
                Rule::ident => {
                    let kind = CTypeKind::Named(part.as_str().to_string());
                    return (CType { kind, span }, 1);
                }
                _ => {}
            }
        }
        let kind = CTypeKind::Named(String::new());
        (CType { kind, span: whole }, 1)
    }

    /// A declarator reads from the inside out: `*(*x)[3]` is a pointer to an array of pointers.
    fn declarator(&mut self, pair: P<'a>, base: CType, base_height: usize) -> (Option<Ident>, CType, usize) {
        let mut ty = base;
        let mut height = base_height;
        let mut direct = None;
        for part in pair.into_inner() {
            let at = self.span(&part);
            match part.as_rule() {
                Rule::c_star => {
                    let span = ty.span.to(Span::new(self.file, at.start as usize, at.start as usize + 1));
                    let kind = CTypeKind::Pointer(Box::new(ty));
                    ty = CType { kind, span };
                    height += 1;
                }
                Rule::c_direct => direct = Some(part),
                _ => {}
            }
        }
        let (mut name, mut nested, mut suffixes) = (None, None, Vec::new());
        for part in direct.into_iter().flat_map(P::into_inner) {
            match part.as_rule() {
                Rule::c_name => name = Some(self.ident(&part)),
                Rule::c_declarator => nested = Some(part),
                _ => suffixes.push(part),
            }
        }
        for suffix in suffixes.into_iter().rev() {
            let span = ty.span.to(self.span(&suffix));
            height += 1;
            let kind = if suffix.as_rule() == Rule::c_array {
                let len = suffix.into_inner().next().map(|p| self.boxed(p));
                height = height.max(len.as_ref().map_or(0, |l| l.1));
                CTypeKind::Array(Box::new(ty), len.map(|l| l.0))
            } else {
                CTypeKind::Function
            };
            ty = CType { kind, span };
        }
        if height > MAX_DEPTH {
            if !self.errors.iter().any(|e| e.code == "too-deep") {
                self.errors.push(too_deep(ty.span));
            }
            let span = ty.span;
            while let CTypeKind::Pointer(inner) | CTypeKind::Array(inner, _) = ty.kind {
                ty = *inner;
            }
            let kind = CTypeKind::Named(String::new());
            return (name, CType { kind, span }, 1);
        }
        match nested {
            Some(nested) => self.declarator(nested, ty, height),
            None => (name, ty, height),
        }
    }
}

/// The same text, of the same length, with comments and joined line ends as blanks.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = if rest.starts_with("\\\n") {
            2
        } else if rest.starts_with("\\\r\n") {
            3
        } else if rest.starts_with("//") || rest.strip_prefix('\\').is_some_and(|r| r.trim_end().is_empty()) {
            // a last `\` joins nothing; printed at a line's end it would
            rest.len()
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |n| n + 4)
        } else {
            // a quote that isn't closed on its line is nothing but a character, as scan.rs has it
            let line = rest.split('\n').next().unwrap_or("");
            let len = match c {
                '\\' => rest.chars().take(2).map(char::len_utf8).sum(),
                '"' => line[1..].find('"').map_or(1, |n| n + 2),
                c => c.len_utf8(),
            };
            out.push_str(&rest[..len]);
            rest = &rest[len..];
            continue;
        };
        out.extend(std::iter::repeat_n(' ', taken));
        rest = &rest[taken..];
    }
    out
}
