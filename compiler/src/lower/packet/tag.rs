//! The outermost VLAN tag. In `tc` and `socket` the kernel has mostly taken it off the packet and keeps it beside (`skb->vlan_tci`): it is read as if it lay where it
//! was, and written by way of the kernel's helpers.

use super::super::body::{Addr, Body};
use super::super::helper;
use super::Copied;
use super::walk::ETH;
use crate::hir::FieldRef;
use crate::packet::{Header, Layer};
use crate::types::Ty;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, Value, types};

/// Length of a tag.
pub(super) const TAG: u32 = 4;
/// The place of a tag that lies beside the packet: so that the next one is where it is.
const BESIDE: i64 = (ETH - TAG) as i64;
/// Where in Ethernet's header the type of what follows is, and in a tag.
const ETH_TYPE: u32 = 12;
const TAG_TYPE: u32 = 2;
/// `vlan_present`, `vlan_tci` and `vlan_proto` of `struct __sk_buff`
const SKB_PRESENT: u32 = 20;
const SKB_TCI: u32 = 24;
const SKB_PROTOCOL: u32 = 28;

impl Body<'_> {
    /// May the outermost tag be beside the packet?
    pub(super) fn has_beside(&self) -> bool {
        matches!(self.layer(), Layer::Link | Layer::Socket)
    }

    /// The outermost tag's place and a pointer to it; goes to `fail` where there is none.
    pub(super) fn outermost_tag(&mut self, fail: Block) -> (Value, Value) {
        if !self.has_beside() {
            let place = self.tag_inside(fail);
            return (place, self.checked(place, TAG, fail));
        }
        let to = self.lasting(TAG, "tag", true);
        // Needed on both ways.
        let eth = self.header_pointer(Header::Eth, fail);
        let done = self.block();
        let place = self.b.append_block_param(done, types::I64);
        let (beside, inside) = self.on_tag_beside();
        self.enter(beside);
        self.copy_beside(eth, to);
        let at = self.int(BESIDE);
        self.jump_with(done, at);
        self.enter(inside);
        self.push_facts();
        let at = self.tag_inside(fail);
        self.copy_inside(at, to, fail);
        self.pop_facts();
        self.jump_with(done, at);
        self.enter(done);
        (place, self.address(to))
    }

    /// A copy of the tag at a place that a script has kept.
    pub(super) fn tag_at(&mut self, place: Value, fail: Block, what: Copied) -> Value {
        let to = match what {
            Copied::Header => self.lasting(TAG, "tag", true),
            _ => self.temp(TAG, "tag"),
        };
        let (beside, inside, done) = (self.block(), self.block(), self.block());
        self.branch_if(IntCC::Equal, place, BESIDE, beside, inside);
        self.enter(beside);
        self.push_facts();
        let eth = self.header_pointer(Header::Eth, fail);
        self.copy_beside(eth, to);
        self.pop_facts();
        self.jump(done);
        self.enter(inside);
        self.push_facts();
        self.copy_inside(place, to, fail);
        self.pop_facts();
        self.jump(done);
        self.enter(done);
        self.address(to)
    }

    /// `vlan.FIELD = v` in `tc`.
    pub(super) fn set_tag(&mut self, v: Value, offset: u32, field: &FieldRef, ty: &Ty, fail: Block) {
        let tag = Addr::ptr(self.header_pointer(Header::Vlan, fail));
        self.store_field(v, tag, offset, field, ty);
        let (beside, inside) = self.on_tag_beside();
        let done = self.block();
        self.enter(beside);
        self.push_facts();
        if offset < TAG_TYPE {
            let (tci, context) = (self.load(tag, 2, false), self.context);
            let tci = self.swap_bytes(tci, 2);
            // Only a tag that is put on can be chosen; a second one waits meanwhile beside the packet.
            let protocol = self.load(Addr::ptr(context).at(SKB_PROTOCOL), 4, false);
            self.helper(helper::SKB_VLAN_POP, &[context]);
            self.helper(helper::SKB_VLAN_PUSH, &[context, protocol, tci]);
        } else {
            let eth = Addr::ptr(self.header_pointer(Header::Eth, fail));
            let kind = self.load(tag.at(TAG_TYPE), 2, false);
            self.store(kind, eth.at(ETH_TYPE), 2);
        }
        self.pop_facts();
        self.jump(done);
        self.enter(inside);
        self.push_facts();
        let place = self.int(ETH.into());
        let p = Addr::ptr(self.checked_transport(place, TAG, fail));
        self.move_bytes(tag, p, &[2, 2]);
        self.pop_facts();
        self.jump(done);
        self.enter(done);
        self.forget_packet();
    }

    /// Blocks for a tag beside the packet, and for the other case.
    fn on_tag_beside(&mut self) -> (Block, Block) {
        let (beside, inside) = (self.block(), self.block());
        let present = self.load(Addr::ptr(self.context).at(SKB_PRESENT), 4, false);
        self.branch_if(IntCC::NotEqual, present, 0, beside, inside);
        (beside, inside)
    }

    /// The place of a tag behind Ethernet's addresses.
    fn tag_inside(&mut self, fail: Block) -> Value {
        let eth = self.header_pointer(Header::Eth, fail);
        let kind = self.load(Addr::ptr(eth).at(ETH_TYPE), 2, false);
        self.is_tag(kind, fail);
        self.int(ETH.into())
    }

    /// What would lie in the packet: the tag, and the type of what is behind it.
    fn copy_beside(&mut self, eth: Value, to: Addr) {
        let tci = self.load(Addr::ptr(self.context).at(SKB_TCI), 4, false);
        let tci = self.swap_bytes(tci, 2);
        self.store(tci, to, 2);
        let kind = self.load(Addr::ptr(eth).at(ETH_TYPE), 2, false);
        self.store(kind, to.at(TAG_TYPE), 2);
    }

    fn copy_inside(&mut self, place: Value, to: Addr, fail: Block) {
        if self.layer() != Layer::Socket {
            let p = Addr::ptr(self.checked_transport(place, TAG, fail));
            return self.move_bytes(p, to, &[2, 2]);
        }
        let (context, to, n) = (self.context, self.address(to), self.int(TAG.into()));
        let r = self.helper(helper::SKB_LOAD_BYTES, &[context, place, to, n]);
        self.go_on_if(IntCC::Equal, r, 0, fail);
    }
}
