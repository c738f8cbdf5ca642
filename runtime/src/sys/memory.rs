//! Memory shared with the kernel.

use super::{check, owned};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A file in memory, which goes with its descriptor.
pub fn file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name lives through the call.
    owned(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) }.into())
}

/// Memory of a map, mapped into this process. Programs write it while we read: every access is an atomic load or store.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    writable: bool,
}

// SAFETY: the mapping belongs to this value alone, and all access to the memory is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `len` bytes of `fd` from `offset`, a multiple of the page size.
    pub fn new(fd: BorrowedFd, len: usize, offset: usize, writable: bool) -> io::Result<Mapping> {
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd.as_raw_fd(), offset as libc::off_t) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(at.cast()) {
            Some(start) => Ok(Mapping { start, len, writable }),
            None => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `u64` at `offset`, a multiple of 8; 0 where there is none.
    pub fn load(&self, offset: usize) -> u64 {
        self.word(offset).map_or(0, |w| w.load(Ordering::Acquire))
    }

    /// Sets the `u64` at `offset`, a multiple of 8. Does nothing where there is none or it can't be written.
    pub fn store(&self, offset: usize, value: u64) {
        if let Some(w) = self.word(offset).filter(|_| self.writable) {
            w.store(value, Ordering::Release);
        }
    }

    /// Takes the `u64` at `offset`, a multiple of 8, and leaves 0.
    pub fn take(&self, offset: usize) -> u64 {
        self.word(offset).filter(|_| self.writable).map_or(0, |w| w.swap(0, Ordering::AcqRel))
    }

    /// Appends the bytes `offset..offset + len`; zeros where there are none. Whole words are read at once, so that a number
    /// of 8 bytes is never half old and half new.
    pub fn copy_to(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        let (start, end) = (offset / 8 * 8, offset + len);
        out.reserve(len);
        let mut at = start;
        while at < end {
            let bytes = self.load(at).to_ne_bytes();
            let from = offset.saturating_sub(at).min(8);
            let to = (end - at).min(8);
            out.extend_from_slice(&bytes[from..to]);
            at += 8;
        }
    }

    /// Zeros the bytes `offset..offset + len`, both multiples of 8.
    pub fn zero(&self, offset: usize, len: usize) {
        for at in (offset..offset + len).step_by(8) {
            self.store(at, 0);
        }
    }

    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        let fits = offset.is_multiple_of(8) && offset.checked_add(8).is_some_and(|e| e <= self.len);
        // SAFETY: in bounds and aligned (mappings start at a page); the memory lives as long as `self`, and whoever else
        // writes it is the kernel. Loads need no right to write.
        fits.then(|| unsafe { &*self.start.as_ptr().add(offset).cast::<AtomicU64>() })
    }

    pub(super) fn half_word(&self, offset: usize) -> Option<&AtomicU32> {
        let fits = offset.is_multiple_of(4) && offset.checked_add(4).is_some_and(|e| e <= self.len);
        // SAFETY: as in `word`.
        fits.then(|| unsafe { &*self.start.as_ptr().add(offset).cast::<AtomicU32>() })
    }

    /// The bytes themselves.
    ///
    /// # Safety
    /// Nobody writes them while the slice lives.
    pub(super) unsafe fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        let fits = offset.checked_add(len).is_some_and(|e| e <= self.len);
        // SAFETY: in bounds; unchanged by the caller's promise.
        fits.then(|| unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset), len) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and every reference into it borrowed `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

pub fn page_size() -> usize {
    // SAFETY: takes and gives plain numbers.
    let n = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(n).unwrap_or(4096)
}

/// Lifts the soft limit of open files to the hard one when fewer than `wanted` may be open. An attach point takes one.
pub fn allow_open_files(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    if known && limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel reads the structure. A refusal shows later, as EMFILE.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
}

/// Kernels before 5.11 count maps and programs as locked memory. Says whether the limit is lifted now.
pub fn allow_locked_memory() -> bool {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel reads the structure.
    check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }.into()).is_ok()
}
