//! C types of a script: definitions to `RecordDef` and `EnumDef`, and type names to `Ty`.
//!
//! A name is looked for among the script's own definitions, then among C's own types and those of every header, then in
//! the kernel's BTF, which is read only when it is asked, and at last in that of the modules that its probes name.

pub mod basic;
mod constant;
mod define;
mod layout;
mod macros;
#[cfg(test)]
mod tests;

use crate::diagnostic::Diagnostic;
use crate::target::btf::{Btf, array};
use crate::target::{Module, Target};
use crate::types::{EnumDef, FieldTy, RecordDef, Space, Ty};
use awl_grammar::ast;
use awl_grammar::span::{FileId, Span};
use define::{Definer, Laid};
use macros::Macros;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

/// The part of a script that is C, read: what its `#if` left out is not there.
#[derive(Clone, Debug, Default)]
pub struct Preamble {
    macros: Macros,
    /// with keyword: `struct x`
    records: HashMap<String, Arc<RecordDef>>,
    /// with keyword: `enum x`
    enums: HashMap<String, Arc<EnumDef>>,
    /// without its enum while that is being read
    enumerators: HashMap<String, (i64, Option<Arc<EnumDef>>)>,
    typedefs: HashMap<String, Laid>,
    includes: Vec<String>,
    /// where types are defined, with keyword
    places: HashMap<String, Span>,
}

impl Preamble {
    /// Reads the items in their order. What is wrong with one is reported and the rest still read.
    pub fn build(items: &[ast::CItem], target: &dyn Target) -> (Preamble, Vec<Diagnostic>) {
        let mut out = Preamble::default();
        let diagnostics = out.add(items, target);
        (out, diagnostics)
    }

    /// Reads more items, behind those that were read.
    pub fn add(&mut self, items: &[ast::CItem], target: &dyn Target) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        Definer { out: self, target, diagnostics: &mut diagnostics }.items(items);
        diagnostics
    }

    /// A record by its keyword and name: `struct x`.
    pub fn record(&self, name: &str) -> Option<&Arc<RecordDef>> {
        self.records.get(name)
    }

    /// An enum by its keyword and name: `enum x`.
    pub fn enumeration(&self, name: &str) -> Option<&Arc<EnumDef>> {
        self.enums.get(name)
    }

    /// A constant of an enum, with its type.
    pub fn enum_value(&self, name: &str) -> Option<(i64, Ty)> {
        let (value, def) = self.enumerators.get(name)?;
        Some((*value, Ty::Enum(Arc::clone(def.as_ref()?))))
    }

    /// The text that a name without parameters stands for.
    pub fn define(&self, name: &str) -> Option<&str> {
        self.macros.get(name).filter(|m| m.params.is_none()).map(|m| m.body.as_str())
    }

    /// What a typedef stands for, for `Types::resolve`.
    pub fn typedef(&self, name: &str) -> Option<&FieldTy> {
        self.typedefs.get(name).map(|l| &l.ty)
    }

    /// Headers that the script wants, which are not read.
    pub fn includes(&self) -> &[String] {
        &self.includes
    }

    /// What to say of something unknown where the script has headers.
    pub fn left_out(&self) -> Option<String> {
        let headers = self.includes.join("`, `");
        (!headers.is_empty()).then(|| format!("`{headers}` may define it, but was not read; `-I DIR` says where headers are"))
    }

    /// Names of all constants and definitions, for did-you-mean.
    pub fn constant_names(&self) -> impl Iterator<Item = &str> {
        self.enumerators.keys().map(String::as_str).chain(self.macros.names())
    }

    /// Names of all types, for did-you-mean.
    pub fn type_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.records.keys().chain(self.enums.keys()).chain(self.typedefs.keys()).cloned().collect();
        names.sort_unstable();
        names
    }
}

/// All types and constants that a script can name.
pub struct Types<'a> {
    target: &'a dyn Target,
    preamble: Preamble,
    packet: OnceCell<Preamble>,
    /// modules whose types it can name as well
    modules: Vec<String>,
    /// functions that it probes, in whatever module they are
    functions: Vec<String>,
    /// the modules of those, looked up when a name is found nowhere else
    homes: OnceCell<Vec<String>>,
}

impl<'a> Types<'a> {
    pub fn new(items: &[ast::CItem], target: &'a dyn Target) -> (Types<'a>, Vec<Diagnostic>) {
        let (preamble, diagnostics) = Preamble::build(items, target);
        let types = Types { target, preamble, packet: OnceCell::new(), modules: Vec::new(), functions: Vec::new(), homes: OnceCell::new() };
        (types, diagnostics)
    }

    /// With the types of those modules that are loaded, and of the modules that these functions are in.
    pub fn of_modules(self, modules: Vec<String>, functions: Vec<String>) -> Types<'a> {
        Types { modules, functions, ..self }
    }

    /// What the types of a module say of a name that the kernel itself doesn't know.
    fn in_modules<T>(&self, find: impl Fn(&Btf) -> Option<T>) -> Option<T> {
        let of = |m: &String| find(&*self.target.module_btf(m).ok()?);
        let named = self.modules.iter().filter(|m| self.target.module(m) == Module::Loaded).find_map(of);
        named.or_else(|| {
            let home = |f: &String| self.target.homes_of_function(f).unwrap_or_default().into_iter().flatten();
            self.homes.get_or_init(|| self.functions.iter().flat_map(home).collect()).iter().find_map(of)
        })
    }

    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// A record of the library's packet headers, by its name without keyword.
    pub fn packet_record(&self, name: &str) -> Option<Arc<RecordDef>> {
        let packet = self.packet.get_or_init(|| packet_types(self.target));
        packet.record(&format!("struct {name}")).cloned()
    }

    /// A type by its C name: `int`, `pid_t`, `struct file`. Pointers in it have `Space::Unknown`.
    pub fn named(&self, name: &str) -> Option<Ty> {
        if let Some(laid) = self.preamble.typedefs.get(name) {
            return self.resolve(&laid.ty, Space::Unknown).ok();
        }
        if let Some(r) = self.preamble.records.get(name) {
            return Some(Ty::Record(Arc::clone(r)));
        }
        if let Some(e) = self.preamble.enums.get(name) {
            return Some(Ty::Enum(Arc::clone(e)));
        }
        if let Some(t) = basic::basic(name) {
            return Some(t);
        }
        if let Some(text) = self.preamble.macros.type_name(name) {
            return self.named(text);
        }
        let btf = self.target.btf().ok()?;
        if let Some(id) = btf.find_c(name) {
            return Some(btf.ty(id, Space::Unknown));
        }
        self.in_modules(|btf| Some(btf.ty(btf.find_c(name)?, Space::Unknown))).or_else(|| self.named(awl_stdlib::kernel_type(name)?))
    }

    /// A struct or union by its keyword and name, or by a typedef.
    pub fn lookup_record(&self, name: &str) -> Option<Arc<RecordDef>> {
        match self.named(name)? {
            Ty::Record(r) => Some(r),
            _ => None,
        }
    }

    /// A field's type, with pointers into the memory that its record is in; what was not found, in words, otherwise.
    pub fn resolve(&self, ty: &FieldTy, space: Space) -> Result<Ty, String> {
        match ty {
            FieldTy::Known(t) => Ok(pointing(t, space)),
            FieldTy::Named(n) => match self.named(n) {
                Some(t) => Ok(pointing(&t, space)),
                // An enum that nobody describes is still a number.
                None if n.starts_with("enum ") => Ok(Ty::U32),
                None => Err(format!("`{n}` is not defined")),
            },
            FieldTy::Btf(_) => match self.target.btf() {
                Ok(btf) => Ok(btf.resolve_field(ty, space)),
                Err(why) => Err(why.message),
            },
            FieldTy::Foreign(whose, id) => match self.target.foreign(*whose) {
                Some(types) => Ok(types.ty(*id, space)),
                None => Err("it is described elsewhere".into()),
            },
            // What a pointer points to may stay unknown: it is an address first of all.
            FieldTy::Ptr(to, own) => {
                let space = if *own == Space::Unknown { space } else { *own };
                Ok(Ty::ptr(self.resolve(to, space).unwrap_or(Ty::Void), space))
            }
            FieldTy::Array(of, n) => Ok(array(self.resolve(of, space)?, *n)),
        }
    }

    /// A constant of an enum: the script's, else the kernel's.
    pub fn enum_value(&self, name: &str) -> Option<(i64, Ty)> {
        // A `#define` hides an enum's name, as in C.
        if self.preamble.define(name).is_some() {
            return None;
        }
        if let Some(found) = self.preamble.enum_value(name) {
            return Some(found);
        }
        if let Some(call) = name.strip_prefix("__NR_").or_else(|| name.strip_prefix("SYS_"))
            && let Some(number) = crate::target::syscalls::number(self.target.arch(), call)
        {
            return Some((number.into(), Ty::I64));
        }
        if !plausible_constant(name) {
            return None;
        }
        // Macros of the headers, which BTF doesn't hold.
        if let Some(value) = awl_stdlib::constant(name) {
            return Some((value, Ty::I64));
        }
        let (def, value) = self.target.btf().ok()?.enumerator(name).or_else(|| self.in_modules(|btf| btf.enumerator(name)))?;
        Some((value, Ty::Enum(def)))
    }

    /// What a `#define` without parameters stands for, as an expression; its places are those of the definition. Names that
    /// are always defined (`LINUX_VERSION_CODE`) are numbers at `span`. It is safe to look up the names in it in turn:
    /// what leads back to itself, or to more text than is sensible, is not there.
    pub fn define(&self, name: &str, span: Span) -> Option<ast::Expr> {
        let value = || {
            let value = define::predefined(name, self.target)? as u64;
            Some(ast::Expr { kind: ast::ExprKind::Int { value, unsigned: false }, span })
        };
        if self.preamble.macros.get(name).is_some() {
            return self.preamble.macros.expression(name).cloned();
        }
        value()
    }

    /// What a call of a `#define` with parameters stands for, with the arguments in their places.
    pub fn define_call(&self, name: &str, args: &[ast::Expr]) -> Option<ast::Expr> {
        self.preamble.macros.call(name, args)
    }

    /// Why there is no such thing, though the name is defined, and whether its text may be statements.
    pub fn define_call_refused(&self, name: &str, args: usize) -> Option<(String, bool)> {
        self.preamble.macros.call_refused(name, args)
    }
}

/// The library's records of packets.
pub fn packet_types(target: &dyn Target) -> Preamble {
    let (script, _) = awl_grammar::parse(awl_stdlib::PACKET, FileId(u32::MAX));
    Preamble::build(&script.preamble, target).0
}

/// The type with pointers that point nowhere in particular pointing into `space`.
fn pointing(t: &Ty, space: Space) -> Ty {
    match t {
        Ty::Ptr(to, Space::Unknown) => Ty::ptr(pointing(to, space), space),
        Ty::Array(of, n) if matches!(**of, Ty::Ptr(..)) => Ty::Array(Arc::new(pointing(of, space)), *n),
        t => t.clone(),
    }
}

/// Constants of the kernel are capitals; other words are not looked for in BTF, which costs milliseconds.
fn plausible_constant(name: &str) -> bool {
    name.bytes().any(|b| b.is_ascii_uppercase()) && !name.bytes().any(|b| b.is_ascii_lowercase() && name.len() < 3)
}
