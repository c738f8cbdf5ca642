//! The file that holds a stripped binary's symbols and debug information: by build id as distributions name it, or by the name
//! and checksum that the binary itself has in `.gnu_debuglink`. Sections of debug information, which may be compressed.

use super::{Error, MAX_TABLE, Reader, Section, number, text};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file with debug information.
pub struct Information {
    file: Reader,
    sections: Vec<Section>,
}

/// The binary's own debug information, or that of the file beside it; `None`: there is none.
pub fn information(path: &Path, stores: &[PathBuf]) -> Result<Option<Information>, Error> {
    let file = Reader::open(path)?;
    let sections = file.sections()?;
    let own = Information { file, sections };
    if own.described() {
        return Ok(Some(own));
    }
    let Some(other) = own.file.debug_file(&own.sections, path, stores) else { return Ok(None) };
    let file = Reader::open(&other)?;
    let sections = file.sections()?;
    Ok(Some(Information { file, sections }).filter(Information::described))
}

impl Information {
    fn described(&self) -> bool {
        [".debug_info", ".zdebug_info"].iter().any(|n| self.file.named(&self.sections, n).is_some())
    }

    /// A section by its name, as it was before it was compressed; empty where there is none.
    pub fn section(&self, name: &str) -> Result<Vec<u8>, Error> {
        // `SHF_COMPRESSED`, and what GNU's tools did before that
        const COMPRESSED: u64 = 1 << 11;
        if let Some(s) = self.file.named(&self.sections, name) {
            let bytes = self.file.bytes(s.offset, s.size)?;
            if s.flags & COMPRESSED == 0 {
                return Ok(bytes);
            }
            let (size, head) = (self.file.word(&bytes, 8, 4), if self.file.wide { 24 } else { 12 });
            return unpacked(number::<4>(&bytes, 0), size, bytes.get(head..).unwrap_or_default());
        }
        let Some(s) = self.file.named(&self.sections, &name.replacen(".debug", ".zdebug", 1)) else { return Ok(Vec::new()) };
        let bytes = self.file.bytes(s.offset, s.size)?;
        match bytes.split_first_chunk::<12>() {
            Some((head, rest)) if head.starts_with(b"ZLIB") => {
                unpacked(ZLIB, u64::from_be_bytes([head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11]]), rest)
            }
            _ => Err(Error::Broken("its debug information is compressed in an unknown way")),
        }
    }
}

/// `ELFCOMPRESS_ZLIB`, `ELFCOMPRESS_ZSTD`
const ZLIB: u64 = 1;
const ZSTD: u64 = 2;

fn unpacked(kind: u64, size: u64, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    const BROKEN: Error = Error::Broken("its compressed debug information is damaged");
    if size > MAX_TABLE {
        return Err(Error::Broken("its debug information is too large"));
    }
    let mut out = Vec::new();
    let read = match kind {
        ZLIB => flate2::read::ZlibDecoder::new(bytes).take(size).read_to_end(&mut out).is_ok(),
        ZSTD => ruzstd::decoding::StreamingDecoder::new(bytes).is_ok_and(|d| d.take(size).read_to_end(&mut out).is_ok()),
        _ => return Err(Error::Broken("its debug information is compressed in an unknown way")),
    };
    if read && out.len() as u64 == size { Ok(out) } else { Err(BROKEN) }
}

impl Reader {
    /// `stores`: directories like `/usr/lib/debug`
    pub(super) fn debug_file(&self, sections: &[Section], path: &Path, stores: &[PathBuf]) -> Option<PathBuf> {
        self.by_build_id(sections, path, stores).or_else(|| self.by_link(sections, path, stores))
    }

    /// `/usr/lib/debug/.build-id/ab/cdef.debug`
    fn by_build_id(&self, sections: &[Section], path: &Path, stores: &[PathBuf]) -> Option<PathBuf> {
        const NOTE: u32 = 7;
        for s in sections.iter().filter(|s| s.kind == NOTE && s.size < 4096) {
            let note = self.bytes(s.offset, s.size).ok()?;
            let (name, len, kind) = (number::<4>(&note, 0), number::<4>(&note, 4) as usize, number::<4>(&note, 8));
            let Some(id) = note.get(16..16 + len.min(64)).filter(|_| name == 4 && kind == 3 && note.get(12..16) == Some(b"GNU\0")) else {
                continue;
            };
            let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
            let (first, rest) = hex.split_at_checked(2)?;
            let name = format!(".build-id/{first}/{rest}.debug");
            if let Some(file) = stores.iter().map(|s| s.join(&name)).find(|f| f.is_file() && f != path) {
                return Some(file);
            }
        }
        None
    }

    /// Beside the binary, in `.debug` there, or in a store: at its top, or below as the binary lies below the root. A file with
    /// another checksum belongs to another build.
    fn by_link(&self, sections: &[Section], path: &Path, stores: &[PathBuf]) -> Option<PathBuf> {
        let link = self.named(sections, ".gnu_debuglink").filter(|s| s.size < 4096)?;
        let link = self.bytes(link.offset, link.size).ok()?;
        let name = text(&link, 0);
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let sum = number::<4>(&link, (name.len() + 1).next_multiple_of(4));
        let path = path.canonicalize().ok()?;
        let dir = path.parent()?;
        let below = dir.strip_prefix("/").ok()?;
        let places = [dir.to_owned(), dir.join(".debug")].into_iter().chain(stores.iter().flat_map(|s| [s.join(below), s.clone()]));
        places.map(|d| d.join(name)).find(|p| p.is_file() && *p != path && checksum(p).is_some_and(|s| u64::from(s) == sum))
    }
}

fn checksum(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Some(hasher.finalize()),
            Ok(n) => hasher.update(&bytes[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ZLIB, ZSTD, unpacked};
    use std::io::Write;

    #[test]
    fn compressed_sections() {
        let text = b"abcabcabcabcabcabcabcabcabcabc".repeat(100);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(text.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        for (kind, packed) in [(ZLIB, zlib), (ZSTD, zstd)] {
            assert_eq!(unpacked(kind, text.len() as u64, &packed).unwrap(), text);
            assert!(unpacked(kind, text.len() as u64 + 1, &packed).is_err());
            assert!(unpacked(kind, u64::MAX, &packed).is_err());
            for n in 0..packed.len() {
                let _ = unpacked(kind, text.len() as u64, &packed[..n]);
            }
        }
        assert!(unpacked(3, 0, &[]).is_err());
    }
}
