//! The bytes of a `.BTF` section, each read checked: a header, type records of 12 bytes and a tail that depends on the
//! kind, and a table of NUL-terminated names (Documentation/bpf/btf.rst, as of Linux 6.18).

/// What a type record describes; the numbers are the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    /// values of 32 bits
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    Datasec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    /// values of 64 bits
    Enum64 = 19,
}

impl Kind {
    pub fn from_number(n: u32) -> Option<Kind> {
        const ALL: [Kind; 19] = [
            Kind::Int,
            Kind::Ptr,
            Kind::Array,
            Kind::Struct,
            Kind::Union,
            Kind::Enum,
            Kind::Fwd,
            Kind::Typedef,
            Kind::Volatile,
            Kind::Const,
            Kind::Restrict,
            Kind::Func,
            Kind::FuncProto,
            Kind::Var,
            Kind::Datasec,
            Kind::Float,
            Kind::DeclTag,
            Kind::TypeTag,
            Kind::Enum64,
        ];
        ALL.get((n as usize).checked_sub(1)?).copied()
    }

    /// Bytes behind the 12 of the record itself.
    fn tail(self, vlen: u32) -> usize {
        let vlen = vlen as usize;
        match self {
            Kind::Int | Kind::Var | Kind::DeclTag => 4,
            Kind::Array => 12,
            Kind::Struct | Kind::Union | Kind::Datasec | Kind::Enum64 => 12 * vlen,
            Kind::Enum | Kind::FuncProto => 8 * vlen,
            _ => 0,
        }
    }
}

/// A type record's fixed part.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// offset of its name
    pub name: u32,
    pub kind: Kind,
    /// members, values or parameters that follow
    pub vlen: u32,
    /// struct: offsets carry bit-field widths; enum: signed; forward: a union
    pub flag: bool,
    /// a size in bytes or the id of another type, as the kind wants it
    pub size_or_type: u32,
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// The record at `at` of the type section, and where the next one starts. `None`: it is cut off or of an unknown kind.
pub fn head(types: &[u8], at: usize) -> Option<(Head, usize)> {
    let b = types.get(at..at.checked_add(12)?)?;
    let word = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
    let info = word(4);
    let kind = Kind::from_number((info >> 24) & 0x1f)?;
    let vlen = info & 0xffff;
    let next = at + 12 + kind.tail(vlen);
    (next <= types.len()).then_some((Head { name: word(0), kind, vlen, flag: info >> 31 != 0, size_or_type: word(8) }, next))
}

/// Where the two tables lie in the section.
#[derive(Clone, Debug)]
pub struct Sections {
    pub types: std::ops::Range<usize>,
    pub names: std::ops::Range<usize>,
}

pub fn sections(bytes: &[u8]) -> Result<Sections, String> {
    let found = tables(bytes)?;
    // the kernel requires it too (btf_parse_str_sec); look-ups rely on offset 0 being the empty name
    if bytes[found.names.clone()].first() != Some(&0) || bytes[found.names.clone()].last() != Some(&0) {
        return Err("broken BTF: its names don't start and end with NUL".into());
    }
    Ok(found)
}

/// The same for a section that continues another one, and so has no empty name of its own.
pub fn tables(bytes: &[u8]) -> Result<Sections, String> {
    const MAGIC: [u8; 2] = [0x9f, 0xeb];
    let short = || format!("not BTF: its header is cut off (the file has {} bytes)", bytes.len());
    let head = bytes.get(..24).ok_or_else(short)?;
    if head[..2] == [MAGIC[1], MAGIC[0]] {
        return Err("this BTF is big-endian; awl reads little-endian only".into());
    }
    if head[..2] != MAGIC {
        return Err("not BTF: the file doesn't start with BTF's magic number".into());
    }
    if head[2] != 1 {
        return Err(format!("BTF of version {}; awl knows version 1", head[2]));
    }
    let word = |at| u32_at(bytes, at).map(|w| w as usize).ok_or_else(short);
    let start = word(4)?;
    let range = |off: usize, len: usize, what: &str| {
        let from = start.checked_add(off);
        let to = from.and_then(|f| f.checked_add(len));
        match (from, to) {
            (Some(from), Some(to)) if start >= 24 && to <= bytes.len() => Ok(from..to),
            _ => Err(format!("broken BTF: its {what} lie outside the file")),
        }
    };
    Ok(Sections { types: range(word(8)?, word(12)?, "types")?, names: range(word(16)?, word(20)?, "names")? })
}

/// The kernel's names end before 512 bytes (`KSYM_NAME_LEN`); the rest of a longer one is dropped.
const MAX_NAME: usize = 1024;

/// The bytes of a name without its NUL; empty where the offset is outside.
pub fn name(names: &[u8], at: u32) -> &[u8] {
    let rest = names.get(at as usize..).unwrap_or(&[]);
    let rest = &rest[..rest.len().min(MAX_NAME)];
    let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
    &rest[..end]
}

/// Is the name at `at` just `wanted`? Cheaper than reading it: most candidates fail at the first comparison.
pub fn name_is(names: &[u8], at: u32, wanted: &[u8]) -> bool {
    let at = at as usize;
    names.get(at + wanted.len()) == Some(&0) && names.get(at..at + wanted.len()) == Some(wanted)
}
