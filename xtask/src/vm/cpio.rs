//! An initramfs (cpio, format newc), written without root and not packed: unpacking would cost the guest's time.

use super::Failed;
use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    names: HashSet<String>,
    inode: u32,
}

const DIR: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHAR: u32 = 0o020_000;

impl Cpio {
    pub fn dir(&mut self, name: &str) {
        self.add(name, DIR | 0o755, &[], (0, 0));
    }

    pub fn file(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.add(name, FILE | mode, data, (0, 0));
    }

    pub fn link(&mut self, name: &str, to: &str) {
        self.add(name, LINK | 0o777, to.as_bytes(), (0, 0));
    }

    pub fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.add(name, CHAR | 0o600, &[], (major, minor));
    }

    /// A file of this machine.
    pub fn copy(&mut self, from: &Path, name: &str) -> Result<(), Failed> {
        let data = std::fs::read(from).map_err(|e| Failed(format!("{}: {e}", from.display())))?;
        let mode = std::fs::metadata(from)?.permissions().mode() & 0o777;
        self.file(name, mode, &data);
        Ok(())
    }

    fn add(&mut self, name: &str, mode: u32, data: &[u8], device: (u32, u32)) {
        let name = name.trim_matches('/');
        if let Some((parent, _)) = name.rsplit_once('/')
            && !self.names.contains(parent)
        {
            self.dir(parent);
        }
        if self.names.insert(name.to_string()) {
            self.entry(name, mode, data, device);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, data: &[u8], (major, minor): (u32, u32)) {
        self.inode += 1;
        let fields = [self.inode, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, major, minor, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for f in fields {
            self.bytes.extend_from_slice(format!("{f:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(data);
        self.pad(4);
    }

    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        self.pad(512);
        self.bytes
    }
}
