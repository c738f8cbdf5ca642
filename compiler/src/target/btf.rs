//! BTF: the kernel's types.
//!
//! A `Btf` is an index over the bytes that the kernel offers: four bytes for each type, made in one pass, plus tables of
//! names built when first asked for. Types become `Ty` and `RecordDef` on demand, one level deep; a record is made once
//! and shared from then on. No byte is trusted: every look-up on broken input ends, and answers `None` or `Ty::Void`.

mod build;
mod declare;
mod index;
mod raw;
mod resolve;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use build::{Builder, Node, write};
pub use raw::Kind;
use raw::{Head, Sections};
pub use resolve::{array, bit_place};

use crate::types::{EnumDef, RecordDef};
use index::NameIndex;

/// A parameter of a kernel function, or an argument of a raw tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// empty where BTF has no name
    pub name: String,
    /// its type, for `Btf::ty`
    pub id: u32,
}

/// Functions are looked for one by one that many times before they get an index: a search takes 1 ms, the index 7, and most
/// scripts ask for the arguments of one raw tracepoint or none.
const SCANS: u32 = 3;

/// An index over the bytes of a `.BTF` section. Ids are the kernel's own: 1 to `len`, 0 is `void`.
pub struct Btf {
    data: Arc<dyn AsRef<[u8]> + Send + Sync>,
    /// whose types they are: 0 for the kernel's, else what `Target::foreign` knows them by
    origin: u32,
    /// types up to this number are the kernel's all the same: a module's types continue them
    shared: u32,
    sections: Sections,
    /// where type `i + 1` starts in the type section
    offsets: Vec<u32>,
    /// everything with a name but functions and variables
    types: OnceLock<NameIndex>,
    functions: OnceLock<NameIndex>,
    /// functions looked for without their index
    scans: AtomicU32,
    /// (anonymous record, typedef that names it), sorted
    typedefs: OnceLock<Vec<(u32, u32)>>,
    records: Mutex<HashMap<u32, Arc<RecordDef>>>,
    enums: Mutex<HashMap<u32, Arc<EnumDef>>>,
    /// alignment of records, bytes
    aligns: Mutex<HashMap<u32, u32>>,
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Btf ({} types)", self.len())
    }
}

impl Btf {
    /// Checks the header and finds every type's place. Errors say what is wrong in words.
    pub fn parse(data: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Btf, String> {
        let data: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(data);
        let bytes = (*data).as_ref();
        let sections = raw::sections(bytes)?;
        let types = &bytes[sections.types.clone()];
        // vmlinux has 28 bytes a type on average; a little slack avoids one more copy of the table
        let mut offsets = Vec::with_capacity(types.len() / 26);
        let mut at = 0;
        while at < types.len() {
            let Some((_, next)) = raw::head(types, at) else {
                return Err(format!("broken BTF, or newer than awl: type {} is cut off or of an unknown kind", offsets.len() + 1));
            };
            offsets.push(at as u32);
            at = next;
        }
        offsets.shrink_to_fit();
        Ok(Btf {
            data: Arc::clone(&data),
            origin: 0,
            shared: 0,
            sections,
            offsets,
            types: OnceLock::new(),
            functions: OnceLock::new(),
            scans: AtomicU32::new(0),
            typedefs: OnceLock::new(),
            records: Mutex::default(),
            enums: Mutex::default(),
            aligns: Mutex::default(),
        })
    }

    /// Types that are not the kernel's.
    pub fn foreign(data: Vec<u8>, origin: u32) -> Result<Btf, String> {
        Btf::parse(data).map(|b| Btf { origin, ..b })
    }

    /// The types of the kernel, `shared` of them, and behind them those of a module.
    pub fn of_module(data: Vec<u8>, origin: u32, shared: u32) -> Result<Btf, String> {
        Btf::parse(data).map(|b| Btf { origin, shared, ..b })
    }

    /// Whose type it is, as `origin`.
    fn owner(&self, id: u32) -> u32 {
        if id <= self.shared { 0 } else { self.origin }
    }

    /// How many types there are.
    pub fn len(&self) -> u32 {
        self.offsets.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub fn kind(&self, id: u32) -> Option<Kind> {
        self.head(id).map(|(h, _)| h.kind)
    }

    /// Empty for an anonymous type, or where the name is no text.
    pub fn name(&self, id: u32) -> &str {
        self.head(id).map(|(h, _)| self.text(h.name)).unwrap_or_default()
    }

    /// The first type of that kind and name. `Enum` finds both sizes of enum, `Func` a function, `Struct` no forward
    /// declaration.
    pub fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        let functions = matches!(kind, Kind::Func | Kind::Var);
        if functions && self.functions.get().is_none() && self.scans.fetch_add(1, Ordering::Relaxed) < SCANS {
            return (1..=self.len()).find(|id| self.is(*id, kind, name));
        }
        self.find_all(kind, name).next()
    }

    /// Every type of that kind and name, by id. More than one is rare: static functions and local structs that differ.
    pub fn find_all<'a>(&'a self, kind: Kind, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.index(kind).candidates(name).filter(move |id| self.is(*id, kind, name))
    }

    /// The name of a function.
    pub fn func_name(&self, id: u32) -> Option<&str> {
        self.head(id).filter(|(h, _)| h.kind == Kind::Func).map(|(h, _)| self.text(h.name))
    }

    /// Names and ids of all types of that kind, by id; anonymous ones left out.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = (&str, u32)> {
        (1..=self.len()).filter_map(move |id| {
            let (h, _) = self.head(id)?;
            let name = self.text(h.name);
            (same_kind(h.kind, kind) && !name.is_empty()).then_some((name, id))
        })
    }

    fn is(&self, id: u32, kind: Kind, name: &str) -> bool {
        self.head(id).is_some_and(|(h, _)| same_kind(h.kind, kind) && raw::name_is(self.name_table(), h.name, name.as_bytes()))
    }

    fn index(&self, kind: Kind) -> &NameIndex {
        let functions = matches!(kind, Kind::Func | Kind::Var);
        let slot = if functions { &self.functions } else { &self.types };
        slot.get_or_init(|| {
            let (types, names) = (self.type_table(), self.name_table());
            NameIndex::build(self.offsets.iter().enumerate().filter_map(|(i, at)| {
                let (h, _) = raw::head(types, *at as usize)?;
                let wanted = matches!(h.kind, Kind::Func | Kind::Var) == functions;
                (wanted && h.name != 0).then(|| (raw::name(names, h.name), i as u32 + 1))
            }))
        })
    }

    fn type_table(&self) -> &[u8] {
        &(*self.data).as_ref()[self.sections.types.clone()]
    }

    fn name_table(&self) -> &[u8] {
        &(*self.data).as_ref()[self.sections.names.clone()]
    }

    fn text(&self, at: u32) -> &str {
        std::str::from_utf8(raw::name(self.name_table(), at)).unwrap_or_default()
    }

    /// The fixed part of a type and the bytes behind it.
    /// What an array is of.
    pub fn element(&self, id: u32) -> Option<u32> {
        let (head, tail) = self.head(id)?;
        (head.kind == Kind::Array).then(|| raw::u32_at(tail, 0))?
    }

    fn head(&self, id: u32) -> Option<(Head, &[u8])> {
        let at = *self.offsets.get((id as usize).checked_sub(1)?)? as usize;
        let types = self.type_table();
        let (head, next) = raw::head(types, at)?;
        Some((head, &types[at + 12..next]))
    }
}

/// The types of vmlinux and those of a module as one section: the module's ids and names continue those of vmlinux.
pub fn joined(base: &[u8], split: &[u8]) -> Result<Vec<u8>, String> {
    let (b, s) = (raw::sections(base)?, raw::tables(split)?);
    let types = b.types.len() + s.types.len();
    let names = b.names.len() + s.names.len();
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, types, types, names] {
        out.extend_from_slice(&(word as u32).to_le_bytes());
    }
    for part in [&base[b.types], &split[s.types], &base[b.names], &split[s.names]] {
        out.extend_from_slice(part);
    }
    Ok(out)
}

/// Finds one type without an index, for callers that need nothing else (the id of `btf_trace_sched_switch`). About a
/// millisecond for a vmlinux; the same answer as `Btf::parse` and `find`.
pub fn find_quick(bytes: &[u8], kind: Kind, name: &str) -> Option<u32> {
    let sections = raw::sections(bytes).ok()?;
    let (types, names) = (&bytes[sections.types], &bytes[sections.names]);
    let (mut at, mut id) = (0, 1);
    while at < types.len() {
        let (head, next) = raw::head(types, at)?;
        if same_kind(head.kind, kind) && raw::name_is(names, head.name, name.as_bytes()) {
            return Some(id);
        }
        (at, id) = (next, id + 1);
    }
    None
}

/// Offset in bytes of a structure's own member, found the same way.
pub fn find_member_quick(bytes: &[u8], record: &str, member: &str) -> Option<u32> {
    let sections = raw::sections(bytes).ok()?;
    let (types, names) = (&bytes[sections.types], &bytes[sections.names]);
    let mut at = 0;
    while at < types.len() {
        let (head, next) = raw::head(types, at)?;
        if head.kind == Kind::Struct && raw::name_is(names, head.name, record.as_bytes()) {
            let members = (0..head.vlen as usize).map(|i| at + 12 + 12 * i);
            let mut ours = members.filter(|m| raw::u32_at(types, *m).is_some_and(|n| raw::name_is(names, n, member.as_bytes())));
            let bits = raw::u32_at(types, ours.next()? + 8)?;
            // Where bit fields are among them, the upper byte is their width.
            return Some(if head.flag { bits & 0xff_ffff } else { bits } / 8);
        }
        at = next;
    }
    None
}

fn same_kind(found: Kind, wanted: Kind) -> bool {
    found == wanted || (wanted == Kind::Enum && found == Kind::Enum64)
}

/// A panic elsewhere doesn't spoil a cache: its entries are only ever inserted whole.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}
