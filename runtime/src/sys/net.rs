//! Network interfaces.

use std::ffi::CStr;
use std::io;

/// Number and name of every interface of this process's network namespace, in the order of their numbers.
pub fn interfaces() -> io::Result<Vec<(u32, String)>> {
    // SAFETY: no arguments; null is an error.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    for i in 0.. {
        // SAFETY: the list ends with an entry of number 0 and no name, and we stop there.
        let entry = unsafe { &*list.add(i) };
        if entry.if_index == 0 || entry.if_name.is_null() {
            break;
        }
        // SAFETY: the name is a C string that lives as long as the list.
        let name = unsafe { CStr::from_ptr(entry.if_name) };
        found.push((entry.if_index, name.to_string_lossy().into_owned()));
    }
    // SAFETY: the list came from `if_nameindex` and is not used any more.
    unsafe { libc::if_freenameindex(list) };
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_loopback_is_there() {
        assert!(super::interfaces().unwrap().iter().any(|(_, n)| n == "lo"));
    }
}
