//! Types of what leaves the program, spelled out: whoever prints a record's bytes has no definitions to look fields up in.

use super::names::Types;
use crate::hir;
use crate::types::{Field, FieldTy, RecordDef, Space, Ty};
use std::collections::HashMap;
use std::sync::Arc;

/// Spells out the types of all events and maps.
pub(crate) fn complete(program: &mut hir::Program, types: &Types) {
    let mut done = Completed { types, records: HashMap::new() };
    let events = program.events.iter_mut().flat_map(|e| e.args.iter_mut());
    let maps = program.maps.iter_mut().flat_map(|m| m.keys.iter_mut().chain([&mut m.value]));
    for ty in events.chain(maps) {
        if let Some(known) = done.ty(ty) {
            *ty = known;
        }
    }
}

struct Completed<'a, 't> {
    types: &'a Types<'t>,
    /// by the name of the definition; one that is not here yet contains none that is being made, since no record holds itself
    records: HashMap<String, Arc<RecordDef>>,
}

impl Completed<'_, '_> {
    /// The type with records spelled out; `None` where there is nothing to do. What pointers point to isn't printed.
    fn ty(&mut self, ty: &Ty) -> Option<Ty> {
        match ty {
            Ty::Record(r) => Some(Ty::Record(self.record(r))),
            Ty::Array(of, n) => Some(Ty::Array(Arc::new(self.ty(of)?), *n)),
            Ty::Tuple(ts) if ts.iter().any(holds_record) => Some(Ty::Tuple(ts.iter().map(|t| self.ty(t).unwrap_or(t.clone())).collect())),
            Ty::NamedTuple(ts) if ts.iter().any(|(_, t)| holds_record(t)) => {
                Some(Ty::NamedTuple(ts.iter().map(|(n, t)| (n.clone(), self.ty(t).unwrap_or(t.clone()))).collect()))
            }
            _ => None,
        }
    }

    fn record(&mut self, r: &Arc<RecordDef>) -> Arc<RecordDef> {
        // Records without a name are told apart by what is in them alone.
        let named = !r.name.ends_with(' ') && !r.name.is_empty();
        if let Some(known) = self.records.get(&r.name).filter(|_| named) {
            return Arc::clone(known);
        }
        let fields = r.fields.iter().map(|f| Field { ty: self.field(&f.ty), ..f.clone() }).collect();
        let known = Arc::new(RecordDef { name: r.name.clone(), fields, ..**r });
        self.records.insert(r.name.clone(), Arc::clone(&known));
        known
    }

    fn field(&mut self, ty: &FieldTy) -> FieldTy {
        let Ok(known) = self.types.resolve(ty, Space::Kernel) else { return ty.clone() };
        FieldTy::Known(match known {
            // Arrays of characters are text, as when a script reads one.
            Ty::Array(of, n) if *of == (Ty::Int { bytes: 1, signed: true }) && n > 0 => Ty::Str(n),
            known => self.ty(&known).unwrap_or(known),
        })
    }
}

fn holds_record(ty: &Ty) -> bool {
    match ty {
        Ty::Record(_) => true,
        Ty::Array(of, _) => holds_record(of),
        Ty::Tuple(ts) => ts.iter().any(holds_record),
        Ty::NamedTuple(ts) => ts.iter().any(|(_, t)| holds_record(t)),
        _ => false,
    }
}
