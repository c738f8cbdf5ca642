//! Reading packets: every load stands behind a comparison with the packet's end that the verifier of 5.10 understands. The
//! place of a header is a number until right before the comparison, where it is cut to what the verifier allows; kernels before
//! 5.13 forget the bounds of a number that was spilled.

pub(crate) mod bytes;
pub mod dns;
mod tag;
mod walk;
mod wrap;
pub mod write;

use super::body::{Addr, Body, Fact, Facts};
use super::helper;
use crate::hir::{Context, Expr, ExprKind};
use crate::packet::{Header, Layer};
use crate::types::{Space, Ty};
use awl_grammar::ast::BinOp;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// Bytes of a packet that can be read: all bits set. (The verifier allows places up to 0xffff in all.)
pub const REACH: u32 = 0x3fff;
/// So many bytes more are put at hand than are asked for.
const PULLED: i64 = 256;
/// In the value of a header: it is there.
const THERE: i64 = 1 << 30;
/// `data` and `data_end` of `struct __sk_buff`
const SKB_DATA: u32 = 76;
const SKB_DATA_END: u32 = 80;

/// What is known of this run's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketFact {
    Start,
    End,
    Opaque,
    /// type of what lies behind Ethernet and VLAN tags, as it lies in memory; 0: nothing
    NetworkType,
    NetworkPlace,
    /// protocol of what lies behind IP; above 255: nothing
    TransportType,
    TransportPlace,
    /// a header's value
    Place(Header),
    /// a pointer to all of a header
    Pointer(Header),
}

/// What is copied out of a packet.
#[derive(Clone, Copy)]
enum Copied {
    /// stays known for the whole run
    Header,
    /// for the statement at hand
    Words,
    /// the same, with fields anywhere
    Struct,
}

impl Body<'_> {
    /// Where a run goes on that reads a header which the packet hasn't.
    pub(crate) fn missing_block(&self) -> Block {
        self.missing.unwrap_or(self.exit)
    }

    fn packet_start(&mut self) -> Value {
        let at = if self.layer() == Layer::Xdp { 0 } else { SKB_DATA };
        self.fact(Fact::Packet(PacketFact::Start), |b| b.load(Addr::ptr(b.context).at(at), 4, false))
    }

    fn packet_end(&mut self) -> Value {
        let at = if self.layer() == Layer::Xdp { 4 } else { SKB_DATA_END };
        self.fact(Fact::Packet(PacketFact::End), |b| b.load(Addr::ptr(b.context).at(at), 4, false))
    }

    /// Does the value of the fact change where the kernel moves the packet?
    pub(crate) fn may_move(&self, fact: Fact) -> bool {
        let Fact::Packet(fact) = fact else { return false };
        let copy = fact == PacketFact::Pointer(Header::Vlan);
        matches!(fact, PacketFact::Start | PacketFact::End | PacketFact::Pointer(_)) && !copy && self.layer() == Layer::Link
    }

    fn layer(&self) -> Layer {
        match self.probe.context {
            Context::Packet(layer) => layer,
            _ => Layer::Xdp,
        }
    }

    /// What is cheap to have and needed in all branches.
    fn packet_bounds(&mut self) {
        if self.layer() != Layer::Socket {
            self.packet_start();
            self.packet_end();
        }
    }

    pub(crate) fn packet_len(&mut self) -> Value {
        if self.layer() != Layer::Xdp {
            // The whole of it, not only the part that is at hand.
            return self.load(Addr::ptr(self.context), 4, false);
        }
        let (start, end) = (self.packet_start(), self.packet_end());
        self.b.ins().isub(end, start)
    }

    /// 0, which the verifier takes for anything within reach.
    fn opaque(&mut self) -> Value {
        self.fact(Fact::Packet(PacketFact::Opaque), |b| {
            let none = match b.layer() {
                // The verifier knows that half a word has no upper half.
                Layer::Socket => b.unknown_zero(),
                _ => {
                    let (start, end) = (b.packet_start(), b.packet_end());
                    let len = b.b.ins().isub(end, start);
                    b.shr_imm(len, 32)
                }
            };
            b.and_imm(none, i64::from(REACH))
        })
    }

    /// The same place as a number of which the verifier knows nothing but that it is within reach: ways through the program that
    /// differ in it are one to the verifier from here on.
    fn blurred(&mut self, place: Value) -> Value {
        let zero = self.opaque();
        let place = self.add(place, zero);
        self.and_imm(place, i64::from(REACH))
    }

    /// A pointer to `bytes` of the packet, from a place of up to `REACH` on; goes to `fail` where the packet ends before.
    fn checked(&mut self, place: Value, bytes: u32, fail: Block) -> Value {
        if self.layer() == Layer::Socket {
            return self.copied(place, bytes, fail, Copied::Header);
        }
        let start = self.packet_start();
        let p = match self.constant(place) {
            // The verifier knows a constant's bounds.
            Some(n) => self.add_imm(start, n & i64::from(REACH)),
            None => {
                let place = self.and_imm(place, i64::from(REACH));
                self.add(start, place)
            }
        };
        let end = self.packet_end();
        let limit = self.add_imm(p, i64::from(bytes));
        let beyond = self.b.ins().icmp(IntCC::UnsignedGreaterThan, limit, end);
        let within = self.block();
        self.branch(beyond, fail, within);
        self.enter(within);
        p
    }

    /// The same of a header of the third layer's contents. Below IP the kernel has seen to it that it is at hand; in `tc` it is the sender
    /// who says which bytes are (packet(7)).
    fn checked_transport(&mut self, place: Value, bytes: u32, fail: Block) -> Value {
        if self.layer() != Layer::Link {
            return self.checked(place, bytes, fail);
        }
        let (missing, done) = (self.block(), self.block());
        let result = self.b.append_block_param(done, types::I64);
        let p = self.checked(place, bytes, missing);
        self.jump_with(done, p);
        self.enter(missing);
        let need = self.add_imm(place, i64::from(bytes));
        let len = self.packet_len();
        let short = self.b.ins().icmp(IntCC::UnsignedGreaterThan, need, len);
        let there = self.block();
        self.branch(short, fail, there);
        self.enter(there);
        self.pull(need, len);
        let p = self.checked(place, bytes, fail);
        self.jump_with(done, p);
        self.enter(done);
        result
    }

    /// The same of what lies behind the headers.
    fn checked_behind(&mut self, place: Value, bytes: u32, fail: Block, what: Copied) -> Value {
        match self.layer() {
            Layer::Network | Layer::Socket => self.copied(place, bytes, fail, what),
            _ => self.checked_transport(place, bytes, fail),
        }
    }

    /// Puts the headers up to IP's at hand, where that isn't done. Packets have so many bytes there as good as always.
    fn pull_network(&mut self) {
        if self.layer() != Layer::Link {
            return;
        }
        let (start, end) = (self.packet_start(), self.packet_end());
        let limit = self.add_imm(start, walk::NETWORK);
        let (few, apart, done) = (self.block(), self.block(), self.block());
        let beyond = self.b.ins().icmp(IntCC::UnsignedGreaterThan, limit, end);
        self.branch(beyond, few, done);
        self.enter(few);
        let (len, at_hand) = (self.packet_len(), self.b.ins().isub(end, start));
        let more = self.b.ins().icmp(IntCC::UnsignedGreaterThan, len, at_hand);
        self.branch(more, apart, done);
        self.enter(apart);
        let need = self.int(walk::NETWORK);
        self.pull(need, len);
        self.jump(done);
        self.enter(done);
    }

    /// Has the kernel put the first bytes of the packet at hand: what lies in pages behind them is copied, which moves the packet. What is
    /// known of it moves along.
    fn pull(&mut self, need: Value, len: Value) {
        // Some more, since it takes a copy of the packet.
        let more = self.add_imm(need, PULLED);
        let all = self.b.ins().umin(len, more);
        let context = self.context;
        // Where it fails, for want of memory, all is as it was; but to the verifier no pointer is what it was.
        self.helper(helper::SKB_PULL_DATA, &[context, all]);
        let context = Addr::ptr(context);
        let (start, end) = (self.load(context.at(SKB_DATA), 4, false), self.load(context.at(SKB_DATA_END), 4, false));
        self.move_fact(Fact::Packet(PacketFact::Start), start);
        self.move_fact(Fact::Packet(PacketFact::End), end);
        let never = self.given_up.unwrap_or(self.exit);
        for fact in self.all_facts() {
            let Fact::Packet(PacketFact::Pointer(header)) = fact else { continue };
            if !self.may_move(fact) {
                continue;
            }
            match self.known(Fact::Packet(PacketFact::Place(header))) {
                Some(at) => {
                    let p = self.checked(at, walk::bytes(header), never);
                    self.move_fact(fact, p);
                }
                None => self.forget(|f| *f == fact),
            }
        }
    }

    /// The same where a program can't look into the packet: a copy. On the stack words must be aligned, which those of ARP
    /// aren't, and those of a script's own structs may not be.
    fn copied(&mut self, place: Value, bytes: u32, fail: Block, what: Copied) -> Value {
        let to = match what {
            Copied::Header => self.lasting(bytes, "packet", bytes != walk::bytes(Header::Arp)),
            Copied::Words => self.temp(bytes, "packet"),
            Copied::Struct => self.scratch_memory(bytes.next_multiple_of(8)),
        };
        let (context, to, n) = (self.context, self.address(to), self.int(i64::from(bytes)));
        let r = self.helper(helper::SKB_LOAD_BYTES, &[context, place, to, n]);
        let done = self.block();
        self.branch_if(IntCC::NotEqual, r, 0, fail, done);
        self.enter(done);
        to
    }

    /// A header as a value: 0 where the packet has none.
    pub fn header_place(&mut self, header: Header) -> Value {
        let fact = Fact::Packet(PacketFact::Place(header));
        if let Some(v) = self.known(fact) {
            return v;
        }
        self.prepare(header);
        let (fail, done) = (self.block(), self.block());
        let result = self.b.append_block_param(done, cranelift_codegen::ir::types::I64);
        self.push_facts();
        let (place, _) = self.locate(header, fail);
        self.pop_facts();
        let value = self.there(place);
        self.jump_with(done, value);
        self.enter(fail);
        let none = self.int(0);
        self.jump_with(done, none);
        self.enter(done);
        self.set_fact(fact, result);
        result
    }

    /// Goes to `yes` where the packet has the header, to `no` where not. Gives what is known at `yes`.
    pub(crate) fn branch_on_header(&mut self, header: Header, yes: Block, no: Block) -> Facts {
        self.prepare(header);
        self.push_facts();
        self.header_pointer(header, no);
        self.jump(yes);
        self.pop_facts()
    }

    fn there(&mut self, place: Value) -> Value {
        let bit = self.int(THERE);
        self.b.ins().bor(place, bit)
    }

    /// The place in the packet that a header's value says; leaves by `fail` where there is none.
    fn place_of(&mut self, value: Value, fail: Block) -> Value {
        let place = self.add_imm(value, -THERE);
        let within = self.block();
        self.branch_if(IntCC::UnsignedGreaterThan, place, i64::from(REACH), fail, within);
        self.enter(within);
        place
    }

    /// A pointer to all of a header; leaves by `fail` where the packet hasn't it.
    fn header_pointer(&mut self, header: Header, fail: Block) -> Value {
        let (pointer, place) = (Fact::Packet(PacketFact::Pointer(header)), Fact::Packet(PacketFact::Place(header)));
        if let Some(p) = self.known(pointer) {
            return p;
        }
        let p = match self.known(place) {
            Some(value) => {
                let at = self.place_of(value, fail);
                let bytes = walk::bytes(header);
                match header {
                    Header::Dns | Header::Payload => self.checked_behind(at, bytes, fail, Copied::Header),
                    Header::Vlan if self.has_beside() => self.tag_at(at, fail, Copied::Header),
                    Header::Eth | Header::Arp | Header::Ip | Header::Ip6 => self.checked(at, bytes, fail),
                    _ => self.checked_transport(at, bytes, fail),
                }
            }
            None => {
                let (at, p) = self.locate(header, fail);
                let value = self.there(at);
                self.set_fact(place, value);
                p
            }
        };
        self.set_fact(pointer, p);
        p
    }

    /// Where a pointer into the packet points, with `bytes` to read there; ends the run where the packet ends before.
    pub(crate) fn packet_pointer(&mut self, e: &Expr, bytes: u32) -> Addr {
        let fail = self.missing_block();
        if let ExprKind::Call { builtin, .. } = &e.kind
            && let Some(h) = crate::packet::header(builtin.name)
            && bytes <= walk::bytes(h)
        {
            return Addr::ptr(self.header_pointer(h, fail));
        }
        let v = self.scalar(e);
        let place = self.place_of(v, fail);
        if self.has_beside() && is_tag(&e.ty) {
            return Addr::ptr(self.tag_at(place, fail, Copied::Struct));
        }
        Addr::ptr(self.checked_behind(place, bytes, fail, Copied::Struct))
    }

    /// An element of what a pointer into the packet points to.
    pub(crate) fn packet_element(&mut self, base: &Expr, index: &Expr, size: u32) -> Addr {
        let fail = self.missing_block();
        let start = self.scalar(base);
        let start = self.place_of(start, fail);
        let i = self.scalar(index);
        let near = self.block();
        self.branch_if(IntCC::UnsignedGreaterThan, i, i64::from(REACH), fail, near);
        self.enter(near);
        let offset = self.mul_imm(i, i64::from(size));
        let place = self.add(start, offset);
        let near = self.block();
        self.branch_if(IntCC::UnsignedGreaterThan, place, i64::from(REACH), fail, near);
        self.enter(near);
        let what = if matches!(size, 1 | 2 | 4 | 8) { Copied::Words } else { Copied::Struct };
        Addr::ptr(self.checked_behind(place, size, fail, what))
    }

    /// `payload[from..from + len]` as a buffer.
    pub(crate) fn packet_bytes(&mut self, base: &Expr, from: u32, len: u32, to: Addr) {
        let fail = self.missing_block();
        let start = self.scalar(base);
        let start = self.place_of(start, fail);
        let place = self.add_imm(start, i64::from(from));
        let near = self.block();
        self.branch_if(IntCC::UnsignedGreaterThan, place, i64::from(REACH), fail, near);
        self.enter(near);
        let p = self.checked_behind(place, len, fail, Copied::Words);
        self.store_imm(i64::from(len), to, 4);
        for at in (0..len).step_by(8) {
            let mut done = at;
            // Eight bytes at a place that is only four-aligned: two loads and stores.
            for n in super::memory::words(to.at(4 + at).offset, (len - at).min(8)).map(|(_, n)| n) {
                let v = self.load(Addr::ptr(p).at(done), n, false);
                self.store(v, to.at(4 + done), n);
                done += n;
            }
        }
    }

    /// Is the IPv6 address in the network?
    pub(crate) fn in_network(&mut self, address: &Expr, network: &[u8; 16], bits: u32) -> Value {
        let at = self.memory(address);
        let words = (0..4u32).filter_map(|i| {
            let mask = match bits.saturating_sub(32 * i) {
                0 => return None,
                n => u32::MAX.checked_shl(32u32.saturating_sub(n)).unwrap_or(u32::MAX).to_be(),
            };
            let mut word = [0; 4];
            word.copy_from_slice(&network[4 * i as usize..][..4]);
            Some((at.at(4 * i), 4, Some(i64::from(mask)), i64::from(u32::from_le_bytes(word) & mask)))
        });
        self.equal_words(words)
    }
}

/// A pointer to a tag, which may be none to the packet.
fn is_tag(ty: &Ty) -> bool {
    matches!(ty, Ty::Ptr(to, Space::Packet) if matches!(&**to, Ty::Record(r) if r.name == "struct vlan"))
}

/// The header that the expression is, as a condition: is it there?
pub(crate) fn test(e: &Expr) -> Option<Header> {
    match &e.kind {
        ExprKind::Call { builtin, .. } => crate::packet::header(builtin.name),
        _ => None,
    }
}

/// Of `field == n` the field, if it is an integer in network order, and n as that has it: a comparison needs no exchange of bytes.
pub(crate) fn raw<'e>(field: &'e Expr, n: &Expr) -> Option<(&'e Expr, i64)> {
    let mut e = field;
    while let ExprKind::Cast(inner) = &e.kind {
        // Whatever fits into the narrower type is the same number in the wider one.
        if !(inner.ty.is_int() && e.ty.is_int() && inner.ty.size() < e.ty.size() && !inner.ty.is_signed()) {
            return None;
        }
        e = inner;
    }
    let ExprKind::Field { field, .. } = &e.kind else { return None };
    let size = e.ty.size();
    let n = u32::try_from(n.as_int()?).ok()?;
    let plain = field.big_endian && field.bits.is_none() && !field.data_loc;
    match size {
        2 if plain => u16::try_from(n).ok().map(|n| (e, n.swap_bytes().into())),
        4 if plain => Some((e, n.swap_bytes().into())),
        _ => None,
    }
}

/// The terms of `a && b && ...`.
fn terms<'e>(e: &'e Expr, out: &mut Vec<&'e Expr>) {
    match &e.kind {
        ExprKind::Binary(BinOp::And, a, b) => {
            terms(a, out);
            terms(b, out);
        }
        _ => out.push(e),
    }
}

/// The IP header that a later term of `tcp && ip` asks for, if it may as well be looked for before the first one: finding TCP is less
/// work where it is known which IP is before it. `ends`: a run that reads what the packet lacks ends where a false condition goes, too.
pub(crate) fn network_first(e: &Expr, ends: bool) -> Option<Header> {
    let mut all = Vec::new();
    terms(e, &mut all);
    for (i, term) in all.into_iter().enumerate() {
        let header = test(term).or_else(|| if ends { reads(term) } else { None });
        if let Some(h @ (Header::Ip | Header::Ip6)) = header {
            return (i > 0).then_some(h);
        }
        if !plain(term) || (!ends && test(term).is_none() && reads_packet(term)) {
            return None;
        }
    }
    None
}

/// A header of which something is read wherever the expression is evaluated.
fn reads(e: &Expr) -> Option<Header> {
    match &e.kind {
        ExprKind::Field { base, .. } => test(base).or_else(|| reads(base)),
        ExprKind::Cast(a) | ExprKind::Unary(_, a) | ExprKind::InNetwork { address: a, .. } => reads(a),
        ExprKind::Binary(op, a, b) if !matches!(op, BinOp::And | BinOp::Or) => reads(a).or_else(|| reads(b)),
        _ => None,
    }
}

/// Nothing comes of it but its value.
fn plain(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Bytes(_) | ExprKind::Local(_) => true,
        ExprKind::Call { .. } => test(e).is_some(),
        ExprKind::Field { base: a, .. }
        | ExprKind::Cast(a)
        | ExprKind::Unary(_, a)
        | ExprKind::InNetwork { address: a, .. }
        | ExprKind::PacketBytes { base: a, .. } => plain(a),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => plain(a) && plain(b),
        _ => false,
    }
}

/// Does the expression read the packet, and so may end the run?
pub(crate) fn reads_packet(e: &Expr) -> bool {
    let mut found = false;
    super::walk::exprs(e, &mut |e| found |= matches!(e.ty, Ty::Ptr(_, Space::Packet)));
    found
}
