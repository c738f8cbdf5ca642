//! What processes had mapped while they lived.

use super::stripped::Stripped;
use super::{Frame, Options, ask, complete};
use crate::mappings::{self, Change, VDSO};
use blazesym::symbolize::{Input, Symbolizer, source};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

#[derive(Default)]
pub struct History {
    processes: HashMap<u32, Vec<Mapped>>,
    /// the library that the kernel gives to each process, once it was asked for
    vdso: Option<Option<File>>,
    jitted: HashMap<u32, Vec<Jitted>>,
}

#[derive(Clone)]
struct Mapped {
    start: u64,
    len: u64,
    offset: u64,
    path: String,
    /// the file itself, where that path leads us to another one or to none: the process lived in a mount namespace of its own
    hidden: Option<Rc<File>>,
}

/// What perf calls memory of no file.
const NOTHING: &str = "//";

/// Code that a process made at run time, as it says in `/tmp/perf-PID.map`.
struct Jitted {
    start: u64,
    len: u64,
    name: String,
}

impl History {
    pub fn note(&mut self, change: Change) {
        match change {
            Change::Map { pid, start, len, offset, path } => {
                let hidden = hidden(pid, &path).map(Rc::new);
                self.processes.entry(pid).or_default().push(Mapped { start, len, offset, path, hidden });
            }
            Change::Exec { pid } => {
                self.processes.remove(&pid);
            }
            Change::Fork { pid, parent } if pid != parent => {
                let same = self.processes.get(&parent).cloned().unwrap_or_default();
                self.processes.insert(pid, same);
            }
            Change::Fork { .. } => {}
        }
    }

    /// Names of addresses, by the files that were mapped there, or those that hold what these were stripped of.
    pub fn name(
        &mut self,
        symbolizer: &Symbolizer,
        options: &Options,
        stripped: &mut Stripped,
        tgid: u32,
        addrs: &[u64],
    ) -> Vec<Vec<Frame>> {
        addrs.iter().map(|a| self.one(symbolizer, options, stripped, tgid, *a).unwrap_or_default()).collect()
    }

    fn one(&mut self, symbolizer: &Symbolizer, options: &Options, stripped: &mut Stripped, tgid: u32, addr: u64) -> Option<Vec<Frame>> {
        if !self.processes.contains_key(&tgid) {
            return None;
        }
        let file = |m: &Mapped| m.path == VDSO || m.path.starts_with('/') && !m.path.starts_with(NOTHING);
        let Some((m, offset)) = self.place(tgid, addr).filter(|(m, _)| file(m)) else { return self.jitted(tgid, addr) };
        let (module, hidden) = (m.path.clone(), m.hidden.clone());
        let file = match hidden.as_deref() {
            Some(file) => by_descriptor(file),
            None if module == VDSO => by_descriptor(self.vdso.get_or_insert_with(mappings::vdso_image).as_ref()?),
            None => PathBuf::from(&module),
        };
        let mut found = vec![Vec::new()];
        for &debug_syms in options.passes() {
            let elf = source::Elf { debug_syms, ..source::Elf::new(&file) };
            let elf = source::Source::Elf(elf);
            complete(&[offset], &mut found, |offsets| ask(symbolizer, &elf, Input::FileOffset(offsets)));
        }
        let mut frames = found.pop().unwrap_or_default();
        if frames.is_empty() {
            frames = stripped.name_at(symbolizer, &options.debug_dirs(), &file, offset);
        }
        frames.iter_mut().for_each(|f| f.module = Some(module.clone()));
        Some(frames)
    }

    /// What was mapped there, and the offset in the file.
    fn place(&self, tgid: u32, addr: u64) -> Option<(&Mapped, u64)> {
        // What was mapped last lies on top.
        let m = self.processes.get(&tgid)?.iter().rev().find(|m| addr.wrapping_sub(m.start) < m.len)?;
        Some((m, (addr - m.start).wrapping_add(m.offset)))
    }

    fn jitted(&mut self, tgid: u32, addr: u64) -> Option<Vec<Frame>> {
        let path = format!("/tmp/perf-{tgid}.map");
        let all = self.jitted.entry(tgid).or_insert_with(|| jitted(&std::fs::read_to_string(&path).unwrap_or_default()));
        // What was written last counts.
        let f = all.iter().rev().find(|f| addr.wrapping_sub(f.start) < f.len)?;
        Some(vec![Frame { name: f.name.clone(), offset: addr - f.start, module: Some(path), ..Frame::default() }])
    }
}

fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// The file that the process means by the path, while it lives, unless we mean the same.
fn hidden(pid: u32, path: &str) -> Option<File> {
    let theirs = File::open(Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix('/')?)).ok()?;
    let id = |m: std::fs::Metadata| (m.dev(), m.ino());
    let ours = std::fs::metadata(path).ok().map(id);
    (ours != Some(id(theirs.metadata().ok()?))).then_some(theirs)
}

/// Lines `START LENGTH NAME`, the numbers in hexadecimal.
fn jitted(text: &str) -> Vec<Jitted> {
    let of = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let mut number = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
        Some(Jitted { start: number()?, len: number()?, name: words.next()?.to_owned() })
    };
    text.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_code_made_at_run_time() {
        let all = jitted("7f00 10 first\nbad\n0x8000 0x20 a name with blanks\n1 2\n");
        let all: Vec<_> = all.iter().map(|f| (f.start, f.len, f.name.as_str())).collect();
        assert_eq!(all, [(0x7f00, 0x10, "first"), (0x8000, 0x20, "a name with blanks")]);
    }

    #[test]
    fn our_own_files_are_not_hidden() {
        let own = std::env::current_exe().unwrap();
        assert!(hidden(std::process::id(), own.to_str().unwrap()).is_none());
        assert!(hidden(std::process::id(), VDSO).is_none());
        assert!(hidden(u32::MAX, "/bin/sh").is_none());
    }
}
