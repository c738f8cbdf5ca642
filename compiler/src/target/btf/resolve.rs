//! BTF types to the language's types.

use std::sync::Arc;

use super::raw::u32_at;
use super::{Btf, Kind, Param, lock};
use crate::types::{EnumDef, Field, FieldTy, RecordDef, Space, Ty};

/// Pointers to pointers and arrays of arrays beyond this are taken for `void`; the kernel's own limit is 32
/// (`MAX_RESOLVE_DEPTH` in kernel/bpf/btf.c, 6.18).
const MAX_DEPTH: u32 = 32;
/// Fields of one record with those of its anonymous members; the largest of vmlinux has about 400.
const MAX_FIELDS: usize = 1 << 16;
/// An array of more bytes is broken BTF.
const MAX_ARRAY: u64 = 1 << 30;

impl Btf {
    /// The type behind typedefs, `const`, `volatile`, `restrict` and type tags; 0 is `void`, and so is a circle of them.
    pub fn strip(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            match self.head(id) {
                Some((h, _)) => match h.kind {
                    Kind::Typedef | Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag | Kind::Var => id = h.size_or_type,
                    _ => return id,
                },
                None => return 0,
            }
        }
        0
    }

    /// Is the type declared by this name, or by one that stands for it?
    pub fn is_called(&self, mut id: u32, name: &str) -> bool {
        for _ in 0..MAX_DEPTH {
            match self.head(id) {
                Some((h, _)) if h.kind == Kind::Typedef && self.text(h.name) == name => return true,
                Some((h, _)) if matches!(h.kind, Kind::Typedef | Kind::Const | Kind::Volatile | Kind::TypeTag) => id = h.size_or_type,
                _ => return false,
            }
        }
        false
    }

    /// The type `id` in the language. Pointers in it point into `space`, unless BTF marks them `__user`. Records are one
    /// level deep: their fields are `FieldTy::Btf`, for `resolve_field`. Floats and integers of 16 bytes, which the
    /// language doesn't have, are arrays of bytes.
    pub fn ty(&self, id: u32, space: Space) -> Ty {
        self.ty_at(id, space, MAX_DEPTH)
    }

    fn ty_at(&self, id: u32, space: Space, depth: u32) -> Ty {
        let id = self.strip(id);
        let (Some((h, tail)), Some(depth)) = (self.head(id), depth.checked_sub(1)) else {
            return Ty::Void;
        };
        let size = h.size_or_type;
        match h.kind {
            Kind::Int => {
                let encoding = u32_at(tail, 0).unwrap_or(0) >> 24 & 0xf;
                // `char` is signed in the language, whatever -funsigned-char says to the kernel's compiler
                let signed = encoding & 1 != 0 || (size == 1 && self.text(h.name) == "char");
                match size {
                    1 if encoding & 4 != 0 => Ty::Bool,
                    1 | 2 | 4 | 8 => Ty::Int { bytes: size as u8, signed },
                    _ => array(Ty::U8, size),
                }
            }
            Kind::Ptr => {
                let space = match self.head(h.size_or_type) {
                    Some((t, _)) if t.kind == Kind::TypeTag && self.text(t.name) == "user" => Space::User,
                    _ => space,
                };
                let to = self.ty_at(h.size_or_type, space, depth);
                match (&to, space) {
                    // The verifier follows pointers to records only.
                    (Ty::Record(_), _) => Ty::ptr(to, space),
                    (_, Space::Btf) => Ty::ptr(self.ty_at(h.size_or_type, Space::Kernel, depth), Space::Kernel),
                    _ => Ty::ptr(to, space),
                }
            }
            Kind::Array => match (u32_at(tail, 0), u32_at(tail, 8)) {
                (Some(of), Some(n)) => array(self.ty_at(of, space, depth), n),
                _ => Ty::Void,
            },
            Kind::Struct | Kind::Union | Kind::Fwd => self.record(id).map_or(Ty::Void, Ty::Record),
            Kind::Enum | Kind::Enum64 => self.enum_def(id).map_or(Ty::Void, Ty::Enum),
            Kind::Float => array(Ty::U8, size),
            _ => Ty::Void,
        }
    }

    /// A field's type. `space`: where pointers held by its record point.
    pub fn resolve_field(&self, ty: &FieldTy, space: Space) -> Ty {
        self.resolve_at(ty, space, MAX_DEPTH)
    }

    fn resolve_at(&self, ty: &FieldTy, space: Space, depth: u32) -> Ty {
        let Some(depth) = depth.checked_sub(1) else {
            return Ty::Void;
        };
        match ty {
            FieldTy::Known(Ty::Ptr(to, Space::Unknown)) => {
                let known = space != Space::Btf || matches!(**to, Ty::Record(_));
                Ty::Ptr(Arc::clone(to), if known { space } else { Space::Kernel })
            }
            FieldTy::Known(t) => t.clone(),
            FieldTy::Named(name) => match self.find_c(name) {
                Some(id) => self.ty_at(id, space, depth),
                None => Ty::Void,
            },
            FieldTy::Btf(id) | FieldTy::Foreign(_, id) => self.ty_at(*id, space, depth),
            FieldTy::Ptr(to, own) => {
                let space = if *own == Space::Unknown { space } else { *own };
                Ty::ptr(self.resolve_at(to, space, depth), space)
            }
            FieldTy::Array(of, n) => array(self.resolve_at(of, space, depth), *n),
        }
    }

    /// A type by its name in C: `struct file`, `union x`, `enum y`, or a typedef or basic type without a keyword.
    pub fn find_c(&self, name: &str) -> Option<u32> {
        match name.split_once(' ') {
            Some(("struct", n)) => self.find(Kind::Struct, n).or_else(|| self.find(Kind::Fwd, n)),
            Some(("union", n)) => self.find(Kind::Union, n).or_else(|| self.find(Kind::Fwd, n)),
            Some(("enum", n)) => self.find(Kind::Enum, n),
            _ => self.find(Kind::Typedef, name).or_else(|| self.find(Kind::Int, name)),
        }
    }

    /// `struct file` or `union x` by name.
    pub fn record_named(&self, name: &str) -> Option<Arc<RecordDef>> {
        self.record(self.find_c(name)?)
    }

    /// The struct or union `id`, typedefs and qualifiers stripped: the same `Arc` at every call. Members of anonymous
    /// members stand among the fields. A struct that is only declared has no fields and no size.
    pub fn record(&self, id: u32) -> Option<Arc<RecordDef>> {
        let id = self.strip(id);
        if let Some(r) = lock(&self.records).get(&id) {
            return Some(Arc::clone(r));
        }
        let (h, _) = self.head(id)?;
        if h.kind == Kind::Fwd {
            let (kind, word) = match h.flag {
                true => (Kind::Union, "union"),
                false => (Kind::Struct, "struct"),
            };
            let name = self.text(h.name);
            let found = match self.find(kind, name) {
                Some(full) => self.record(full)?,
                None => Arc::new(RecordDef {
                    name: format!("{word} {name}"),
                    union: h.flag,
                    size: 0,
                    align: 1,
                    fields: Vec::new(),
                    btf_id: None,
                }),
            };
            return Some(Arc::clone(lock(&self.records).entry(id).or_insert(found)));
        }
        let union = h.kind == Kind::Union;
        if !union && h.kind != Kind::Struct {
            return None;
        }
        let mut fields = Vec::with_capacity(h.vlen as usize);
        let mut budget = MAX_FIELDS;
        self.fields(id, 0, h.size_or_type, &mut budget, MAX_DEPTH, &mut fields);
        let record = Arc::new(RecordDef {
            name: self.record_name(id, union),
            union,
            size: h.size_or_type,
            align: self.align(id, MAX_DEPTH),
            fields,
            btf_id: (self.owner(id) == 0).then_some(id),
        });
        Some(Arc::clone(lock(&self.records).entry(id).or_insert(record)))
    }

    /// Adds the fields of record `id`, which starts at bit `base` of a record of `size` bytes. `budget`: members still
    /// to be looked at, so that anonymous members that hold each other come to an end.
    fn fields(&self, id: u32, base: u32, size: u32, budget: &mut usize, depth: u32, out: &mut Vec<Field>) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        for m in self.members(id) {
            if *budget == 0 {
                return;
            }
            *budget -= 1;
            let Some(bit) = base.checked_add(m.bit) else {
                continue;
            };
            if m.name.is_empty() {
                let inner = self.strip(m.ty);
                if m.width == 0 && matches!(self.kind(inner), Some(Kind::Struct | Kind::Union)) {
                    self.fields(inner, bit, size, budget, depth, out);
                }
                continue;
            }
            let (offset, bits) = match m.width {
                0 => (bit / 8, None),
                w => {
                    let (offset, first) = bit_place(bit, w, self.scalar_size(m.ty), size);
                    (offset, Some((first, w)))
                }
            };
            let ty = match self.owner(m.ty) {
                0 => FieldTy::Btf(m.ty),
                origin => FieldTy::Foreign(origin, m.ty),
            };
            out.push(Field { name: m.name.to_owned(), ty, offset, bits, data_loc: false });
        }
    }

    #[cfg(test)]
    pub(super) fn has_anonymous_members(&self, id: u32) -> bool {
        self.members(id).any(|m| m.name.is_empty())
    }

    pub(super) fn members(&self, id: u32) -> impl Iterator<Item = Member<'_>> {
        let head = self.head(id).filter(|(h, _)| matches!(h.kind, Kind::Struct | Kind::Union));
        let (flag, tail) = head.map_or((false, &[][..]), |(h, t)| (h.flag, t));
        tail.chunks_exact(12).filter_map(move |m| {
            let (name, ty, at) = (u32_at(m, 0)?, u32_at(m, 4)?, u32_at(m, 8)?);
            let (mut bit, mut width) = match flag {
                true => (at & 0xff_ffff, at >> 24),
                false => (at, 0),
            };
            if let Some((h, t)) = self.head(self.strip(ty)) {
                // before `flag` existed, an integer type said by itself which of its bits a field has
                if h.kind == Kind::Int && width == 0 {
                    let data = u32_at(t, 0)?;
                    if data & 0xff != h.size_or_type.saturating_mul(8) && data & 0xff != 0 {
                        width = data & 0xff;
                        bit = bit.checked_add(data >> 16 & 0xff)?;
                    }
                }
            }
            Some(Member { name: self.text(name), ty, bit, width: u8::try_from(width.min(64)).unwrap_or(64) })
        })
    }

    /// Bytes of an integer or enum; 1 for all else.
    fn scalar_size(&self, id: u32) -> u32 {
        match self.head(self.strip(id)) {
            Some((h, _)) if matches!(h.kind, Kind::Int | Kind::Enum | Kind::Enum64) => h.size_or_type.clamp(1, 8),
            _ => 1,
        }
    }

    fn record_name(&self, id: u32, union: bool) -> String {
        let word = if union { "union" } else { "struct" };
        match self.name(id) {
            "" => {
                let typedefs = self.typedefs.get_or_init(|| self.typedefs_of_anonymous());
                let at = typedefs.partition_point(|(record, _)| *record < id);
                match typedefs.get(at) {
                    Some((record, typedef)) if *record == id => self.name(*typedef).to_owned(),
                    _ => format!("{word} <anonymous {id}>"),
                }
            }
            name => format!("{word} {name}"),
        }
    }

    fn typedefs_of_anonymous(&self) -> Vec<(u32, u32)> {
        let mut found: Vec<_> = (1..=self.len())
            .filter_map(|id| {
                let (h, _) = self.head(id)?;
                let to = h.size_or_type;
                let names =
                    h.kind == Kind::Typedef && matches!(self.kind(to), Some(Kind::Struct | Kind::Union)) && self.name(to).is_empty();
                names.then_some((to, id))
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// Alignment in bytes. BTF doesn't record it: that of the members, or 1 where one of them is out of place.
    fn align(&self, id: u32, depth: u32) -> u32 {
        let id = self.strip(id);
        let (Some((h, tail)), Some(depth)) = (self.head(id), depth.checked_sub(1)) else {
            return 1;
        };
        match h.kind {
            Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Float => power_of_two_up_to_16(h.size_or_type),
            Kind::Ptr => 8,
            Kind::Array => u32_at(tail, 0).map_or(1, |of| self.align(of, depth)),
            Kind::Struct | Kind::Union => {
                // the entry made at once also ends a record that holds itself
                let known = lock(&self.aligns).insert(id, 1);
                if let Some(a) = known {
                    lock(&self.aligns).insert(id, a);
                    return a;
                }
                let mut align = 1;
                for m in self.members(id) {
                    let own = self.align(m.ty, depth);
                    if m.width == 0 && !m.bit.is_multiple_of(own * 8) {
                        align = 1;
                        break;
                    }
                    align = align.max(own);
                }
                if !h.size_or_type.is_multiple_of(align) {
                    align = 1;
                }
                lock(&self.aligns).insert(id, align);
                align
            }
            _ => 1,
        }
    }

    /// The enum `id`, typedefs and qualifiers stripped: the same `Arc` at every call.
    pub fn enum_def(&self, id: u32) -> Option<Arc<EnumDef>> {
        let id = self.strip(id);
        if let Some(e) = lock(&self.enums).get(&id) {
            return Some(Arc::clone(e));
        }
        let (h, tail) = self.head(id)?;
        let signed = h.flag;
        let value = |v: &[u8]| -> Option<(String, i64)> {
            let low = u32_at(v, 4)?;
            let value = match (h.kind, signed) {
                (Kind::Enum64, _) => (u64::from(u32_at(v, 8)?) << 32 | u64::from(low)) as i64,
                (_, true) => i64::from(low as i32),
                (_, false) => i64::from(low),
            };
            Some((self.text(u32_at(v, 0)?).to_owned(), value))
        };
        let step = match h.kind {
            Kind::Enum => 8,
            Kind::Enum64 => 12,
            _ => return None,
        };
        let found = Arc::new(EnumDef {
            name: self.name(id).to_owned(),
            bytes: match h.size_or_type {
                n @ (1 | 2 | 4 | 8) => n as u8,
                _ => 4,
            },
            signed,
            variants: tail.chunks_exact(step).filter_map(value).collect(),
        });
        Some(Arc::clone(lock(&self.enums).entry(id).or_insert(found)))
    }

    /// A constant of any enum: `BPF_MAP_TYPE_HASH`. One pass over the enums.
    pub fn enumerator(&self, name: &str) -> Option<(Arc<EnumDef>, i64)> {
        let names = self.name_table();
        (1..=self.len()).find_map(|id| {
            let (h, tail) = self.head(id)?;
            let step = match h.kind {
                Kind::Enum => 8,
                Kind::Enum64 => 12,
                _ => return None,
            };
            let at =
                tail.chunks_exact(step).position(|v| u32_at(v, 0).is_some_and(|at| super::raw::name_is(names, at, name.as_bytes())))?;
            let found = self.enum_def(id)?;
            let value = found.variants.get(at)?.1;
            Some((found, value))
        })
    }

    /// Parameters and return type of the prototype behind `id`: a function, a prototype, or a pointer to one.
    pub fn prototype(&self, id: u32) -> Option<(Vec<Param>, u32)> {
        let mut id = self.strip(id);
        for _ in 0..2 {
            match self.head(id)? {
                (h, _) if matches!(h.kind, Kind::Func | Kind::Ptr) => {
                    id = self.strip(h.size_or_type);
                }
                _ => break,
            }
        }
        let (h, tail) = self.head(id)?;
        if h.kind != Kind::FuncProto {
            return None;
        }
        let params = tail.chunks_exact(8).filter_map(|p| Some(Param { name: self.text(u32_at(p, 0)?).to_owned(), id: u32_at(p, 4)? }));
        Some((params.collect(), h.size_or_type))
    }

    /// Parameters of a kernel function. A last one of type 0 without a name stands for `...`.
    pub fn func_params(&self, name: &str) -> Option<Vec<Param>> {
        Some(self.prototype(self.find(Kind::Func, name)?)?.0)
    }

    /// Type id of what a kernel function returns; 0 is `void`.
    pub fn func_return(&self, name: &str) -> Option<u32> {
        Some(self.prototype(self.find(Kind::Func, name)?)?.1)
    }
}

pub(super) struct Member<'a> {
    pub name: &'a str,
    pub ty: u32,
    /// from the record's start
    pub bit: u32,
    /// 0: not a bit-field
    pub width: u8,
}

/// Where to load a bit-field of `width` at `bit`: a byte offset, and the first bit from there. The place is that of the
/// declared type (`unit` bytes), as C lays it out; in a packed record, where the unit doesn't hold it, the first byte.
pub fn bit_place(bit: u32, width: u8, unit: u32, record: u32) -> (u32, u8) {
    let offset = bit / 8 / unit * unit;
    let first = bit - offset * 8;
    let fits = first + u32::from(width) <= unit * 8 && offset.saturating_add(unit) <= record;
    match u8::try_from(first) {
        Ok(first) if fits => (offset, first),
        _ => (bit / 8, (bit % 8) as u8),
    }
}

/// An array whose size in bytes can be computed.
pub fn array(of: Ty, n: u32) -> Ty {
    let fits = u64::from(of.size()) * u64::from(n) <= MAX_ARRAY;
    Ty::Array(Arc::new(of), if fits { n } else { 0 })
}

fn power_of_two_up_to_16(n: u32) -> u32 {
    match n {
        2 | 4 | 8 | 16 => n,
        _ => 1,
    }
}
