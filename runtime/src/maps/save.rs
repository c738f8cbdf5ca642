//! Contents of maps taken out of one load of a script and put into another: what is gathered survives an edit.

use super::{Rows, View};
use crate::sys::bpf;
use awl_compiler::artifact::{MapKind, Storage};
use awl_compiler::types::Ty;
use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;

/// A map's name, shape and contents.
#[derive(Clone, Debug)]
pub struct Saved {
    pub name: String,
    pub keys: Vec<Ty>,
    pub value: Ty,
    kind: Option<MapKind>,
    pub rows: Rows,
}

impl Saved {
    /// The same entries, in whatever order?
    pub fn same(&self, other: &Saved) -> bool {
        let entries = |s: &Saved| -> HashMap<Vec<u8>, Vec<u8>> { s.rows.iter().map(|r| (r.key.to_vec(), r.slots.to_vec())).collect() };
        self.rows.len() == other.rows.len() && entries(self) == entries(other)
    }

    fn fits(&self, other: &Saved) -> bool {
        self.name == other.name && self.keys == other.keys && self.value == other.value && self.kind == other.kind
    }
}

/// What a program has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// runs and their time, while someone counted them (`count_costs`)
    pub runs: u64,
    pub nanoseconds: u64,
    /// runs left out by the kernel, because a program ran on that CPU already
    pub missed: u64,
    /// instructions that the verifier looked at
    pub verified: u32,
}

/// The kernel counts runs and their time, of all programs of the machine, while this is kept.
pub fn count_costs() -> io::Result<std::os::fd::OwnedFd> {
    bpf::enable_stats()
}

impl View<'_> {
    /// Of each program, in the artifact's order.
    pub fn costs(&self) -> Vec<Cost> {
        let cost = |p: &std::os::fd::OwnedFd| {
            let info = bpf::prog_info(p.as_fd()).ok()?;
            Some(Cost { runs: info.run_count, nanoseconds: info.run_time_ns, missed: info.recursion_misses, verified: info.verified_insns })
        };
        self.loaded.programs.iter().map(|p| cost(p).unwrap_or_default()).collect()
    }

    /// All maps whose contents can be read without taking them out. Stacks in them are numbers, which mean the same only where
    /// the map of the stacks is the same (`load::Stacks`).
    pub fn save(&self) -> Vec<Saved> {
        let plan = &self.artifact.plan;
        let save = |(i, m): (usize, &awl_compiler::artifact::Map)| {
            let kind = match m.storage {
                Storage::Kernel(k) => Some(plan.kernel_maps.get(k)?.kind),
                Storage::Slot { .. } => None,
            };
            let takes = matches!(kind, Some(MapKind::Queue | MapKind::Stack | MapKind::BloomFilter));
            let rows = if takes { return None } else { self.read(i).ok()? };
            Some(Saved { name: m.name.clone(), keys: m.keys.clone(), value: m.value.clone(), kind, rows })
        };
        plan.maps.iter().enumerate().filter_map(save).collect()
    }

    /// Puts contents into the maps of the same name and shape; gives the number of maps that got theirs.
    pub fn restore(&self, saved: &[Saved]) -> io::Result<usize> {
        let mut done = 0;
        for now in self.save() {
            let Some(before) = saved.iter().find(|s| s.fits(&now)) else { continue };
            let Some(i) = self.artifact.plan.maps.iter().position(|m| m.name == now.name) else { continue };
            self.clear(i)?;
            self.put(i, &before.rows)?;
            done += 1;
        }
        Ok(done)
    }

    fn put(&self, map: usize, rows: &Rows) -> io::Result<()> {
        match self.storage(map)? {
            Storage::Kernel(k) => {
                let m = self.kernel_map(k)?;
                for row in rows.iter() {
                    match m.update(row.key, row.slots) {
                        // Fewer entries than before fit: the first ones stay.
                        Err(e) if e.raw_os_error() == Some(libc::E2BIG) => return Ok(()),
                        done => done?,
                    }
                }
            }
            Storage::Slot { section, offset } => {
                let place = self.slot(map, section, offset)?;
                let Some(row) = rows.iter().next() else { return Ok(()) };
                for (i, bytes) in row.slots.chunks_exact(row.stride.max(1)).take(place.slots).enumerate() {
                    for (w, word) in bytes.chunks_exact(8).enumerate() {
                        let word = u64::from_ne_bytes(word.try_into().unwrap_or_default());
                        place.memory.store(place.value(i) + 8 * w, word);
                    }
                    place.memory.store(place.assigned(i), 1);
                }
            }
        }
        Ok(())
    }
}
