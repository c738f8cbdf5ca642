//! The types of the language and how their values lie in memory. One definition serves the checker, the lowering and the
//! runtime that prints the bytes.

use std::fmt;
use std::sync::Arc;

/// Where a pointer points: decides how it is read (`->`, `*`, `str()`), whatever the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// kernel memory, by `bpf_probe_read_kernel`
    Kernel,
    /// memory of the traced process, by `bpf_probe_read_user`
    User,
    /// kernel memory whose type the verifier knows by BTF: plain loads
    Btf,
    /// the program's context: plain loads at constant offsets
    Ctx,
    /// the packet, by its place in it: bounds-checked loads
    Packet,
    /// our own memory (map value, scratch, stack): plain loads
    Own,
    /// not known yet; read as kernel memory
    Unknown,
}

/// How the frames of a stack are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum StackMode {
    #[default]
    Bpftrace,
    Perf,
    Raw,
    /// what a file's build id says, and the offset in that file
    BuildId,
}

/// Whose stack it is, and how its frames are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StackKind {
    Kernel,
    /// by the kernel, along the frame pointers
    User,
    /// by the program itself, with the tables that compilers leave for exceptions
    Unwound,
}

impl StackKind {
    /// Is it a process's?
    pub fn is_user(self) -> bool {
        self != StackKind::Kernel
    }
}

/// An aggregation's kind with the arguments that shape its storage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Agg {
    Count,
    Sum {
        signed: bool,
    },
    Avg {
        signed: bool,
    },
    Min {
        signed: bool,
    },
    Max {
        signed: bool,
    },
    Stats {
        signed: bool,
    },
    /// `bits`: sub-buckets of each power of two are 2^bits (0..=5)
    Hist {
        bits: u8,
    },
    Stddev {
        signed: bool,
    },
    /// which ones: 50, 99, 999 (99.9)
    Percentiles(Arc<[u16]>),
    Distinct,
    Rate,
    /// counts of the map's last key, of which the `n` largest are shown
    Top {
        n: u32,
    },
    /// nanoseconds of an interval, and how many of them
    Series {
        interval: u64,
        count: u32,
        how: crate::agg::tseries::How,
        signed: bool,
    },
    /// bounds and step of linear buckets, all in the value's unit
    Lhist {
        min: i64,
        max: i64,
        step: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    /// poison: an error was reported, say nothing more
    Error,
    /// no value
    Void,
    Bool,
    /// `bytes` is 1, 2, 4 or 8
    Int {
        bytes: u8,
        signed: bool,
    },
    /// C enum: stored as its integer, printed by name with `%s` and `print`
    Enum(Arc<EnumDef>),
    /// NUL-terminated unless full; `0` is the capacity in bytes
    Str(u32),
    /// `{ u32 len; u8 data[cap] }`
    Buf(u32),
    Ptr(Arc<Ty>, Space),
    /// C struct or union
    Record(Arc<RecordDef>),
    Array(Arc<Ty>, u32),
    Tuple(Arc<[Ty]>),
    /// `(a=1, b=2)`
    NamedTuple(Arc<[(String, Ty)]>),
    /// kernel: `{ i64 id }`; user: `{ i64 id; u32 tgid; u32 pad }`. `id` is a key of the plan's map that `StackStore`
    /// names.
    Stack {
        kind: StackKind,
        mode: StackMode,
        limit: u16,
    },
    /// `{ u64 addr }`
    Ksym,
    /// `{ u64 addr; u32 tgid; u32 pad }`
    Usym,
    /// `{ u32 af; u8 addr[16]; u32 pad }` (24 bytes), address in network order, `af` is 4 or 6
    Inet,
    /// `u8[6]`
    Mac,
    /// an IPv4 address in network order, 4 bytes; in a register as it lies in memory
    Ipv4,
    /// an IPv6 address in network order, 16 bytes
    Ipv6,
    /// an integer of so many bytes (2, 4, 8) in network order: a field's type only, a read gives the integer
    Be(u8),
    /// `{ u32 uid; u32 pad }`
    Username,
    /// `{ u64 ns; u32 format; u32 clock }`: `format` indexes the plan's strings, `clock` 0 boot, 1 realtime offset as `strftime` uses
    Timestamp,
    /// `{ u64 id; u32 filter; u32 pad }`: `filter` indexes the plan's strings
    CgroupPath,
    /// only as a map's value
    Agg(Agg),
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct EnumDef {
    /// without `enum `; empty when anonymous
    pub name: String,
    /// 1, 2, 4 or 8
    pub bytes: u8,
    pub signed: bool,
    pub variants: Vec<(String, i64)>,
}

/// A struct or union. Equality is by name and size: a definition refers to itself through pointers by name only.
pub struct RecordDef {
    /// with its keyword: `struct task_struct`; a context's is of its own making
    pub name: String,
    pub union: bool,
    /// bytes
    pub size: u32,
    pub align: u32,
    pub fields: Vec<Field>,
    /// id in vmlinux BTF, where it comes from there
    pub btf_id: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Field {
    /// members of anonymous members stand here too, under their own names
    pub name: String,
    pub ty: FieldTy,
    /// bytes from the record's start
    pub offset: u32,
    /// bit-field: first bit (from bit 0 of the byte at `offset`, little-endian) and width
    pub bits: Option<(u8, u8)>,
    /// `__data_loc` of a tracepoint: the low half is the offset of the bytes in the record, the high half the length
    pub data_loc: bool,
}

/// A field's type by name where the type is a record, so that definitions may be circular and are read on demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldTy {
    Known(Ty),
    /// a record or enum to look up: `struct file`
    Named(String),
    /// a BTF type id to be turned into a `Ty` on demand
    Btf(u32),
    /// the same of types that are not the kernel's: whose, and the id
    Foreign(u32, u32),
    /// a pointer; `Space::Unknown` stands for the space of what holds it (an argument of `resolve_field`)
    Ptr(Box<FieldTy>, Space),
    Array(Box<FieldTy>, u32),
}

impl PartialEq for RecordDef {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.size == other.size
    }
}
impl Eq for RecordDef {}
impl std::hash::Hash for RecordDef {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.name.hash(h);
    }
}
impl fmt::Debug for RecordDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.size)
    }
}

impl Ty {
    pub const I64: Ty = Ty::Int { bytes: 8, signed: true };
    pub const U64: Ty = Ty::Int { bytes: 8, signed: false };
    pub const U32: Ty = Ty::Int { bytes: 4, signed: false };
    pub const I32: Ty = Ty::Int { bytes: 4, signed: true };
    pub const U8: Ty = Ty::Int { bytes: 1, signed: false };

    pub fn ptr(to: Ty, space: Space) -> Ty {
        Ty::Ptr(Arc::new(to), space)
    }

    /// Is it held in one register (and not in memory)?
    pub fn is_scalar(&self) -> bool {
        matches!(self, Ty::Bool | Ty::Int { .. } | Ty::Enum(_) | Ty::Ptr(..))
    }

    pub fn is_int(&self) -> bool {
        matches!(self, Ty::Int { .. } | Ty::Bool | Ty::Enum(_))
    }

    pub fn is_signed(&self) -> bool {
        match self {
            Ty::Int { signed, .. } => *signed,
            Ty::Enum(e) => e.signed,
            _ => false,
        }
    }

    /// Bytes of a value in a key, a map's value or an event. Aggregations: one CPU's slot.
    pub fn size(&self) -> u32 {
        match self {
            Ty::Error | Ty::Void => 0,
            Ty::Bool => 1,
            Ty::Int { bytes, .. } => u32::from(*bytes),
            Ty::Enum(e) => u32::from(e.bytes),
            Ty::Str(n) => *n,
            Ty::Buf(n) => 4 + n,
            Ty::Ptr(..) | Ty::Ksym | Ty::Username => 8,
            Ty::Record(r) => r.size,
            Ty::Array(t, n) => t.size() * n,
            Ty::Tuple(ts) => struct_layout(ts.iter()).1,
            Ty::NamedTuple(ts) => struct_layout(ts.iter().map(|(_, t)| t)).1,
            Ty::Stack { kind: StackKind::Kernel, .. } => 8,
            Ty::Stack { .. } | Ty::Usym | Ty::Timestamp | Ty::CgroupPath => 16,
            Ty::Inet => 24,
            Ty::Mac => 6,
            Ty::Ipv4 => 4,
            Ty::Ipv6 => 16,
            Ty::Be(n) => u32::from(*n),
            Ty::Agg(a) => a.slot_size(),
        }
    }

    /// Alignment in bytes, a power of two up to 8.
    pub fn align(&self) -> u32 {
        match self {
            Ty::Error | Ty::Void | Ty::Bool | Ty::Str(_) | Ty::Mac => 1,
            Ty::Int { .. } | Ty::Enum(_) | Ty::Be(_) => self.size(),
            Ty::Buf(_) | Ty::Ipv4 | Ty::Ipv6 => 4,
            Ty::Record(r) => r.align.clamp(1, 8),
            Ty::Array(t, _) => t.align(),
            Ty::Tuple(ts) => ts.iter().map(Ty::align).max().unwrap_or(1),
            Ty::NamedTuple(ts) => ts.iter().map(|(_, t)| t.align()).max().unwrap_or(1),
            Ty::Inet => 4,
            _ => 8,
        }
    }

    /// Offsets of a tuple's fields, in bytes.
    pub fn tuple_offsets(&self) -> Vec<u32> {
        match self {
            Ty::Tuple(ts) => struct_layout(ts.iter()).0,
            Ty::NamedTuple(ts) => struct_layout(ts.iter().map(|(_, t)| t)).0,
            Ty::Record(r) => r.fields.iter().map(|f| f.offset).collect(),
            _ => Vec::new(),
        }
    }
}

/// Offsets and total size of fields laid out as a C struct whose alignment is at least that of its fields.
pub fn struct_layout<'a>(tys: impl Iterator<Item = &'a Ty>) -> (Vec<u32>, u32) {
    let (mut at, mut align, mut offsets) = (0u32, 1, Vec::new());
    for t in tys {
        at = at.next_multiple_of(t.align());
        offsets.push(at);
        at += t.size();
        align = align.max(t.align());
    }
    (offsets, at.next_multiple_of(align))
}

impl Agg {
    /// Bytes of one CPU's slot; the layouts are in each aggregation's file of `agg/`.
    pub fn slot_size(&self) -> u32 {
        crate::agg::slot_size(self)
    }
}

impl fmt::Display for Ty {
    /// As the user would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ty::Error => write!(f, "<error>"),
            Ty::Void => write!(f, "void"),
            Ty::Bool => write!(f, "bool"),
            Ty::Int { bytes, signed } => write!(f, "{}int{}", if *signed { "" } else { "u" }, u32::from(*bytes) * 8),
            Ty::Enum(e) if e.name.is_empty() => write!(f, "enum"),
            Ty::Enum(e) => write!(f, "enum {}", e.name),
            Ty::Str(n) => write!(f, "string[{n}]"),
            Ty::Buf(n) => write!(f, "buffer[{n}]"),
            Ty::Ptr(t, _) => write!(f, "{t}*"),
            Ty::Record(r) => write!(f, "{}", r.name),
            Ty::Array(t, n) => write!(f, "{t}[{n}]"),
            Ty::Tuple(ts) => {
                write!(f, "(")?;
                for (i, t) in ts.iter().enumerate() {
                    write!(f, "{}{t}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, ")")
            }
            Ty::NamedTuple(ts) => {
                write!(f, "(")?;
                for (i, (n, t)) in ts.iter().enumerate() {
                    write!(f, "{}{n}={t}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, ")")
            }
            Ty::Stack { kind: StackKind::Kernel, .. } => write!(f, "kstack"),
            Ty::Stack { kind: StackKind::User, .. } => write!(f, "ustack"),
            Ty::Stack { kind: StackKind::Unwound, .. } => write!(f, "dw_ustack"),
            Ty::Ksym => write!(f, "ksym_t"),
            Ty::Usym => write!(f, "usym_t"),
            Ty::Inet => write!(f, "inet"),
            Ty::Mac => write!(f, "mac_address"),
            Ty::Ipv4 => write!(f, "ipv4"),
            Ty::Ipv6 => write!(f, "ipv6"),
            Ty::Be(n) => write!(f, "be{}", u32::from(*n) * 8),
            Ty::Username => write!(f, "username"),
            Ty::Timestamp => write!(f, "timestamp"),
            Ty::CgroupPath => write!(f, "cgroup_path_t"),
            Ty::Agg(a) => write!(f, "{}", crate::agg::type_name(a)),
        }
    }
}
