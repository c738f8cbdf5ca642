//! Debug information of programs: what their functions are like (`types`), where lines of their sources are (`lines`).

mod lines;
mod types;

pub use lines::Line;

use super::elf;
use awl_compiler::target::UserFunction;
use awl_compiler::target::btf::Node;
use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, Unit};
use std::path::{Path, PathBuf};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

pub struct DebugInfo {
    sections: DwarfSections<Vec<u8>>,
}

/// Why there is none to read.
#[derive(Debug)]
pub enum Error {
    /// neither in the binary nor beside it
    None,
    /// what is wrong with it
    Broken(String),
}

impl From<elf::Error> for Error {
    fn from(e: elf::Error) -> Error {
        Error::Broken(match e {
            elf::Error::Io(e) => e.to_string(),
            elf::Error::NotElf(w) | elf::Error::Broken(w) => w.to_owned(),
        })
    }
}

impl From<gimli::Error> for Error {
    fn from(e: gimli::Error) -> Error {
        Error::Broken(e.to_string())
    }
}

impl DebugInfo {
    /// Of a binary: its own, or that of the file beside it that has the same build id or the checksum that it names. `stores`:
    /// directories such as `/usr/lib/debug`.
    pub fn of(path: &Path, stores: &[PathBuf]) -> Result<DebugInfo, Error> {
        let found = elf::debug_information(path, stores)?.ok_or(Error::None)?;
        let sections = DwarfSections::load(|id| match id {
            // what awl doesn't ask for can be large
            gimli::SectionId::DebugMacro | gimli::SectionId::DebugFrame => Ok(Vec::new()),
            _ => found.section(id.name()),
        })?;
        Ok(DebugInfo { sections })
    }

    fn dwarf(&self) -> Dwarf<Bytes<'_>> {
        self.sections.borrow(|s| EndianSlice::new(s, LittleEndian))
    }

    /// What is said of the functions that begin at these addresses, with the types that they name.
    pub fn functions(&self, addresses: &[u64]) -> Result<(Vec<Option<UserFunction>>, Vec<Node>), Error> {
        types::functions(&self.dwarf(), addresses).map_err(Error::from)
    }

    /// Where a line of a file is, among the addresses that are code.
    pub fn line(&self, file: &str, line: u64, column: Option<u64>, code: &dyn Fn(u64) -> bool) -> Result<Line, Error> {
        lines::find(&self.dwarf(), file, line, column, code).map_err(Error::from)
    }
}

/// The units, in the order of their places.
fn units<'a>(dwarf: &Dwarf<Bytes<'a>>) -> gimli::Result<Vec<Unit<Bytes<'a>>>> {
    let (mut found, mut headers) = (Vec::new(), dwarf.units());
    while let Some(header) = headers.next()? {
        found.push(dwarf.unit(header)?);
    }
    Ok(found)
}

/// Does the unit hold code at one of the addresses, as far as it says where its code is?
fn holds(dwarf: &Dwarf<Bytes>, unit: &Unit<Bytes>, addresses: &[u64]) -> gimli::Result<bool> {
    let (mut ranges, mut any) = (dwarf.unit_ranges(unit)?, false);
    while let Some(r) = ranges.next()? {
        any = true;
        if addresses.iter().any(|a| (r.begin..r.end).contains(a)) {
            return Ok(true);
        }
    }
    Ok(!any)
}
