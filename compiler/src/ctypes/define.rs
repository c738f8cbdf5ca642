//! Definitions in a script: each one becomes a type as soon as it is read, as in C.

use super::macros::Macro;
use super::{Preamble, basic, constant, layout};
use crate::diagnostic::{Diagnostic, nearest};
use crate::target::{Arch, KernelVersion, Target, btf};
use crate::types::{EnumDef, Field, FieldTy, RecordDef, Space, Ty};
use awl_grammar::ast::{CBranch, CCond, CEnum, CField, CItem, CItemKind, CRecord, CType, CTypeKind, Ident, Tag, Type, TypeKind};
use awl_grammar::span::{FileId, Span};
use layout::{Layout, Member};
use std::sync::Arc;

/// A type with what its place in a record depends on.
#[derive(Clone, Debug)]
pub struct Laid {
    pub ty: FieldTy,
    /// bytes
    pub size: u64,
    /// bytes, a power of two
    pub align: u64,
}

impl Laid {
    fn of(ty: Ty) -> Laid {
        let (size, align) = match &ty {
            Ty::Record(r) => (r.size, r.align.max(1)),
            t => (t.size(), t.align()),
        };
        Laid { ty: FieldTy::Known(ty), size: size.into(), align: align.into() }
    }

    /// Bytes that the language has no type for.
    fn bytes(size: u32, align: u64) -> Laid {
        Laid { ty: FieldTy::Known(btf::array(Ty::U8, size)), size: size.into(), align }
    }
}

/// Reads the items of a preamble into it.
pub struct Definer<'a> {
    pub out: &'a mut Preamble,
    pub target: &'a dyn Target,
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

/// Bytes of one array.
const MAX_ARRAY: u64 = 1 << 30;

impl Definer<'_> {
    pub fn items(&mut self, items: &[CItem]) {
        for item in items {
            match &item.kind {
                CItemKind::Include { path, system } => self.include(path, *system, item.span),
                CItemKind::Define { name, params, body, body_span } => {
                    let span = if body.is_empty() { item.span } else { *body_span };
                    self.out.macros.define(name, Macro::new(params.clone(), body.clone(), span));
                }
                CItemKind::Undef(name) => self.out.macros.undefine(name),
                CItemKind::If { branches } => {
                    if let Some(b) = branches.iter().find(|b| self.holds(b, item.span)) {
                        self.items(&b.body);
                    }
                }
                CItemKind::Directive { name, rest } if name == "error" => {
                    self.diagnostics.push(Diagnostic::error("hash-error", item.span, format!("#error {rest}")).label("stated here"));
                }
                // `#pragma`, `#line` and `#warning` say nothing about types
                CItemKind::Directive { .. } => {}
                CItemKind::Record(r) => {
                    self.record(r);
                }
                CItemKind::Enum(e) => {
                    self.enumeration(e);
                }
                CItemKind::Typedef { name, ty } => {
                    let laid = match &ty.kind {
                        // `typedef struct node node_t;` may stand before `struct node`
                        CTypeKind::Tagged(tag, n) => Some(Laid { ty: FieldTy::Named(tagged(*tag, n)), size: 0, align: 1 }),
                        _ => self.ty(ty, Some(&name.name)),
                    };
                    let laid = laid.unwrap_or_else(|| Laid::of(Ty::Error));
                    self.out.typedefs.insert(name.name.clone(), laid);
                }
            }
        }
    }

    fn include(&mut self, path: &str, system: bool, span: Span) {
        self.out.includes.push(path.to_owned());
        // A header of the system gives what the kernel's BTF gives anyway.
        if !system {
            self.diagnostics.push(
                Diagnostic::warning("include", span, format!("there is no header `{path}`"))
                    .label("not beside the script, and in no directory of `-I`")
                    .help("say where it is: `-I DIR`; what it defines is missing"),
            );
        }
    }

    fn holds(&mut self, branch: &CBranch, span: Span) -> bool {
        match &branch.cond {
            None => true,
            Some(CCond::Defined(n)) => self.is_defined(n),
            Some(CCond::NotDefined(n)) => !self.is_defined(n),
            Some(CCond::Expr(text)) => {
                let text = self.without_defined(text);
                let value = awl_grammar::parse_expr(&text, span.file, span.start as usize).ok().and_then(|e| {
                    let names = Constants { of: self, unknown: Some(0), depth: MAX_NESTED };
                    constant::value(&e, &names)
                });
                value.unwrap_or_else(|| {
                    let d = Diagnostic::error("condition", span, format!("`{}` is not a condition that can be decided", text.trim()));
                    self.diagnostics.push(d.label("expected an integer expression of constants"));
                    0
                }) != 0
            }
        }
    }

    fn is_defined(&self, name: &str) -> bool {
        self.out.macros.get(name).is_some() || predefined(name, self.target).is_some()
    }

    /// `defined(X)` and `defined X` become `1` or `0`: the language's own grammar has no such operator.
    fn without_defined(&self, text: &str) -> String {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find("defined") {
            let (before, after) = (&rest[..at], &rest[at + "defined".len()..]);
            if before.ends_with(is_word) || after.starts_with(is_word) {
                out += &rest[..at + "defined".len()];
                rest = after;
                continue;
            }
            let inner = after.trim_start();
            let inner = inner.strip_prefix('(').map_or(inner, str::trim_start);
            let name = &inner[..inner.find(|c| !is_word(c)).unwrap_or(inner.len())];
            let behind = &inner[name.len()..];
            let closed = if after.trim_start().starts_with('(') { behind.trim_start().strip_prefix(')').unwrap_or(behind) } else { behind };
            out += before;
            out += if self.is_defined(name) { " 1 " } else { " 0 " };
            rest = closed;
        }
        out + rest
    }

    fn constant(&self, e: &awl_grammar::ast::Expr) -> Option<i64> {
        constant::value(e, &Constants { of: self, unknown: None, depth: MAX_NESTED })
    }

    /// Lays out a record and files it under its name. One without a name isn't filed.
    fn record(&mut self, r: &CRecord) -> Arc<RecordDef> {
        let word = if r.union { "union" } else { "struct" };
        let name = match &r.name {
            Some(n) => format!("{word} {}", n.name),
            None => format!("{word} <anonymous {}>", r.span.start),
        };
        let align = r.align.filter(|a| {
            let fits = a.is_power_of_two() && *a <= 1 << 20;
            if !fits {
                let d = Diagnostic::error("alignment", r.span, format!("{a} is not an alignment")).label("expected a power of two");
                self.diagnostics.push(d);
            }
            fits
        });
        let mut layout = Layout::new(r.union, r.packed, align, self.target.arch());
        let mut placed: Vec<(u64, &CField, Laid)> = Vec::new();
        for f in &r.fields {
            let Some(laid) = self.member(f) else { continue };
            let m = Member { size: laid.size, align: laid.align, bits: f.bits, named: f.name.is_some() };
            match layout.place(m) {
                Some(at) => placed.push((at, f, laid)),
                None => {
                    self.too_large(r.span);
                    break;
                }
            }
        }
        let (size, align) = layout.end().unwrap_or_else(|| {
            self.too_large(r.span);
            (0, 1)
        });
        let mut fields = Vec::new();
        for (bit, f, laid) in placed {
            place(bit, f, laid, size, &mut fields);
        }
        let record = Arc::new(RecordDef { name: name.clone(), union: r.union, size, align, fields, btf_id: None });
        if let Some(n) = &r.name {
            self.once(&name, n);
            self.out.records.insert(name, Arc::clone(&record));
        }
        record
    }

    fn too_large(&mut self, span: Span) {
        self.diagnostics.push(Diagnostic::error("type-too-large", span, "this type is larger than 1 GB").label("too large"));
    }

    /// The type of a member, when it can stand there.
    fn member(&mut self, f: &CField) -> Option<Laid> {
        let laid = self.ty(&f.ty, None)?;
        let Some(bits) = f.bits else { return Some(laid) };
        let known = match &laid.ty {
            FieldTy::Known(t) if t.is_int() || matches!(t, Ty::Be(_)) => true,
            FieldTy::Known(Ty::Error) => return None,
            _ => false,
        };
        if !known || u64::from(bits) > laid.size * 8 || (bits == 0 && f.name.is_some()) {
            let what =
                if known { format!("a bit-field of {bits} bits doesn't fit its type") } else { "only integers have bit-fields".into() };
            let d = Diagnostic::error("bit-field", f.span, what).label(format!("the type has {} bits", laid.size * 8));
            self.diagnostics.push(d);
            return None;
        }
        Some(laid)
    }

    /// A name is defined once.
    fn once(&mut self, full: &str, name: &Ident) {
        if let Some(first) = self.out.places.insert(full.to_owned(), name.span) {
            self.diagnostics.push(
                Diagnostic::error("duplicate-type", name.span, format!("`{full}` is defined twice"))
                    .label("a second time")
                    .because(first, "first defined here"),
            );
        }
    }

    fn enumeration(&mut self, e: &CEnum) -> Arc<EnumDef> {
        let mut variants: Vec<(String, i64)> = Vec::new();
        let mut next = 0i64;
        for (name, value) in &e.variants {
            if let Some(expr) = value {
                next = match self.constant(expr) {
                    Some(v) => v,
                    None => {
                        let d = Diagnostic::error("not-constant", expr.span, "the value of an enum's name must be a constant");
                        self.diagnostics.push(d.label("not a constant"));
                        next
                    }
                };
            }
            // names before this one may be part of the next one's value
            self.out.enumerators.insert(name.name.clone(), (next, None));
            variants.push((name.name.clone(), next));
            next = next.wrapping_add(1);
        }
        // As GCC chooses: unsigned int, int where a value is negative, eight bytes where four are too few.
        let (min, max) = variants.iter().fold((0, 0), |(a, b), (_, v)| (v.min(&a).to_owned(), v.max(&b).to_owned()));
        let signed = min < 0;
        let narrow = if signed { min >= i32::MIN.into() && max <= i32::MAX.into() } else { max <= u32::MAX.into() };
        let name = e.name.as_ref().map(|n| n.name.clone()).unwrap_or_default();
        let def = Arc::new(EnumDef { name: name.clone(), bytes: if narrow { 4 } else { 8 }, signed, variants });
        for (name, value) in &def.variants {
            self.out.enumerators.insert(name.clone(), (*value, Some(Arc::clone(&def))));
        }
        if let Some(n) = &e.name {
            let full = format!("enum {name}");
            self.once(&full, n);
            self.out.enums.insert(full, Arc::clone(&def));
        }
        def
    }

    /// A type with its size. `typedef`: the name that an anonymous record gets from it. `None`: it was reported.
    fn ty(&mut self, t: &CType, typedef: Option<&str>) -> Option<Laid> {
        match &t.kind {
            CTypeKind::Named(words) => match self.named(words) {
                Some(laid) => Some(laid),
                None => self.unknown(words, t.span),
            },
            CTypeKind::Tagged(tag, name) => {
                let full = tagged(*tag, name);
                match self.tagged(*tag, &full) {
                    Some(laid) => Some(laid),
                    None => self.unknown(&full, t.span),
                }
            }
            CTypeKind::Record(r) => {
                let mut record = self.record(r);
                if let (Some(name), None, Some(own)) = (typedef, &r.name, Arc::get_mut(&mut record)) {
                    own.name = name.to_owned();
                }
                Some(Laid::of(Ty::Record(record)))
            }
            CTypeKind::Enum(e) => Some(Laid::of(Ty::Enum(self.enumeration(e)))),
            CTypeKind::Pointer(to) => Some(Laid { ty: self.pointer(to)?, size: 8, align: 8 }),
            CTypeKind::Array(of, n) => {
                let of = self.ty(of, None)?;
                let n = match n {
                    None => 0,
                    Some(e) => match self.constant(e) {
                        Some(n) if (0..=i64::from(u32::MAX)).contains(&n) => n as u64,
                        _ => {
                            let d = Diagnostic::error("not-constant", e.span, "the length of an array must be a constant from 0");
                            self.diagnostics.push(d.label("not a constant"));
                            return None;
                        }
                    },
                };
                let Some(size) = of.size.checked_mul(n).filter(|s| *s <= MAX_ARRAY) else {
                    self.too_large(t.span);
                    return None;
                };
                let ty = match of.ty {
                    FieldTy::Known(t) => FieldTy::Known(btf::array(t, n as u32)),
                    t => FieldTy::Array(Box::new(t), n as u32),
                };
                Some(Laid { ty, size, align: of.align })
            }
            CTypeKind::Function => {
                self.diagnostics.push(Diagnostic::error("c-type", t.span, "a member can't be a function").label("a pointer to it can"));
                None
            }
        }
    }

    /// What points to `to`: a record that it names may be defined later, or nowhere.
    fn pointer(&mut self, to: &CType) -> Option<FieldTy> {
        let inner = match &to.kind {
            CTypeKind::Tagged(tag, name) => FieldTy::Named(tagged(*tag, name)),
            CTypeKind::Pointer(inner) => self.pointer(inner)?,
            CTypeKind::Function => FieldTy::Known(Ty::Void),
            CTypeKind::Named(words) => match (self.out.typedefs.get(words), self.named(words)) {
                (Some(Laid { ty: FieldTy::Named(full), .. }), _) => FieldTy::Named(full.clone()),
                (_, Some(laid)) => laid.ty,
                (_, None) => return self.unknown(words, to.span).map(|l| l.ty),
            },
            _ => self.ty(to, None)?.ty,
        };
        Some(match inner {
            FieldTy::Known(t) => FieldTy::Known(Ty::ptr(t, Space::Unknown)),
            t => FieldTy::Ptr(Box::new(t), Space::Unknown),
        })
    }

    fn unknown(&mut self, name: &str, span: Span) -> Option<Laid> {
        let mut d = Diagnostic::error("unknown-type", span, format!("unknown type `{name}`"));
        if let Some(note) = self.out.left_out() {
            d = d.note(note);
        }
        let names = self.out.type_names();
        self.diagnostics.push(match nearest(name, names.iter().map(String::as_str)) {
            Some(n) => d.label(format!("did you mean `{n}`?")),
            None => d.label("not defined before this").help(match self.target.btf() {
                Ok(_) => "define it above, or point to it only".to_owned(),
                Err(why) => why.help,
            }),
        });
        None
    }

    /// A type called by words without a keyword.
    pub fn named(&self, words: &str) -> Option<Laid> {
        match self.out.typedefs.get(words) {
            Some(Laid { ty: FieldTy::Named(full), .. }) => return self.keyword(full),
            Some(laid) => return Some(laid.clone()),
            None => {}
        }
        match words {
            "float" => return Some(Laid::bytes(4, 4)),
            "double" => return Some(Laid::bytes(8, 8)),
            "long double" | "__int128" | "unsigned __int128" | "__uint128_t" | "__int128_t" => return Some(Laid::bytes(16, 16)),
            _ => {}
        }
        if let Some(t) = basic::basic(words) {
            return Some(Laid::of(t));
        }
        if let Some(text) = self.out.macros.type_name(words) {
            return self.keyword(text).or_else(|| self.named(text));
        }
        let btf = self.target.btf().ok()?;
        Some(Laid::of(btf.ty(btf.find_c(words)?, Space::Unknown)))
    }

    /// A type whose keyword is in its name.
    fn keyword(&self, full: &str) -> Option<Laid> {
        match full.split_once(' ')?.0 {
            "struct" | "union" => self.tagged(Tag::Struct, full),
            "enum" => self.tagged(Tag::Enum, full),
            _ => None,
        }
    }

    fn tagged(&self, tag: Tag, full: &str) -> Option<Laid> {
        if tag == Tag::Enum {
            return match self.out.enums.get(full) {
                Some(e) => Some(Laid::of(Ty::Enum(Arc::clone(e)))),
                None => {
                    let btf = self.target.btf().ok()?;
                    Some(Laid::of(Ty::Enum(btf.enum_def(btf.find_c(full)?)?)))
                }
            };
        }
        match self.out.records.get(full) {
            Some(r) => Some(Laid::of(Ty::Record(Arc::clone(r)))),
            // one that is only declared there has no size
            None => self.target.btf().ok()?.record_named(full).filter(|r| r.btf_id.is_some()).map(|r| Laid::of(Ty::Record(r))),
        }
    }
}

/// Adds a placed member: itself, or the fields of an anonymous record.
fn place(bit: u64, f: &CField, laid: Laid, size: u32, out: &mut Vec<Field>) {
    let byte = (bit / 8) as u32;
    let Some(name) = &f.name else {
        if let (FieldTy::Known(Ty::Record(inner)), None) = (&laid.ty, f.bits) {
            let moved = inner.fields.iter().map(|g| Field { offset: g.offset.saturating_add(byte), ..g.clone() });
            out.extend(moved);
        }
        return;
    };
    let (offset, bits) = match f.bits {
        None => (byte, None),
        Some(w) => {
            // The record's size bounds `bit`, and a width is at most 64.
            let width = w.min(64) as u8;
            let (offset, first) = btf::bit_place(u32::try_from(bit).unwrap_or(u32::MAX), width, laid.size.clamp(1, 8) as u32, size);
            (offset, Some((first, width)))
        }
    };
    out.push(Field { name: name.name.clone(), ty: laid.ty, offset, bits, data_loc: false });
}

pub fn tagged(tag: Tag, name: &str) -> String {
    let word = match tag {
        Tag::Struct => "struct",
        Tag::Union => "union",
        Tag::Enum => "enum",
    };
    format!("{word} {name}")
}

/// Values of names that nobody has to define. `BPFTRACE_HAVE_BTF` is there for scripts that include headers where the
/// kernel doesn't describe its types.
pub fn predefined(name: &str, target: &dyn Target) -> Option<i64> {
    match name {
        "BPFTRACE_HAVE_BTF" => target.btf().is_ok().then_some(1),
        "__linux__" | "__LP64__" | "__KERNEL__" | "__bpf__" | "__BPF__" => Some(1),
        "__x86_64__" => (target.arch() == Arch::X86_64).then_some(1),
        "__aarch64__" => (target.arch() == Arch::Aarch64).then_some(1),
        "LINUX_VERSION_CODE" => {
            let KernelVersion(a, b, c) = target.kernel();
            Some(version_code(a.into(), b.into(), c.into()))
        }
        _ => None,
    }
}

/// As `KERNEL_VERSION` in the kernel's linux/version.h.
pub fn version_code(a: i64, b: i64, c: i64) -> i64 {
    (a << 16).wrapping_add(b << 8).wrapping_add(c.min(255))
}

/// Definitions that stand for one another are followed this far in a constant.
const MAX_NESTED: u32 = 32;

struct Constants<'a, 'b> {
    of: &'a Definer<'b>,
    /// what a name without a definition counts in a condition
    unknown: Option<i64>,
    depth: u32,
}

impl constant::Names for Constants<'_, '_> {
    fn name(&self, name: &str) -> Option<i64> {
        let out = &self.of.out;
        if let (Some(e), Some(depth)) = (out.macros.expression(name), self.depth.checked_sub(1)) {
            return constant::value(e, &Constants { depth, ..*self });
        }
        let own = out.enumerators.get(name).map(|(v, _)| *v);
        let known = own.or_else(|| predefined(name, self.of.target));
        // a condition never sees enums, so it doesn't look them up in the kernel
        known.or(self.unknown).or_else(|| Some(self.of.target.btf().ok()?.enumerator(name)?.1))
    }

    fn call(&self, name: &str, args: &[i64]) -> Option<i64> {
        if let ("KERNEL_VERSION", [a, b, c]) = (name, args) {
            return Some(version_code(*a, *b, *c));
        }
        let depth = self.depth.checked_sub(1)?;
        let number = |v: &i64| awl_grammar::ast::Expr {
            kind: awl_grammar::ast::ExprKind::Int { value: *v as u64, unsigned: false },
            span: Span::new(FileId(0), 0, 0),
        };
        let args: Vec<_> = args.iter().map(number).collect();
        constant::value(&self.of.out.macros.call(name, &args)?, &Constants { depth, ..*self })
    }

    fn size_of(&self, ty: &Type) -> Option<i64> {
        let laid = match &ty.kind {
            TypeKind::Named(n) => self.of.named(n)?,
            TypeKind::Tagged(tag, n) => self.of.tagged(*tag, &tagged(*tag, n))?,
            TypeKind::Pointer(_) => return Some(8),
            TypeKind::Array(of, Some(n)) => return self.size_of(of)?.checked_mul(constant::value(n, self)?),
            _ => return None,
        };
        i64::try_from(laid.size).ok()
    }
}
