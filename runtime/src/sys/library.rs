//! What only the C library knows: local time by its own format, names of users.

use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Longest formatted time, bytes.
const LONGEST: usize = 1 << 16;

/// Appends the local time `secs` (since 1970) as `strftime(3)` formats it; nothing where that is too long or the year
/// doesn't fit.
pub fn strftime(out: &mut Vec<u8>, format: &CStr, secs: i64) {
    if format.is_empty() {
        return;
    }
    let mut tm = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; localtime_r fills `tm` unless it returns null.
    let tm = unsafe {
        if libc::localtime_r(&secs, tm.as_mut_ptr()).is_null() {
            return;
        }
        tm.assume_init()
    };
    let start = out.len();
    let mut room = 64.max(format.count_bytes() * 4);
    while room <= LONGEST {
        out.resize(start + room, 0);
        // SAFETY: `out` has `room` bytes from `start` on, the format ends in a NUL and `tm` is filled.
        let len = unsafe {
            let to = out.as_mut_ptr().add(start).cast();
            libc::strftime(to, room, format.as_ptr(), &tm)
        };
        // 0 is "too long" as well as "an empty result"
        if len > 0 {
            return out.truncate(start + len);
        }
        room *= 8;
    }
    out.truncate(start);
}

/// The name of a user, from wherever the system has it.
pub fn user_name(uid: u32) -> Option<Vec<u8>> {
    let mut room = 1024;
    while room <= LONGEST {
        let mut buffer = vec![0u8; room];
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call and `buffer` has `room` bytes.
        let error = unsafe { libc::getpwuid_r(uid, entry.as_mut_ptr(), buffer.as_mut_ptr().cast(), room, &mut found) };
        match error {
            0 if found.is_null() => return None,
            0 => {
                // SAFETY: `found` points to `entry`, which is filled; its name lies in `buffer` and ends in a NUL.
                let name = unsafe { CStr::from_ptr((*found).pw_name) };
                return Some(name.to_bytes().to_vec());
            }
            libc::ERANGE => room *= 4,
            _ => return None,
        }
    }
    None
}
