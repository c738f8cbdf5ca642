//! A file of the kernel's own, mapped for reading.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;

/// The bytes of a file that never changes: sysfs's copy of the kernel's types.
#[derive(Debug)]
pub struct Image {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is never written, and belongs to this value.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// Maps `/sys/kernel/btf/NAME`. Kernels before 6.16 can't (`ENODEV`): read it then. Only these files: any other could be
    /// cut short under the mapping.
    pub fn of_types(name: &str) -> io::Result<Image> {
        let file = File::open(Path::new("/sys/kernel/btf").join(name))?;
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if len == 0 || name.contains('/') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The kernel wants it private and read-only (btf_sysfs_vmlinux_mmap, kernel/bpf/sysfs_btf.c, 6.18).
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Image { start, len })
    }
}

impl AsRef<[u8]> for Image {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` mapped bytes that live as long as `self`; the kernel's types don't change while it runs.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `of_types`, and every reference into it borrowed `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
