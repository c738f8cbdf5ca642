//! Names that a stripped library doesn't have itself: distributions keep them in files of their own, named by build id. Only
//! the symbol table of such a file is read, not its debug information.

use super::{Frame, expand};
use blazesym::helper::read_elf_build_id;
use blazesym::normalize::{NormalizeOpts, Normalizer};
use blazesym::symbolize::{Input, Symbolizer, source};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What was found out about binaries, by path.
#[derive(Default)]
pub struct Stripped(HashMap<PathBuf, Option<Binary>>);

struct Binary {
    /// its symbols
    symbols: PathBuf,
    /// of the binary itself: those of the other file say nothing of offsets
    segments: Vec<Segment>,
}

struct Segment {
    offset: u64,
    size: u64,
    addr: u64,
}

impl Stripped {
    /// Names of addresses of a running process, where such a file has them; `addrs` are sorted.
    pub fn name(&mut self, symbolizer: &Symbolizer, dirs: &[PathBuf], tgid: u32, addrs: &[u64]) -> Vec<Vec<Frame>> {
        let mut frames = vec![Vec::new(); addrs.len()];
        let normalizer = Normalizer::builder().enable_build_ids(false).build();
        let opts = NormalizeOpts { sorted_addrs: true, map_files: false, ..NormalizeOpts::default() };
        let Ok(places) = normalizer.normalize_user_addrs_opts(tgid.into(), addrs, &opts) else {
            return frames;
        };
        for (meta, about) in places.meta.iter().enumerate() {
            let Some(elf) = about.as_elf() else {
                continue;
            };
            let binary = self.0.entry(elf.path.clone()).or_insert_with(|| {
                // as the process sees it: it may live in a container
                let below = elf.path.strip_prefix("/").unwrap_or(&elf.path);
                find(&Path::new(&format!("/proc/{tgid}/root")).join(below), dirs)
            });
            let Some(binary) = binary else {
                continue;
            };
            // where the answers go, and the addresses as the file has them
            let (mut at, mut virt) = (Vec::new(), Vec::new());
            for (i, (offset, of)) in places.outputs.iter().enumerate() {
                if *of == meta
                    && let Some(addr) = binary.address(*offset)
                {
                    at.push(i);
                    virt.push(addr);
                }
            }
            let mut elf_source = source::Elf::new(&binary.symbols);
            elf_source.debug_syms = false;
            let found = symbolizer.symbolize(&source::Source::Elf(elf_source), Input::VirtOffset(&virt));
            for (i, found) in at.into_iter().zip(found.unwrap_or_default()) {
                let mut found = expand(&found);
                for frame in &mut found {
                    frame.module = Some(elf.path.display().to_string());
                }
                if let Some(frames) = frames.get_mut(i) {
                    *frames = found;
                }
            }
        }
        frames
    }

    /// The name of a place in a file, by its offset, for processes that are gone.
    pub fn name_at(&mut self, symbolizer: &Symbolizer, dirs: &[PathBuf], path: &Path, offset: u64) -> Vec<Frame> {
        let binary = self.0.entry(path.to_owned()).or_insert_with(|| find(path, dirs));
        let place = binary.as_ref().and_then(|b| Some((&b.symbols, b.address(offset)?)));
        let Some((symbols, address)) = place else { return Vec::new() };
        let mut elf = source::Elf::new(symbols);
        elf.debug_syms = false;
        symbolizer.symbolize_single(&source::Source::Elf(elf), Input::VirtOffset(address)).map(|s| expand(&s)).unwrap_or_default()
    }
}

impl Binary {
    fn address(&self, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|s| offset.checked_sub(s.offset).is_some_and(|into| into < s.size))?;
        Some(offset - segment.offset + segment.addr)
    }
}

fn find(path: &Path, dirs: &[PathBuf]) -> Option<Binary> {
    let id = read_elf_build_id(path).ok()??;
    let (first, rest) = id.split_first()?;
    let rest: String = rest.iter().map(|b| format!("{b:02x}")).collect();
    let name = format!(".build-id/{first:02x}/{rest}.debug");
    let symbols = dirs.iter().map(|dir| dir.join(&name)).find(|file| file.exists())?;
    let segments = segments(&File::open(path).ok()?).ok()?;
    Some(Binary { symbols, segments })
}

/// The loaded segments of a 64-bit ELF file of this machine's byte order; none of any other.
fn segments(file: &File) -> io::Result<Vec<Segment>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(Vec::new());
    }
    let word = |bytes: &[u8], at: usize, len: u8| awl_compiler::value::uint(bytes, at, len);
    let (table, size, count) = (word(&header, 0x20, 8), word(&header, 0x36, 2), word(&header, 0x38, 2));
    let mut all = Vec::new();
    for i in 0..count {
        let mut entry = [0; 56];
        file.read_exact_at(&mut entry, table.saturating_add(i * size))?;
        // PT_LOAD
        if word(&entry, 0, 4) == 1 {
            all.push(Segment { offset: word(&entry, 8, 8), size: word(&entry, 0x20, 8), addr: word(&entry, 0x10, 8) });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_this_program() {
        let file = File::open("/proc/self/exe").unwrap();
        let binary = Binary { symbols: PathBuf::new(), segments: segments(&file).unwrap() };
        assert!(binary.segments.len() > 1);
        assert_eq!(binary.address(0), Some(0), "a program that may lie anywhere begins at 0");
        assert_eq!(binary.address(u64::MAX), None);
    }

    #[test]
    fn what_is_no_elf_file_has_no_segments() {
        let path = std::env::temp_dir().join(format!("awl-elf-{}", std::process::id()));
        for text in [vec![], vec![b'x'; 100], b"\x7fELF\x02\x01".iter().copied().chain([0xff; 90]).collect()] {
            std::fs::write(&path, &text).unwrap();
            let segments = segments(&File::open(&path).unwrap());
            assert!(segments.is_err() || segments.is_ok_and(|s| s.is_empty()));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
