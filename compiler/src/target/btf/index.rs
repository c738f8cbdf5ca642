//! Names to ids: hashes sorted beside ids, so that building is one sort and hostile names can't make it slow.

pub struct NameIndex {
    /// hash in the high half, id in the low: sorted
    entries: Vec<u64>,
}

impl NameIndex {
    pub fn build<'a>(names: impl Iterator<Item = (&'a [u8], u32)>) -> NameIndex {
        let mut entries: Vec<u64> = names.map(|(name, id)| u64::from(hash(name)) << 32 | u64::from(id)).collect();
        entries.sort_unstable();
        NameIndex { entries }
    }

    /// Ids whose name may be `name`, ascending; the caller compares the names themselves.
    pub fn candidates(&self, name: &str) -> impl Iterator<Item = u32> + '_ {
        let hash = hash(name.as_bytes());
        let from = self.entries.partition_point(|e| ((e >> 32) as u32) < hash);
        self.entries[from..].iter().take_while(move |e| (*e >> 32) as u32 == hash).map(|e| *e as u32)
    }
}

/// FNV-1a over eight bytes at a time.
fn hash(name: &[u8]) -> u32 {
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    for chunk in name.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        h = (h ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        h ^= h >> 29;
    }
    (h ^ (h >> 32)) as u32
}
