//! Formats of tracepoints as tracefs prints them (`events/CATEGORY/EVENT/format`).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::ctypes::basic;
use crate::types::{Field, FieldTy, RecordDef, Space, Ty};

/// A format file, read.
#[derive(Clone, Debug)]
pub struct Format {
    /// what `perf_event_open` wants as `config`
    pub id: Option<u64>,
    /// the event as a program finds it in its context, named `struct _tracepoint_CATEGORY_EVENT`. The `common_` fields
    /// are among its fields, but the first eight bytes of a BPF program's context hold a pointer of the kernel's own
    /// and the verifier refuses to load them (`tp_prog_is_valid_access`, kernel/trace/bpf_trace.c, 6.18).
    pub record: Arc<RecordDef>,
    /// each field as its C declaration, in the order of `record.fields`: `char prev_comm[16]`
    pub declarations: Vec<String>,
}

/// Bytes of the largest event that a BPF program is given (`PERF_MAX_TRACE_SIZE`, include/linux/trace_events.h, 6.18).
const MAX_EVENT: u32 = 8192;

/// Is it one of the fields in front that a BPF program can't read?
pub fn is_common(field: &Field) -> bool {
    field.offset < 8 && field.name.starts_with("common_")
}

/// Reads the text of a format file. Lines that say nothing of a field are skipped; an event without any is an error.
pub fn parse(category: &str, event: &str, text: &str) -> Result<Format, String> {
    let (mut fields, mut declarations) = (Vec::new(), Vec::new());
    let (mut id, mut size) = (None, 0);
    for line in text.lines() {
        let line = line.trim();
        if let Some(n) = line.strip_prefix("ID:") {
            id = n.trim().parse().ok();
        } else if line.starts_with("print fmt:") {
            break;
        } else if let Some(line) = line.strip_prefix("field:") {
            let Some(raw) = RawField::parse(line) else {
                return Err(format!("the format of tracepoint `{category}:{event}` has a line that awl can't read: `field:{line}`"));
            };
            size = size.max(raw.offset + raw.size);
            if let Some(field) = raw.field(category, event) {
                fields.push(field);
                declarations.push(raw.declaration.to_owned());
            }
        }
    }
    if fields.is_empty() {
        return Err(format!("the format of tracepoint `{category}:{event}` lists no fields"));
    }
    Ok(Format {
        id,
        record: Arc::new(RecordDef {
            name: format!("struct _tracepoint_{category}_{event}"),
            union: false,
            size,
            // the ring buffer's events start at multiples of 8
            align: 8,
            fields,
            btf_id: None,
        }),
        declarations,
    })
}

/// One line: `char prev_comm[16]; offset:8; size:16; signed:0;`
struct RawField<'a> {
    declaration: &'a str,
    offset: u32,
    size: u32,
    signed: bool,
}

impl<'a> RawField<'a> {
    fn parse(line: &'a str) -> Option<RawField<'a>> {
        let (declaration, rest) = line.split_once(';')?;
        let (mut offset, mut size, mut signed) = (None, None, false);
        for part in rest.split(';') {
            match part.trim().split_once(':') {
                Some(("offset", n)) => offset = n.parse::<u32>().ok(),
                Some(("size", n)) => size = n.parse::<u32>().ok(),
                Some(("signed", n)) => signed = n != "0",
                _ => {}
            }
        }
        let (offset, size) = (offset?, size?);
        (offset <= MAX_EVENT && size <= MAX_EVENT).then_some(RawField { declaration: declaration.trim(), offset, size, signed })
    }

    /// `None`: it has no name to call it by.
    fn field(&self, category: &str, event: &str) -> Option<Field> {
        let (data_loc, declaration) = match self.declaration.split_once(' ') {
            Some(("__data_loc", rest)) => (true, rest.trim_start()),
            // counts from the field's own end; nothing but events of user space has it, and they read its number
            Some(("__rel_loc", rest)) => {
                return Some(self.plain(name_of(rest)?.1, self.integer()));
            }
            _ => (false, self.declaration),
        };
        let (ty, name, length) = name_of(declaration)?;
        let base = BaseType::parse(ty);
        if data_loc {
            // `char[] name`: the brackets stand with the type
            let of = base.element(1);
            return Some(Field { data_loc: true, ..self.plain(name, FieldTy::Array(Box::new(of), 0)) });
        }
        let space = match category {
            "syscalls" => Space::User,
            _ => Space::Kernel,
        };
        let ty = if base.stars > 0 && length.is_none() {
            base.pointer(space)
        } else if let Some(length) = length {
            let (unit, n) = base.unit_and_count(length, self.size);
            let of = if base.stars > 0 { base.pointer(space) } else { base.element(unit) };
            FieldTy::Array(Box::new(of), n)
        } else {
            self.scalar(&base, category, event)
        };
        Some(self.plain(name, ty))
    }

    fn plain(&self, name: &str, ty: FieldTy) -> Field {
        Field { name: name.to_owned(), ty, offset: self.offset, bits: None, data_loc: false }
    }

    fn scalar(&self, base: &BaseType<'_>, category: &str, event: &str) -> FieldTy {
        let entry = category == "syscalls" && event.starts_with("sys_enter_");
        if base.name == "bool" && self.size == 1 {
            return FieldTy::Known(Ty::Bool);
        }
        if entry && self.size == 8 {
            // The slot holds a whole register; the system call itself takes the low bytes as its C type says
            // (SYSCALL_DEFINE casts), and what lies above is whatever the caller left there.
            if let Some((bytes, signed)) = basic::integer(base.name) {
                return FieldTy::Known(Ty::Int { bytes, signed });
            }
        }
        match base.keyword {
            Some("struct" | "union") => FieldTy::Named(base.full()),
            Some("enum") if self.size == 4 => FieldTy::Named(base.full()),
            _ => self.integer(),
        }
    }

    /// As size and sign say, whatever the type's name.
    fn integer(&self) -> FieldTy {
        FieldTy::Known(match self.size {
            n @ (1 | 2 | 4 | 8) => Ty::Int { bytes: n as u8, signed: self.signed },
            n => crate::target::btf::array(Ty::U8, n),
        })
    }
}

/// `(type, name, length)` of a declaration; the length's text is without its brackets.
fn name_of(declaration: &str) -> Option<(&str, &str, Option<&str>)> {
    let declaration = declaration.trim();
    let (front, length) = match declaration.strip_suffix(']') {
        Some(front) => {
            let (front, length) = front.split_once('[')?;
            (front.trim_end(), Some(length))
        }
        None => (declaration, None),
    };
    let start = front.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |i| i + 1);

    let (ty, name) = (front.get(..start)?, front.get(start..)?);
    (!name.is_empty() && !ty.trim().is_empty()).then_some((ty.trim(), name, length))
}

/// A type without its qualifiers: `struct` and `page` and the number of stars.
struct BaseType<'a> {
    keyword: Option<&'a str>,
    /// several words only for integers
    name: &'a str,
    stars: usize,
}

impl<'a> BaseType<'a> {
    fn parse(ty: &'a str) -> BaseType<'a> {
        let stars = ty.matches('*').count();
        let base = ty.split(['*', '[']).next().unwrap_or("").trim();
        let base = strip_qualifiers(base);
        let (keyword, name) = match base.split_once(' ') {
            Some((word @ ("struct" | "union" | "enum"), name)) => (Some(word), name.trim()),
            _ => (None, base),
        };
        BaseType { keyword, name, stars }
    }

    fn full(&self) -> String {
        match self.keyword {
            Some(word) => format!("{word} {}", self.name),
            None => self.name.to_owned(),
        }
    }

    fn element(&self, unit: u32) -> FieldTy {
        if self.keyword.is_some() {
            return FieldTy::Named(self.full());
        }
        match basic::basic(self.name) {
            Some(t) => FieldTy::Known(t),
            None => FieldTy::Known(match unit {
                1 | 2 | 4 | 8 => Ty::Int { bytes: unit as u8, signed: false },
                n => crate::target::btf::array(Ty::U8, n),
            }),
        }
    }

    /// The pointed-to type may be a name that only BTF knows (`sigset_t`).
    fn pointer(&self, space: Space) -> FieldTy {
        let mut ty = match (self.keyword, basic::basic(self.name)) {
            (None, Some(t)) => FieldTy::Known(Ty::ptr(t, space)),
            _ => FieldTy::Ptr(Box::new(FieldTy::Named(self.full())), space),
        };
        for _ in 1..self.stars.min(8) {
            ty = FieldTy::Ptr(Box::new(ty), space);
        }
        ty
    }

    /// Bytes of an element and their number: from the element's size where it is known, else from the length as written.
    fn unit_and_count(&self, length: &str, size: u32) -> (u32, u32) {
        let known = match (self.keyword, basic::basic(self.name)) {
            _ if self.stars > 0 => Some(8),
            (None, Some(t)) => Some(t.size()),
            _ => None,
        };
        if let Some(unit @ 1..) = known {
            return (unit, size / unit);
        }
        match length.trim().parse::<u32>() {
            Ok(n @ 1..) => (size / n, n),
            _ => (1, size),
        }
    }
}

fn strip_qualifiers(mut ty: &str) -> &str {
    loop {
        let before = ty;
        for word in ["const", "volatile", "__user", "__percpu", "__rcu", "__seg_gs", "__seg_fs"] {
            if let Some(rest) = ty.strip_prefix(word)
                && rest.starts_with(' ')
            {
                ty = rest.trim_start();
            }
            if let Some(rest) = ty.strip_suffix(word)
                && rest.ends_with(' ')
            {
                ty = rest.trim_end();
            }
        }
        if ty == before {
            return ty;
        }
    }
}
