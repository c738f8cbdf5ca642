//! Packets as values: the headers that there are, and the verdicts that a program may give.
//!
//! A header's value is a pointer into the packet (`Space::Packet`): its place in it with a bit that says that it is there, 0
//! where the packet has no such header. How the headers lie is written in the language, in `stdlib/packet.bt`; how one is found
//! is in `lower/packet`.

pub mod verdict;

use crate::artifact::ProgramKind;

/// Where a program meets packets, and so how it reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// `struct xdp_md`, from Ethernet on
    Xdp,
    /// `struct __sk_buff` from Ethernet on
    Link,
    /// `struct __sk_buff` from IP on
    Network,
    /// `struct __sk_buff` whose packet a helper reads, from Ethernet on
    Socket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    Eth,
    Vlan,
    Arp,
    Ip,
    Ip6,
    Tcp,
    Udp,
    Icmp,
    Icmp6,
    Dns,
    Payload,
}

/// A header by its name in the language. Those with a layout have the struct of the same name.
const HEADERS: &[(&str, Header)] = &[
    ("eth", Header::Eth),
    ("vlan", Header::Vlan),
    ("arp", Header::Arp),
    ("ip", Header::Ip),
    ("ip6", Header::Ip6),
    ("tcp", Header::Tcp),
    ("udp", Header::Udp),
    ("icmp", Header::Icmp),
    ("icmp6", Header::Icmp6),
    ("dns", Header::Dns),
    ("payload", Header::Payload),
];

pub fn header(name: &str) -> Option<Header> {
    HEADERS.iter().find(|(n, _)| *n == name).map(|(_, h)| *h)
}

/// Names of all headers.
pub fn names() -> impl Iterator<Item = &'static str> {
    HEADERS.iter().map(|(n, _)| *n)
}

/// Programs that run for a packet and not for a process.
pub fn is_packet(kind: ProgramKind) -> bool {
    use crate::artifact::CgroupHook::{Egress, Ingress};
    matches!(kind, ProgramKind::Xdp | ProgramKind::Tc | ProgramKind::SocketFilter | ProgramKind::Cgroup(Ingress | Egress))
}

#[cfg(test)]
mod tests {
    use super::HEADERS;
    use crate::ctypes::{Preamble, Types};
    use crate::target::fixture::FixtureTarget;

    #[test]
    fn the_library_says_how_headers_lie() {
        let (script, errors) = awl_grammar::parse(awl_stdlib::PACKET, awl_grammar::span::FileId(0));
        assert!(errors.is_empty(), "{errors:?}");
        let target = FixtureTarget::new();
        assert_eq!(Preamble::build(&script.preamble, &target).1.len(), 0);
        let (types, _) = Types::new(&[], &target);
        let sizes: Vec<u32> = HEADERS.iter().filter_map(|(n, _)| Some(types.packet_record(n)?.size)).collect();
        assert_eq!(sizes, [14, 4, 28, 20, 40, 20, 8, 8, 8, 12]);
        let skb = types.packet_record("skb").unwrap();
        let at = |name: &str| skb.fields.iter().find(|f| f.name == name).map(|f| f.offset);
        assert_eq!((at("mark"), at("__data"), at("tstamp"), at("gso_size")), (Some(8), Some(76), Some(152), Some(176)));
    }
}
