//! Where the members of a C record lie, on x86-64 (System V) and arm64 (AAPCS64), which differ in unnamed bit-fields.

use crate::target::Arch;

/// One member to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// bytes
    pub size: u64,
    /// of its type, bytes
    pub align: u64,
    /// width of a bit-field
    pub bits: Option<u32>,
    pub named: bool,
}

/// A record as far as it is laid out.
#[derive(Clone, Debug)]
pub struct Layout {
    union: bool,
    packed: bool,
    arch: Arch,
    /// first free bit
    at: u64,
    /// bytes of the longest member of a union
    longest: u64,
    align: u64,
}

impl Layout {
    /// `align`: what `aligned` asks for, in bytes.
    pub fn new(union: bool, packed: bool, align: Option<u64>, arch: Arch) -> Layout {
        Layout { union, packed, arch, at: 0, longest: 0, align: align.unwrap_or(1).max(1) }
    }

    /// Places one more member; its first bit. `None`: the record became larger than can be.
    pub fn place(&mut self, m: Member) -> Option<u64> {
        let align = if self.packed { 1 } else { m.align };
        let start = if self.union { 0 } else { self.at };
        let Some(width) = m.bits.map(u64::from) else {
            self.align = self.align.max(align);
            let at = start.checked_next_multiple_of(align * 8)?;
            return self.took(at, m.size.checked_mul(8)?);
        };
        // A bit-field of no width only ends the unit that is open, even in a packed record.
        if width == 0 {
            if self.arch == Arch::Aarch64 {
                self.align = self.align.max(m.align);
            }
            self.at = start.checked_next_multiple_of(m.align * 8)?;
            return Some(self.at);
        }
        if m.named || self.arch == Arch::Aarch64 {
            self.align = self.align.max(align);
        }
        let unit = m.size * 8;
        let crosses = start % (m.align * 8) + width > unit;
        let at = if crosses && !self.packed { start.checked_next_multiple_of(m.align * 8)? } else { start };
        self.took(at, width)
    }

    fn took(&mut self, at: u64, bits: u64) -> Option<u64> {
        let end = at.checked_add(bits)?;
        match self.union {
            true => self.longest = self.longest.max(bits.div_ceil(8)),
            false => self.at = end,
        }
        (end < 1 << 34).then_some(at)
    }

    /// (size, alignment) of the whole, in bytes.
    pub fn end(&self) -> Option<(u32, u32)> {
        let size = if self.union { self.longest } else { self.at.div_ceil(8) };
        let size = size.checked_next_multiple_of(self.align)?;
        Some((u32::try_from(size).ok().filter(|s| *s <= 1 << 30)?, u32::try_from(self.align).ok()?))
    }
}
