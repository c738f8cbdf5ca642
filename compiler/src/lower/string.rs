//! Comparing values that live in memory.

use super::body::{Addr, Body};
use crate::hir::{Expr, ExprKind};
use crate::types::Ty;
use awl_grammar::ast::BinOp;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Body<'_> {
    /// `==` and `!=`: 0 or 1
    pub(crate) fn compare_memory(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Value {
        let equal = match (&a.kind, &b.kind) {
            (_, ExprKind::Str(s)) => self.equals_literal(a, s, None),
            (ExprKind::Str(s), _) => self.equals_literal(b, s, None),
            _ if matches!(a.ty, Ty::Str(_)) => {
                let n = a.ty.size().min(b.ty.size());
                self.equal_strings(a, b, n)
            }
            _ => {
                let (x, y) = (self.memory(a), self.memory(b));
                self.equal_bytes(x, y, a.ty.size().min(b.ty.size()))
            }
        };
        if op == BinOp::Eq { equal } else { self.compare_imm(IntCC::Equal, equal, 0) }
    }

    /// Does a string begin with these bytes (all of it, NUL included, when `limit` is `None`)?
    pub(crate) fn equals_literal(&mut self, e: &Expr, literal: &[u8], limit: Option<u32>) -> Value {
        let capacity = e.ty.size();
        let mut want = literal.to_vec();
        want.push(0);
        if let Some(n) = limit {
            want.truncate(n as usize);
        }
        let at = self.memory(e);
        if want.len() as u32 > capacity {
            // Too long to be equal; a prefix that long can't be there either.
            return self.int(0);
        }
        self.equal_to_bytes(at, &want)
    }

    /// Are the bytes at a place these? Places at offsets that are not constant may not be on the stack.
    pub fn equal_to_bytes(&mut self, at: Addr, want: &[u8]) -> Value {
        let words = super::memory::words(at.offset, want.len() as u32).map(|(offset, n)| {
            let mut word = [0u8; 8];
            word[..n as usize].copy_from_slice(&want[offset as usize..(offset + n) as usize]);
            (at.at(offset), n, None, i64::from_le_bytes(word))
        });
        self.equal_words(words)
    }

    /// Does each place hold its word, of so many bytes, or the bits of it that the mask has?
    pub(crate) fn equal_words(&mut self, words: impl IntoIterator<Item = (Addr, u32, Option<i64>, i64)>) -> Value {
        let mut differs: Option<Value> = None;
        for (at, n, mask, want) in words {
            let have = self.load(at, n, false);
            let have = mask.map_or(have, |m| self.and_imm(have, m));
            let want = self.int(want);
            let x = self.b.ins().bxor(have, want);
            differs = Some(match differs {
                None => x,
                Some(d) => self.b.ins().bor(d, x),
            });
        }
        match differs {
            Some(d) => self.compare_imm(IntCC::Equal, d, 0),
            None => self.int(1),
        }
    }

    /// Bytes of a string before its NUL.
    pub(crate) fn string_len(&mut self, e: &Expr) -> Value {
        match &e.kind {
            ExprKind::Str(s) => self.int(s.len() as i64),
            _ => self.string_copy(e).1,
        }
    }

    /// A copy of a string off the stack, where any offset may be read, and its bytes before the NUL. One helper call does
    /// both, however long the string is.
    pub fn string_copy(&mut self, e: &Expr) -> (Addr, Value) {
        let from = self.memory(e);
        let to = self.scratch_memory(e.ty.size());
        let (at, n, source) = (self.address(to), self.int(i64::from(e.ty.size())), self.address(from));
        let got = self.helper(super::helper::PROBE_READ_KERNEL_STR, &[at, n, source]);
        let len = self.add_imm(got, -1);
        let zero = self.int(0);
        let len = self.b.ins().smax(len, zero);
        let last = self.int(i64::from(e.ty.size()) - 1);
        (to, self.b.ins().umin(len, last))
    }

    fn equal_bytes(&mut self, x: Addr, y: Addr, bytes: u32) -> Value {
        let mut differs = self.int(0);
        for (offset, n) in super::memory::words(x.offset | y.offset, bytes) {
            let (a, b) = (self.load(x.at(offset), n, false), self.load(y.at(offset), n, false));
            let d = self.b.ins().bxor(a, b);
            differs = self.b.ins().bor(differs, d);
        }
        self.compare_imm(IntCC::Equal, differs, 0)
    }

    /// Compares byte by byte up to a difference, a NUL or `limit` bytes.
    pub(crate) fn equal_strings(&mut self, a: &Expr, b: &Expr, limit: u32) -> Value {
        let (x, y) = (self.memory(a), self.memory(b));
        let limit = limit.min(a.ty.size()).min(b.ty.size());
        let (x, y) = (self.address(x), self.address(y));
        let done = self.block();
        let result = self.b.append_block_param(done, types::I64);
        let (head, inside, same) = (self.block(), self.block(), self.block());
        let i = self.b.declare_var(types::I64);
        let zero = self.int(0);
        self.b.def_var(i, zero);
        self.jump(head);
        self.enter(head);
        let at = self.b.use_var(i);
        let one = self.int(1);
        let end = self.int(i64::from(limit));
        let more = self.b.ins().icmp(IntCC::UnsignedLessThan, at, end);
        self.b.ins().brif(more, inside, &[], done, &[one.into()]);
        self.enter(inside);
        let (p, q) = (self.add(x, at), self.add(y, at));
        let (c, d) = (self.load(Addr::ptr(p), 1, false), self.load(Addr::ptr(q), 1, false));
        let equal = self.b.ins().icmp(IntCC::Equal, c, d);
        self.b.ins().brif(equal, same, &[], done, &[zero.into()]);
        self.enter(same);
        let next = self.add_imm(at, 1);
        self.b.def_var(i, next);
        let zero = self.int(0);
        let goes_on = self.b.ins().icmp(IntCC::NotEqual, c, zero);
        let one = self.int(1);
        self.b.ins().brif(goes_on, head, &[], done, &[one.into()]);
        self.enter(done);
        result
    }
}
