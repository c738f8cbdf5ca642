//! bpf(2). The attribute structures are those of `union bpf_attr` in `include/uapi/linux/bpf.h`, one for each command and
//! only as long as what is used of it: the kernel takes the missing tail for zeros.

mod object;

pub use object::*;

use super::{check, owned};
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_func_info, bpf_insn, bpf_line_info, bpf_prog_info};
use std::ffi::CStr;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The kernel's `BPF_OBJ_NAME_LEN`, the closing NUL included.
const NAME_LEN: usize = 16;

/// # Safety
/// `attr` is the structure of `cmd`; every address in it is valid for what the command reads and writes there.
unsafe fn bpf<A>(cmd: bpf_cmd, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: by the caller's promise.
    check(unsafe { libc::syscall(libc::SYS_bpf, cmd as libc::c_long, std::ptr::from_mut(attr), size_of::<A>()) })
}

/// The kernel allows letters, digits, `_` and `.` in names of programs and maps, 15 of them.
fn object_name(name: &str) -> [u8; NAME_LEN] {
    let mut out = [0; NAME_LEN];
    for (o, b) in out.iter_mut().zip(name.bytes().take(NAME_LEN - 1)) {
        *o = match b {
            b'_' | b'.' => b,
            b if b.is_ascii_alphanumeric() => b,
            _ => b'_',
        };
    }
    out
}

/// Bytes that the kernel copies for each CPU of a per-CPU map's value.
pub fn percpu_stride(value_size: u32) -> usize {
    (value_size as usize).next_multiple_of(8)
}

/// How many CPUs there can be: what a look-up in a per-CPU map copies. Only the kernel's own word for it will do, since a
/// number too small would let it write beyond our buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossibleCpus(u32);

impl PossibleCpus {
    pub fn read() -> io::Result<PossibleCpus> {
        let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
        // `0-3`, `0,2-5`: one more than the highest, which is never less than their number.
        let highest = list.trim().rsplit([',', '-']).next();
        let highest = highest.and_then(|h| h.parse::<u32>().ok());
        highest.and_then(|h| h.checked_add(1)).map(PossibleCpus).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    pub fn count(self) -> u32 {
        self.0
    }
}

/// What `MAP_CREATE` is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct MapSpec<'a> {
    pub name: &'a str,
    /// `enum bpf_map_type`
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    /// types of key and value for `bpftool map dump` and for task storage
    pub btf: Option<MapBtf<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct MapBtf<'a> {
    pub fd: BorrowedFd<'a>,
    pub key: u32,
    pub value: u32,
}

/// A map of the kernel with the sizes that it was created with, so that no buffer can be too small for it.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    key_size: usize,
    /// bytes that a look-up copies: all CPUs of a per-CPU map
    value_size: usize,
    pub max_entries: u32,
}

impl Map {
    /// The same map of the kernel once more.
    pub fn try_clone(&self) -> io::Result<Map> {
        Ok(Map { fd: self.fd.try_clone()?, ..*self })
    }
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; NAME_LEN],
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    _pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct MapElem {
    map_fd: u32,
    _pad: u32,
    key: u64,
    /// value, or the next key
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct MapBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

fn address<T: ?Sized>(p: &T) -> u64 {
    std::ptr::from_ref(p).cast::<u8>() as u64
}

fn address_mut<T: ?Sized>(p: &mut T) -> u64 {
    std::ptr::from_mut(p).cast::<u8>() as u64
}

fn wrong_size() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "buffer does not fit the map's key or value")
}

/// Where a batch look-up goes on; opaque to us. Hash maps take 4 bytes, other maps a key.
#[derive(Clone, Debug, Default)]
pub struct BatchCursor(Option<Vec<u8>>);

/// What one batch look-up brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// elements at the start of the buffers
    pub count: usize,
    /// that was the rest of the map
    pub last: bool,
}

/// Bytes that a look-up copies. PERCPU_HASH is 5, PERCPU_ARRAY 6, LRU_PERCPU_HASH 10.
fn copied_size(kind: u32, value_size: u32, cpus: PossibleCpus) -> usize {
    if matches!(kind, 5 | 6 | 10) { percpu_stride(value_size) * cpus.0 as usize } else { value_size as usize }
}

impl Map {
    pub fn create(spec: &MapSpec, cpus: PossibleCpus) -> io::Result<Map> {
        let mut attr = MapCreate {
            map_type: spec.kind,
            key_size: spec.key_size,
            value_size: spec.value_size,
            max_entries: spec.max_entries,
            map_flags: spec.flags,
            map_name: object_name(spec.name),
            ..MapCreate::default()
        };
        if let Some(b) = &spec.btf {
            attr.btf_fd = b.fd.as_raw_fd() as u32;
            attr.btf_key_type_id = b.key;
            attr.btf_value_type_id = b.value;
        }
        // SAFETY: the attributes hold no address.
        let fd = owned(unsafe { bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr) }?)?;
        let value_size = copied_size(spec.kind, spec.value_size, cpus);
        Ok(Map { fd, key_size: spec.key_size as usize, value_size, max_entries: spec.max_entries })
    }

    /// A map that is there already, with the sizes that the kernel says.
    pub fn of(fd: OwnedFd, cpus: PossibleCpus) -> io::Result<(Map, MapInfo)> {
        let info = map_info(fd.as_fd())?;
        let value_size = copied_size(info.kind, info.value_size, cpus);
        Ok((Map { fd, key_size: info.key_size as usize, value_size, max_entries: info.max_entries }, info))
    }

    pub fn key_size(&self) -> usize {
        self.key_size
    }

    /// Bytes that a look-up copies: all CPUs of a per-CPU map, each `percpu_stride` long.
    pub fn copied_size(&self) -> usize {
        self.value_size
    }

    fn elem(&self, key: &[u8]) -> io::Result<MapElem> {
        if key.len() != self.key_size {
            return Err(wrong_size());
        }
        Ok(MapElem { map_fd: self.fd.as_raw_fd() as u32, key: address(key), ..MapElem::default() })
    }

    /// `Ok(false)`: no such key.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        let mut attr = self.elem(key)?;
        if value.len() < self.value_size {
            return Err(wrong_size());
        }
        attr.value = address_mut(value);
        // SAFETY: key and value are as long as the map's, which was just checked.
        found(unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) })
    }

    /// The next element of a queue or stack, which it leaves. `Ok(false)`: there is none.
    pub fn pop(&self, value: &mut [u8]) -> io::Result<bool> {
        let mut attr = MapElem { map_fd: self.fd.as_raw_fd() as u32, ..MapElem::default() };
        if value.len() < self.value_size {
            return Err(wrong_size());
        }
        attr.value = address_mut(value);
        // SAFETY: the value is as long as the map's, which was just checked; there is no key.
        found(unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_ELEM, &mut attr) })
    }

    pub fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.set(key, value, 0)
    }

    /// As `update`, but a key that is gone is not made again: `ENOENT`.
    pub fn replace(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        const EXIST: u64 = 2;
        self.set(key, value, EXIST)
    }

    fn set(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        let mut attr = self.elem(key)?;
        if value.len() < self.value_size {
            return Err(wrong_size());
        }
        attr.value = address(value);
        attr.flags = flags;
        // SAFETY: key and value are as long as the map's, and the kernel only reads them.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }

    /// `Ok(false)`: no such key.
    pub fn delete(&self, key: &[u8]) -> io::Result<bool> {
        let mut attr = self.elem(key)?;
        // SAFETY: the key is as long as the map's.
        found(unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) })
    }

    /// The key after `key`, or the first one. `Ok(false)`: there is none.
    pub fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
        if next.len() < self.key_size || key.is_some_and(|k| k.len() != self.key_size) {
            return Err(wrong_size());
        }
        let mut attr =
            MapElem { map_fd: self.fd.as_raw_fd() as u32, key: key.map_or(0, address), value: address_mut(next), ..MapElem::default() };
        // SAFETY: both keys are as long as the map's; a null key asks for the first one.
        found(unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) })
    }

    /// Up to as many elements as both buffers hold. `ENOSPC`: a bucket of the hash has more than that.
    pub fn lookup_batch(&self, cursor: &mut BatchCursor, keys: &mut [u8], values: &mut [u8]) -> io::Result<Batch> {
        self.batch(bpf_cmd::BPF_MAP_LOOKUP_BATCH, cursor, keys, values)
    }

    /// The same, and the elements are gone (hash maps).
    pub fn take_batch(&self, cursor: &mut BatchCursor, keys: &mut [u8], values: &mut [u8]) -> io::Result<Batch> {
        self.batch(bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_BATCH, cursor, keys, values)
    }

    fn batch(&self, command: bpf_cmd, cursor: &mut BatchCursor, keys: &mut [u8], values: &mut [u8]) -> io::Result<Batch> {
        let room = (keys.len() / self.key_size.max(1)).min(values.len() / self.value_size.max(1));
        // The kernel writes a u32 (hash maps) or a key (arrays).
        let mut next = vec![0u8; self.key_size.max(4)];
        let mut attr = MapBatch {
            in_batch: cursor.0.as_deref().map_or(0, address),
            out_batch: address_mut(next.as_mut_slice()),
            keys: address_mut(keys),
            values: address_mut(values),
            count: u32::try_from(room).unwrap_or(u32::MAX),
            map_fd: self.fd.as_raw_fd() as u32,
            ..MapBatch::default()
        };
        // SAFETY: `count` elements fit into both buffers; the cursors are at least as long as the kernel's.
        let r = unsafe { bpf(command, &mut attr) };
        let last = match found(r) {
            Ok(more) => !more,
            Err(e) => return Err(e),
        };
        cursor.0 = Some(next);
        Ok(Batch { count: (attr.count as usize).min(room), last })
    }

    /// Deletes the keys; `Ok(n)` of them were there. Stops at a key that is gone: call again with the rest.
    pub fn delete_batch(&self, keys: &[u8]) -> io::Result<usize> {
        let count = keys.len() / self.key_size.max(1);
        let mut attr = MapBatch {
            keys: address(keys),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            map_fd: self.fd.as_raw_fd() as u32,
            ..MapBatch::default()
        };
        // SAFETY: `keys` holds `count` keys of the map's size.
        found(unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_BATCH, &mut attr) })?;
        Ok((attr.count as usize).min(count))
    }

    /// No more changes from user space.
    pub fn freeze(&self) -> io::Result<()> {
        #[repr(C)]
        struct Freeze {
            map_fd: u32,
        }
        let mut attr = Freeze { map_fd: self.fd.as_raw_fd() as u32 };
        // SAFETY: the attributes hold no address.
        unsafe { bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }.map(drop)
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `ENOENT` is an answer, not a failure.
fn found(r: io::Result<libc::c_long>) -> io::Result<bool> {
    match r {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    btf: u64,
    btf_log_buf: u64,
    btf_size: u32,
    btf_log_size: u32,
    btf_log_level: u32,
    _pad: u32,
}

/// Loads types. `log` gets the kernel's words where it is given.
pub fn btf_load(bytes: &[u8], log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let mut attr = BtfLoad { btf: address(bytes), btf_size: bytes.len() as u32, ..BtfLoad::default() };
    if let Some(log) = log {
        attr.btf_log_size = log.len() as u32;
        attr.btf_log_buf = address_mut(log);
        attr.btf_log_level = 1;
    }
    // SAFETY: both buffers live through the call and have the lengths given.
    owned(unsafe { bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr) }?)
}

/// The types of a module of the kernel (5.11).
pub fn module_btf(name: &str) -> io::Result<OwnedFd> {
    #[repr(C)]
    #[derive(Default)]
    struct NextId {
        id: u32,
        next_id: u32,
        flags: u32,
    }
    #[repr(C)]
    #[derive(Default)]
    struct BtfInfo {
        btf: u64,
        btf_size: u32,
        id: u32,
        name: u64,
        name_len: u32,
        kernel: u32,
    }
    #[repr(C)]
    struct GetInfo {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut next = NextId::default();
    loop {
        // SAFETY: the attributes hold no address.
        unsafe { bpf(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut next) }?;
        next.id = next.next_id;
        let mut by_id = NextId { id: next.id, ..NextId::default() };
        // SAFETY: as above.
        let fd = match unsafe { bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut by_id) } {
            Ok(fd) => owned(fd)?,
            // It went away meanwhile.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(e) => return Err(e),
        };
        let mut text = [0u8; 64];
        let mut info = BtfInfo { name: address_mut(&mut text), name_len: text.len() as u32, ..BtfInfo::default() };
        let mut attr = GetInfo { bpf_fd: fd.as_raw_fd() as u32, info_len: size_of::<BtfInfo>() as u32, info: address_mut(&mut info) };
        // SAFETY: the kernel writes the structure and at most `name_len` bytes of the text.
        unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        if info.kernel != 0 && text.split(|b| *b == 0).next() == Some(name.as_bytes()) {
            return Ok(fd);
        }
    }
}

/// What `PROG_LOAD` is told.
#[derive(Clone, Copy, Debug)]
pub struct ProgSpec<'a> {
    pub name: &'a str,
    /// `enum bpf_prog_type`
    pub kind: u32,
    /// `enum bpf_attach_type`, or 0
    pub expected_attach_type: u32,
    /// type (in vmlinux where `attach_btf` is none) that a tracing program is for, or 0
    pub attach_btf_id: u32,
    /// types of the module (5.11), or the program, that `attach_btf_id` is of
    pub attach_btf: Option<BorrowedFd<'a>>,
    pub insns: &'a [bpf_insn],
    pub license: &'a CStr,
    /// types with func_info and line_info
    pub btf: Option<BorrowedFd<'a>>,
    pub func_info: &'a [bpf_func_info],
    pub line_info: &'a [bpf_line_info],
}

impl<'a> ProgSpec<'a> {
    /// Of a kind that is for nothing in particular, without types.
    pub fn new(name: &'a str, kind: u32, insns: &'a [bpf_insn]) -> ProgSpec<'a> {
        ProgSpec {
            name,
            kind,
            expected_attach_type: 0,
            attach_btf_id: 0,
            attach_btf: None,
            insns,
            license: c"GPL",
            btf: None,
            func_info: &[],
            line_info: &[],
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LEN],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_btf_obj_fd: u32,
    /// CO-RE relocations: none. Named so that no padding is left to chance.
    core_relo_cnt: u32,
}

/// Loads a program. `log` gets the verifier's words (level 1) where it is given; `ENOSPC`: it was too short for them.
/// `kern_version` stays 0: the kernel has not looked at it since 5.0.
pub fn prog_load(spec: &ProgSpec, log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let mut attr = ProgLoad {
        prog_type: spec.kind,
        insn_cnt: spec.insns.len() as u32,
        insns: address(spec.insns),
        license: address(spec.license.to_bytes_with_nul()),
        prog_name: object_name(spec.name),
        expected_attach_type: spec.expected_attach_type,
        attach_btf_id: spec.attach_btf_id,
        attach_btf_obj_fd: spec.attach_btf.map_or(0, |fd| fd.as_raw_fd() as u32),
        ..ProgLoad::default()
    };
    if let Some(btf) = spec.btf {
        attr.prog_btf_fd = btf.as_raw_fd() as u32;
        if !spec.func_info.is_empty() {
            attr.func_info = address(spec.func_info);
            attr.func_info_cnt = spec.func_info.len() as u32;
            attr.func_info_rec_size = size_of::<bpf_func_info>() as u32;
        }
        if !spec.line_info.is_empty() {
            attr.line_info = address(spec.line_info);
            attr.line_info_cnt = spec.line_info.len() as u32;
            attr.line_info_rec_size = size_of::<bpf_line_info>() as u32;
        }
    }
    if let Some(log) = log {
        attr.log_size = log.len() as u32;
        attr.log_buf = address_mut(log);
        attr.log_level = 1;
    }
    // The verifier gives up with EAGAIN when a signal is pending, whatever signal that is.
    for _ in 0..5 {
        // SAFETY: instructions, license, infos and the log live through the call and have the lengths given.
        match unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) } {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            r => return owned(r?),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    _pad: u32,
}

/// Runs a raw tracepoint program once, now, on this CPU, with twelve zeros as its arguments. Gives what it returned. (5.10)
pub fn test_run(prog: BorrowedFd) -> io::Result<u32> {
    let ctx = [0u64; 12];
    let mut attr =
        TestRun { prog_fd: prog.as_raw_fd() as u32, ctx_in: address(&ctx), ctx_size_in: size_of_val(&ctx) as u32, ..TestRun::default() };
    // SAFETY: the context lives through the call and has the length given.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

/// What a packet program made of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketRun {
    pub verdict: u32,
    /// the packet afterwards
    pub packet: Vec<u8>,
    /// ns for one run, on the average of `repeat`
    pub ns: u32,
}

/// Runs a packet program on a packet made by hand, `repeat` times.
pub fn test_packet(prog: BorrowedFd, packet: &[u8], repeat: u32) -> io::Result<PacketRun> {
    let mut out = vec![0; packet.len() + 512];
    let mut attr = TestRun {
        prog_fd: prog.as_raw_fd() as u32,
        data_in: address(packet),
        data_size_in: packet.len() as u32,
        data_out: address_mut(out.as_mut_slice()),
        data_size_out: out.len() as u32,
        repeat,
        ..TestRun::default()
    };
    // SAFETY: both buffers live through the call and have the lengths given.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    out.truncate(attr.data_size_out as usize);
    Ok(PacketRun { verdict: attr.retval, packet: out, ns: attr.duration })
}

/// Attaches a raw tracepoint program by name, a tracing program without one. A `cookie` other than 0 needs 6.10.
pub fn raw_tracepoint_open(name: Option<&CStr>, prog: BorrowedFd, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct RawTracepoint {
        name: u64,
        prog_fd: u32,
        _pad: u32,
        cookie: u64,
    }
    let mut attr =
        RawTracepoint { name: name.map_or(0, |n| address(n.to_bytes_with_nul())), prog_fd: prog.as_raw_fd() as u32, _pad: 0, cookie };
    // SAFETY: the name is a C string that lives through the call.
    owned(unsafe { bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) }?)
}

/// `LINK_CREATE` of a program to something that a number stands for: a file, or a network interface.
pub fn link(prog: BorrowedFd, target: u32, attach_type: bpf_attach_type, flags: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        prog_fd: u32,
        target: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attr = Link { prog_fd: prog.as_raw_fd() as u32, target, attach_type: attach_type as u32, flags };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// `LINK_CREATE` of a program to a perf event, with a cookie (5.15).
pub fn link_perf_event(prog: BorrowedFd, event: BorrowedFd, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkPerf {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        bpf_cookie: u64,
    }
    let mut attr = LinkPerf {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: event.as_raw_fd() as u32,
        attach_type: bpf_attach_type::BPF_PERF_EVENT as u32,
        flags: 0,
        bpf_cookie: cookie,
    };
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// `LINK_CREATE` of a program to many places of one binary (6.6). `pid` 0: all processes.
pub fn link_uprobe_multi(prog: BorrowedFd, path: &CStr, offsets: &[u64], cookies: &[u64], ret: bool, pid: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkUprobeMulti {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        path: u64,
        offsets: u64,
        ref_ctr_offsets: u64,
        cookies: u64,
        cnt: u32,
        uprobe_flags: u32,
        pid: u32,
        _pad: u32,
    }
    if cookies.len() != offsets.len() {
        return Err(wrong_size());
    }
    let mut attr = LinkUprobeMulti {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32,
        flags: 0,
        path: address(path.to_bytes_with_nul()),
        offsets: address(offsets),
        ref_ctr_offsets: 0,
        cookies: address(cookies),
        cnt: offsets.len() as u32,
        // BPF_F_UPROBE_MULTI_RETURN
        uprobe_flags: u32::from(ret),
        pid,
        _pad: 0,
    };
    // SAFETY: path, offsets and cookies live through the call; both arrays have `cnt` elements.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// `BPF_TRACE_KPROBE_SESSION`
pub const KPROBE_SESSION: u32 = 56;

/// When a program of many functions runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Entry,
    Return,
    /// both (6.10)
    Session,
}

/// `LINK_CREATE` of a program to many functions of the kernel by name (5.18).
pub fn link_kprobe_multi(prog: BorrowedFd, names: &[&CStr], cookies: &[u64], moment: Moment) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkKprobeMulti {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        kprobe_flags: u32,
        cnt: u32,
        syms: u64,
        addrs: u64,
        cookies: u64,
    }
    if cookies.len() != names.len() {
        return Err(wrong_size());
    }
    let names: Vec<*const libc::c_char> = names.iter().map(|n| n.as_ptr()).collect();
    let mut attr = LinkKprobeMulti {
        prog_fd: prog.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: if moment == Moment::Session { KPROBE_SESSION } else { bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32 },
        flags: 0,
        // BPF_F_KPROBE_MULTI_RETURN
        kprobe_flags: u32::from(moment == Moment::Return),
        cnt: names.len() as u32,
        syms: address(names.as_slice()),
        addrs: 0,
        cookies: address(cookies),
    };
    // SAFETY: names and cookies live through the call and have `cnt` elements.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?)
}

/// The part of `struct bpf_prog_info` that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgInfo {
    /// ns and runs; 0 unless `kernel.bpf_stats_enabled`
    pub run_time_ns: u64,
    pub run_count: u64,
    /// runs left out because the program (or, in some places, any program) ran on that CPU already
    pub recursion_misses: u64,
    /// instructions that the verifier looked at (5.16)
    pub verified_insns: u32,
    /// bytes of the instructions after the verifier's rewriting
    pub xlated_len: u32,
}

/// Runs of programs and their time are counted while the descriptor is open (5.8; `kernel.bpf_stats_enabled` is the same).
pub fn enable_stats() -> io::Result<OwnedFd> {
    // `BPF_STATS_RUN_TIME`
    let mut kind = 0u32;
    // SAFETY: the kernel reads one number.
    owned(unsafe { bpf(bpf_cmd::BPF_ENABLE_STATS, &mut kind) }?)
}

pub fn prog_info(prog: BorrowedFd) -> io::Result<ProgInfo> {
    // As words, so that no field is read through a pointer: all that is asked for is 8-aligned or a half of such a word.
    let mut info = [0u64; size_of::<bpf_prog_info>() / 8];
    object_info(prog, &mut info)?;
    let half = |offset: usize| half(&info, offset);
    Ok(ProgInfo {
        run_time_ns: info[offset_of!(bpf_prog_info, run_time_ns) / 8],
        run_count: info[offset_of!(bpf_prog_info, run_cnt) / 8],
        recursion_misses: info[offset_of!(bpf_prog_info, recursion_misses) / 8],
        verified_insns: half(offset_of!(bpf_prog_info, verified_insns)),
        xlated_len: half(offset_of!(bpf_prog_info, xlated_prog_len)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&object_name("a-b.c_d"), b"a_b.c_d\0\0\0\0\0\0\0\0\0");
        assert_eq!(&object_name("0123456789abcdefgh"), b"0123456789abcde\0");
    }

    /// Offsets of the uapi header.
    #[test]
    fn attributes_lie_as_the_kernel_reads_them() {
        assert_eq!(offset_of!(MapCreate, btf_value_type_id), 56);
        assert_eq!(offset_of!(ProgLoad, prog_name), 48);
        assert_eq!(offset_of!(ProgLoad, func_info), 80);
        assert_eq!(offset_of!(ProgLoad, attach_btf_id), 108);
        assert_eq!(offset_of!(TestRun, ctx_in), 48);
        assert_eq!(offset_of!(MapBatch, elem_flags), 40);
    }
}
