//! Bytes of a packet from anywhere on, as many as it has: `str(payload + $at, 16)`, `buf(...)`.

use super::super::body::{Addr, Body};
use super::super::helper;
use crate::hir::Expr;
use crate::packet::Layer;
use crate::types::{Space, Ty};
use awl_grammar::span::Span;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Does the expression point into the packet?
pub(crate) fn points_into(e: &Expr) -> bool {
    matches!(e.ty, Ty::Ptr(_, Space::Packet))
}

impl Body<'_> {
    /// Copies the `n` bytes, `most` at most, that a pointer into the packet points to, or what there is of them. Gives the copy's address and its length; ends
    /// the run where the packet has none. `at` is what the script wrote for it.
    pub(crate) fn packet_copy(&mut self, pointer: &Expr, n: Value, most: u32, at: Span) -> (Value, Value) {
        let fail = self.missing_block();
        let v = self.scalar(pointer);
        self.at(at);
        let place = self.place_of(v, fail);
        let len = self.packet_len();
        let (within, beyond) = (self.block(), self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, place, len));
        self.branch(beyond, fail, within);
        self.enter(within);
        let (room, most_value) = (self.b.ins().isub(len, place), self.int(most.into()));
        // The constant last: its bound is what the verifier is to see.
        let n = self.b.ins().umin(n, room);
        let n = self.b.ins().umin(n, most_value);
        // The kernel copies no 0 bytes; that there are some, and not too many, its verifier sees so.
        let (one, reach) = (self.int(1), most.max(1).next_power_of_two());
        let size = self.b.ins().umax(n, one);
        let size = self.add_imm(size, -1);
        let size = self.and_imm(size, i64::from(reach) - 1);
        let size = self.add_imm(size, 1);
        let to = self.scratch_memory(reach.next_multiple_of(8));
        let (context, to) = (self.context, self.address(to));
        let number = if self.layer() == Layer::Xdp { helper::XDP_LOAD_BYTES } else { helper::SKB_LOAD_BYTES };
        let r = self.helper(number, &[context, place, to, size]);
        self.go_on_if(IntCC::Equal, r, 0, fail);
        (to, n)
    }

    /// A copy of all of them; ends the run where the packet has fewer.
    pub(crate) fn packet_bytes_at(&mut self, pointer: &Expr, n: Value, most: u32, at: Span) -> Value {
        let (from, there) = self.packet_copy(pointer, n, most, at);
        let (fail, whole) = (self.missing_block(), self.block());
        let fewer = self.b.ins().icmp(IntCC::UnsignedLessThan, there, n);
        self.branch(fewer, fail, whole);
        self.enter(whole);
        from
    }

    /// The same of a known number of bytes.
    pub(crate) fn read_packet(&mut self, pointer: &Expr, to: Addr, bytes: u32) {
        let n = self.int(bytes.into());
        let from = self.packet_bytes_at(pointer, n, bytes, pointer.span);
        self.copy(to, Addr::ptr(from), bytes);
    }
}
