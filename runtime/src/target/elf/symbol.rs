//! One symbol of a file, a variable or a function, by its name.

use super::{Error, Reader, Section, number, text};
use awl_compiler::target::UserAddress;
use std::path::{Path, PathBuf};

const SYMTAB: u32 = 2;
const DYNSYM: u32 = 11;
/// Kinds of symbols that stand for a place in memory: object, function, common, and a function that picks one. Those of
/// threads' own variables (6) are no addresses.
const PLACES: [u8; 4] = [1, 2, 5, 10];

/// Where a symbol lies; of several with one name a global one goes before a file's own.
pub fn symbol(path: &Path, name: &str, stores: &[PathBuf]) -> Result<Option<UserAddress>, Error> {
    let file = Reader::open(path)?;
    let fixed = number::<2>(&file.head, 16) == 2;
    let sections = file.sections()?;
    let mut found = file.symbol(&sections, name)?;
    if found.is_none()
        && let Some(debug) = file.debug_file(&sections, path, stores)
    {
        let debug = Reader::open(&debug)?;
        found = debug.symbol(&debug.sections()?, name)?;
    }
    Ok(found.map(|(address, size)| UserAddress { address, size, fixed }))
}

impl Reader {
    /// Address and size.
    fn symbol(&self, sections: &[Section], name: &str) -> Result<Option<(u64, u64)>, Error> {
        let mut found = None;
        for table in sections.iter().filter(|s| s.kind == SYMTAB || s.kind == DYNSYM) {
            let Some(names) = sections.get(table.link as usize) else {
                return Err(Error::Broken("its symbols have no names"));
            };
            let symbols = self.bytes(table.offset, table.size)?;
            let names = self.bytes(names.offset, names.size)?;
            for s in symbols.chunks_exact(if self.wide { 24 } else { 16 }) {
                let info = s[if self.wide { 4 } else { 12 }];
                let section = number::<2>(s, if self.wide { 6 } else { 14 });
                // `stdout@@GLIBC_2.2.5`
                let named = || text(&names, number::<4>(s, 0) as usize).split('@').next() == Some(name);
                if section == 0 || !PLACES.contains(&(info & 0xf)) || !named() {
                    continue;
                }
                let at = (self.word(s, 8, 4), self.word(s, 16, 8));
                match info >> 4 {
                    0 => found = found.or(Some(at)),
                    _ => return Ok(Some(at)),
                }
            }
        }
        Ok(found)
    }
}
