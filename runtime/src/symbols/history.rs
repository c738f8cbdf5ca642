//! What processes had mapped while they lived.

use super::stripped::Stripped;
use super::{Frame, expand};
use crate::mappings::Change;
use blazesym::symbolize::{Input, Symbolizer, source};
use std::collections::HashMap;
use std::path::PathBuf;

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

    /// Names of addresses, by the files that were mapped there, or those that hold what these were stripped of.
    pub fn name(&self, symbolizer: &Symbolizer, stripped: &mut Stripped, dirs: &[PathBuf], tgid: u32, addrs: &[u64]) -> Vec<Vec<Frame>> {
        let mut one = |a: &u64| {
            let (m, offset) = self.place(tgid, *a)?;
            let mut frames = own(symbolizer, &m.path, offset).unwrap_or_default();
            if frames.is_empty() {
                frames = stripped.name_at(symbolizer, dirs, m.path.as_ref(), offset);
            }
            frames.iter_mut().for_each(|f| f.module = Some(m.path.clone()));
            Some(frames)
        };
        addrs.iter().map(|a| one(a).unwrap_or_default()).collect()
    }

    /// What was mapped there, and the offset in the file.
    fn place(&self, tgid: u32, addr: u64) -> Option<(&Mapped, u64)> {
        // What was mapped last lies on top.
        let m = self.0.get(&tgid)?.iter().rev().find(|m| addr.wrapping_sub(m.start) < m.len)?;
        Some((m, (addr - m.start).wrapping_add(m.offset)))
    }
}

fn own(symbolizer: &Symbolizer, path: &str, offset: u64) -> Option<Vec<Frame>> {
    let elf = source::Elf { debug_syms: false, ..source::Elf::new(path) };
    symbolizer.symbolize_single(&source::Source::Elf(elf), Input::FileOffset(offset)).ok().map(|s| expand(&s))
}
