//! Tables by which programs unwind stacks (`awl_compiler::unwind`): made from the files that processes run, kept up to date
//! while these load others.

mod rows;

use crate::mappings::{self, Change, VDSO};
use crate::sys::bpf::Map;
use awl_compiler::artifact::Plan;
use awl_compiler::unwind::{CHUNK_BYTES, CHUNKS, CHUNKS_BYTES, NO_PAGE, PAGE_BYTES, PAGES, PAGES_MAP, PROCESSES_MAP, ROWS};
use rows::{Row, Rows};
use std::collections::{HashMap, HashSet};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two looks at what processes have mapped that no record told of.
const PATIENCE: Duration = Duration::from_millis(100);

pub struct Unwinder<'m> {
    pages: &'m Map,
    processes: &'m Map,
    /// by device and inode; `None`: there is nothing to unwind by
    files: HashMap<(u64, u64), Option<File>>,
    next_page: u32,
    known: HashSet<u32>,
    /// stacks that were cut when it was last looked
    cut: u64,
    looked: Instant,
    /// tables that found no room: a sentence for each kind
    full: Vec<&'static str>,
}

/// A file whose rows are in pages.
struct File {
    rows: Rows,
    /// address of each page's first row, and its number
    pages: Vec<(u64, u32)>,
    end: u64,
}

/// What is mapped in a process.
struct Place {
    start: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

impl<'m> Unwinder<'m> {
    /// `None`: the script unwinds no stacks.
    pub fn of(plan: &Plan, maps: &'m [Map]) -> Option<Unwinder<'m>> {
        let map = |name: &str| maps.get(plan.kernel_maps.iter().position(|m| m.name == name)?);
        Some(Unwinder {
            pages: map(PAGES_MAP)?,
            processes: map(PROCESSES_MAP)?,
            files: HashMap::new(),
            next_page: 0,
            known: HashSet::new(),
            cut: 0,
            looked: Instant::now(),
            full: Vec::new(),
        })
    }

    /// Processes that these records are about get new tables.
    pub fn note(&mut self, changes: &[Change]) {
        let mut pids: Vec<u32> = changes
            .iter()
            .map(|c| match c {
                Change::Map { pid, .. } | Change::Exec { pid } | Change::Fork { pid, .. } => *pid,
            })
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().for_each(|p| self.refresh(p));
    }

    /// Stacks were cut: perhaps by what a thread mapped that no record tells of.
    pub fn look_again(&mut self, cut: u64) {
        if cut != self.cut && self.looked.elapsed() >= PATIENCE {
            (self.cut, self.looked) = (cut, Instant::now());
            self.known.clone().into_iter().for_each(|p| self.refresh(p));
        }
    }

    /// What the process has mapped now, as its table. One that has ended keeps the last.
    pub fn refresh(&mut self, pid: u32) {
        let place = |c: Change| match c {
            Change::Map { start, len, offset, path, .. } => Some(Place { start, end: start + len, offset, path: path.into() }),
            _ => None,
        };
        let places: Vec<Place> = mappings::of_process(pid).into_iter().filter_map(place).collect();
        if places.is_empty() {
            return;
        }
        let table = self.table(pid, &places);
        let key = pid.to_ne_bytes();
        if self.processes.update(&key, &table).is_err() {
            self.forget_the_dead();
            if self.processes.update(&key, &table).is_err() {
                return self.lack("too many processes at once");
            }
        }
        self.known.insert(pid);
    }

    /// Sentences about what found no room.
    pub fn lacks(&self) -> &[&'static str] {
        &self.full
    }

    fn lack(&mut self, what: &'static str) {
        if !self.full.contains(&what) {
            self.full.push(what);
        }
    }

    fn forget_the_dead(&mut self) {
        let dead: Vec<u32> = self.known.iter().copied().filter(|p| !Path::new(&format!("/proc/{p}")).exists()).collect();
        for p in dead {
            // It may not be there: there was no room for it.
            let _ = self.processes.delete(&p.to_ne_bytes());
            self.known.remove(&p);
        }
    }

    fn table(&mut self, pid: u32, places: &[Place]) -> Vec<u8> {
        let mut chunks: Vec<[u64; 3]> = vec![[0, 0, NO_PAGE]];
        for m in places {
            let Some(found) = self.file(pid, &m.path).and_then(|f| f.chunks(m)) else { continue };
            chunks.extend(found);
            chunks.push([m.end, 0, NO_PAGE]);
        }
        // Where one mapping ends another may begin: the second speaks for the address.
        chunks.sort_by_key(|c| c[0]);
        if chunks.len() > CHUNKS as usize {
            self.lack("a process maps too many files");
            chunks.truncate(CHUNKS as usize - 1);
            chunks.push([chunks[CHUNKS as usize - 2][0] + 1, 0, NO_PAGE]);
        }
        chunks.resize(CHUNKS as usize, [i64::MAX as u64, 0, NO_PAGE]);
        let bytes: Vec<u8> = chunks.iter().flatten().flat_map(|w| w.to_ne_bytes()).collect();
        debug_assert_eq!(bytes.len() as u32, CHUNKS_BYTES, "{CHUNK_BYTES} each");
        bytes
    }

    /// A file as the process sees it: it may live in a container.
    fn file(&mut self, pid: u32, path: &Path) -> Option<&File> {
        if path == Path::new(VDSO) {
            return self.vdso();
        }
        let below = path.strip_prefix("/").ok()?;
        let seen = Path::new(&format!("/proc/{pid}/root")).join(below);
        let meta = seen.metadata().ok()?;
        let id = (meta.dev(), meta.ino());
        if !self.files.contains_key(&id) {
            let rows = Rows::of(&seen).ok().filter(|r| !r.rows.is_empty());
            let file = rows.and_then(|r| self.lay_out(r));
            self.files.insert(id, file);
        }
        self.files.get(&id)?.as_ref()
    }

    /// The library that the kernel gives to each process.
    fn vdso(&mut self) -> Option<&File> {
        let nowhere = (0, 0);
        if !self.files.contains_key(&nowhere) {
            let rows = mappings::vdso_image().and_then(|f| Rows::of(Path::new(&format!("/proc/self/fd/{}", f.as_raw_fd()))).ok());
            let file = rows.and_then(|r| self.lay_out(r));
            self.files.insert(nowhere, file);
        }
        self.files.get(&nowhere)?.as_ref()
    }

    /// Writes a file's rows into pages of their own.
    fn lay_out(&mut self, rows: Rows) -> Option<File> {
        let mut pages = Vec::new();
        let mut left = &rows.rows[..];
        while let Some(first) = left.first() {
            let near = left.iter().take(ROWS as usize).take_while(|r| r.start - first.start < u64::from(u32::MAX)).count();
            let (these, rest) = left.split_at(near);
            if self.next_page == PAGES {
                self.lack("the files are too large");
                break;
            }
            if self.pages.update(&self.next_page.to_ne_bytes(), &page(these)).is_err() {
                self.lack("the kernel refused a table");
                break;
            }
            pages.push((first.start, self.next_page));
            self.next_page += 1;
            left = rest;
        }
        // Behind the last row nothing is known; nor where there was no room.
        let end = left.first().or(rows.rows.last()).map_or(0, |r| r.start);
        (!pages.is_empty()).then_some(File { rows, pages, end })
    }
}

impl File {
    /// The chunks for a part of the file that is mapped somewhere.
    fn chunks(&self, m: &Place) -> Option<Vec<[u64; 3]>> {
        let first = self.rows.address(m.offset)?;
        let bias = m.start.wrapping_sub(first);
        let last = first.saturating_add(m.end - m.start);
        let mut out = Vec::new();
        for (i, (start, number)) in self.pages.iter().enumerate() {
            let until = self.pages.get(i + 1).map_or(self.end, |(next, _)| *next);
            let from = (*start).max(first);
            if from < until.min(last) {
                out.push([from.wrapping_add(bias), start.wrapping_add(bias), u64::from(*number)]);
            }
        }
        if self.end < last && self.end >= first {
            out.push([self.end.wrapping_add(bias), 0, NO_PAGE]);
        }
        Some(out)
    }
}

fn page(rows: &[Row]) -> Vec<u8> {
    let first = rows.first().map_or(0, |r| r.start);
    let mut starts: Vec<u32> = rows.iter().map(|r| (r.start - first) as u32).collect();
    let mut rules: Vec<u32> = rows.iter().map(|r| r.rule.word()).collect();
    starts.resize(ROWS as usize, u32::MAX);
    rules.resize(ROWS as usize, 0);
    let bytes: Vec<u8> = starts.iter().chain(&rules).flat_map(|w| w.to_ne_bytes()).collect();
    debug_assert_eq!(bytes.len() as u32, PAGE_BYTES);
    bytes
}
