//! The file that holds a stripped binary's symbols: by build id as distributions name it, or by the name and checksum that the
//! binary itself has in `.gnu_debuglink`.

use super::{Reader, Section, number, text};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const STORE: &str = "/usr/lib/debug";

impl Reader {
    pub(super) fn debug_file(&self, sections: &[Section], path: &Path) -> Option<PathBuf> {
        self.by_build_id(sections, path).or_else(|| self.by_link(sections, path))
    }

    /// `/usr/lib/debug/.build-id/ab/cdef.debug`
    fn by_build_id(&self, sections: &[Section], path: &Path) -> Option<PathBuf> {
        const NOTE: u32 = 7;
        for s in sections.iter().filter(|s| s.kind == NOTE && s.size < 4096) {
            let note = self.bytes(s.offset, s.size).ok()?;
            let (name, len, kind) = (number::<4>(&note, 0), number::<4>(&note, 4) as usize, number::<4>(&note, 8));
            let Some(id) = note.get(16..16 + len.min(64)).filter(|_| name == 4 && kind == 3 && note.get(12..16) == Some(b"GNU\0")) else {
                continue;
            };
            let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
            let (first, rest) = hex.split_at_checked(2)?;
            let file = PathBuf::from(format!("{STORE}/.build-id/{first}/{rest}.debug"));
            if file.is_file() && file != path {
                return Some(file);
            }
        }
        None
    }

    /// Beside the binary, in `.debug` there, or below `/usr/lib/debug`. A file with another checksum belongs to another build.
    fn by_link(&self, sections: &[Section], path: &Path) -> Option<PathBuf> {
        let link = self.named(sections, ".gnu_debuglink").filter(|s| s.size < 4096)?;
        let link = self.bytes(link.offset, link.size).ok()?;
        let name = text(&link, 0);
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let sum = number::<4>(&link, (name.len() + 1).next_multiple_of(4));
        let path = path.canonicalize().ok()?;
        let dir = path.parent()?;
        let stored = Path::new(STORE).join(dir.strip_prefix("/").ok()?);
        let places = [dir.join(name), dir.join(".debug").join(name), stored.join(name)];
        places.into_iter().find(|p| p.is_file() && *p != path && checksum(p).is_some_and(|s| u64::from(s) == sum))
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
