//! Maps, sections and which memory may be read.

use super::{Error, World};
use crate::artifact::MapKind;
use crate::lowered::{Module, Object};
use std::cell::UnsafeCell;
use std::collections::{BTreeMap, VecDeque};

pub const ENOENT: i64 = -2;
pub const E2BIG: i64 = -7;
pub const EFAULT: i64 = -14;
pub const EEXIST: i64 = -17;
pub const EINVAL: i64 = -22;
pub const ERANGE: i64 = -34;
/// the kernel's own, beyond errno.h
pub const ENOTSUPP: i64 = -524;

/// Memory at an address that stays, aligned to 8.
pub struct Block {
    // cells: compiled code writes to them by address
    words: Box<[UnsafeCell<u64>]>,
    /// bytes in use
    len: usize,
}

impl Block {
    pub fn new(len: usize) -> Block {
        Block { words: (0..len.div_ceil(8).max(1)).map(|_| UnsafeCell::new(0)).collect(), len }
    }

    pub fn address(&self) -> u64 {
        self.words.as_ptr() as u64
    }

    pub fn bytes(&self) -> Vec<u8> {
        super::jit::read(self.address(), self.len)
    }

    pub fn slice(&mut self) -> &mut [u8] {
        let len = self.len;
        let ptr = self.words.as_mut_ptr().cast::<u8>();
        // SAFETY: `len` is at most the bytes of `words`, any byte is a `u8`, and the borrow of `self` covers both.
        unsafe { std::slice::from_raw_parts_mut(ptr, len) }
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.slice().get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }
}

/// Address and length of each piece of memory that the program may read.
#[derive(Default)]
pub struct Regions(BTreeMap<u64, u64>);

impl Regions {
    pub fn add(&mut self, at: u64, len: usize) {
        self.0.insert(at, len as u64);
    }

    pub fn remove(&mut self, at: u64) {
        self.0.remove(&at);
    }

    /// How many bytes from `at` on can be read.
    pub fn readable(&self, at: u64) -> u64 {
        match self.0.range(..=at).next_back() {
            Some((start, len)) => (start + len).saturating_sub(at),
            None => 0,
        }
    }
}

pub struct MapStore {
    pub kind: MapKind,
    pub key_size: usize,
    /// bytes of one CPU
    pub value_size: usize,
    pub max_entries: usize,
    /// hashes: by key
    pub entries: BTreeMap<Vec<u8>, Block>,
    /// keys from the oldest on, for eviction
    order: VecDeque<Vec<u8>>,
    /// arrays: all elements
    array: Option<Block>,
    /// queues and stacks
    pub queue: VecDeque<Vec<u8>>,
}

impl MapStore {
    pub fn is_per_cpu(&self) -> bool {
        matches!(self.kind, MapKind::PercpuHash | MapKind::PercpuArray | MapKind::LruPercpuHash)
    }

    fn is_array(&self) -> bool {
        matches!(self.kind, MapKind::Array | MapKind::PercpuArray)
    }

    fn is_lru(&self) -> bool {
        matches!(self.kind, MapKind::LruHash | MapKind::LruPercpuHash)
    }

    /// Bytes from one CPU's value to the next.
    fn stride(&self) -> usize {
        self.value_size.next_multiple_of(8)
    }

    fn value_bytes(&self, cpus: u32) -> usize {
        if self.is_per_cpu() { self.stride() * cpus as usize } else { self.value_size }
    }
}

/// Everything that the code and its helpers touch.
pub struct State {
    pub world: World,
    pub cpus: u32,
    pub maps: Vec<MapStore>,
    /// what a map's address is: a word of its own for each map
    handles: Block,
    sections: Vec<Block>,
    objects: Vec<Object>,
    exposed: Vec<Block>,
    pub regions: Regions,
    /// deleted values: a program may use what it looked up until it ends
    grave: Vec<Block>,
    /// reserved records: map and bytes, by address
    pub reserved: BTreeMap<u64, (usize, Block)>,
    pub events: Vec<(usize, Vec<u8>)>,
    pub printed: Vec<String>,
    /// addresses on the native stack that belong to the run
    pub stack: std::ops::Range<u64>,
}

impl State {
    pub fn new(module: &Module, cpus: u32) -> Result<State, Error> {
        let mut regions = Regions::default();
        let mut maps = Vec::new();
        for m in &module.maps {
            let mut store = MapStore {
                kind: m.kind,
                key_size: m.key_size as usize,
                value_size: m.value_size as usize,
                max_entries: m.max_entries as usize,
                entries: BTreeMap::new(),
                order: VecDeque::new(),
                array: None,
                queue: VecDeque::new(),
            };
            if store.is_array() {
                let one = store.value_bytes(cpus).next_multiple_of(8);
                let bytes = one
                    .checked_mul(store.max_entries)
                    .filter(|b| *b <= 1 << 32)
                    .ok_or_else(|| Error(format!("the map `{}` is too large", m.name)))?;
                let block = Block::new(bytes);
                regions.add(block.address(), bytes);
                store.array = Some(block);
            }
            maps.push(store);
        }
        let mut sections = Vec::new();
        for s in &module.sections {
            let mut block = Block::new(s.size as usize);
            block.write(0, &s.init);
            regions.add(block.address(), s.size as usize);
            sections.push(block);
        }
        for o in &module.objects {
            let known = match *o {
                Object::Map(i) => i < maps.len(),
                Object::Section(i) => i < sections.len(),
            };
            if !known {
                return Err(Error(format!("no such object: {o:?}")));
            }
        }
        Ok(State {
            world: World::default(),
            cpus,
            handles: Block::new(8 * maps.len()),
            maps,
            sections,
            objects: module.objects.clone(),
            exposed: Vec::new(),
            regions,
            grave: Vec::new(),
            reserved: BTreeMap::new(),
            events: Vec::new(),
            printed: Vec::new(),
            stack: 0..0,
        })
    }

    /// What `symbol_value` gives for an index of namespace 1.
    pub fn object_address(&self, object: usize) -> Option<u64> {
        match *self.objects.get(object)? {
            Object::Map(i) => Some(self.handles.address() + 8 * i as u64),
            Object::Section(i) => Some(self.sections.get(i)?.address()),
        }
    }

    /// The map that a helper got as its argument.
    pub fn map_at(&self, address: u64) -> Option<usize> {
        let i = address.checked_sub(self.handles.address())? / 8;
        ((i as usize) < self.maps.len()).then_some(i as usize)
    }

    pub fn section(&mut self, i: usize) -> &mut [u8] {
        match self.sections.get_mut(i) {
            Some(b) => b.slice(),
            None => &mut [],
        }
    }

    pub fn expose(&mut self, bytes: &[u8]) -> u64 {
        let mut block = Block::new(bytes.len());
        block.write(0, bytes);
        let at = block.address();
        self.regions.add(at, bytes.len());
        self.exposed.push(block);
        at
    }

    /// After a run: what the program held no longer matters.
    pub fn bury(&mut self) {
        for b in std::mem::take(&mut self.grave) {
            self.regions.remove(b.address());
        }
        for (at, _) in std::mem::take(&mut self.reserved) {
            self.regions.remove(at);
        }
    }

    /// How many bytes from `at` on the program may read.
    pub fn readable(&self, at: u64) -> u64 {
        if self.stack.contains(&at) {
            return self.stack.end - at;
        }
        self.regions.readable(at)
    }

    /// Address of a value, of CPU `cpu` where the map has one for each; 0 when there is none.
    pub fn find(&self, map: usize, key: &[u8], cpu: u32) -> u64 {
        let m = &self.maps[map];
        let at = match &m.array {
            Some(block) => {
                let Ok(index) = <[u8; 4]>::try_from(key).map(u32::from_ne_bytes) else {
                    return 0;
                };
                if index as usize >= m.max_entries {
                    return 0;
                }
                let one = m.value_bytes(self.cpus).next_multiple_of(8) as u64;
                block.address() + u64::from(index) * one
            }
            None => match m.entries.get(key) {
                Some(b) => b.address(),
                None => return 0,
            },
        };
        if m.is_per_cpu() {
            if cpu >= self.cpus {
                return 0;
            }
            at + u64::from(cpu) * m.stride() as u64
        } else {
            at
        }
    }

    /// As `bpf_map_update_elem`: sets the value of the current CPU. `flags`: 1 new only, 2 existing only.
    pub fn put(&mut self, map: usize, key: &[u8], value: &[u8], flags: u64) -> i64 {
        if flags > 2 {
            return EINVAL;
        }
        let cpu = self.world.cpu;
        let offset = if self.maps[map].is_per_cpu() { cpu as usize * self.maps[map].stride() } else { 0 };
        match self.entry(map, key, flags) {
            Ok((block, at)) => {
                block.write(at + offset, value);
                0
            }
            Err(e) => e,
        }
    }

    /// The block of a key, made where it is new, and the value's offset in it.
    fn entry(&mut self, map: usize, key: &[u8], flags: u64) -> Result<(&mut Block, usize), i64> {
        let cpus = self.cpus;
        let m = &mut self.maps[map];
        let bytes = m.value_bytes(cpus);
        let (is_lru, max_entries) = (m.is_lru(), m.max_entries);
        if let Some(block) = &mut m.array {
            let index = <[u8; 4]>::try_from(key).map_err(|_| EINVAL)?;
            let index = u32::from_ne_bytes(index) as usize;
            if index >= max_entries {
                return Err(E2BIG);
            }
            if flags == 1 {
                return Err(EEXIST);
            }
            return Ok((block, index * bytes.next_multiple_of(8)));
        }
        if !matches!(
            m.kind,
            MapKind::Hash | MapKind::PercpuHash | MapKind::LruHash | MapKind::LruPercpuHash | MapKind::TaskStorage | MapKind::LpmTrie
        ) {
            return Err(ENOTSUPP);
        }
        match (m.entries.contains_key(key), flags) {
            (true, 1) => return Err(EEXIST),
            (false, 2) => return Err(ENOENT),
            (true, _) => {}
            (false, _) => {
                let full = m.kind != MapKind::TaskStorage && m.entries.len() >= max_entries;
                if full && is_lru {
                    if let Some(oldest) = m.order.pop_front()
                        && let Some(b) = m.entries.remove(&oldest)
                    {
                        self.grave.push(b);
                    }
                } else if full {
                    return Err(E2BIG);
                }
                let block = Block::new(bytes);
                self.regions.add(block.address(), bytes);
                m.order.push_back(key.to_vec());
                m.entries.insert(key.to_vec(), block);
            }
        }
        match m.entries.get_mut(key) {
            Some(b) => Ok((b, 0)),
            None => Err(ENOENT),
        }
    }

    pub fn delete(&mut self, map: usize, key: &[u8]) -> i64 {
        let m = &mut self.maps[map];
        if m.array.is_some() {
            return EINVAL;
        }
        match m.entries.remove(key) {
            Some(b) => {
                m.order.retain(|k| k != key);
                self.grave.push(b);
                0
            }
            None => ENOENT,
        }
    }

    /// Keys in their order, with the address of each value, of the current CPU.
    pub fn keys(&self, map: usize) -> Vec<(Vec<u8>, u64)> {
        let m = &self.maps[map];
        let keys: Vec<Vec<u8>> = if m.array.is_some() {
            (0..m.max_entries as u32).map(|i| i.to_ne_bytes().to_vec()).collect()
        } else {
            m.entries.keys().cloned().collect()
        };
        keys.into_iter()
            .map(|k| {
                let at = self.find(map, &k, self.world.cpu);
                (k, at)
            })
            .collect()
    }

    pub fn value(&mut self, map: usize, key: &[u8]) -> Option<Vec<u8>> {
        let m = self.maps.get_mut(map)?;
        let bytes = m.value_bytes(self.cpus);
        match &mut m.array {
            Some(block) => {
                let index = u32::from_ne_bytes(key.try_into().ok()?) as usize;
                let at = index.checked_mul(bytes.next_multiple_of(8))?;
                Some(block.slice().get(at..at + bytes)?.to_vec())
            }
            None => Some(m.entries.get(key)?.bytes()),
        }
    }

    pub fn entries(&mut self, map: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        if map >= self.maps.len() {
            return Vec::new();
        }
        let keys = self.keys(map);
        keys.into_iter()
            .filter_map(|(k, _)| {
                let v = self.value(map, &k)?;
                Some((k, v))
            })
            .collect()
    }

    pub fn set(&mut self, map: usize, key: &[u8], value: &[u8]) -> bool {
        let Some(m) = self.maps.get(map) else {
            return false;
        };
        if key.len() != m.key_size || value.len() != m.value_bytes(self.cpus) {
            return false;
        }
        match self.entry(map, key, 0) {
            Ok((block, at)) => {
                block.write(at, value);
                true
            }
            Err(_) => false,
        }
    }
}
