//! C's own type names and the ones that every header defines, for LP64 Linux (x86-64 and arm64 alike). `char` is signed
//! here, as bpftrace has it.

use crate::types::{Space, Ty};

/// Integer types by name, with size in bytes and sign. The words of a C type in any order (`long unsigned int`) are
/// handled by `integer`.
const NAMES: &[(&str, u8, bool)] = &[
    ("int8", 1, true),
    ("int16", 2, true),
    ("int32", 4, true),
    ("int64", 8, true),
    ("uint8", 1, false),
    ("uint16", 2, false),
    ("uint32", 4, false),
    ("uint64", 8, false),
    ("int8_t", 1, true),
    ("int16_t", 2, true),
    ("int32_t", 4, true),
    ("int64_t", 8, true),
    ("uint8_t", 1, false),
    ("uint16_t", 2, false),
    ("uint32_t", 4, false),
    ("uint64_t", 8, false),
    ("s8", 1, true),
    ("s16", 2, true),
    ("s32", 4, true),
    ("s64", 8, true),
    ("u8", 1, false),
    ("u16", 2, false),
    ("u32", 4, false),
    ("u64", 8, false),
    ("__s8", 1, true),
    ("__s16", 2, true),
    ("__s32", 4, true),
    ("__s64", 8, true),
    ("__u8", 1, false),
    ("__u16", 2, false),
    ("__u32", 4, false),
    ("__u64", 8, false),
    ("__le16", 2, false),
    ("__le32", 4, false),
    ("__le64", 8, false),
    ("__be16", 2, false),
    ("__be32", 4, false),
    ("__be64", 8, false),
    ("__sum16", 2, false),
    ("__wsum", 4, false),
    ("u_char", 1, false),
    ("u_short", 2, false),
    ("u_int", 4, false),
    ("u_long", 8, false),
    ("u_int8_t", 1, false),
    ("u_int16_t", 2, false),
    ("u_int32_t", 4, false),
    ("u_int64_t", 8, false),
    ("unchar", 1, false),
    ("ushort", 2, false),
    ("uint", 4, false),
    ("ulong", 8, false),
    ("size_t", 8, false),
    ("ssize_t", 8, true),
    ("ptrdiff_t", 8, true),
    ("intptr_t", 8, true),
    ("uintptr_t", 8, false),
    ("intmax_t", 8, true),
    ("uintmax_t", 8, false),
    ("wchar_t", 4, true),
    ("pid_t", 4, true),
    ("tid_t", 4, true),
    ("uid_t", 4, false),
    ("gid_t", 4, false),
    ("dev_t", 4, false),
    ("mode_t", 4, false),
    ("umode_t", 2, false),
    ("off_t", 8, true),
    ("loff_t", 8, true),
    ("ino_t", 8, false),
    ("nlink_t", 4, false),
    ("time_t", 8, true),
    ("time64_t", 8, true),
    ("ktime_t", 8, true),
    ("clock_t", 8, true),
    ("clockid_t", 4, true),
    ("timer_t", 4, true),
    ("mqd_t", 4, true),
    ("key_t", 4, true),
    ("key_serial_t", 4, true),
    ("qid_t", 4, false),
    ("rwf_t", 4, true),
    ("aio_context_t", 8, false),
    ("sector_t", 8, false),
    ("blkcnt_t", 8, false),
    ("gfp_t", 4, false),
    ("fmode_t", 4, false),
    ("slab_flags_t", 4, false),
    ("phys_addr_t", 8, false),
    ("dma_addr_t", 8, false),
    ("resource_size_t", 8, false),
    ("socklen_t", 4, false),
    ("sa_family_t", 2, false),
    ("in_addr_t", 4, false),
    ("in_port_t", 2, false),
];

/// An integer type by its C name: (bytes, signed). Words may stand in any order, as C allows: `long unsigned int`.
pub fn integer(name: &str) -> Option<(u8, bool)> {
    if let Some((_, bytes, signed)) = NAMES.iter().find(|(n, ..)| *n == name) {
        return Some((*bytes, *signed));
    }
    let (mut sign, mut longs, mut shorts, mut chars, mut ints) = (None, 0, 0, 0, 0);
    for word in name.split_ascii_whitespace() {
        match word {
            "unsigned" | "signed" | "__signed__" if sign.is_none() => {
                sign = Some(word != "unsigned");
            }
            "long" => longs += 1,
            "short" => shorts += 1,
            "char" => chars += 1,
            "int" => ints += 1,
            _ => return None,
        }
    }
    let signed = sign.unwrap_or(true);
    match (longs, shorts, chars, ints) {
        (0, 0, 1, 0) => Some((1, signed)),
        (0, 1, 0, 0 | 1) => Some((2, signed)),
        (0, 0, 0, 1) => Some((4, signed)),
        (0, 0, 0, 0) if sign.is_some() => Some((4, signed)),
        (1 | 2, 0, 0, 0 | 1) => Some((8, signed)),
        _ => None,
    }
}

/// A type of C that needs no definition. `void*`-like names don't exist here: pointers are built by the declarator.
pub fn basic(name: &str) -> Option<Ty> {
    match name {
        "void" => Some(Ty::Void),
        "bool" | "_Bool" => Some(Ty::Bool),
        // of packets: in network order
        "be16" => Some(Ty::Be(2)),
        "be32" => Some(Ty::Be(4)),
        "be64" => Some(Ty::Be(8)),
        "ipv4" => Some(Ty::Ipv4),
        "ipv6" => Some(Ty::Ipv6),
        "mac_address" => Some(Ty::Mac),
        // register-sized pointers that headers hide behind a name
        "fl_owner_t" => Some(Ty::ptr(Ty::Void, Space::Unknown)),
        _ => integer(name).map(|(bytes, signed)| Ty::Int { bytes, signed }),
    }
}
