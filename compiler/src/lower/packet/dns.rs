//! The first question of a DNS message: its name, label by label, and its type. Loops have a bound that the verifier counts, and
//! what is read in one turn is made unknown for the next, so that each turn is walked once.

use super::super::body::{Addr, Body};
use super::{Copied, REACH, walk};
use crate::hir::Expr;
use crate::packet::Header;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// Bytes of a name as text, with its NUL (RFC 1035: 255 bytes with the lengths of its labels).
pub const NAME: u32 = 256;
/// Letters of a name: all bytes but the first length and the last one.
const LETTERS: i64 = 253;
const MOST_LABELS: i64 = 127;
/// The longest label; longer ones are pointers to other names, which a first question can't have.
const LABEL: i64 = 63;

impl Body<'_> {
    /// The place behind the header, where the first name begins; ends the run where there is no question.
    fn question(&mut self, header: &Expr) -> (Value, Block) {
        let fail = self.missing_block();
        let count = self.packet_pointer(header, walk::bytes(Header::Dns));
        let count = self.load(count.at(4), 2, false);
        self.go_on_if(IntCC::NotEqual, count, 0, fail);
        let value = self.scalar(header);
        let place = self.place_of(value, fail);
        let start = self.add_imm(place, i64::from(walk::bytes(Header::Dns)));
        // Known to all turns.
        self.opaque();
        (self.reachable(start, fail), fail)
    }

    fn reachable(&mut self, place: Value, fail: Block) -> Value {
        self.go_on_if(IntCC::UnsignedLessThanOrEqual, place, i64::from(REACH), fail);
        self.blurred(place)
    }

    fn packet_byte(&mut self, place: Value, fail: Block) -> Value {
        let p = self.checked_behind(place, 1, fail, Copied::Words);
        self.load(Addr::ptr(p), 1, false)
    }

    /// `dns.qname`: labels with dots between them, as people write them. Bytes that no name should have are `?`.
    pub fn dns_name(&mut self, header: &Expr, into: Option<Addr>) -> Addr {
        let to = self.place_or(into, NAME);
        self.zero(to, NAME);
        let (start, fail) = self.question(header);
        let done = self.block();
        self.push_facts();
        let first = self.packet_byte(start, fail);
        let (root, named) = (self.block(), self.block());
        self.branch_if(IntCC::Equal, first, 0, root, named);
        self.enter(root);
        self.store_imm(i64::from(b'.'), to, 1);
        self.jump(done);
        self.enter(named);
        self.go_on_if(IntCC::UnsignedLessThanOrEqual, first, LABEL, fail);
        let (left, turn) = (self.b.declare_var(types::I64), self.b.declare_var(types::I64));
        let zero = self.int(0);
        self.b.def_var(left, first);
        self.b.def_var(turn, zero);
        let (head, inside, next) = (self.block(), self.block(), self.block());
        let (letter, rest) = (self.b.append_block_param(next, types::I64), self.b.append_block_param(next, types::I64));
        self.jump(head);
        self.enter(head);
        self.push_facts();
        let i = self.b.use_var(turn);
        self.branch_if(IntCC::UnsignedLessThanOrEqual, i, LETTERS, inside, fail);
        self.enter(inside);
        let place = self.add(start, i);
        let place = self.add_imm(place, 1);
        let byte = self.packet_byte(place, fail);
        let n = self.b.use_var(left);
        let (length, within) = (self.block(), self.block());
        self.branch_if(IntCC::Equal, n, 0, length, within);
        self.enter(length);
        let more = self.block();
        self.branch_if(IntCC::Equal, byte, 0, done, more);
        self.enter(more);
        self.go_on_if(IntCC::UnsignedLessThanOrEqual, byte, LABEL, fail);
        let dot = self.int(i64::from(b'.'));
        self.b.ins().jump(next, &[dot.into(), byte.into()]);
        self.enter(within);
        let (shown, rest_of) = (self.shown(byte), self.add_imm(n, -1));
        self.b.ins().jump(next, &[shown.into(), rest_of.into()]);
        self.enter(next);
        let base = self.address(to);
        let at = self.add(base, i);
        self.store(letter, Addr::ptr(at), 1);
        let rest = self.blurred(rest);
        let rest = self.and_imm(rest, LABEL);
        self.b.def_var(left, rest);
        let i = self.add_imm(i, 1);
        self.b.def_var(turn, i);
        self.jump(head);
        self.pop_facts();
        self.pop_facts();
        self.enter(done);
        to
    }

    /// A letter of a label: what prints, but for the dot; `?` for anything else.
    fn shown(&mut self, byte: Value) -> Value {
        let over = self.add_imm(byte, -0x21);
        let last = self.int(0x7e - 0x21);
        let prints = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, over, last);
        let unknown = self.int(i64::from(b'?'));
        let byte = self.b.ins().select(prints, byte, unknown);
        let dot = self.int(i64::from(b'.'));
        let is_dot = self.b.ins().icmp(IntCC::Equal, byte, dot);
        self.b.ins().select(is_dot, unknown, byte)
    }

    /// `dns.qtype`: what is asked for (1: A, 28: AAAA).
    pub fn dns_type(&mut self, header: &Expr) -> Value {
        let (start, fail) = self.question(header);
        let (at, turn) = (self.b.declare_var(types::I64), self.b.declare_var(types::I64));
        let zero = self.int(0);
        self.b.def_var(at, start);
        self.b.def_var(turn, zero);
        let (head, inside, on, done) = (self.block(), self.block(), self.block(), self.block());
        self.jump(head);
        self.enter(head);
        self.push_facts();
        let i = self.b.use_var(turn);
        self.branch_if(IntCC::UnsignedLessThanOrEqual, i, MOST_LABELS, inside, fail);
        self.enter(inside);
        let place = self.b.use_var(at);
        let length = self.packet_byte(place, fail);
        self.branch_if(IntCC::Equal, length, 0, done, on);
        self.enter(on);
        self.go_on_if(IntCC::UnsignedLessThanOrEqual, length, LABEL, fail);
        let behind = self.add(place, length);
        let behind = self.add_imm(behind, 1);
        let behind = self.reachable(behind, fail);
        self.b.def_var(at, behind);
        let i = self.add_imm(i, 1);
        self.b.def_var(turn, i);
        self.jump(head);
        self.pop_facts();
        self.enter(done);
        let place = self.add_imm(place, 1);
        let place = self.reachable(place, fail);
        let p = self.checked_behind(place, 2, fail, Copied::Words);
        let kind = self.load(Addr::ptr(p), 2, false);
        self.swap_bytes(kind, 2)
    }
}
