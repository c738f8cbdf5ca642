//! Functions, static probes and code segments of an ELF file. Only the parts that hold them are read: headers and symbol tables, a few
//! hundred kilobytes of a binary of any size.

mod debug;
mod notes;
mod symbol;

pub use debug::information as debug_information;

use awl_compiler::target::{StaticProbe, UserSymbol};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use symbol::symbol;

/// Why a file has no functions to probe.
#[derive(Debug)]
pub enum Error {
    Io(io::Error),
    /// what it is instead
    NotElf(&'static str),
    /// an ELF file that contradicts itself
    Broken(&'static str),
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Error {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Error::Broken("it is cut off"),
            _ => Error::Io(e),
        }
    }
}

/// What uprobes need to know of a file.
#[derive(Debug, Default)]
pub struct Elf {
    /// sorted by name, then offset
    pub functions: Vec<UserSymbol>,
    /// segments with code: (address, file offset, size)
    pub segments: Vec<(u64, u64, u64)>,
    /// it has no `.symtab`: only functions that other files may call are known
    pub stripped: bool,
    /// Go's compiler made it
    pub go: bool,
    /// sorted by provider, then name
    pub statics: Vec<StaticProbe>,
}

/// Symbols of a larger table are left out: 64 MB are 2.7 million of them.
const MAX_TABLE: u64 = 256 << 20;

pub fn read(path: &Path, stores: &[PathBuf]) -> Result<Elf, Error> {
    let file = Reader::open(path)?;
    let segments = file.segments()?;
    let sections = file.sections()?;
    let mut functions = Vec::new();
    let mut stripped = true;
    for s in &sections {
        const SYMTAB: u32 = 2;
        const DYNSYM: u32 = 11;
        if s.kind == SYMTAB || s.kind == DYNSYM {
            stripped &= s.kind != SYMTAB;
            file.functions(s, &sections, &segments, &mut functions)?;
        }
    }
    let go = [".go.buildinfo", ".note.go.buildid", ".gopclntab"].iter().any(|n| file.named(&sections, n).is_some());
    let statics = file.static_probes(&sections, &segments);
    if stripped && let Some(debug) = file.debug_file(&sections, path, stores) {
        // Addresses are the same in both files, offsets only right by the segments of the one that runs.
        let debug = Reader::open(&debug)?;
        let sections = debug.sections()?;
        for s in sections.iter().filter(|s| s.kind == 2) {
            stripped = false;
            debug.functions(s, &sections, &segments, &mut functions)?;
        }
    }
    functions.sort_unstable_by(|a, b| (&a.name, a.offset).cmp(&(&b.name, b.offset)));
    functions.dedup_by(|a, b| a.offset == b.offset && a.name == b.name);
    let segments = segments.iter().filter(|s| s.code).map(|s| (s.address, s.offset, s.size)).collect();
    Ok(Elf { functions, segments, stripped, go, statics })
}

/// What says how frames are left.
#[derive(Debug, Default)]
pub struct Unwinding {
    /// `.eh_frame`; empty: there is none
    pub eh_frame: Vec<u8>,
    /// where it is loaded, by the file's addresses
    pub address: u64,
    /// where `.text` is
    pub text: u64,
    /// segments with code: (address, file offset, size)
    pub segments: Vec<(u64, u64, u64)>,
}

pub fn unwinding(path: &Path) -> Result<Unwinding, Error> {
    let file = Reader::open(path)?;
    if !file.wide {
        return Err(Error::NotElf("a 32-bit ELF file"));
    }
    let segments = file.segments()?;
    let sections = file.sections()?;
    let (eh_frame, address) = match file.named(&sections, ".eh_frame") {
        Some(s) => (file.bytes(s.offset, s.size)?, s.address),
        None => (Vec::new(), 0),
    };
    let text = file.named(&sections, ".text").map_or(0, |s| s.address);
    Ok(Unwinding { eh_frame, address, text, segments: segments.iter().filter(|s| s.code).map(|s| (s.address, s.offset, s.size)).collect() })
}

struct Segment {
    address: u64,
    offset: u64,
    size: u64,
    code: bool,
}

struct Section {
    /// where its name lies among the names of sections
    name: usize,
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    flags: u64,
}

/// What a file is for, where this machine doesn't run it (`e_machine`, of the ELF specification).
fn other_machine(number: u64) -> Option<&'static str> {
    const X86: [u64; 2] = [3, 62];
    const ARM: [u64; 2] = [40, 183];
    let ours = if cfg!(target_arch = "aarch64") { ARM } else { X86 };
    (!ours.contains(&number)).then_some(match number {
        3 | 62 => "a program for x86",
        40 | 183 => "a program for arm",
        247 => "an object of BPF",
        _ => "a program for another processor",
    })
}

struct Reader {
    file: File,
    /// 64-bit
    wide: bool,
    head: Vec<u8>,
}

impl Reader {
    fn open(path: &Path) -> Result<Reader, Error> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(Error::NotElf("no regular file"));
        }
        let mut head = vec![0; 64];
        let n = read_up_to(&file, &mut head)?;
        match &head[..n.min(4)] {
            b"\x7fELF" => {}
            [b'#', b'!', ..] => return Err(Error::NotElf("a script: probe its interpreter")),
            _ => return Err(Error::NotElf("no ELF file")),
        }
        if n < 52 {
            return Err(Error::Broken("it is cut off"));
        }
        if head[5] != 1 {
            return Err(Error::NotElf("a big-endian ELF file"));
        }
        if let Some(other) = other_machine(number::<2>(&head, 18)) {
            return Err(Error::NotElf(other));
        }
        match head[4] {
            1 => Ok(Reader { file, wide: false, head }),
            2 if n == 64 => Ok(Reader { file, wide: true, head }),
            _ => Err(Error::Broken("its header is wrong")),
        }
    }

    /// A field of a structure: at `wide` in the 64-bit form, at `narrow` in the other.
    fn word(&self, bytes: &[u8], wide: usize, narrow: usize) -> u64 {
        match self.wide {
            true => number::<8>(bytes, wide),
            false => number::<4>(bytes, narrow),
        }
    }

    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, Error> {
        if size > MAX_TABLE {
            return Err(Error::Broken("a table of it is too large"));
        }
        // A size that the file doesn't have must not be allocated first.
        if offset.checked_add(size).is_none_or(|end| self.file.metadata().map_or(true, |m| end > m.len())) {
            return Err(Error::Broken("it is cut off"));
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn segments(&self) -> Result<Vec<Segment>, Error> {
        let at = self.word(&self.head, 32, 28);
        let entry = number::<2>(&self.head, if self.wide { 54 } else { 42 });
        let count = number::<2>(&self.head, if self.wide { 56 } else { 44 });
        if count == 0 {
            return Ok(Vec::new());
        }
        if entry < if self.wide { 56 } else { 32 } {
            return Err(Error::Broken("its segments are too small"));
        }
        let table = self.bytes(at, entry * count)?;
        let of = |p: &[u8]| Segment {
            offset: self.word(p, 8, 4),
            address: self.word(p, 16, 8),
            size: self.word(p, 32, 16),
            code: number::<4>(p, if self.wide { 4 } else { 24 }) & 1 != 0,
        };
        const LOAD: u64 = 1;
        Ok(table.chunks_exact(entry as usize).filter(|p| number::<4>(p, 0) == LOAD).map(of).collect())
    }

    fn sections(&self) -> Result<Vec<Section>, Error> {
        let at = self.word(&self.head, 40, 32);
        let entry = number::<2>(&self.head, if self.wide { 58 } else { 46 });
        let mut count = number::<2>(&self.head, if self.wide { 60 } else { 48 });
        if at == 0 {
            return Ok(Vec::new());
        }
        if entry < if self.wide { 64 } else { 40 } {
            return Err(Error::Broken("its sections are too small"));
        }
        if count == 0 {
            // More than 65279 sections: the first one's size is their number.
            count = self.word(&self.bytes(at, entry)?, 32, 20);
        }
        let table = self.bytes(at, entry.saturating_mul(count))?;
        let of = |s: &[u8]| Section {
            name: number::<4>(s, 0) as usize,
            address: self.word(s, 16, 12),
            kind: number::<4>(s, 4) as u32,
            offset: self.word(s, 24, 16),
            size: self.word(s, 32, 20),
            link: number::<4>(s, if self.wide { 40 } else { 24 }) as u32,
            flags: self.word(s, 8, 8),
        };
        Ok(table.chunks_exact(entry as usize).map(of).collect())
    }

    fn named<'a>(&self, sections: &'a [Section], name: &str) -> Option<&'a Section> {
        let names = sections.get(number::<2>(&self.head, if self.wide { 62 } else { 50 }) as usize)?;
        let names = self.bytes(names.offset, names.size).ok()?;
        sections.iter().find(|s| text(&names, s.name) == name)
    }

    /// Adds the functions of a symbol table that lie in one of `segments`.
    fn functions(&self, table: &Section, all: &[Section], segments: &[Segment], out: &mut Vec<UserSymbol>) -> Result<(), Error> {
        let Some(names) = all.get(table.link as usize) else {
            return Err(Error::Broken("its symbols have no names"));
        };
        let symbols = self.bytes(table.offset, table.size)?;
        let names = self.bytes(names.offset, names.size)?;
        let entry = if self.wide { 24 } else { 16 };
        for s in symbols.chunks_exact(entry) {
            let info = s[if self.wide { 4 } else { 12 }];
            let section = number::<2>(s, if self.wide { 6 } else { 14 });
            // A function (not GNU_IFUNC, which is a function that picks one) that is defined here.
            if info & 0xf != 2 || section == 0 {
                continue;
            }
            let address = self.word(s, 8, 4);
            let Some(offset) = file_offset(segments, address) else { continue };
            let at = number::<4>(s, 0) as usize;
            let name = text(&names, at);
            // `memcpy@@GLIBC_2.14`
            let name = name.split('@').next().unwrap_or_default();
            if !name.is_empty() {
                out.push(UserSymbol { name: name.to_owned(), offset, size: self.word(s, 16, 8) });
            }
        }
        Ok(())
    }
}

/// Where an address of the file lies in it.
fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let s = segments.iter().find(|s| s.code && address.checked_sub(s.address).is_some_and(|o| o < s.size))?;
    (address - s.address).checked_add(s.offset)
}

/// A little-endian number of `N` bytes; zeros where there are none.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(b) = bytes.get(at..at + N) {
        word[..N].copy_from_slice(b);
    }
    u64::from_le_bytes(word)
}

fn text(names: &[u8], at: usize) -> &str {
    let rest = names.get(at..).unwrap_or_default();
    // Long names of C++ and Rust have a few thousand bytes; what is longer is no name.
    let rest = &rest[..rest.len().min(8192)];
    let end = rest.iter().position(|b| *b == 0).unwrap_or(0);
    std::str::from_utf8(&rest[..end]).unwrap_or_default()
}

fn read_up_to(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < bytes.len() {
        match file.read_at(&mut bytes[n..], n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}
