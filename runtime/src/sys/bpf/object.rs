//! Objects of the kernel that others made, or that stay without us: found by number, described, given names.

use super::{NAME_LEN, address, address_mut, bpf};
use crate::sys::owned;
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_info};
use std::ffi::CString;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A program by the number that the kernel gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramId(pub u32);

/// What a program is called and what it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    /// `enum bpf_prog_type`
    pub kind: u32,
    /// ids of its maps
    pub maps: Vec<u32>,
}

/// Programs attached to an interface by tcx, in their order. (6.6)
pub fn programs_at(interface: u32, attach_type: bpf_attach_type) -> io::Result<Vec<ProgramId>> {
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        count: u32,
        _pad: u32,
        prog_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
    let mut ids = [0u32; 64];
    let mut attr = Query {
        target: interface,
        attach_type: attach_type as u32,
        prog_ids: address_mut(&mut ids),
        count: ids.len() as u32,
        ..Query::default()
    };
    // SAFETY: the kernel writes at most `count` ids.
    unsafe { bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr) }?;
    Ok(ids.iter().take(attr.count as usize).map(|id| ProgramId(*id)).collect())
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// Makes a map one of those that a program holds, though it doesn't use it. (5.10)
pub fn bind_map(prog: BorrowedFd, map: BorrowedFd) -> io::Result<()> {
    #[repr(C)]
    struct Bind {
        prog_fd: u32,
        map_fd: u32,
        flags: u32,
    }
    let mut attr = Bind { prog_fd: prog.as_raw_fd() as u32, map_fd: map.as_raw_fd() as u32, flags: 0 };
    // SAFETY: the attributes hold no address.
    unsafe { bpf(bpf_cmd::BPF_PROG_BIND_MAP, &mut attr) }.map(drop)
}

/// Gives an object a name in a bpf file system, where it stays without us.
pub fn pin(path: &Path, object: BorrowedFd) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = Pinned { path: address(path.to_bytes_with_nul()), fd: object.as_raw_fd() as u32, flags: 0 };
    // SAFETY: the path lives through the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// The object of that name.
pub fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = Pinned { path: address(path.to_bytes_with_nul()), fd: 0, flags: 0 };
    // SAFETY: the path lives through the call.
    owned(unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attr) }?)
}

/// Where a link is whose program can be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPlace {
    /// an interface's number
    Xdp(u32),
    /// an interface's number, and which way
    Tcx(u32, u32),
    /// a cgroup's number, and the hook
    Cgroup(u64, u32),
}

/// `struct bpf_link_info` as far as it is asked for: type, id, program, and 32 bytes that depend on the type.
fn link_info(link: BorrowedFd) -> io::Result<[u64; 6]> {
    let mut info = [0; 6];
    object_info(link, &mut info)?;
    Ok(info)
}

/// `None`: another kind of link, or none at all.
pub fn link_place(link: BorrowedFd) -> Option<LinkPlace> {
    use aya_obj::generated::bpf_link_type as t;
    let info = link_info(link).ok()?;
    let (kind, first, second) = (half(&info, 0), half(&info, 16), half(&info, 20));
    match kind {
        k if k == t::BPF_LINK_TYPE_XDP as u32 => Some(LinkPlace::Xdp(first)),
        k if k == t::BPF_LINK_TYPE_TCX as u32 => Some(LinkPlace::Tcx(first, second)),
        k if k == t::BPF_LINK_TYPE_CGROUP as u32 => Some(LinkPlace::Cgroup(info[2], half(&info, 24))),
        _ => None,
    }
}

pub fn link_program(link: BorrowedFd) -> io::Result<ProgramId> {
    link_info(link).map(|info| ProgramId(half(&info, 8)))
}

/// Is it a link that is gone through? Other objects tell as much in the same place of what else they tell, but not here.
pub fn is_iterator(link: BorrowedFd) -> bool {
    let said = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd())).unwrap_or_default();
    said.lines().any(|l| l == "link_type:\titer")
}

/// `LINK_UPDATE`: another program for the link.
pub fn link_update(link: BorrowedFd, prog: BorrowedFd) -> io::Result<()> {
    #[repr(C)]
    struct Update {
        link_fd: u32,
        new_prog_fd: u32,
        flags: u32,
        old_prog_fd: u32,
    }
    let mut attr = Update { link_fd: link.as_raw_fd() as u32, new_prog_fd: prog.as_raw_fd() as u32, flags: 0, old_prog_fd: 0 };
    // SAFETY: the attributes hold no address.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr) }.map(drop)
}

#[repr(C)]
struct Pinned {
    path: u64,
    fd: u32,
    flags: u32,
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_encoded_bytes())?)
}

/// All programs in the kernel.
pub fn program_ids() -> Vec<ProgramId> {
    let mut out = Vec::new();
    let mut attr = ById::default();
    // SAFETY: the attributes hold no address.
    while unsafe { bpf(bpf_cmd::BPF_PROG_GET_NEXT_ID, &mut attr) }.is_ok() {
        out.push(ProgramId(attr.next));
        attr = ById { id: attr.next, ..ById::default() };
    }
    out
}

pub fn program_id(prog: BorrowedFd) -> io::Result<ProgramId> {
    let mut info = [0u64; size_of::<bpf_prog_info>() / 8];
    object_info(prog, &mut info)?;
    Ok(ProgramId(half(&info, offset_of!(bpf_prog_info, id))))
}

pub fn program(id: ProgramId) -> io::Result<OwnedFd> {
    let mut attr = ById { id: id.0, ..ById::default() };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr) }?)
}

/// The bytes of an object's name, as far as they are one.
fn name_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

pub fn program_details(id: ProgramId) -> io::Result<Details> {
    let fd = program(id)?;
    let mut maps = [0u32; 64];
    let mut info = [0u64; size_of::<bpf_prog_info>() / 8];
    info[offset_of!(bpf_prog_info, map_ids) / 8] = address_mut(&mut maps);
    let count = offset_of!(bpf_prog_info, nr_map_ids);
    set_half(&mut info, count, maps.len() as u32);
    object_info(fd.as_fd(), &mut info)?;
    let bytes: Vec<u8> = info.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let name = offset_of!(bpf_prog_info, name);
    Ok(Details {
        name: name_of(&bytes[name..name + NAME_LEN]),
        kind: half(&info, 0),
        maps: maps.iter().take(half(&info, count) as usize).copied().collect(),
    })
}

/// The number of a program's types (0: it has none), and those of its functions in them.
pub fn program_functions(prog: BorrowedFd) -> io::Result<(u32, Vec<u32>)> {
    /// `struct bpf_func_info`: where it begins, and its type
    const RECORD: usize = 8;
    let mut info = [0u64; size_of::<bpf_prog_info>() / 8];
    object_info(prog, &mut info)?;
    let (count, size) = (offset_of!(bpf_prog_info, nr_func_info), offset_of!(bpf_prog_info, func_info_rec_size));
    let (btf, number) = (half(&info, offset_of!(bpf_prog_info, btf_id)), half(&info, count));
    let mut records = vec![0u8; number as usize * RECORD];
    let mut info = [0u64; size_of::<bpf_prog_info>() / 8];
    info[offset_of!(bpf_prog_info, func_info) / 8] = address_mut(records.as_mut_slice());
    set_half(&mut info, count, number);
    set_half(&mut info, size, RECORD as u32);
    object_info(prog, &mut info)?;
    let types = records.chunks_exact(RECORD).map(|r| u32::from_ne_bytes([r[4], r[5], r[6], r[7]]));
    Ok((btf, types.collect()))
}

pub fn map_name(id: u32) -> io::Result<String> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the attributes hold no address.
    let fd = owned(unsafe { bpf(bpf_cmd::BPF_MAP_GET_FD_BY_ID, &mut attr) }?)?;
    // struct bpf_map_info: six words, then the name
    let mut info = [0u64; 16];
    object_info(fd.as_fd(), &mut info)?;
    let bytes: Vec<u8> = info.iter().flat_map(|w| w.to_ne_bytes()).collect();
    Ok(name_of(&bytes[24..24 + NAME_LEN]))
}

/// What the kernel knows of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// `enum bpf_map_type`
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    /// types: the BTF's number (0: none), and in it the key's and the value's
    pub btf: u32,
    pub key_type: u32,
    pub value_type: u32,
}

pub fn map_info(map: BorrowedFd) -> io::Result<MapInfo> {
    // struct bpf_map_info
    let mut info = [0u64; 16];
    object_info(map, &mut info)?;
    Ok(MapInfo {
        kind: half(&info, 0),
        key_size: half(&info, 8),
        value_size: half(&info, 12),
        max_entries: half(&info, 16),
        btf: half(&info, 64),
        key_type: half(&info, 68),
        value_type: half(&info, 72),
    })
}

/// The bytes of loaded types.
pub fn btf_bytes(id: u32) -> io::Result<Vec<u8>> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the attributes hold no address.
    let fd = owned(unsafe { bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) }?)?;
    // struct bpf_btf_info: address, size, id
    let mut info = [0u64; 2];
    object_info(fd.as_fd(), &mut info)?;
    let mut bytes = vec![0u8; half(&info, 8) as usize];
    let mut info = [address_mut(bytes.as_mut_slice()), bytes.len() as u64];
    object_info(fd.as_fd(), &mut info)?;
    Ok(bytes)
}

pub(super) fn half(info: &[u64], offset: usize) -> u32 {
    let bytes = info[offset / 8].to_ne_bytes();
    let at = offset % 8;
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn set_half(info: &mut [u64], offset: usize, value: u32) {
    let mut bytes = info[offset / 8].to_ne_bytes();
    bytes[offset % 8..offset % 8 + 4].copy_from_slice(&value.to_ne_bytes());
    info[offset / 8] = u64::from_ne_bytes(bytes);
}

/// `OBJ_GET_INFO_BY_FD`. Addresses in `info` must be of buffers as long as the counts beside them say.
pub(super) fn object_info(fd: BorrowedFd, info: &mut [u64]) -> io::Result<()> {
    #[repr(C)]
    struct GetInfo {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut attr = GetInfo { bpf_fd: fd.as_raw_fd() as u32, info_len: size_of_val(info) as u32, info: address_mut(info) };
    // SAFETY: the kernel writes at most `info_len` bytes, and at the addresses in it as much as is said there.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }.map(drop)
}

/// Hits that a link to functions of the kernel did not hand on to its program (6.7); `None` for other links. The layout is that of
/// `struct bpf_link_info`: what the bindings know ends before.
pub fn link_missed(link: BorrowedFd) -> Option<u64> {
    const PERF_EVENT: u32 = 7;
    const KPROBE_MULTI: u32 = 8;
    /// `enum bpf_perf_event_type`
    const KPROBE: u32 = 3;
    const KRETPROBE: u32 = 4;
    // Its buffers for addresses, cookies and names are of no length.
    let mut info = [0u64; 8];
    object_info(link, &mut info).ok()?;
    match (half(&info, 0), half(&info, 16)) {
        (KPROBE_MULTI, _) => Some(info[4]),
        (PERF_EVENT, KPROBE | KRETPROBE) => Some(info[6]),
        _ => None,
    }
}

/// `LINK_CREATE` of an iterator, of the tasks of one process where `pid` is given (6.1).
pub fn link_iter(prog: BorrowedFd, pid: Option<u32>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkIter {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        iter_info: u64,
        iter_info_len: u32,
        _pad: u32,
    }
    // `bpf_iter_link_info.task`: thread, process, descriptor of a process
    let info = [0, pid.unwrap_or(0), 0, 0];
    let mut attr = LinkIter {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: bpf_attach_type::BPF_TRACE_ITER as u32,
        flags: 0,
        iter_info: if pid.is_some() { address(info.as_slice()) } else { 0 },
        iter_info_len: if pid.is_some() { size_of_val(&info) as u32 } else { 0 },
        _pad: 0,
    };
    // SAFETY: the description lives through the call and has the length given.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// A descriptor that runs the iterator when it is read.
pub fn iter_create(link: BorrowedFd) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct IterCreate {
        link_fd: u32,
        flags: u32,
    }
    let mut attr = IterCreate { link_fd: link.as_raw_fd() as u32, flags: 0 };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_ITER_CREATE, &mut attr) }?)
}
