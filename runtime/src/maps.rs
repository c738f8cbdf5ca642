//! The script's maps, read and changed while programs run or after.

mod save;

pub use save::{Cost, Saved, count_costs};

use crate::load::{Loaded, PERCPU};
use crate::sys::bpf::{self, Batch, BatchCursor, Map};
use crate::sys::memory::Mapping;
use awl_compiler::artifact::{Artifact, KernelMap, MapKind, Section, StackStore, Storage, percpu};
use awl_compiler::sema::is_keyless;
use awl_compiler::types::{Agg, Ty};
use std::io;
use std::os::fd::AsFd;

/// A look at the maps of a session.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    artifact: &'a Artifact,
    loaded: &'a Loaded,
}

/// What a map held: keys and values in two runs of bytes, so that a million entries are two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    keys: Vec<u8>,
    values: Vec<u8>,
    key_size: usize,
    /// bytes of one slot that mean something, and bytes to the next
    slot_size: usize,
    stride: usize,
    /// of each value: 1, or as many as there can be CPUs
    slots: usize,
    count: usize,
}

/// One entry: its key (empty where the map has none) and its slots.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub key: &'a [u8],
    slots: &'a [u8],
    slot_size: usize,
    stride: usize,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.count).map(|i| self.row(i))
    }

    /// The entry at `index`, which is below `len`.
    pub fn row(&self, index: usize) -> Row<'_> {
        let value = self.stride * self.slots;
        Row {
            key: &self.keys[index * self.key_size..(index + 1) * self.key_size],
            slots: &self.values[index * value..(index + 1) * value],
            slot_size: self.slot_size,
            stride: self.stride,
        }
    }
}

/// Keys with their slots, all keys of one size and all slots of another. Where an entry has fewer slots than others, the rest
/// are zeros: no program touched them.
impl FromIterator<(Vec<u8>, Vec<Vec<u8>>)> for Rows {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Vec<Vec<u8>>)>>(entries: I) -> Rows {
        let entries: Vec<_> = entries.into_iter().collect();
        let all = || entries.iter().flat_map(|(_, slots)| slots);
        let mut rows = Rows {
            key_size: entries.iter().map(|(key, _)| key.len()).max().unwrap_or(0),
            slot_size: all().map(Vec::len).max().unwrap_or(0),
            slots: entries.iter().map(|(_, slots)| slots.len()).max().unwrap_or(0),
            count: entries.len(),
            ..Rows::default()
        };
        rows.stride = rows.slot_size;
        for (i, (key, slots)) in entries.iter().enumerate() {
            rows.keys.extend_from_slice(key);
            rows.keys.resize((i + 1) * rows.key_size, 0);
            for (n, slot) in slots.iter().enumerate() {
                rows.values.extend_from_slice(slot);
                rows.values.resize((i * rows.slots + n + 1) * rows.stride, 0);
            }
            rows.values.resize((i + 1) * rows.slots * rows.stride, 0);
        }
        rows
    }
}

impl<'a> Row<'a> {
    /// Each CPU's slot of a per-CPU map, in order of CPUs; else the one value.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let size = self.slot_size;
        self.slots.chunks_exact(self.stride.max(1)).map(move |s| &s[..size])
    }
}

/// A slot of a data section, and how many there are of it.
struct SlotPlace<'a> {
    memory: &'a Mapping,
    /// of the value in the first slot
    offset: usize,
    size: usize,
    /// from one CPU's slot to the next
    stride: usize,
    slots: usize,
}

impl SlotPlace<'_> {
    fn value(&self, slot: usize) -> usize {
        self.offset + slot * self.stride
    }

    /// The `u64` that says whether the slot was assigned.
    fn assigned(&self, slot: usize) -> usize {
        self.value(slot) + self.size.next_multiple_of(8)
    }
}

fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{what} is not loaded"))
}

impl<'a> View<'a> {
    pub fn new(artifact: &'a Artifact, loaded: &'a Loaded) -> View<'a> {
        View { artifact, loaded }
    }

    pub fn artifact(&self) -> &'a Artifact {
        self.artifact
    }

    fn storage(&self, map: usize) -> io::Result<Storage> {
        let m = self.artifact.plan.maps.get(map);
        m.map(|m| m.storage).ok_or_else(|| missing("map"))
    }

    fn kernel_map(&self, index: usize) -> io::Result<&'a Map> {
        self.loaded.maps.get(index).ok_or_else(|| missing("map"))
    }

    fn section(&self, index: usize) -> io::Result<(&'a Section, &'a Mapping)> {
        let section = self.artifact.plan.sections.get(index);
        let memory = self.loaded.sections.get(index).and_then(|s| s.memory.as_ref());
        section.zip(memory).ok_or_else(|| missing("section"))
    }

    fn slot(&self, map: usize, section: usize, offset: u32) -> io::Result<SlotPlace<'a>> {
        let (s, memory) = self.section(section)?;
        Ok(SlotPlace {
            memory,
            offset: offset as usize,
            size: self.artifact.plan.maps[map].value.size() as usize,
            stride: s.per_cpu as usize,
            slots: if s.per_cpu == 0 { 1 } else { self.cpus() },
        })
    }

    /// CPUs that data sections have parts for.
    fn cpus(&self) -> usize {
        self.loaded.cpus.count().min(self.artifact.plan.cpu_slots.max(1)) as usize
    }

    /// Room for the elements of a kernel map, with none in it.
    fn no_rows(&self, m: &Map, spec: &KernelMap) -> Rows {
        let slots = self.slots_of(spec.kind);
        Rows { key_size: m.key_size(), slot_size: spec.value_size as usize, stride: m.copied_size() / slots, slots, ..Rows::default() }
    }

    /// No value yet of a map in a section; and whether it is there from the start: a count needs no mark, and says 0.
    fn no_slots(&self, map: usize, place: &SlotPlace) -> (Rows, bool) {
        let rows = Rows { slot_size: place.size, stride: place.size.next_multiple_of(8), slots: place.slots, ..Rows::default() };
        (rows, self.artifact.plan.maps.get(map).is_some_and(|m| m.value == Ty::Agg(Agg::Count)))
    }

    /// Slots of a value in a kernel map of this kind.
    fn slots_of(&self, kind: MapKind) -> usize {
        match kind {
            MapKind::PercpuHash | MapKind::PercpuArray | MapKind::LruPercpuHash => self.loaded.cpus.count().max(1) as usize,
            _ => 1,
        }
    }

    /// Everything that map `map` of the plan holds now. Entries that come or go meanwhile may be in it or not. What queues
    /// and stacks hold leaves them: the kernel shows no more than the next.
    pub fn read(&self, map: usize) -> io::Result<Rows> {
        match self.storage(map)? {
            Storage::Kernel(k) if is_keyless(self.artifact.plan.kernel_maps[k].kind) => {
                let m = self.kernel_map(k)?;
                let mut rows = Rows { slot_size: m.copied_size(), stride: m.copied_size(), slots: 1, ..Rows::default() };
                let mut value = vec![0; m.copied_size()];
                let filter = self.artifact.plan.kernel_maps[k].kind == MapKind::BloomFilter;
                while !filter && m.pop(&mut value)? {
                    rows.values.extend_from_slice(&value);
                    rows.count += 1;
                }
                Ok(rows)
            }
            Storage::Kernel(k) => {
                let m = self.kernel_map(k)?;
                let mut rows = self.no_rows(m, &self.artifact.plan.kernel_maps[k]);
                read_kernel(m, &mut rows)?;
                Ok(rows)
            }
            Storage::Slot { section, offset } => {
                let place = self.slot(map, section, offset)?;
                let (mut rows, always) = self.no_slots(map, &place);
                if always || (0..place.slots).any(|i| place.memory.load(place.assigned(i)) != 0) {
                    rows.count = 1;
                    for i in 0..place.slots {
                        place.memory.copy_to(place.value(i), rows.stride, &mut rows.values);
                    }
                }
                Ok(rows)
            }
        }
    }

    /// `print(@m); clear(@m)`: what the map held, and nothing is left. What programs add meanwhile is in it or stays; only an
    /// update that is under way in the very moment in which its entry leaves goes with it.
    pub fn take(&self, map: usize) -> io::Result<Rows> {
        match self.storage(map)? {
            Storage::Kernel(k) => {
                let (m, spec) = (self.kernel_map(k)?, &self.artifact.plan.kernel_maps[k]);
                let mut rows = self.no_rows(m, spec);
                let hash = matches!(spec.kind, MapKind::Hash | MapKind::LruHash | MapKind::PercpuHash | MapKind::LruPercpuHash);
                match hash.then(|| read_batches(m, &mut rows, Map::take_batch)) {
                    Some(Ok(())) => Ok(rows),
                    // What has left the map must not be lost, whatever stopped the rest.
                    Some(Err(_)) if rows.count > 0 => Ok(rows),
                    _ => {
                        let rows = self.read(map)?;
                        self.clear(map)?;
                        Ok(rows)
                    }
                }
            }
            Storage::Slot { section, offset } => {
                let place = self.slot(map, section, offset)?;
                let (mut rows, always) = self.no_slots(map, &place);
                let assigned = (0..place.slots).filter(|i| place.memory.take(place.assigned(*i)) != 0).count() > 0;
                for slot in 0..place.slots {
                    for at in (0..rows.stride).step_by(8) {
                        rows.values.extend_from_slice(&place.memory.take(place.value(slot) + at).to_ne_bytes());
                    }
                }
                rows.count = usize::from(assigned || always);
                Ok(rows)
            }
        }
    }

    /// The slots of one key, as laid out in the kernel.
    pub fn get(&self, map: usize, key: &[u8]) -> io::Result<Rows> {
        let Storage::Kernel(k) = self.storage(map)? else {
            return self.read(map);
        };
        let m = self.kernel_map(k)?;
        let spec = &self.artifact.plan.kernel_maps[k];
        let slots = self.slots_of(spec.kind);
        let mut values = vec![0; m.copied_size()];
        let count = usize::from(m.lookup(key, &mut values)?);
        Ok(Rows {
            keys: key.to_vec(),
            key_size: key.len(),
            slot_size: spec.value_size as usize,
            stride: m.copied_size() / slots,
            slots,
            values,
            count,
        })
    }

    /// `clear(@m)`: nothing is left.
    pub fn clear(&self, map: usize) -> io::Result<()> {
        match self.storage(map)? {
            Storage::Kernel(k) => {
                let keys = self.read(map)?;
                delete_all(self.kernel_map(k)?, &keys.keys)
            }
            Storage::Slot { section, offset } => {
                let place = self.slot(map, section, offset)?;
                for i in 0..place.slots {
                    // The mark first: a reader that sees it gone doesn't see a value half gone.
                    place.memory.store(place.assigned(i), 0);
                    place.memory.zero(place.value(i), place.size.next_multiple_of(8));
                }
                Ok(())
            }
        }
    }

    /// `@out[k] = "eth1"`: an entry that only we may write; 0 takes it away.
    pub(crate) fn fill(&self, map: usize, key: u32, value: u32) -> io::Result<()> {
        let Storage::Kernel(k) = self.storage(map)? else { return Err(missing("map")) };
        let m = self.kernel_map(k)?;
        m.update(&key.to_ne_bytes()[..], &u64::from(value).to_ne_bytes()[..m.copied_size()])
    }

    /// `zero(@m)`: keys stay, values are zero.
    pub fn zero(&self, map: usize) -> io::Result<()> {
        match self.storage(map)? {
            Storage::Kernel(k) => {
                let m = self.kernel_map(k)?;
                let rows = self.read(map)?;
                let zeros = vec![0; m.copied_size()];
                for row in rows.iter() {
                    match m.replace(row.key, &zeros) {
                        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => return Err(e),
                        _ => {}
                    }
                }
                Ok(())
            }
            Storage::Slot { section, offset } => {
                let place = self.slot(map, section, offset)?;
                for i in 0..place.slots {
                    place.memory.zero(place.value(i), place.size.next_multiple_of(8));
                }
                Ok(())
            }
        }
    }

    /// Removes one key. `Ok(false)`: it wasn't there.
    pub fn delete(&self, map: usize, key: &[u8]) -> io::Result<bool> {
        match self.storage(map)? {
            Storage::Kernel(k) => self.kernel_map(k)?.delete(key),
            Storage::Slot { .. } => self.clear(map).map(|()| true),
        }
    }

    /// Frames of a stack, innermost first, as words of what `store` holds: `id` is a key there. `None`: the kernel could not
    /// take the stack, or another one has taken its place.
    pub fn stack(&self, store: StackStore, id: i64) -> Option<Vec<u64>> {
        let map = self.artifact.plan.kernel_maps.iter().position(|m| m.stacks == Some(store))?;
        crate::load::frames(self.loaded.maps.get(map)?, store, id)
    }

    /// A counter of `artifact::percpu`, by its offset, over all CPUs.
    pub fn counter(&self, offset: u32) -> u64 {
        let index = self.artifact.plan.sections.iter().position(|s| s.name == PERCPU);
        let Some((section, memory)) = index.and_then(|i| self.section(i).ok()) else {
            return 0;
        };
        (0..self.cpus()).map(|cpu| memory.load(cpu * section.per_cpu as usize + offset as usize)).fold(0, u64::wrapping_add)
    }

    /// By program: runs that the kernel left out because a program ran on that CPU already.
    pub(crate) fn recursion_misses(&self) -> impl Iterator<Item = (usize, u64)> {
        let misses = |p: &std::os::fd::OwnedFd| bpf::prog_info(p.as_fd()).map_or(0, |info| info.recursion_misses);
        self.loaded.programs.iter().enumerate().map(move |(i, p)| (i, misses(p)))
    }

    /// Updates of map `map` that failed: it was full.
    pub fn map_failed(&self, map: usize) -> u64 {
        self.counter(percpu::MAP_FAILED + 8 * map as u32)
    }
}

/// Elements asked for at once. A bucket of a hash with more than that makes it more.
const BATCH: usize = 4096;

fn read_kernel(map: &Map, rows: &mut Rows) -> io::Result<()> {
    match read_batches(map, rows, Map::lookup_batch) {
        // Kinds of maps without batches (before 5.6 all of them) say one of these; 524 is the kernel's ENOTSUPP.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | 524 | libc::EOPNOTSUPP)) => read_one_by_one(map, rows),
        r => r,
    }
}

type Batches = fn(&Map, &mut BatchCursor, &mut [u8], &mut [u8]) -> io::Result<Batch>;

fn read_batches(map: &Map, rows: &mut Rows, next: Batches) -> io::Result<()> {
    let (key, value) = (map.key_size(), map.copied_size());
    let mut size = BATCH.min(map.max_entries.max(1) as usize);
    let mut cursor = BatchCursor::default();
    loop {
        let (keys, values) = (rows.count * key, rows.count * value);
        rows.keys.resize(keys + size * key, 0);
        rows.values.resize(values + size * value, 0);
        let got = next(map, &mut cursor, &mut rows.keys[keys..], &mut rows.values[values..]);
        let count = got.as_ref().map_or(0, |b| b.count);
        rows.count += count;
        rows.keys.truncate(keys + count * key);
        rows.values.truncate(values + count * value);
        match got {
            Ok(b) if b.last => return Ok(()),
            Ok(_) => {}
            Err(e) if e.raw_os_error() == Some(libc::ENOSPC) && size < 1 << 22 => size *= 4,
            Err(e) => return Err(e),
        }
    }
}

fn read_one_by_one(map: &Map, rows: &mut Rows) -> io::Result<()> {
    rows.keys.clear();
    rows.values.clear();
    rows.count = 0;
    let mut key = vec![0; map.key_size()];
    let mut value = vec![0; map.copied_size()];
    let mut there = map.next_key(None, &mut key)?;
    // A key that was deleted under us starts the kernel's walk over: an end must come all the same.
    let mut left = 2 * u64::from(map.max_entries) + 16;
    while there && left > 0 {
        if map.lookup(&key, &mut value)? {
            rows.keys.extend_from_slice(&key);
            rows.values.extend_from_slice(&value);
            rows.count += 1;
        }
        let before = key.clone();
        there = map.next_key(Some(&before), &mut key)?;
        left -= 1;
    }
    Ok(())
}

fn delete_all(map: &Map, keys: &[u8]) -> io::Result<()> {
    let size = map.key_size().max(1);
    let mut at = 0;
    while at < keys.len() {
        match map.delete_batch(&keys[at..]) {
            // It stops at a key that is gone already: that one is skipped.
            Ok(n) if at + n * size < keys.len() => at += (n + 1) * size,
            Ok(_) => return Ok(()),
            Err(_) => break,
        }
    }
    for key in keys[at.min(keys.len())..].chunks_exact(size) {
        match map.delete(key) {
            Ok(_) => {}
            // Arrays keep their elements.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                map.update(key, &vec![0; map.copied_size()])?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
