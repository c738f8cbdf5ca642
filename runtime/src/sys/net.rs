//! Network interfaces.

use super::{check, owned};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

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

/// `linux/if_ether.h`: packets of every protocol
pub const ETH_P_ALL: u16 = 3;

/// A packet socket on an interface with a program as its filter.
pub fn packet_socket(interface: u32, prog: BorrowedFd) -> io::Result<OwnedFd> {
    // Bound to nothing at first, so that no packet comes in before the filter is there.
    // SAFETY: no addresses.
    let socket = owned(i64::from(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) }))?;
    let fd = prog.as_raw_fd();
    let value = std::ptr::from_ref(&fd).cast();
    // SAFETY: the value is an int that lives through the call.
    check(i64::from(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_BPF, value, 4) }))?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ETH_P_ALL.to_be(),
        sll_ifindex: interface as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address lives through the call and has the length given.
    check(i64::from(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size_of_val(&address) as u32) }))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_loopback_is_there() {
        assert!(super::interfaces().unwrap().iter().any(|(_, n)| n == "lo"));
    }
}
