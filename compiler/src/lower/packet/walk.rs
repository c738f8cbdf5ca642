//! Finding headers, from the outermost on. What was found stays known; the common way costs no more than written by hand.

use super::super::body::{Addr, Body, Fact};
use super::tag::TAG;
use super::{Copied, PacketFact, REACH};
use crate::packet::{Header, Layer};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// VLAN tags that are looked behind.
pub(super) const MOST_TAGS: u32 = 3;
/// IPv6 extension headers that are looked behind.
const MOST_EXTENSIONS: i64 = 8;
/// Length of Ethernet's header.
pub(super) const ETH: u32 = 14;
/// Bytes up to the end of IPv6's header, with all tags.
pub(super) const NETWORK: i64 = (ETH + 4 * MOST_TAGS + 40) as i64;

/// Two bytes in network order as a plain load on a little-endian machine has them.
pub(super) const fn network(n: u16) -> i64 {
    n.swap_bytes() as i64
}

pub(super) const ETH_IP: i64 = network(0x0800);
const ETH_ARP: i64 = network(0x0806);
const ETH_IP6: i64 = network(0x86dd);
/// 802.1Q, 802.1ad, and what came before it
const TAGS: [i64; 3] = [network(0x8100), network(0x88a8), network(0x9100)];

pub(super) const ICMP: i64 = 1;
pub(super) const TCP: i64 = 6;
pub(super) const UDP: i64 = 17;
pub(super) const ICMP6: i64 = 58;
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const AUTHENTICATION: u32 = 51;
const DESTINATION: u32 = 60;
const NOTHING: i64 = 256;

/// Bytes that are there where a header is: its struct.
pub(super) fn bytes(header: Header) -> u32 {
    match header {
        Header::Eth => ETH,
        Header::Vlan => TAG,
        Header::Arp => 28,
        Header::Ip | Header::Tcp => 20,
        Header::Ip6 => 40,
        Header::Udp | Header::Icmp | Header::Icmp6 => 8,
        Header::Dns => 12,
        Header::Payload => 1,
    }
}

fn fact(f: PacketFact) -> Fact {
    Fact::Packet(f)
}

impl Body<'_> {
    /// The place of a header and a pointer to all of it; goes to `fail` where the packet hasn't it.
    pub(super) fn locate(&mut self, header: Header, fail: Block) -> (Value, Value) {
        match header {
            Header::Eth => {
                if self.layer() == Layer::Network {
                    self.jump(fail);
                    let never = self.block();
                    self.enter(never);
                }
                self.at_place(0, ETH, fail)
            }
            Header::Vlan => self.outermost_tag(fail),
            Header::Arp => {
                let place = self.network(ETH_ARP, fail);
                let p = self.checked(place, bytes(header), fail);
                // lengths of its addresses: Ethernet's and IPv4's
                let lengths = self.load(Addr::ptr(p).at(4), 2, false);
                self.go_on_if(IntCC::Equal, lengths, network(0x0604), fail);
                (place, p)
            }
            Header::Ip => {
                let place = self.network(ETH_IP, fail);
                let p = self.checked(place, bytes(header), fail);
                // version 4, from 5 words on
                let first = self.load(Addr::ptr(p), 1, false);
                let over = self.add_imm(first, -0x45);
                self.go_on_if(IntCC::UnsignedLessThanOrEqual, over, 0x0a, fail);
                (place, p)
            }
            Header::Ip6 => {
                let place = self.network(ETH_IP6, fail);
                let p = self.checked(place, bytes(header), fail);
                let first = self.load(Addr::ptr(p), 1, false);
                let version = self.shr_imm(first, 4);
                self.go_on_if(IntCC::Equal, version, 6, fail);
                (place, p)
            }
            Header::Tcp => self.transport_of(TCP, header, fail),
            Header::Udp => self.transport_of(UDP, header, fail),
            Header::Icmp => {
                self.header_pointer(Header::Ip, fail);
                self.transport_of(ICMP, header, fail)
            }
            Header::Icmp6 => {
                self.header_pointer(Header::Ip6, fail);
                self.transport_of(ICMP6, header, fail)
            }
            Header::Dns => {
                let p = self.header_pointer(Header::Udp, fail);
                let (from, to) = (self.load(Addr::ptr(p), 2, false), self.load(Addr::ptr(p).at(2), 2, false));
                let (from, to) = (self.compare_imm(IntCC::Equal, from, network(53)), self.compare_imm(IntCC::Equal, to, network(53)));
                let either = self.b.ins().bor(from, to);
                self.go_on_if(IntCC::NotEqual, either, 0, fail);
                let (_, udp) = self.transport();
                let place = self.add_imm(udp, 8);
                (place, self.checked_behind(place, bytes(header), fail, Copied::Header))
            }
            Header::Payload => {
                let place = self.behind_transport(fail);
                (place, self.checked_behind(place, bytes(header), fail, Copied::Header))
            }
        }
    }

    pub(super) fn at_place(&mut self, place: u32, bytes: u32, fail: Block) -> (Value, Value) {
        let value = self.int(i64::from(place));
        (value, self.checked(value, bytes, fail))
    }

    pub(super) fn go_on_if(&mut self, cc: IntCC, v: Value, n: i64, fail: Block) {
        let on = self.block();
        self.branch_if(cc, v, n, on, fail);
        self.enter(on);
    }

    pub(super) fn is_tag(&mut self, kind: Value, fail: Block) {
        let on = self.block();
        for (i, tag) in TAGS.iter().enumerate() {
            let next = if i + 1 == TAGS.len() { fail } else { self.block() };
            self.branch_if(IntCC::Equal, kind, *tag, on, next);
            if next != fail {
                self.enter(next);
            }
        }
        self.enter(on);
    }

    /// The place of what lies behind Ethernet and its tags, where it is of that type.
    fn network(&mut self, kind: i64, fail: Block) -> Value {
        let (found, place) = self.network_header();
        self.go_on_if(IntCC::Equal, found, kind, fail);
        if matches!(self.layer(), Layer::Xdp | Layer::Link) {
            // Where something was found behind Ethernet's header, that is there.
            let (start, there) = (self.packet_start(), self.int(super::THERE));
            self.set_fact(fact(PacketFact::Place(Header::Eth)), there);
            self.set_fact(fact(PacketFact::Pointer(Header::Eth)), start);
        }
        place
    }

    /// Type (as it lies in memory, 0 for none) and place of what lies behind Ethernet and its tags.
    pub(super) fn network_header(&mut self) -> (Value, Value) {
        let facts = (fact(PacketFact::NetworkType), fact(PacketFact::NetworkPlace));
        if let (Some(kind), Some(place)) = (self.known(facts.0), self.known(facts.1)) {
            return (kind, place);
        }
        self.packet_bounds();
        self.pull_network();
        let (done, none) = (self.block(), self.block());
        let kind = self.b.append_block_param(done, types::I64);
        let place = self.b.append_block_param(done, types::I64);
        self.push_facts();
        if self.layer() == Layer::Network {
            self.by_version(done, none);
        } else {
            self.behind_link(done, none);
        }
        self.enter(none);
        let zero = self.int(0);
        self.b.ins().jump(done, &[zero.into(), zero.into()]);
        self.pop_facts();
        self.enter(done);
        self.set_fact(facts.0, kind);
        self.set_fact(facts.1, place);
        (kind, place)
    }

    /// A packet that begins with IP says by its first half byte which IP.
    fn by_version(&mut self, done: Block, none: Block) {
        let (_, p) = self.at_place(0, 1, none);
        let first = self.load(Addr::ptr(p), 1, false);
        let version = self.shr_imm(first, 4);
        let (four, other, six) = (self.block(), self.block(), self.block());
        self.branch_if(IntCC::Equal, version, 4, four, other);
        self.enter(other);
        self.branch_if(IntCC::Equal, version, 6, six, none);
        for (block, kind) in [(four, ETH_IP), (six, ETH_IP6)] {
            self.enter(block);
            let (kind, zero) = (self.int(kind), self.int(0));
            self.b.ins().jump(done, &[kind.into(), zero.into()]);
        }
    }

    fn behind_link(&mut self, done: Block, none: Block) {
        let eth = self.header_pointer(Header::Eth, none);
        let mut found = self.load(Addr::ptr(eth).at(12), 2, false);
        for i in 0..MOST_TAGS {
            let (plain, seen, at) = (self.block(), found, ETH + 4 * i);
            self.is_tag(seen, plain);
            let (_, tag) = self.at_place(at, 4, none);
            found = self.load(Addr::ptr(tag).at(2), 2, false);
            // Known behind the first tag, and not before: most packets have none.
            self.opaque();
            let inside = self.block();
            self.jump(inside);
            self.enter(plain);
            self.found_at(at, seen, done);
            self.enter(inside);
        }
        self.found_at(ETH + 4 * MOST_TAGS, found, done);
    }

    fn found_at(&mut self, place: u32, kind: Value, done: Block) {
        let mut at = self.int(i64::from(place));
        if place > ETH {
            at = self.blurred(at);
        }
        self.b.ins().jump(done, &[kind.into(), at.into()]);
    }

    /// Finds what all headers of a layer share, so that it stays known.
    pub(super) fn prepare(&mut self, header: Header) {
        match header {
            Header::Eth | Header::Vlan => {}
            Header::Arp | Header::Ip | Header::Ip6 => {
                self.network_header();
            }
            Header::Tcp | Header::Udp | Header::Icmp | Header::Icmp6 | Header::Dns | Header::Payload => {
                self.transport();
            }
        }
    }

    fn transport_of(&mut self, protocol: i64, header: Header, fail: Block) -> (Value, Value) {
        let (found, place) = self.transport();
        self.go_on_if(IntCC::Equal, found, protocol, fail);
        (place, self.checked_transport(place, bytes(header), fail))
    }

    /// Protocol (`NOTHING` for none) and place of what lies behind the IP header. Of a fragmented packet only the first fragment
    /// has it.
    pub(super) fn transport(&mut self) -> (Value, Value) {
        let facts = (fact(PacketFact::TransportType), fact(PacketFact::TransportPlace));
        if let (Some(kind), Some(place)) = (self.known(facts.0), self.known(facts.1)) {
            return (kind, place);
        }
        let v4 = self.known(fact(PacketFact::Pointer(Header::Ip)));
        let v6 = self.known(fact(PacketFact::Pointer(Header::Ip6)));
        let (kind, network) = self.network_header();
        self.packet_bounds();
        let (done, none) = (self.block(), self.block());
        let protocol = self.b.append_block_param(done, types::I64);
        let place = self.b.append_block_param(done, types::I64);
        self.push_facts();
        if let Some(p) = v4 {
            self.behind_ip(p, network, done, none);
        } else if let Some(p) = v6 {
            self.behind_ip6(p, network, done, none);
        } else {
            let (four, other) = (self.block(), self.block());
            self.branch_if(IntCC::Equal, kind, ETH_IP, four, other);
            self.enter(four);
            self.push_facts();
            let p = self.header_pointer(Header::Ip, none);
            self.behind_ip(p, network, done, none);
            self.pop_facts();
            self.enter(other);
            let p = self.header_pointer(Header::Ip6, none);
            self.behind_ip6(p, network, done, none);
        }
        self.pop_facts();
        self.enter(none);
        let (nothing, zero) = (self.int(NOTHING), self.int(0));
        self.b.ins().jump(done, &[nothing.into(), zero.into()]);
        self.enter(done);
        self.set_fact(facts.0, protocol);
        self.set_fact(facts.1, place);
        (protocol, place)
    }

    fn behind_ip(&mut self, ip: Value, network_place: Value, done: Block, none: Block) {
        let ip = Addr::ptr(ip);
        let fragment = self.load(ip.at(6), 2, false);
        let fragment = self.and_imm(fragment, network(0x1fff));
        self.go_on_if(IntCC::Equal, fragment, 0, none);
        let words = self.load(ip, 1, false);
        let words = self.and_imm(words, 0x0f);
        let length = self.shl_imm(words, 2);
        let place = self.add(network_place, length);
        let protocol = self.load(ip.at(9), 1, false);
        self.b.ins().jump(done, &[protocol.into(), place.into()]);
    }

    fn behind_ip6(&mut self, ip6: Value, network_place: Value, done: Block, none: Block) {
        const EXTENSIONS: i64 = 1 << HOP_BY_HOP | 1 << ROUTING | 1 << FRAGMENT | 1 << AUTHENTICATION | 1 << DESTINATION;
        let first = self.load(Addr::ptr(ip6).at(6), 1, false);
        let start = self.add_imm(network_place, 40);
        let (next, place, turn) = (self.b.declare_var(types::I64), self.b.declare_var(types::I64), self.b.declare_var(types::I64));
        let zero = self.int(0);
        self.b.def_var(next, first);
        self.b.def_var(place, start);
        self.b.def_var(turn, zero);
        // Known to all turns.
        self.opaque();
        let (head, found, small, extension) = (self.block(), self.block(), self.block(), self.block());
        self.jump(head);
        self.enter(head);
        let n = self.b.use_var(next);
        self.branch_if(IntCC::UnsignedGreaterThan, n, 63, found, small);
        self.enter(small);
        let set = self.int(EXTENSIONS);
        let bit = self.b.ins().ushr(set, n);
        let bit = self.and_imm(bit, 1);
        self.branch_if(IntCC::NotEqual, bit, 0, extension, found);
        self.enter(found);
        let at = self.b.use_var(place);
        self.b.ins().jump(done, &[n.into(), at.into()]);
        self.enter(extension);
        self.push_facts();
        let t = self.b.use_var(turn);
        self.go_on_if(IntCC::UnsignedLessThan, t, MOST_EXTENSIONS, none);
        let t = self.add_imm(t, 1);
        self.b.def_var(turn, t);
        let at = self.b.use_var(place);
        let p = Addr::ptr(self.checked_transport(at, 8, none));
        let after = self.load(p, 1, false);
        let length = self.load(p.at(1), 1, false);
        let (fragment, sized, stepped) = (self.block(), self.block(), self.block());
        let step = self.b.append_block_param(stepped, types::I64);
        self.branch_if(IntCC::Equal, n, i64::from(FRAGMENT), fragment, sized);
        self.enter(fragment);
        let offset = self.load(p.at(2), 2, false);
        let offset = self.and_imm(offset, network(0xfff8));
        self.go_on_if(IntCC::Equal, offset, 0, none);
        let eight = self.int(8);
        self.jump_with(stepped, eight);
        self.enter(sized);
        let (words, more) = (self.add_imm(length, 2), self.add_imm(length, 1));
        let (words, eights) = (self.shl_imm(words, 2), self.shl_imm(more, 3));
        let authentication = self.int(i64::from(AUTHENTICATION));
        let is = self.b.ins().icmp(IntCC::Equal, n, authentication);
        let size = self.b.ins().select(is, words, eights);
        self.jump_with(stepped, size);
        self.enter(stepped);
        self.b.def_var(next, after);
        let at = self.b.use_var(place);
        let at = self.add(at, step);
        let beyond = self.block();
        self.branch_if(IntCC::UnsignedGreaterThan, at, i64::from(REACH), none, beyond);
        self.enter(beyond);
        let at = self.blurred(at);
        self.b.def_var(place, at);
        self.jump(head);
        self.pop_facts();
    }

    /// The place behind the header of TCP, UDP or ICMP.
    fn behind_transport(&mut self, fail: Block) -> Value {
        let (protocol, place) = self.transport();
        let done = self.block();
        let result = self.b.append_block_param(done, types::I64);
        let (tcp, other) = (self.block(), self.block());
        self.branch_if(IntCC::Equal, protocol, TCP, tcp, other);
        self.enter(tcp);
        self.push_facts();
        let p = self.checked_transport(place, bytes(Header::Tcp), fail);
        let length = self.load(Addr::ptr(p).at(12), 1, false);
        let length = self.shr_imm(length, 4);
        let words = self.add_imm(length, -5);
        self.go_on_if(IntCC::UnsignedLessThanOrEqual, words, 10, fail);
        let length = self.shl_imm(length, 2);
        let behind = self.add(place, length);
        self.jump_with(done, behind);
        self.enter(other);
        let behind = self.add_imm(place, 8);
        let fits = self.block();
        for n in [UDP, ICMP, ICMP6] {
            let next = if n == ICMP6 { fail } else { self.block() };
            self.branch_if(IntCC::Equal, protocol, n, fits, next);
            if n != ICMP6 {
                self.enter(next);
            }
        }
        self.enter(fits);
        self.pop_facts();
        self.jump_with(done, behind);
        self.enter(done);
        result
    }
}
