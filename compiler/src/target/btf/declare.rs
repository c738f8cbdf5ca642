//! BTF types as C writes them, for people to read.

use super::raw::u32_at;
use super::{Btf, Kind};
use crate::types::{Field, FieldTy};

const MAX_DEPTH: u32 = 32;
/// A function that takes functions that take functions: what is longer is cut.
const MAX_TEXT: usize = 4096;

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
            (FieldTy::Btf(ty), None) => self.declare(*ty, &f.name),
            (FieldTy::Btf(ty), Some((_, width))) => self.declare(*ty, &format!("{} : {width}", f.name)),
            _ => f.name.clone(),
        };
        record.fields.iter().map(|f| (f.name.clone(), declared(f))).collect()
    }
}
