//! Writing to packets: the checksums that cover a field are corrected by what changed in it (RFC 1624). Sums of 16-bit words are
//! the same in any byte order, so words are taken as they lie.

use super::super::body::{Addr, Body, Fact};
use super::super::expr::in_register;
use super::super::helper;
use super::{PacketFact, walk};
use crate::artifact::MapKind;
use crate::hir::{Expr, ExprKind, FieldRef, MapId};
use crate::lowered::Object;
use crate::packet::{Header, Layer, verdict};
use crate::types::Ty;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Where a checksum lies in its header, and whose protocol that is.
const TRANSPORTS: [(Header, i64, u32); 4] =
    [(Header::Tcp, walk::TCP, 16), (Header::Udp, walk::UDP, 6), (Header::Icmp, walk::ICMP, 2), (Header::Icmp6, walk::ICMP6, 2)];
const IP_CHECK: u32 = 10;
/// `BPF_F_PSEUDO_HDR`, `BPF_F_MARK_MANGLED_0`
const PSEUDO: i64 = 0x10;
const ZERO_IS_NONE: i64 = 0x20;

/// The header that a field belongs to, and its place in it.
pub fn root(e: &Expr) -> Option<(Header, u32)> {
    match &e.kind {
        ExprKind::Field { base, field } => root(base).map(|(h, at)| (h, at + field.offset)),
        ExprKind::Call { builtin, .. } => crate::packet::header(builtin.name).map(|h| (h, 0)),
        _ => None,
    }
}

impl Body<'_> {
    pub(crate) fn set_field(&mut self, place: &Expr, value: &Expr) {
        let ExprKind::Field { base, field } = &place.kind else { return };
        let v = if in_register(&value.ty) { Ok(self.scalar(value)) } else { Err(self.memory(value)) };
        if !self.m.options.enforce {
            self.count_change();
            return;
        }
        let Some((header, offset)) = root(place) else {
            if matches!(base.kind, ExprKind::Ctx) {
                self.set_beside(v, value, Addr::ptr(self.context).at(field.offset), place, field);
            }
            return;
        };
        let fail = self.missing_block();
        if let (Header::Vlan, Layer::Link, Ok(v)) = (header, self.layer(), v) {
            return self.set_tag(v, offset, field, &place.ty, fail);
        }
        let p = Addr::ptr(self.header_pointer(header, fail));
        let size = place.ty.size();
        let (from, to) = (offset & !1, (offset + size).next_multiple_of(2));
        let old = self.word_sum(p, from, to);
        match v {
            Ok(v) => self.store_field(v, p, offset, field, &place.ty),
            Err(at) => self.copy(p.at(offset), at, size),
        }
        // Of the old words the complements: what a one's complement sum subtracts by.
        let all = i64::from((to - from) / 2) * 0xffff;
        let change = match stored(value, field, &place.ty) {
            Some(new) => {
                let sum = self.int(all + new);
                self.b.ins().isub(sum, old)
            }
            None => {
                let new = self.word_sum(p, from, to);
                let all = self.int(all);
                let gone = self.b.ins().isub(all, old);
                self.add(gone, new)
            }
        };
        self.fix_checksums(header, offset, change);
        if self.layer() == Layer::Link {
            self.forget_pointers();
        }
    }

    /// What the stack knows of the packet, or the address that a call names. The kernel has its fields written by words.
    fn set_beside(&mut self, v: Result<Value, Addr>, value: &Expr, to: Addr, place: &Expr, field: &FieldRef) {
        let size = place.ty.size();
        match v {
            Ok(mut v) => {
                if field.big_endian {
                    v = self.swap_bytes(v, size);
                }
                if value.as_int().is_some() {
                    // Before 6.3 a constant can't be stored into the context; by way of memory it is none.
                    let t = self.temp(8, "value");
                    self.store(v, t, 8);
                    v = self.load(t, 8, false);
                }
                self.store(v, to, size.max(4));
            }
            Err(from) => {
                for at in (0..size).step_by(4) {
                    let word = self.load(from.at(at), 4, false);
                    self.store(word, to.at(at), 4);
                }
            }
        }
    }

    pub(super) fn word_sum(&mut self, p: Addr, from: u32, to: u32) -> Value {
        let mut sum = self.int(0);
        for at in (from..to).step_by(2) {
            let w = self.load(p.at(at), 2, false);
            sum = self.add(sum, w);
        }
        sum
    }

    pub(super) fn store_field(&mut self, v: Value, p: Addr, offset: u32, field: &FieldRef, ty: &Ty) {
        let size = ty.size();
        let inside = if field.big_endian { offset % size } else { 0 };
        let at = p.at(offset - inside);
        let v = match field.bits {
            None => v,
            Some((first, width)) => {
                let first = i64::from(first) + 8 * i64::from(inside);
                let mask = ((1i64 << width) - 1) << first;
                let v = self.shl_imm(v, first);
                let v = self.and_imm(v, mask);
                let whole = self.load(at, size, false);
                let whole = if field.big_endian { self.swap_bytes(whole, size) } else { whole };
                let rest = self.and_imm(whole, !mask);
                self.b.ins().bor(rest, v)
            }
        };
        let v = if field.big_endian { self.swap_bytes(v, size) } else { v };
        self.store(v, at, size);
    }

    fn fix_checksums(&mut self, header: Header, offset: u32, change: Value) {
        let address = match header {
            Header::Ip => offset >= 12,
            Header::Ip6 => offset >= 8,
            _ => false,
        };
        match header {
            // The checksum itself is whatever the script says.
            Header::Ip if offset == IP_CHECK => {}
            Header::Ip => {
                let (_, place) = self.network_header();
                self.fix(header, place, IP_CHECK, change, Fixed::Network);
                if address {
                    self.fix_transport(header, change);
                }
            }
            Header::Ip6 if address => self.fix_transport(header, change),
            Header::Eth | Header::Vlan | Header::Arp | Header::Ip6 => {}
            Header::Dns | Header::Payload => self.fix_transport(header, change),
            _ => {
                let Some((_, _, check)) = TRANSPORTS.iter().find(|(h, ..)| *h == header) else { return };
                if offset != *check {
                    let (_, place) = self.transport();
                    self.fix(header, place, *check, change, Fixed::Transport { udp: header == Header::Udp, pseudo: false });
                }
            }
        }
    }

    /// The checksum of whatever lies behind IP, after a change in the header `of`. Addresses count for it too, but for ICMP's.
    fn fix_transport(&mut self, of: Header, change: Value) {
        let pseudo = matches!(of, Header::Ip | Header::Ip6);
        let (protocol, place) = self.transport();
        let fix = |b: &mut Self, header, check| {
            b.fix(header, place, check, change, Fixed::Transport { udp: header == Header::Udp, pseudo });
        };
        let covered = |h: Header| !(pseudo && h == Header::Icmp || of == Header::Ip && h == Header::Icmp6);
        let mut read = None;
        for row in &TRANSPORTS {
            if read.is_none() && self.known(Fact::Packet(PacketFact::Pointer(row.0))).is_some() {
                read = Some(row);
            }
        }
        if let Some((header, _, check)) = read {
            // It is that: the script has read it.
            if covered(*header) {
                fix(self, *header, *check);
            }
            return;
        }
        let done = self.block();
        for (header, number, check) in TRANSPORTS.into_iter().filter(|(h, ..)| covered(*h)) {
            let (this, next) = (self.block(), self.block());
            self.branch_if(IntCC::Equal, protocol, number, this, next);
            self.enter(this);
            self.push_facts();
            fix(self, header, check);
            self.pop_facts();
            self.jump(done);
            self.enter(next);
        }
        self.jump(done);
        self.enter(done);
    }

    fn fix(&mut self, header: Header, place: Value, check: u32, change: Value, what: Fixed) {
        if self.layer() == Layer::Link {
            // The kernel knows whether the checksum is still to be completed by the device.
            let at = self.add_imm(place, i64::from(check));
            let (context, zero) = (self.context, self.int(0));
            let (number, flags) = match what {
                Fixed::Network => (helper::L3_CSUM_REPLACE, 0),
                Fixed::Transport { udp, pseudo } => {
                    (helper::L4_CSUM_REPLACE, if udp { ZERO_IS_NONE } else { 0 } | if pseudo { PSEUDO } else { 0 })
                }
            };
            let flags = self.int(flags);
            self.helper(number, &[context, at, zero, change, flags]);
            self.forget_pointers();
            return;
        }
        let done = self.block();
        self.push_facts();
        let p = match self.known(Fact::Packet(PacketFact::Pointer(header))) {
            Some(p) => p,
            None => self.checked(place, check + 2, done),
        };
        let p = Addr::ptr(p).at(check);
        let old = self.load(p, 2, false);
        let udp = matches!(what, Fixed::Transport { udp: true, .. });
        if udp {
            // 0: the sender made none
            let there = self.block();
            self.branch_if(IntCC::NotEqual, old, 0, there, done);
            self.enter(there);
        }
        let ones = self.int(0xffff);
        let old = self.b.ins().bxor(old, ones);
        let sum = self.add(old, change);
        let mut new = self.folded(sum);
        if udp {
            let zero = self.int(0);
            let is = self.b.ins().icmp(IntCC::Equal, new, zero);
            new = self.b.ins().select(is, ones, new);
        }
        self.store(new, p, 2);
        self.pop_facts();
        self.jump(done);
        self.enter(done);
    }

    /// The checksum that a sum of words makes.
    pub(super) fn folded(&mut self, mut sum: Value) -> Value {
        for _ in 0..2 {
            let (low, high) = (self.and_imm(sum, 0xffff), self.shr_imm(sum, 16));
            sum = self.add(low, high);
        }
        let ones = self.int(0xffff);
        self.b.ins().bxor(sum, ones)
    }

    pub fn mirror(&mut self, to: &Expr) -> Value {
        let index = self.scalar(to);
        if !self.m.options.enforce {
            self.count_change();
            return self.int(0);
        }
        let (context, flags) = (self.context, self.int(0));
        let r = self.helper(helper::CLONE_REDIRECT, &[context, index, flags]);
        self.forget_pointers();
        r
    }

    /// The verdict of `redirect`.
    pub fn redirect(&mut self, to: &Expr) -> Value {
        let family = verdict::family(self.probe.kind);
        let value = |name| family.and_then(|f| f.find(name)).map_or(0, |v| i64::from(v.value));
        let (sent, passed) = (value("REDIRECT"), value("PASS"));
        match (&to.kind, self.m.options.enforce) {
            (ExprKind::MapGet { map, keys }, enforce) => self.redirect_by_map(*map, keys, enforce, sent, passed),
            (_, false) => self.int(sent),
            (_, true) => {
                let (index, flags) = (self.scalar(to), self.int(0));
                self.helper(helper::REDIRECT, &[index, flags])
            }
        }
    }

    /// To what the map has under the key; the packet passes where that is nothing.
    fn redirect_by_map(&mut self, map: MapId, keys: &[Expr], enforce: bool, sent: i64, passed: i64) -> Value {
        let Some((kernel, kind)) = self.kernel_kind(map) else { return self.int(passed) };
        let symbol = self.symbol(Object::Map(kernel));
        match (enforce, kind) {
            (true, _) => {
                let (key, otherwise) = (self.scalar(&keys[0]), self.int(passed));
                self.helper(helper::REDIRECT_MAP, &[symbol, key, otherwise])
            }
            (false, MapKind::DevMap) => {
                let key = self.key(map, keys);
                let key = self.address(key);
                let found = self.helper(helper::MAP_LOOKUP_ELEM, &[symbol, key]);
                self.either(found, |s| s.int(sent), |s| s.int(passed))
            }
            // Programs can't ask a cpumap what is in it.
            (false, _) => self.int(sent),
        }
    }

    /// A helper that changes the packet's size; 0 where changes are only watched.
    pub fn adjust(&mut self, number: u32, args: &[Expr], before: Option<i64>) -> Value {
        let values: Vec<Value> = args.iter().map(|a| self.scalar(a)).collect();
        if !self.m.options.enforce {
            self.count_change();
            return self.int(0);
        }
        let mut all = vec![self.context];
        all.extend(before.map(|v| self.int(v)));
        all.extend(values);
        let r = self.helper(number, &all);
        self.forget_packet();
        r
    }

    /// After a helper that may move the packet: pointers into it are no more, places in it are.
    pub(crate) fn forget_pointers(&mut self) {
        self.forget(|f| matches!(f, Fact::Packet(PacketFact::Start | PacketFact::End | PacketFact::Pointer(_))));
    }

    /// After its headers have changed.
    pub(crate) fn forget_packet(&mut self) {
        self.forget(|f| matches!(f, Fact::Packet(_)));
    }
}

/// The sum of the words of a field of whole words that gets a constant.
fn stored(value: &Expr, field: &FieldRef, ty: &Ty) -> Option<i64> {
    let n = value.as_int()?;
    let bytes = match (field.bits, field.big_endian, ty.size()) {
        // Sums are the same in any byte order, but words must be cut where the field's are.
        (None, big, 2) => if big { (n as u16).swap_bytes() } else { n as u16 }.into(),
        (None, big, 4) => {
            if big {
                (n as u32).swap_bytes()
            } else {
                n as u32
            }
        }
        _ => return None,
    };
    Some(i64::from(bytes & 0xffff) + i64::from(bytes >> 16))
}

#[derive(Clone, Copy)]
enum Fixed {
    Network,
    Transport { udp: bool, pseudo: bool },
}
