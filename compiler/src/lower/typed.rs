//! Structures of the kernel at addresses of which the verifier knows nothing (`arg0` of a kprobe, what a map held): it is told the
//! type (`bpf_rdonly_cast`, 6.2), which costs two instructions, and takes plain loads from there on, that give 0 where nothing can
//! be read. Elsewhere each step is a call of a helper, which also says whether it failed.

use super::body::{Addr, Body};
use super::walk;
use crate::artifact::ProgramKind;
use crate::hir::{Expr, ExprKind, Program};
use crate::sema::Options;
use crate::target::btf::Kind;
use crate::target::{Feature, Target};
use crate::types::{RecordDef, Space, Ty};
use std::collections::{HashMap, HashSet};

const CAST: &str = "bpf_rdonly_cast";

/// What the verifier has to be told with.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    /// number of the type of `bpf_rdonly_cast`
    cast: u32,
    /// structures that the script reads and that are the kernel's own: modules and programs have types of their own
    structures: HashSet<u32>,
}

impl Typed {
    /// For a program that has any use for it. Who wants to hear of each read that fails gets none.
    pub fn of(program: &Program, options: &Options, target: &dyn Target) -> Option<Typed> {
        let mut wanted: HashMap<u32, String> = HashMap::new();
        let mut look = |e: &Expr| {
            let ExprKind::Field { base, .. } = &e.kind else { return };
            if let Some(r) = pointed(base) {
                wanted.extend(r.btf_id.map(|id| (id, r.name.clone())));
            }
        };
        for p in program.bodies() {
            p.predicate.iter().for_each(|e| walk::exprs(e, &mut look));
            p.body.iter().for_each(|s| walk::in_stmt(s, &mut |_| {}, &mut look));
        }
        if wanted.is_empty() || options.helper_errors || !target.has(Feature::ReadOnlyCast) {
            return None;
        }
        let btf = target.btf().ok()?;
        let own = |(id, name): (u32, String)| btf.find_all(Kind::Struct, name.strip_prefix("struct ")?).find(|n| *n == id);
        Some(Typed { cast: btf.find(Kind::Func, CAST)?, structures: wanted.into_iter().filter_map(own).collect() })
    }
}

/// The structure that a pointer without the verifier's trust points to.
fn pointed(e: &Expr) -> Option<&RecordDef> {
    match &e.ty {
        Ty::Ptr(to, Space::Kernel) => match &**to {
            Ty::Record(r) => Some(r),
            _ => None,
        },
        _ => None,
    }
}

impl Body<'_> {
    /// Where a field lies, as the verifier may know it: fields of fields and elements of their arrays count from the structure that a
    /// pointer points to.
    pub(crate) fn typed_place(&mut self, e: &Expr) -> Option<Addr> {
        let typed = self.m.typed.as_ref().filter(|_| !packets(self.probe.kind))?;
        let (mut at, mut offset, mut inside) = (e, 0u32, false);
        let (base, id) = loop {
            let base = match &at.kind {
                // The verifier wants loads of bit fields to cover just them.
                ExprKind::Field { field, .. } if field.bits.is_some() => return None,
                ExprKind::Field { base, field } => {
                    offset = offset.checked_add(field.offset)?;
                    inside = true;
                    base
                }
                ExprKind::Index { base, index } => {
                    let Ty::Array(of, count) = &base.ty else { return None };
                    let i = index.as_int().filter(|i| (0..i64::from(*count)).contains(i))? as u32;
                    offset = offset.checked_add(i.checked_mul(of.size())?)?;
                    base
                }
                _ => return None,
            };
            match pointed(base) {
                Some(r) => break (base, r.btf_id.filter(|id| inside && typed.structures.contains(id))?),
                None if matches!(base.ty, Ty::Record(_) | Ty::Array(..)) => at = base,
                None => return None,
            }
        };
        let cast = typed.cast;
        let address = self.scalar(base);
        let id = self.int(i64::from(id));
        let object = self.kfunc(CAST, cast, &[address, id]);
        Some(Addr::ptr(object).at(offset))
    }
}

fn packets(kind: ProgramKind) -> bool {
    matches!(kind, ProgramKind::Xdp | ProgramKind::Tc | ProgramKind::SocketFilter | ProgramKind::Cgroup(_))
}
