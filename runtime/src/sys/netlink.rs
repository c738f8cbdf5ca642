//! Route netlink: what of the network has no system call of its own. Messages are built and read as bytes.

use super::net::ETH_P_ALL;
use super::{check, owned};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

// linux/rtnetlink.h, linux/if_link.h, linux/pkt_sched.h, linux/pkt_cls.h
const RTM_GETLINK: u16 = 18;
const RTM_NEWQDISC: u16 = 36;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_PROG_ID: u16 = 4;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_INGRESS: u32 = 0xffff_fff2;
const TC_H_EGRESS: u32 = 0xffff_fff3;
const CLSACT_HANDLE: u32 = 0xffff_0000;
/// of the first filter that an awl adds somewhere, the next ones follow; others' lower numbers come first
const PRIORITY: u32 = 49_000;
/// filters of an awl in one place
const MOST_FILTERS: u32 = 1000;

const HEADER: usize = 16;

/// A message while it is put together.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: i32) -> Message {
        let mut m = vec![0; 4];
        m.extend(kind.to_ne_bytes());
        m.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        m.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        Message(m)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend((value.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// `struct tcmsg`
    fn tc(mut self, interface: u32, handle: u32, parent: u32, info: u32) -> Message {
        self.0.extend([0; 4]);
        for word in [interface, handle, parent, info] {
            self.0.extend(word.to_ne_bytes());
        }
        self
    }

    /// Sends it; the first message of the answer.
    fn send(mut self) -> io::Result<Vec<u8>> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        // SAFETY: no addresses.
        let socket = owned(i64::from(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) }))?;
        // SAFETY: the buffer lives through the call and has the length given.
        check(unsafe { libc::send(socket.as_raw_fd(), self.0.as_ptr().cast(), self.0.len(), 0) } as i64)?;
        let mut answer = vec![0u8; 64 << 10];
        // SAFETY: as above.
        let n = check(unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) } as i64)?;
        answer.truncate(n as usize);
        if word16(&answer, 4) == libc::NLMSG_ERROR as u16 {
            let code = word(&answer, HEADER) as i32;
            if code != 0 {
                return Err(io::Error::from_raw_os_error(-code));
            }
        }
        Ok(answer)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

fn word16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]))
}

/// The value of an attribute among others.
fn find(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    while bytes.len() >= 4 {
        let len = usize::from(word16(bytes, 0));
        if len < 4 || len > bytes.len() {
            return None;
        }
        if word16(bytes, 2) & 0x3fff == kind {
            return Some(&bytes[4..len]);
        }
        bytes = bytes.get(len.next_multiple_of(4)..)?;
    }
    None
}

/// The XDP program of an interface, by its id.
pub fn xdp_program(interface: u32) -> io::Result<Option<u32>> {
    let mut m = Message::new(RTM_GETLINK, 0);
    // struct ifinfomsg
    m.0.extend([0; 4]);
    m.0.extend(interface.to_ne_bytes());
    m.0.extend([0; 8]);
    let answer = m.send()?;
    let attributes = answer.get(HEADER + 16..).unwrap_or_default();
    let id = find(attributes, IFLA_XDP).and_then(|x| find(x, IFLA_XDP_PROG_ID)).map(|v| word(v, 0));
    Ok(id.filter(|id| *id != 0))
}

/// Tells that some interface came, went or changed.
pub struct Changes(OwnedFd);

impl Changes {
    pub fn open() -> io::Result<Changes> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no addresses.
        let socket = owned(i64::from(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) }))?;
        // SAFETY: all zeros are a valid `sockaddr_nl`.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = libc::RTMGRP_LINK as u32;
        // SAFETY: the address lives through the call and has the length given.
        check(i64::from(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size_of_val(&address) as u32) }))?;
        Ok(Changes(socket))
    }

    /// Throws away what was told: who wants to know asks for what is there now.
    pub fn drain(&self) {
        let mut bytes = [0u8; 4096];
        loop {
            // SAFETY: the buffer lives through the call and has the length given.
            let n = unsafe { libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
            // That messages were lost changes nothing here.
            if n <= 0 && io::Error::last_os_error().raw_os_error() != Some(libc::ENOBUFS) {
                return;
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A filter of the clsact qdisc. Dropped, it is removed.
#[derive(Debug)]
pub struct Filter {
    interface: u32,
    parent: u32,
    handle: u32,
    priority: u32,
}

/// Adds a program to the packets that an interface receives or sends, behind the filters that are there.
pub fn add_filter(interface: u32, egress: bool, prog: BorrowedFd) -> io::Result<Filter> {
    let mut qdisc =
        Message::new(RTM_NEWQDISC, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL).tc(interface, CLSACT_HANDLE, TC_H_CLSACT, 0);
    qdisc.attribute(TCA_KIND, b"clsact\0");
    match qdisc.send() {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
        _ => {}
    }
    let parent = if egress { TC_H_EGRESS } else { TC_H_INGRESS };
    // Numbers of our own process first, so that two awls don't meet.
    let handle = std::process::id() & 0x7fff_ffff;
    let mut priority = PRIORITY;
    // By number, since of those with the same one the last runs first.
    while let Err(e) = new_filter(interface, handle, parent, priority, prog) {
        if e.raw_os_error() != Some(libc::EEXIST) || priority == PRIORITY + MOST_FILTERS {
            return Err(e);
        }
        priority += 1;
    }
    Ok(Filter { interface, parent, handle, priority })
}

fn of_all_protocols(priority: u32) -> u32 {
    priority << 16 | u32::from(ETH_P_ALL.to_be())
}

fn new_filter(interface: u32, handle: u32, parent: u32, priority: u32, prog: BorrowedFd) -> io::Result<()> {
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut m = Message::new(RTM_NEWTFILTER, flags).tc(interface, handle, parent, of_all_protocols(priority));
    m.attribute(TCA_KIND, b"bpf\0");
    let mut options = Message(Vec::new());
    options.attribute(TCA_BPF_FD, &(prog.as_raw_fd() as u32).to_ne_bytes());
    options.attribute(TCA_BPF_NAME, b"awl\0");
    options.attribute(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
    m.attribute(TCA_OPTIONS, &options.0);
    m.send().map(drop)
}

impl Drop for Filter {
    fn drop(&mut self) {
        let info = of_all_protocols(self.priority);
        let mut m = Message::new(RTM_DELTFILTER, libc::NLM_F_ACK).tc(self.interface, self.handle, self.parent, info);
        m.attribute(TCA_KIND, b"bpf\0");
        // The interface may be gone, and the filter with it.
        let _ = m.send();
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, find};

    #[test]
    fn attributes_are_found_and_broken_ones_are_not_followed() {
        let mut m = Message(Vec::new());
        m.attribute(7, b"abc");
        m.attribute(9, &[1, 2, 3, 4]);
        assert_eq!(m.0.len(), 16);
        assert_eq!(find(&m.0, 9), Some(&[1u8, 2, 3, 4][..]));
        assert_eq!(find(&m.0, 8), None);
        assert_eq!(find(&[0, 0, 9, 0], 9), None);
        assert_eq!(find(&[40, 0, 9, 0], 9), None);
    }
}
