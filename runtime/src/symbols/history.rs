//! What processes had mapped while they lived.

use super::{Frame, expand};
use crate::mappings::Change;
use blazesym::symbolize::{Input, Symbolizer, source};
use std::collections::HashMap;

#[derive(Default)]
pub struct History(HashMap<u32, Vec<Mapped>>);

#[derive(Clone)]
struct Mapped {
    start: u64,
    len: u64,
    offset: u64,
    path: String,
}

impl History {
    pub fn note(&mut self, change: Change) {
        match change {
            Change::Map { pid, start, len, offset, path } => {
                self.0.entry(pid).or_default().push(Mapped { start, len, offset, path });
            }
            Change::Exec { pid } => {
                self.0.remove(&pid);
            }
            Change::Fork { pid, parent } if pid != parent => {
                let same = self.0.get(&parent).cloned().unwrap_or_default();
                self.0.insert(pid, same);
            }
            Change::Fork { .. } => {}
        }
    }

    /// Names of addresses, by the files that were mapped there.
    pub fn name(&self, symbolizer: &Symbolizer, tgid: u32, addrs: &[u64]) -> Vec<Vec<Frame>> {
        addrs.iter().map(|a| self.name_one(symbolizer, tgid, *a).unwrap_or_default()).collect()
    }

    fn name_one(&self, symbolizer: &Symbolizer, tgid: u32, addr: u64) -> Option<Vec<Frame>> {
        // What was mapped last lies on top.
        let m = self.0.get(&tgid)?.iter().rev().find(|m| addr.wrapping_sub(m.start) < m.len)?;
        let elf = source::Elf { debug_syms: false, ..source::Elf::new(&m.path) };
        let found = symbolizer.symbolize_single(&source::Source::Elf(elf), Input::FileOffset(addr - m.start + m.offset)).ok()?;
        let mut frames = expand(&found);
        for f in &mut frames {
            f.module = Some(m.path.clone());
        }
        Some(frames)
    }
}
