//! What a watched process and its children map, from perf's records: a process that has ended can't be asked any more.

use crate::attach;
use crate::sys::memory::{self, Mapping, page_size};
use crate::sys::perf;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// Something that changes what addresses mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// code of a file, from its byte `offset` on
    Map {
        pid: u32,
        start: u64,
        len: u64,
        offset: u64,
        path: String,
    },
    /// another program: nothing of the old one is left
    Exec {
        pid: u32,
    },
    Fork {
        pid: u32,
        parent: u32,
    },
}

/// Pages for the records of one CPU: hundreds of mappings between two looks.
const PAGES: usize = 16;
/// Offsets in `struct perf_event_mmap_page` (include/uapi/linux/perf_event.h).
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// A buffer of records that perf fills.
#[derive(Debug)]
pub struct Buffer {
    memory: Mapping,
    fd: OwnedFd,
    pages: usize,
}

impl Buffer {
    /// `pages` is a power of two.
    pub fn new(fd: OwnedFd, pages: usize) -> io::Result<Buffer> {
        let memory = Mapping::new(fd.as_fd(), (1 + pages) * page_size(), 0, true)?;
        Ok(Buffer { memory, fd, pages })
    }

    /// Takes the records that are there: kind and bytes, which begin with the header's.
    fn records(&self, mut take: impl FnMut(&[u8])) {
        let size = (self.pages * page_size()) as u64;
        let (head, mut tail) = (self.memory.load(HEAD), self.memory.load(TAIL));
        while tail < head {
            let header = read(&self.memory, tail, 8, size);
            let len = u64::from(u16_at(&header, 6));
            if len < 8 || tail + len > head {
                break;
            }
            take(&read(&self.memory, tail, len, size));
            tail += len;
        }
        self.memory.store(TAIL, head);
    }

    /// The same: a record's kind, and what is behind its header.
    pub fn drain(&self, mut take: impl FnMut(u32, &[u8])) {
        self.records(|r| take(u32_at(r, 0), &r[8..]));
    }
}

impl AsFd for Buffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[derive(Debug)]
pub struct Watch {
    rings: Vec<Buffer>,
}

impl Watch {
    pub fn open(pid: i32) -> io::Result<Watch> {
        let mut rings = Vec::new();
        for cpu in attach::online_cpus()? {
            rings.push(Buffer::new(perf::open_mappings(pid, cpu)?, PAGES)?);
        }
        Ok(Watch { rings })
    }

    /// What was recorded since the last time, in order.
    pub fn drain(&mut self) -> Vec<Change> {
        let mut found: Vec<(u64, Change)> = Vec::new();
        for ring in &self.rings {
            ring.records(|r| found.extend(change(r)));
        }
        found.sort_by_key(|(time, _)| *time);
        found.into_iter().map(|(_, c)| c).collect()
    }
}

/// `len` bytes of the ring, which may go round its end.
fn read(memory: &Mapping, at: u64, len: u64, size: u64) -> Vec<u8> {
    let (mut out, at) = (Vec::new(), at % size);
    let first = len.min(size - at);
    memory.copy_to(page_size() + at as usize, first as usize, &mut out);
    memory.copy_to(page_size(), (len - first) as usize, &mut out);
    out
}

fn bytes<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    record.get(at..at + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes(record, at))
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes(record, at))
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes(record, at))
}

/// A record with its time, where it matters.
fn change(record: &[u8]) -> Option<(u64, Change)> {
    const COMM: u32 = 3;
    const FORK: u32 = 7;
    const MMAP2: u32 = 10;
    const COMM_EXEC: u16 = 1 << 13;
    let time = u64_at(record, record.len().checked_sub(8)?);
    let pid = u32_at(record, 8);
    let change = match u32_at(record, 0) {
        COMM if u16_at(record, 4) & COMM_EXEC != 0 => Change::Exec { pid },
        FORK => Change::Fork { pid, parent: u32_at(record, 12) },
        MMAP2 => {
            let name = record.get(72..record.len() - 8)?;
            let path = String::from_utf8_lossy(name.split(|b| *b == 0).next()?).into_owned();
            Change::Map { pid, start: u64_at(record, 16), len: u64_at(record, 24), offset: u64_at(record, 32), path }
        }
        _ => return None,
    };
    Some((time, change))
}

/// The code that a running process has mapped now, of files and of the kernel's library.
pub fn of_process(pid: u32) -> Vec<Change> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    text.lines().filter_map(|l| of_line(pid, l)).collect()
}

/// What `/proc/PID/maps` calls the library that the kernel gives to each process.
pub const VDSO: &str = "[vdso]";

/// That library as a file without a name: it is the same in all 64-bit processes.
pub fn vdso_image() -> Option<File> {
    let is_it = |c: &Change| matches!(c, Change::Map { path, .. } if path == VDSO);
    let Some(Change::Map { start, len, .. }) = of_process(std::process::id()).into_iter().find(is_it) else { return None };
    let mut image = vec![0; usize::try_from(len).ok()?];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut image, start).ok()?;
    let mut file = File::from(memory::file(c"vdso").ok()?);
    file.write_all(&image).ok()?;
    Some(file)
}

/// `7f00-8f00 r-xp 00001000 08:01 123   /usr/bin/x`
fn of_line(pid: u32, line: &str) -> Option<Change> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let executable = words.next()?.contains('x');
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let path = words.nth(2)?.trim();
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let map = Change::Map { pid, start, len: end.checked_sub(start)?, offset, path: path.to_owned() };
    (executable && (path.starts_with('/') || path == VDSO)).then_some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = "7f6020ea0000-7f6020fec000 r-xp 00026000 08:01 12  /usr/lib/libc.so.6";
        let map = Change::Map { pid: 5, start: 0x7f60_20ea_0000, len: 0x14_c000, offset: 0x26000, path: "/usr/lib/libc.so.6".into() };
        assert_eq!(of_line(5, line), Some(map));
        assert_eq!(of_line(5, "7f6020ea0000-7f6020fec000 r--p 00026000 08:01 12  /usr/lib/libc.so.6"), None);
        assert_eq!(of_line(5, "7f6020ea0000-7f6020fec000 r-xp 00000000 00:00 0   [vsyscall]"), None);
        let vdso = Change::Map { pid: 5, start: 0x1000, len: 0x2000, offset: 0, path: VDSO.into() };
        assert_eq!(of_line(5, "1000-3000 r-xp 00000000 00:00 0   [vdso]"), Some(vdso));
        assert_eq!(of_line(5, "x"), None);
    }

    #[test]
    fn records() {
        let mut map = vec![10, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0];
        for n in [0x1000u64, 0x2000, 0x3000, 0, 0, 0, 0] {
            map.extend(n.to_ne_bytes());
        }
        map.extend(*b"/bin/x\0\0");
        map.extend(99u64.to_ne_bytes());
        let expected = Change::Map { pid: 7, start: 0x1000, len: 0x2000, offset: 0x3000, path: "/bin/x".into() };
        assert_eq!(change(&map), Some((99, expected)));
        assert_eq!(change(&[]), None);
        assert_eq!(change(&[1; 7]), None);
    }
}
