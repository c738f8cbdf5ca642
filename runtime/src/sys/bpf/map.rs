//! Maps: created, read, written, a batch at a time.

use super::object::{MapInfo, map_info};
use super::{NAME_LEN, address, address_mut, bpf, object_name, wrong_size};
use crate::sys::owned;
use aya_obj::generated::bpf_cmd;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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

#[cfg(test)]
mod tests {
    use super::{MapBatch, MapCreate};
    use std::mem::offset_of;

    /// Offsets of the uapi header.
    #[test]
    fn attributes_lie_as_the_kernel_reads_them() {
        assert_eq!(offset_of!(MapCreate, btf_value_type_id), 56);
        assert_eq!(offset_of!(MapBatch, elem_flags), 40);
    }
}
