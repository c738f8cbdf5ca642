//! What is put around a packet and taken off again: VLAN tags, and an IPv4 header around an IPv4 packet (RFC 2003). In `tc` the
//! kernel moves what is in front; in `xdp` it only moves the packet's start.

use super::super::body::{Addr, Body};
use super::super::helper;
use super::tag::TAG;
use super::walk::{self, ETH, MOST_TAGS};
use crate::hir::Expr;
use crate::packet::{Header, Layer};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// 0x8100 in network order
const TAG_802_1Q: i64 = 0x0081;
const IP: u32 = 20;
/// Ethernet's header with all tags that are looked behind
const LINK: u32 = ETH + TAG * MOST_TAGS;
const IN_IP: i64 = 4;
const TTL: i64 = 64;
const EINVAL: i64 = 22;
/// `BPF_ADJ_ROOM_MAC`, `BPF_F_ADJ_ROOM_ENCAP_L3_IPV4`
const ROOM_MAC: i64 = 1;
const ENCAP_IPV4: i64 = 2;

impl Body<'_> {
    pub fn vlan_push(&mut self, id: &Expr) -> Value {
        if self.layer() == Layer::Link {
            return self.adjust(helper::SKB_VLAN_PUSH, std::slice::from_ref(id), Some(TAG_802_1Q));
        }
        let id = self.scalar(id);
        self.resized(|b, fail, done| {
            b.move_start(-i64::from(TAG), done);
            let (_, start) = b.at_place(0, ETH + TAG, fail);
            let start = Addr::ptr(start);
            b.move_bytes(start.at(TAG), start, &[8, 4]);
            b.store_imm(TAG_802_1Q, start.at(12), 2);
            let id = b.swap_bytes(id, 2);
            b.store(id, start.at(14), 2);
        })
    }

    pub fn vlan_pop(&mut self) -> Value {
        if self.layer() == Layer::Link {
            return self.adjust(helper::SKB_VLAN_POP, &[], None);
        }
        self.resized(|b, fail, done| {
            let (_, start) = b.at_place(0, ETH + TAG, fail);
            let start = Addr::ptr(start);
            let (kind, none) = (b.load(start.at(12), 2, false), b.block());
            b.is_tag(kind, none);
            let (addresses, rest) = (b.load(start, 8, false), b.load(start.at(8), 4, false));
            b.move_start(i64::from(TAG), done);
            let (_, start) = b.at_place(0, ETH, fail);
            b.store(addresses, Addr::ptr(start), 8);
            b.store(rest, Addr::ptr(start).at(8), 4);
            let zero = b.int(0);
            b.jump_with(done, zero);
            // As in `tc`: that there is no tag is no error.
            b.enter(none);
        })
    }

    /// The outer header says what the inner one does of the service; it is not to be fragmented.
    pub fn ipip_push(&mut self, from: &Expr, to: &Expr) -> Value {
        let (from, to) = (self.scalar(from), self.scalar(to));
        self.resized(|b, fail, done| {
            let inner = Addr::ptr(b.header_pointer(Header::Ip, fail));
            let (_, place) = b.network_header();
            let (tos, len) = (b.load(inner.at(1), 1, false), b.load(inner.at(2), 2, false));
            let len = b.swap_bytes(len, 2);
            b.go_on_if(IntCC::UnsignedLessThanOrEqual, len, 0xffff - i64::from(IP), fail);
            if b.layer() == Layer::Link {
                b.go_on_if(IntCC::Equal, place, i64::from(ETH), fail);
                let bytes = b.int(i64::from(IP));
                b.adjust_room(bytes, ENCAP_IPV4, done);
            } else {
                b.move_start(-i64::from(IP), done);
                let (_, start) = b.at_place(0, IP + LINK, fail);
                let start = Addr::ptr(start);
                // All that may be Ethernet's; what isn't lies where the new header comes.
                b.move_bytes(start.at(IP), start, &[8, 8, 8, 2]);
            }
            let outer = Addr::ptr(b.checked(place, IP, fail));
            b.store_imm(0x45, outer, 1);
            b.store(tos, outer.at(1), 1);
            let len = b.add_imm(len, i64::from(IP));
            let len = b.swap_bytes(len, 2);
            b.store(len, outer.at(2), 2);
            b.store_imm(0, outer.at(4), 2);
            b.store_imm(walk::network(0x4000), outer.at(6), 2);
            b.store_imm(TTL, outer.at(8), 1);
            b.store_imm(IN_IP, outer.at(9), 1);
            b.store_imm(0, outer.at(10), 2);
            b.store(from, outer.at(12), 4);
            b.store(to, outer.at(16), 4);
            let sum = b.word_sum(outer, 0, IP);
            let check = b.folded(sum);
            b.store(check, outer.at(10), 2);
        })
    }

    pub fn ipip_pop(&mut self) -> Value {
        self.resized(|b, fail, done| {
            let outer = Addr::ptr(b.header_pointer(Header::Ip, fail));
            let (_, place) = b.network_header();
            let protocol = b.load(outer.at(9), 1, false);
            b.go_on_if(IntCC::Equal, protocol, IN_IP, fail);
            let fragment = b.load(outer.at(6), 2, false);
            let fragment = b.and_imm(fragment, walk::network(0x3fff));
            b.go_on_if(IntCC::Equal, fragment, 0, fail);
            let words = b.load(outer, 1, false);
            let words = b.and_imm(words, 0x0f);
            let length = b.shl_imm(words, 2);
            let behind = b.add(place, length);
            let inner = b.checked(behind, IP, fail);
            let version = b.load(Addr::ptr(inner), 1, false);
            let version = b.shr_imm(version, 4);
            b.go_on_if(IntCC::Equal, version, 4, fail);
            if b.layer() == Layer::Link {
                b.go_on_if(IntCC::Equal, place, i64::from(ETH), fail);
                let zero = b.int(0);
                let bytes = b.b.ins().isub(zero, length);
                b.adjust_room(bytes, 0, done);
                return;
            }
            let to = Addr::ptr(b.checked(length, LINK, fail));
            let (_, start) = b.at_place(0, LINK, fail);
            // The last first: the places overlap.
            for tag in (0..MOST_TAGS).rev().map(|n| ETH + TAG * n) {
                let (there, next) = (b.block(), b.block());
                b.branch_if(IntCC::UnsignedGreaterThan, place, i64::from(tag), there, next);
                b.enter(there);
                b.move_bytes(Addr::ptr(start).at(tag), to.at(tag), &[4]);
                b.jump(next);
                b.enter(next);
            }
            for (at, n) in [(12, 2), (8, 4), (0, 8)] {
                b.move_bytes(Addr::ptr(start).at(at), to.at(at), &[n]);
            }
            b.moved_start(length, done);
        })
    }

    /// A change of the packet's size: 0, or a negative error, which also those who jump to the first block get; what goes to the
    /// second one brings its result. 0 where changes are only watched.
    fn resized(&mut self, change: impl FnOnce(&mut Self, Block, Block)) -> Value {
        if !self.m.options.enforce {
            self.count_change();
            return self.int(0);
        }
        let (fail, done) = (self.block(), self.block());
        let result = self.b.append_block_param(done, types::I64);
        self.push_facts();
        change(self, fail, done);
        self.pop_facts();
        let zero = self.int(0);
        self.jump_with(done, zero);
        self.enter(fail);
        let error = self.int(-EINVAL);
        self.jump_with(done, error);
        self.enter(done);
        self.forget_packet();
        result
    }

    fn move_start(&mut self, by: i64, done: Block) {
        let by = self.int(by);
        self.moved_start(by, done);
    }

    fn moved_start(&mut self, by: Value, done: Block) {
        let r = self.helper(helper::XDP_ADJUST_HEAD, &[self.context, by]);
        self.go_on_unless(r, done);
    }

    fn adjust_room(&mut self, bytes: Value, flags: i64, done: Block) {
        let (mode, flags) = (self.int(ROOM_MAC), self.int(flags));
        let r = self.helper(helper::SKB_ADJUST_ROOM, &[self.context, bytes, mode, flags]);
        self.go_on_unless(r, done);
    }

    /// Ends with an error that is none of ours.
    fn go_on_unless(&mut self, error: Value, done: Block) {
        self.forget_packet();
        let on = self.block();
        let zero = self.int(0);
        let fine = self.b.ins().icmp(IntCC::Equal, error, zero);
        self.b.ins().brif(fine, on, &[], done, &[error.into()]);
        self.enter(on);
    }

    /// Bytes from one place to another, in pieces of these sizes.
    pub(super) fn move_bytes(&mut self, from: Addr, to: Addr, pieces: &[u32]) {
        let mut at = 0;
        for n in pieces {
            let v = self.load(from.at(at), *n, false);
            self.store(v, to.at(at), *n);
            at += n;
        }
    }
}
