//! Reading what pointers point to: by plain loads where the verifier allows it, by a helper elsewhere. The pointer's type
//! says which.

use super::body::{Addr, Body};
use super::expr::in_register;
use super::helper;
use crate::artifact::percpu;
use crate::hir::{Expr, ExprKind, FieldRef};
use crate::types::{Space, Ty};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// An address with the memory that it is in.
#[derive(Clone, Copy)]
struct Place {
    at: Addr,
    space: Space,
}

impl Place {
    fn plain(self) -> bool {
        matches!(self.space, Space::Own | Space::Ctx | Space::Btf)
    }
}

impl Body<'_> {
    fn place(&mut self, e: &Expr) -> Place {
        match &e.kind {
            ExprKind::Field { base, field } => {
                let p = self.base(base);
                Place { at: p.at.at(field.offset), space: p.space }
            }
            ExprKind::Index { base, index } if matches!(base.ty, Ty::Ptr(_, Space::Packet)) => {
                Place { at: self.packet_element(base, index, e.ty.size().max(1)), space: Space::Own }
            }
            ExprKind::Index { base, index } => {
                let size = e.ty.size().max(1);
                let mut p = self.base(base);
                if let Ty::Buf(_) = base.ty {
                    p.at = p.at.at(4);
                }
                match index.as_int() {
                    Some(i) => Place {
                        at: Addr { offset: p.at.offset.wrapping_add((i as i32).wrapping_mul(size as i32)), ..p.at },
                        space: p.space,
                    },
                    None => {
                        let mut i = self.scalar(index);
                        if p.space == Space::Own {
                            // Within the array by data flow: the verifier wants to see it.
                            let count = match &base.ty {
                                Ty::Array(_, n) | Ty::Str(n) | Ty::Buf(n) => *n,
                                _ => 1,
                            };
                            let last = self.int(i64::from(count.max(1)) - 1);
                            i = self.b.ins().umin(i, last);
                        }
                        let offset = self.mul_imm(i, i64::from(size));
                        let mut start = self.address(p.at);
                        if matches!(p.space, Space::Btf | Space::Ctx) {
                            start = self.forgotten(start);
                            p.space = Space::Kernel;
                        }
                        let at = self.add(start, offset);
                        Place { at: Addr::ptr(at), space: p.space }
                    }
                }
            }
            ExprKind::Deref(p) => self.base(p),
            _ => Place { at: self.memory(e), space: Space::Own },
        }
    }

    /// What a pointer points to, or where a value lies.
    fn base(&mut self, e: &Expr) -> Place {
        match &e.ty {
            Ty::Ptr(to, Space::Packet) => Place { at: self.packet_pointer(e, to.size().max(1)), space: Space::Own },
            Ty::Ptr(_, space) => {
                let v = self.scalar(e);
                Place { at: Addr::ptr(v), space: *space }
            }
            _ => self.place(e),
        }
    }

    /// The address, when plain loads reach it.
    pub(crate) fn plain_place(&mut self, e: &Expr) -> Option<Addr> {
        let p = self.place(e);
        (p.space == Space::Own).then_some(p.at)
    }

    pub(crate) fn read_scalar(&mut self, e: &Expr) -> Value {
        self.span = e.span;
        let p = match self.typed_place(e) {
            Some(at) => Place { at, space: Space::Btf },
            None => self.place(e),
        };
        if let ExprKind::Field { field, .. } = &e.kind {
            if field.data_loc {
                let loc = self.read_integer(p, 4, false);
                let offset = self.and_imm(loc, 0xffff);
                let context = self.context;
                return self.add(context, offset);
            }
            if let Some(bits) = field.bits {
                return self.read_bits(p, field, bits, &e.ty);
            }
            if field.big_endian {
                let v = self.read_integer(p, e.ty.size(), false);
                return self.swap_bytes(v, e.ty.size());
            }
        }
        self.read_integer(p, e.ty.size(), e.ty.is_signed())
    }

    /// An integer in network order as a plain load has it.
    pub(crate) fn read_raw(&mut self, e: &Expr) -> Value {
        self.span = e.span;
        let p = match self.typed_place(e) {
            Some(at) => Place { at, space: Space::Btf },
            None => self.place(e),
        };
        self.read_integer(p, e.ty.size(), false)
    }

    fn read_bits(&mut self, mut p: Place, field: &FieldRef, (first, width): (u8, u8), ty: &Ty) -> Value {
        let signed = ty.is_signed();
        if field.big_endian {
            // Of the whole integer, which is aligned, as a number.
            let inside = field.offset % ty.size();
            p.at.offset -= inside as i32;
            let v = self.read_integer(p, ty.size(), false);
            let v = self.swap_bytes(v, ty.size());
            let below = i64::from(first) + 8 * i64::from(inside);
            let v = if below == 0 { v } else { self.shr_imm(v, below) };
            return self.and_imm(v, (1 << width) - 1);
        }
        let bytes = (u32::from(first) + u32::from(width)).div_ceil(8).next_power_of_two().min(8);
        let v = self.read_integer(p, bytes, false);
        let up = self.shl_imm(v, 64 - i64::from(first) - i64::from(width));
        let n = self.int(64 - i64::from(width));
        if signed { self.b.ins().sshr(up, n) } else { self.b.ins().ushr(up, n) }
    }

    fn read_integer(&mut self, p: Place, bytes: u32, signed: bool) -> Value {
        if p.plain() {
            return self.load(p.at, bytes, signed);
        }
        let tmp = self.temp(8, "read");
        self.read_bytes(p, tmp, bytes);
        self.load(tmp, bytes, signed)
    }

    /// Reads from other memory; what can't be read is zeros, and counted.
    fn read_bytes(&mut self, p: Place, to: Addr, bytes: u32) {
        let number = if p.space == Space::User { helper::PROBE_READ_USER } else { helper::PROBE_READ_KERNEL };
        let (to, n, from) = (self.address(to), self.int(i64::from(bytes)), self.address(p.at));
        let r = self.helper(number, &[to, n, from]);
        self.when(r, |s| s.helper_failed(percpu::HELPER_FAILED, number, r));
    }

    pub(crate) fn read_into(&mut self, e: &Expr, to: Addr) {
        self.span = e.span;
        let p = self.place(e);
        let size = e.ty.size();
        match (&e.ty, p.plain()) {
            (Ty::Str(_), false) => {
                if self.clean {
                    self.zero(to, size);
                }
                let at = self.address(p.at);
                self.read_string(at, p.space, to, size);
            }
            (Ty::Str(_), true) => self.copy(to, p.at, size),
            // Each load of a typed kernel object must keep within one member (kernel/bpf/btf.c, btf_struct_walk); the
            // helper takes any bytes.
            (_, true) if p.space != Space::Btf => self.copy(to, p.at, size),
            _ => self.read_bytes(p, to, size),
        }
        if let (Ty::Str(_), true, true) = (&e.ty, p.plain(), self.clean) {
            let from = p.at;
            self.zero(to, size);
            self.copy_string(to, from, size);
        }
    }

    /// Reads a NUL-terminated string of at most `size` bytes, NUL included; an unreadable one is empty, and counted.
    /// Gives the bytes read.
    pub fn read_string(&mut self, from: Value, space: Space, to: Addr, size: u32) -> Value {
        let number = if space == Space::User { helper::PROBE_READ_USER_STR } else { helper::PROBE_READ_KERNEL_STR };
        let (at, n) = (self.address(to), self.int(i64::from(size)));
        let r = self.helper(number, &[at, n, from]);
        let (bad, done) = (self.block(), self.block());
        self.branch_if(IntCC::SignedLessThan, r, 0, bad, done);
        self.enter(bad);
        self.push_facts();
        self.store_imm(0, to, 1);
        self.helper_failed(percpu::HELPER_FAILED, number, r);
        self.pop_facts();
        self.jump(done);
        self.enter(done);
        if size == self.m.options.config.strlen() {
            // No length was given, and the string has none to spare.
            let full = self.compare_imm(IntCC::Equal, r, i64::from(size));
            self.when(full, |s| s.count_failure(percpu::TRUNCATED));
        }
        r
    }

    /// An integer in the process's memory, extended by the sign; 0 where it can't be read.
    pub(crate) fn read_user_integer(&mut self, at: Value, bytes: u32, signed: bool) -> Value {
        self.read_integer(Place { at: Addr::ptr(at), space: Space::User }, bytes, signed)
    }

    /// The pointer at `offset` bytes from an address; null where it can't be read.
    pub fn read_pointer(&mut self, from: Value, offset: i64, user: bool) -> Value {
        let space = if user { Space::User } else { Space::Kernel };
        let at = self.add_imm(from, offset);
        self.read_integer(Place { at: Addr::ptr(at), space }, 8, false)
    }

    /// The same with a size that is known only at run time, from 1.
    pub fn read_string_of(&mut self, from: Value, space: Space, to: Addr, size: Value) {
        let number = if space == Space::User { helper::PROBE_READ_USER_STR } else { helper::PROBE_READ_KERNEL_STR };
        self.store_imm(0, to, 1);
        let at = self.address(to);
        let r = self.helper(number, &[at, size, from]);
        let failed = self.compare_imm(IntCC::SignedLessThan, r, 0);
        self.when(failed, |s| s.helper_failed(percpu::HELPER_FAILED, number, r));
    }

    /// Reads `size` bytes; 1 if that went well. What can't be read is counted.
    pub fn read_bytes_of(&mut self, from: Value, space: Space, to: Addr, size: Value) -> Value {
        let number = if space == Space::User { helper::PROBE_READ_USER } else { helper::PROBE_READ_KERNEL };
        let at = self.address(to);
        let r = self.helper(number, &[at, size, from]);
        self.when(r, |s| s.helper_failed(percpu::HELPER_FAILED, number, r));
        self.compare_imm(IntCC::Equal, r, 0)
    }

    /// Bytes that an expression points to, or lies at.
    pub fn read_memory(&mut self, e: &Expr, to: Addr, bytes: u32) {
        if super::packet::bytes::points_into(e) {
            return self.read_packet(e, to, bytes);
        }
        let (from, space) = self.pointer(e);
        let space = self.space_of_address(space);
        self.read_bytes(Place { at: Addr::ptr(from), space }, to, bytes);
    }

    /// Copies a string within our own memory up to its NUL; `to` keeps what it has behind that.
    pub(crate) fn copy_string(&mut self, to: Addr, from: Addr, size: u32) {
        let (at, n, source) = (self.address(to), self.int(i64::from(size)), self.address(from));
        self.helper(helper::PROBE_READ_KERNEL_STR, &[at, n, source]);
    }

    /// An expression's address for reading helpers: pointers and numbers are addresses, strings and arrays lie at one.
    pub fn pointer(&mut self, e: &Expr) -> (Value, Space) {
        match &e.ty {
            Ty::Ptr(_, s) => (self.scalar(e), *s),
            t if in_register(t) => (self.scalar(e), Space::Unknown),
            _ => {
                let p = self.place(e);
                (self.address(p.at), if p.space == Space::Own { Space::Kernel } else { p.space })
            }
        }
    }
}
