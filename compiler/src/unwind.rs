//! Tables by which programs unwind stacks of processes that keep no frame pointers (x86-64): programs read them, the runtime
//! writes them.
//!
//! A *row* says how a frame is left from some address of a file on. Rows of a file lie in *pages*, sorted. A process has a table of
//! *chunks*, sorted by address: each says which page speaks for the addresses from there on.

/// Map of pages: an array, `PAGE_BYTES` each. `u32` times `ROWS`: bytes from the page's first address, `u32::MAX` behind the last
/// one; then `u32` times `ROWS`: `Rule::word`.
pub const PAGES_MAP: &str = "unwind_pages";
/// Map of processes: a hash by `u32` process id, `CHUNKS_BYTES` each. `CHUNKS` times `{ u64 start; u64 base; u64 page }`: addresses
/// from `start` on are in that page (`NO_PAGE`: nothing is known), whose first address is `base`. The first chunk starts at 0,
/// those behind the last one at `i64::MAX`.
pub const PROCESSES_MAP: &str = "unwind_processes";

/// rows of a page: a power of two
pub const ROWS: u32 = 2048;
pub const PAGE_BYTES: u32 = 8 * ROWS;
/// pages of all files, 16 KB each
pub const PAGES: u32 = 1024;
/// chunks of a process: a power of two
pub const CHUNKS: u32 = 1024;
pub const CHUNK_BYTES: u32 = 24;
pub const CHUNKS_BYTES: u32 = CHUNKS * CHUNK_BYTES;
pub const NO_PAGE: u64 = u32::MAX as u64;
/// processes with tables at the same time
pub const PROCESSES: u32 = 64;

/// Where the frame of the caller begins (its *CFA*: the return address lies right below).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cfa {
    /// nothing is known, or nothing that fits here
    Unknown,
    /// bytes above the stack pointer
    Sp(i32),
    /// bytes above rbp
    Bp(i32),
    /// what lies so many bytes above rbp is the address
    AtBp(i32),
    /// the same of the stack pointer
    AtSp(i32),
    /// in a table of jumps to other files: 8 bytes above the stack pointer, or 16 from that byte on of each 16 bytes of code
    Plt(u8),
    /// the kernel's frame of a signal: all registers lie on the stack
    Signal,
    /// nobody called: the end of the stack
    End,
}

/// What the caller had in rbp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bp {
    Same,
    /// it lies so many bytes above the CFA
    AtCfa(i32),
    /// it lies so many bytes above where rbp points to
    AtBp(i32),
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    pub cfa: Cfa,
    pub bp: Bp,
}

/// Kinds of CFA in the lowest three bits of a rule's word.
pub mod cfa {
    pub const UNKNOWN: i64 = 0;
    pub const SP: i64 = 1;
    pub const BP: i64 = 2;
    pub const PLT: i64 = 3;
    pub const SIGNAL: i64 = 4;
    pub const END: i64 = 5;
    pub const AT_BP: i64 = 6;
    pub const AT_SP: i64 = 7;
}

/// Kinds of rbp in the next two bits.
pub mod bp {
    pub const SAME: i64 = 0;
    pub const AT_CFA: i64 = 1;
    pub const AT_BP: i64 = 2;
    pub const LOST: i64 = 3;
}

/// Offsets are counted in eights.
pub const UNIT: i32 = 8;

impl Rule {
    pub const UNKNOWN: Rule = Rule { cfa: Cfa::Unknown, bp: Bp::Same };

    /// `{ u8 kinds; i8 offset of rbp; i16 offset of the CFA }`. Of what doesn't fit nothing is known.
    pub fn word(self) -> u32 {
        let (bp, bp_at) = match self.bp {
            Bp::Same => (bp::SAME, Some(0)),
            Bp::AtCfa(n) => (bp::AT_CFA, units(n)),
            Bp::AtBp(n) => (bp::AT_BP, units(n)),
            Bp::Lost => (bp::LOST, Some(0)),
        };
        let (bp, bp_at) = match bp_at.and_then(|n| i8::try_from(n).ok()) {
            Some(n) => (bp, n),
            None => (bp::LOST, 0),
        };
        let (kind, at) = match self.cfa {
            Cfa::Unknown => (cfa::UNKNOWN, Some(0)),
            Cfa::Sp(n) => (cfa::SP, units(n)),
            Cfa::Bp(n) => (cfa::BP, units(n)),
            Cfa::AtBp(n) => (cfa::AT_BP, units(n)),
            Cfa::AtSp(n) => (cfa::AT_SP, units(n)),
            Cfa::Plt(n) => (cfa::PLT, Some(i32::from(n))),
            Cfa::Signal => (cfa::SIGNAL, Some(0)),
            Cfa::End => (cfa::END, Some(0)),
        };
        match at.and_then(|n| i16::try_from(n).ok()) {
            Some(n) => (kind | bp << 3) as u32 | u32::from(bp_at as u8) << 8 | u32::from(n as u16) << 16,
            None => cfa::UNKNOWN as u32,
        }
    }
}

fn units(bytes: i32) -> Option<i32> {
    (bytes % UNIT == 0).then_some(bytes / UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let word = |cfa, bp| Rule { cfa, bp }.word();
        assert_eq!(word(Cfa::Sp(8), Bp::Same), 0x0001_0001);
        assert_eq!(word(Cfa::Bp(16), Bp::AtCfa(-16)), 0x0002_fe0a);
        assert_eq!(word(Cfa::AtBp(-8), Bp::AtBp(0)), 0xffff_0016);
        assert_eq!(word(Cfa::Plt(11), Bp::Same), 0x000b_0003);
        // What doesn't fit.
        assert_eq!(word(Cfa::Sp(12), Bp::Same), 0);
        assert_eq!(word(Cfa::Sp(8 << 15), Bp::Same), 0);
        assert_eq!(word(Cfa::Sp(16), Bp::AtCfa(-16 * 100)), 0x0002_0019);
    }
}
