//! Static probes of a file, by the notes that `<sys/sdt.h>` leaves: address of the place, address of `.stapsdt.base` when the
//! note was made, address of the semaphore, then provider, name and arguments as text.

use super::{Reader, Section, Segment, file_offset, number, text};
use awl_compiler::target::StaticProbe;

const NOTE: u32 = 7;
/// `NT_STAPSDT`
const STATIC_PROBE: u64 = 3;
const OWNER: &[u8] = b"stapsdt\0";
const BASE: &str = ".stapsdt.base";

impl Reader {
    /// Notes that contradict themselves describe no probe.
    pub(super) fn static_probes(&self, sections: &[Section], segments: &[Segment]) -> Vec<StaticProbe> {
        let mut found = Vec::new();
        let mut base = None;
        for s in sections.iter().filter(|s| s.kind == NOTE) {
            let Ok(notes) = self.bytes(s.offset, s.size) else { continue };
            for note in descriptions(&notes) {
                let base = *base.get_or_insert_with(|| self.base(sections));
                found.extend(self.static_probe(note, base, segments));
            }
        }
        found.sort_by(|a, b| (&a.provider, &a.name, a.offset).cmp(&(&b.provider, &b.name, b.offset)));
        found
    }

    fn static_probe(&self, note: &[u8], base: Option<u64>, segments: &[Segment]) -> Option<StaticProbe> {
        let address = |i: usize| self.word(note, 8 * i, 4 * i);
        // Prelink moves the file's addresses, but not those in notes.
        let moved = base.map_or(0, |b| b.wrapping_sub(address(1)));
        let offset = file_offset(segments, address(0).wrapping_add(moved))?;
        let semaphore = match address(2) {
            0 => 0,
            at => data_offset(segments, at.wrapping_add(moved)).filter(|o| u32::try_from(*o).is_ok())?,
        };
        let mut at = if self.wide { 24 } else { 12 };
        let mut next = || {
            let t = text(note, at);
            at += t.len() + 1;
            t.to_owned()
        };
        let (provider, name, arguments) = (next(), next(), next());
        (!name.is_empty()).then_some(StaticProbe { provider, name, offset, semaphore, arguments })
    }

    /// Where `.stapsdt.base` is now.
    fn base(&self, sections: &[Section]) -> Option<u64> {
        self.named(sections, BASE).map(|s| s.address)
    }
}

/// A semaphore's place: among data, as far as the file holds them.
fn data_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let s = segments.iter().find(|s| address.checked_sub(s.address).is_some_and(|o| o < s.size))?;
    (address - s.address).checked_add(s.offset)
}

/// What static probes' notes among others say.
fn descriptions(mut notes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while notes.len() >= 12 {
        let (name, size, kind) = (number::<4>(notes, 0) as usize, number::<4>(notes, 4) as usize, number::<4>(notes, 8));
        let start = 12 + name.next_multiple_of(4);
        let Some(description) = notes.get(start..start + size) else { break };
        if kind == STATIC_PROBE && notes.get(12..12 + name) == Some(OWNER) {
            found.push(description);
        }
        notes = notes.get(start + size.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::descriptions;

    fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
        let mut n: Vec<u8> = [name.len() as u32, description.len() as u32, kind].iter().flat_map(|w| w.to_le_bytes()).collect();
        for part in [name, description] {
            n.extend(part);
            n.resize(n.len().next_multiple_of(4), 0);
        }
        n
    }

    #[test]
    fn notes_of_static_probes() {
        let mut all = note(b"GNU\0", 3, b"id");
        all.extend(note(b"stapsdt\0", 3, b"first"));
        all.extend(note(b"stapsdt\0", 4, b"other"));
        all.extend(note(b"stapsdt\0", 3, b"last"));
        assert_eq!(descriptions(&all), [b"first".as_slice(), b"last"]);
        // cut off anywhere: what is whole
        for n in 0..all.len() {
            assert!(descriptions(&all[..n]).len() <= 2);
        }
        assert!(descriptions(&[0xff; 64]).is_empty());
    }
}
