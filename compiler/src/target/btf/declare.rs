//! BTF types as C writes them, for people to read.

use super::raw::u32_at;
use super::{Btf, Kind};
use crate::types::{Field, FieldTy};

const MAX_DEPTH: u32 = 32;
/// A function that takes functions that take functions: what is longer is cut.
const MAX_TEXT: usize = 4096;
/// Lines of one definition; bodies in bodies that lead back to themselves end there.
const MAX_LINES: usize = 100_000;
/// Bodies in bodies; vmlinux has seven of them.
const MAX_NESTED: usize = 16;

impl Btf {
    /// The declaration of something called `name` of type `id`: `struct task_struct *prev`, `char comm[16]`,
    /// `void (*func)(struct callback_head *)`. Without a name, the type alone.
    pub fn declare(&self, id: u32, name: &str) -> String {
        self.declare_at(id, name.to_owned(), MAX_DEPTH)
    }

    /// `inner` is what stands around the name so far; the type is written around it.
    fn declare_at(&self, id: u32, inner: String, depth: u32) -> String {
        let join = |base: String| match inner.chars().next() {
            None => base,
            Some('[') => format!("{base}{inner}"),
            Some(_) => format!("{base} {inner}"),
        };
        let (Some((h, tail)), Some(depth)) = (self.head(id), depth.checked_sub(1)) else {
            return join("void".into());
        };
        if inner.len() > MAX_TEXT {
            return join("...".into());
        }
        let own = self.text(h.name);
        let tagged = |word: &str| match own {
            "" => join(format!("{word} {{...}}")),
            own => join(format!("{word} {own}")),
        };
        match h.kind {
            Kind::Int | Kind::Float | Kind::Typedef => join(own.to_owned()),
            Kind::Struct => tagged("struct"),
            Kind::Union => tagged("union"),
            Kind::Enum | Kind::Enum64 => tagged("enum"),
            Kind::Fwd => tagged(if h.flag { "union" } else { "struct" }),
            Kind::Const | Kind::Volatile | Kind::Restrict => {
                let word = match h.kind {
                    Kind::Const => "const",
                    Kind::Volatile => "volatile",
                    _ => "restrict",
                };
                match self.kind(h.size_or_type) {
                    // of a pointer it stands behind the star
                    Some(Kind::Ptr) => {
                        let inner = if inner.is_empty() { word.to_owned() } else { format!("{word} {inner}") };
                        self.declare_at(h.size_or_type, inner, depth)
                    }
                    _ => format!("{word} {}", self.declare_at(h.size_or_type, inner, depth)),
                }
            }
            Kind::TypeTag | Kind::Var | Kind::Func => self.declare_at(h.size_or_type, inner, depth),
            Kind::Ptr => {
                let binds = matches!(self.kind(h.size_or_type), Some(Kind::Array | Kind::FuncProto));
                let inner = if binds { format!("(*{inner})") } else { format!("*{inner}") };
                self.declare_at(h.size_or_type, inner, depth)
            }
            Kind::Array => {
                let (of, n) = (u32_at(tail, 0).unwrap_or(0), u32_at(tail, 8).unwrap_or(0));
                self.declare_at(of, format!("{inner}[{n}]"), depth)
            }
            Kind::FuncProto => {
                let params = self.prototype(id).map(|p| p.0).unwrap_or_default();
                let mut text = String::new();
                for (i, p) in params.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    let last = p.id == 0 && p.name.is_empty() && i > 0;
                    let one = if last { "...".to_owned() } else { self.declare_at(p.id, p.name.clone(), depth.min(4)) };
                    text = text + comma + &one;
                    if text.len() > MAX_TEXT {
                        text += ", ...";
                        break;
                    }
                }
                let text = if params.is_empty() { "void".to_owned() } else { text };
                self.declare_at(h.size_or_type, format!("{inner}({text})"), depth)
            }
            Kind::Datasec | Kind::DeclTag => join("void".into()),
        }
    }
}

impl Btf {
    /// (name, declaration) of a record's fields; those of anonymous members stand among them.
    pub fn members_of(&self, id: u32) -> Vec<(String, String)> {
        let Some(record) = self.record(id) else { return Vec::new() };
        let declared = |f: &Field| match (&f.ty, f.bits) {
            (FieldTy::Btf(ty) | FieldTy::Foreign(_, ty), None) => self.declare(*ty, &f.name),
            (FieldTy::Btf(ty) | FieldTy::Foreign(_, ty), Some((_, width))) => self.declare(*ty, &format!("{} : {width}", f.name)),
            _ => f.name.clone(),
        };
        record.fields.iter().map(|f| (f.name.clone(), declared(f))).collect()
    }

    /// The struct, union or enum `id` as C defines it, with unnamed members in their places and offsets left out. Ends with a
    /// line feed. Empty for other types, and for a record that is only declared.
    pub fn definition(&self, id: u32) -> String {
        let (id, mut out) = (self.strip(id), String::new());
        if self.has_body(id) {
            self.define_at(id, "", 0, &mut MAX_LINES.clone(), &mut out);
        }
        out
    }

    fn has_body(&self, id: u32) -> bool {
        matches!(self.kind(id), Some(Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64))
    }

    /// Adds the definition of `id`, `indent` tabs to the right, with `declarator` behind it.
    fn define_at(&self, id: u32, declarator: &str, indent: usize, budget: &mut usize, out: &mut String) {
        let tabs = "\t".repeat(indent);
        let word = match self.kind(id) {
            Some(Kind::Union) => "union",
            Some(Kind::Struct) => "struct",
            _ => "enum",
        };
        let gap = |s: &str| if s.is_empty() { String::new() } else { format!(" {s}") };
        out.push_str(&format!("{tabs}{word}{} {{\n", gap(self.name(id))));
        for (name, value) in self.enum_def(id).iter().flat_map(|e| &e.variants) {
            let Some(left) = budget.checked_sub(1) else { break };
            *budget = left;
            out.push_str(&format!("{tabs}\t{name} = {value},\n"));
        }
        for m in self.members(id) {
            let Some(left) = budget.checked_sub(1) else { break };
            *budget = left;
            // A body is written where its type has no name to call it by, straight or as an array's element.
            let (mut base, mut dimensions) = (m.ty, String::new());
            while let (true, Some((h, tail))) = (dimensions.len() < MAX_TEXT, self.head(base)) {
                let (Kind::Array, Some(of), Some(n)) = (h.kind, u32_at(tail, 0), u32_at(tail, 8)) else { break };
                dimensions += &format!("[{n}]");
                base = of;
            }
            let bits = if m.width > 0 { format!(": {}", m.width) } else { String::new() };
            if self.has_body(base) && self.name(base).is_empty() && indent < MAX_NESTED {
                self.define_at(base, &format!("{}{dimensions}{bits}", m.name), indent + 1, budget, out);
            } else {
                out.push_str(&format!("{tabs}\t{}{bits};\n", self.declare(m.ty, m.name)));
            }
        }
        out.push_str(&format!("{tabs}}}{};\n", gap(declarator)));
    }
}
