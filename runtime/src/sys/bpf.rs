//! bpf(2). The attribute structures are those of `union bpf_attr` in `include/uapi/linux/bpf.h`, one for each command and
//! only as long as what is used of it: the kernel takes the missing tail for zeros.

mod link;
mod map;
mod object;
mod program;

pub use link::*;
pub use map::*;
pub use object::*;
pub use program::*;

use super::check;
use aya_obj::generated::bpf_cmd;
use std::io;

/// The kernel's `BPF_OBJ_NAME_LEN`, the closing NUL included.
const NAME_LEN: usize = 16;

/// # Safety
/// `attr` is the structure of `cmd`; every address in it is valid for what the command reads and writes there.
unsafe fn bpf<A>(cmd: bpf_cmd, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: by the caller's promise.
    check(unsafe { libc::syscall(libc::SYS_bpf, cmd as libc::c_long, std::ptr::from_mut(attr), size_of::<A>()) })
}

/// The kernel allows letters, digits, `_` and `.` in names of programs and maps, 15 of them.
fn object_name(name: &str) -> [u8; NAME_LEN] {
    let mut out = [0; NAME_LEN];
    for (o, b) in out.iter_mut().zip(name.bytes().take(NAME_LEN - 1)) {
        *o = match b {
            b'_' | b'.' => b,
            b if b.is_ascii_alphanumeric() => b,
            _ => b'_',
        };
    }
    out
}

fn address<T: ?Sized>(p: &T) -> u64 {
    std::ptr::from_ref(p).cast::<u8>() as u64
}

fn address_mut<T: ?Sized>(p: &mut T) -> u64 {
    std::ptr::from_mut(p).cast::<u8>() as u64
}

fn wrong_size() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "buffer does not fit the map's key or value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&object_name("a-b.c_d"), b"a_b.c_d\0\0\0\0\0\0\0\0\0");
        assert_eq!(&object_name("0123456789abcdefgh"), b"0123456789abcde\0");
    }
}
