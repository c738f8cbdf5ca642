//! The smallest type that holds the values of two.

use super::Checker;
use crate::hir::{Expr, ExprKind, LocalId, MapId};
use crate::types::{Space, Ty};
use awl_grammar::span::Span;
use std::sync::Arc;

/// `None`: there is no such type. `Ty::Error` (not known yet) gives way to anything.
pub fn join(a: &Ty, b: &Ty) -> Option<Ty> {
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Ty::Error, t) | (t, Ty::Error) => t.clone(),
        (Ty::Int { bytes: m, signed: s }, Ty::Int { bytes: n, signed: t }) => match (s, t) {
            _ if s == t => Ty::Int { bytes: *m.max(n), signed: *s },
            // A signed type that is wider holds both.
            (true, false) if m > n => a.clone(),
            (false, true) if n > m => b.clone(),
            _ => Ty::Int { bytes: (*m.max(n) * 2).min(8), signed: true },
        },
        (Ty::Bool, Ty::Int { .. }) => b.clone(),
        (Ty::Int { .. }, Ty::Bool) => a.clone(),
        (Ty::Enum(e), Ty::Int { .. }) => join(&Ty::Int { bytes: e.bytes, signed: e.signed }, b)?,
        (Ty::Int { .. }, Ty::Enum(e)) => join(a, &Ty::Int { bytes: e.bytes, signed: e.signed })?,
        (Ty::Enum(d), Ty::Enum(e)) => join(&Ty::Int { bytes: d.bytes, signed: d.signed }, &Ty::Int { bytes: e.bytes, signed: e.signed })?,
        (Ty::Str(m), Ty::Str(n)) => Ty::Str(*m.max(n)),
        (Ty::Buf(m), Ty::Buf(n)) => Ty::Buf(*m.max(n)),
        (Ty::Ptr(s, sp), Ty::Ptr(t, tp)) => {
            let to = if s == t {
                s.clone()
            } else if **s == Ty::Void {
                t.clone()
            } else {
                s.clone()
            };
            Ty::Ptr(to, if sp == tp { *sp } else { crate::types::Space::Unknown })
        }
        // Addresses and pointers mix freely, as in `$p = 0; ... $p = (struct x *)arg0`.
        (Ty::Ptr(to, space), Ty::Int { .. }) | (Ty::Int { .. }, Ty::Ptr(to, space)) => Ty::Ptr(to.clone(), address_of(*space)),
        (Ty::Tuple(xs), Ty::Tuple(ys)) if xs.len() == ys.len() => {
            Ty::Tuple(xs.iter().zip(ys.iter()).map(|(x, y)| join(x, y)).collect::<Option<Vec<_>>>()?.into())
        }
        // The order of the first; `coerce` puts those of the second into it.
        (Ty::NamedTuple(xs), Ty::NamedTuple(ys)) if xs.len() == ys.len() => {
            let other = |name: &String| ys.iter().find(|(n, _)| n == name).map(|(_, y)| y);
            let fields = xs.iter().map(|(n, x)| Some((n.clone(), join(x, other(n)?)?)));
            Ty::NamedTuple(fields.collect::<Option<Vec<_>>>()?.into())
        }
        (Ty::Array(x, m), Ty::Array(y, n)) if m == n => Ty::Array(Arc::new(join(x, y)?), *m),
        _ => return None,
    })
}

impl Checker<'_> {
    /// Makes a local's type hold `ty` too; false when no type holds both.
    pub(crate) fn widen_local(&mut self, id: LocalId, ty: &Ty) -> bool {
        let Some(joined) = join(&self.at.locals[id].ty, ty) else { return false };
        if joined != self.at.locals[id].ty {
            self.changed = true;
            self.local_types.insert(self.local_key(id), joined.clone());
            self.at.locals[id].ty = joined;
        }
        true
    }
}

impl Checker<'_> {
    /// A value whose sign is open: a literal from 0, and what got nothing but such yet. It takes the sign of what it meets.
    pub(crate) fn open_sign(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Int(v) => *v >= 0 && e.ty.is_int(),
            ExprKind::Local(id) => e.ty == Ty::I64 && self.at.open_sign.contains(id),
            ExprKind::MapGet { map, .. } => e.ty == Ty::I64 && !self.maps[*map].sign_said,
            _ => false,
        }
    }

    /// Makes a local's type, which is not declared, hold what is assigned to it.
    pub(crate) fn widen_by(&mut self, id: LocalId, value: &Expr, ty: &Ty) -> bool {
        let had = self.at.locals[id].ty.clone();
        let open = self.open_sign(value) && *ty == Ty::I64;
        let key = self.local_key(id);
        match (&had, ty) {
            (Ty::Error | Ty::Int { .. }, Ty::Int { .. }) if open => {
                if !self.sign_said.contains(&key) {
                    self.at.open_sign.insert(id);
                }
                self.widen_local(id, &Ty::Int { bytes: 8, signed: had == Ty::Error || had.is_signed() })
            }
            (Ty::Error | Ty::Int { .. }, Ty::Int { signed, .. }) => {
                let first = self.sign_said.insert(key.clone());
                if self.at.open_sign.remove(&id) && first && *signed != had.is_signed() {
                    let ty = Ty::Int { bytes: 8, signed: *signed };
                    self.changed = true;
                    self.local_types.insert(key, ty.clone());
                    self.at.locals[id].ty = ty;
                    return true;
                }
                self.widen_local(id, ty)
            }
            _ => self.widen_local(id, ty),
        }
    }

    /// The same for a map's value.
    pub(crate) fn widen_map_by(&mut self, map: MapId, open: bool, ty: &Ty, span: Span) -> bool {
        let had = self.maps[map].value.clone();
        match (&had, ty) {
            (Ty::Int { signed, .. }, Ty::Int { .. }) if open => self.widen_map_value(map, &Ty::Int { bytes: 8, signed: *signed }, span),
            (Ty::Error, Ty::Int { .. }) if open => self.widen_map_value(map, &Ty::I64, span),
            (Ty::Error | Ty::Int { .. }, Ty::Int { signed, .. }) => {
                if !std::mem::replace(&mut self.maps[map].sign_said, true) && had == Ty::I64 && !*signed {
                    self.maps[map].value = Ty::U64;
                    self.changed = true;
                }
                self.widen_map_value(map, ty, span)
            }
            _ => self.widen_map_value(map, ty, span),
        }
    }
}

/// Where a pointer points that may be null, or may be any number: the verifier knows nothing of it.
fn address_of(space: Space) -> Space {
    if matches!(space, Space::Btf | Space::Ctx) { Space::Kernel } else { space }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening() {
        assert_eq!(join(&Ty::U32, &Ty::U64), Some(Ty::U64));
        assert_eq!(join(&Ty::I32, &Ty::U32), Some(Ty::I64));
        assert_eq!(join(&Ty::U64, &Ty::I64), Some(Ty::I64));
        assert_eq!(join(&Ty::Str(4), &Ty::Str(16)), Some(Ty::Str(16)));
        assert_eq!(join(&Ty::Str(4), &Ty::I64), None);
        assert_eq!(join(&Ty::Error, &Ty::Bool), Some(Ty::Bool));
    }
}
