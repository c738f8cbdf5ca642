//! Expressions. `scalar` gives a register, `memory` an address, `into` writes to a place: whoever needs a value says how,
//! so that most are made where they are needed and never copied.

use super::body::{Addr, Body, Facts, Home, Operand};
use crate::artifact::global;
use crate::builtin::Lower;
use crate::hir::{Expr, ExprKind};
use crate::types::{Space, StackKind, Ty};
use awl_grammar::ast::{BinOp, UnOp};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value};

/// Held in a register, though the language doesn't count with it.
pub fn in_register(ty: &Ty) -> bool {
    ty.is_scalar() || matches!(ty, Ty::Ksym | Ty::Username | Ty::Ipv4 | Ty::Stack { kind: StackKind::Kernel, .. })
}

impl Body<'_> {
    /// The value of an expression that fits into a register.
    pub fn scalar(&mut self, e: &Expr) -> Value {
        match &e.kind {
            ExprKind::Int(v) => self.int(*v),
            ExprKind::Local(id) => match self.homes.get(id).copied() {
                Some(Home::Register(v)) => self.b.use_var(v),
                Some(Home::Memory(a)) => self.load(a, 8, false),
                None => self.int(0),
            },
            ExprKind::MapGet { map, keys } => self.map_scalar(*map, keys),
            ExprKind::MapSum { map, keys } => self.map_sum(*map, keys),
            ExprKind::StepMap { map, keys, by, old } => self.step_map(*map, keys, *by, *old),
            ExprKind::StepLocal { local, by, old } => {
                let before = self.scalar(&Expr::new(ExprKind::Local(*local), e.ty.clone(), e.span));
                let after = self.add_imm(before, *by);
                let after = self.extend(after, &e.ty);
                self.set_register(*local, after);
                if *old { before } else { after }
            }
            ExprKind::Unary(op, a) => {
                let v = self.scalar(a);
                match op {
                    UnOp::Neg => self.b.ins().ineg(v),
                    UnOp::BitNot => self.b.ins().bnot(v),
                    UnOp::Not => self.compare_imm(IntCC::Equal, v, 0),
                    UnOp::Deref | UnOp::AddrOf => v,
                }
            }
            ExprKind::AddressOf(of) => {
                let at = match &of.kind {
                    ExprKind::Local(id) => match self.homes.get(id).copied() {
                        Some(Home::Memory(at)) => Some(at),
                        _ => None,
                    },
                    ExprKind::MapGet { map, .. } => self.plain_map(*map),
                    _ => None,
                };
                match at {
                    Some(at) => self.address(at),
                    None => self.int(0),
                }
            }
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b),
            ExprKind::Ternary { cond, then, other } | ExprKind::If { cond, then, other } => {
                let c = self.scalar(cond);
                self.either(c, |s| s.scalar(then), |s| s.scalar(other))
            }
            ExprKind::Block(stmts, value) => {
                self.stmts(stmts);
                self.settle();
                self.scalar(value)
            }
            ExprKind::Inline { body, result } => {
                self.inline(body);
                match result {
                    Some(id) => self.scalar(&Expr::new(ExprKind::Local(*id), e.ty.clone(), e.span)),
                    None => self.int(0),
                }
            }
            ExprKind::Ctx => self.context,
            ExprKind::Arg(i) => self.argument(*i, &e.ty),
            ExprKind::Parameter(place) => self.parameter(*place, &e.ty),
            ExprKind::SyscallArg(i) => self.syscall_argument(i),
            ExprKind::Field { .. } | ExprKind::Index { .. } | ExprKind::Deref(_) => self.read_scalar(e),
            ExprKind::TupleField { base, index } => {
                let at = self.tuple_field(base, *index);
                self.load_ty(at, &e.ty)
            }
            ExprKind::Cast(inner) => self.cast(inner, &e.ty),
            ExprKind::Call { .. } => match self.call(e, None) {
                Operand::Scalar(v) => v,
                Operand::Mem(a) => self.load_ty(a, &e.ty),
                Operand::None => self.int(0),
            },
            ExprKind::Emit { event, args } => {
                self.emit(*event, args);
                self.int(0)
            }
            ExprKind::InNetwork { address, network, bits } => self.in_network(address, network, *bits),
            ExprKind::Error
            | ExprKind::Void
            | ExprKind::Str(_)
            | ExprKind::Bytes(_)
            | ExprKind::PacketBytes { .. }
            | ExprKind::Tuple(_)
            | ExprKind::ProbeName { .. } => self.int(0),
        }
    }

    /// Where the value of an expression lies; it is put into a temporary when it lies nowhere yet.
    pub fn memory(&mut self, e: &Expr) -> Addr {
        if in_register(&e.ty) {
            let v = self.scalar(e);
            let at = self.temp(8, "value");
            self.store(v, at, 8);
            return at;
        }
        match &e.kind {
            ExprKind::Local(id) => {
                if let Some(Home::Memory(a)) = self.homes.get(id) {
                    return *a;
                }
            }
            ExprKind::Str(bytes) => {
                let at = self.m.literal(&padded(bytes, e.ty.size()));
                return self.rodata(at);
            }
            ExprKind::Bytes(bytes) => {
                let at = self.m.literal(bytes);
                return self.rodata(at);
            }

            ExprKind::ProbeName { func } => return self.point_name(*func),
            ExprKind::TupleField { base, index } => return self.tuple_field(base, *index),
            ExprKind::Cast(inner) if matches!((&inner.ty, &e.ty), (Ty::Str(_), Ty::Str(_))) && inner.ty.size() >= e.ty.size() => {
                return self.memory(inner);
            }
            ExprKind::Call { .. } => match self.call(e, None) {
                Operand::Mem(a) => return a,
                Operand::Scalar(v) => {
                    let at = self.temp(8, "value");
                    self.store(v, at, 8);
                    return at;
                }
                Operand::None => {}
            },
            ExprKind::Field { .. } | ExprKind::Index { .. } | ExprKind::Deref(_) => {
                if let Some(a) = self.plain_place(e) {
                    return a;
                }
            }
            ExprKind::Block(stmts, value) => {
                self.stmts(stmts);
                self.settle();
                return self.memory(value);
            }
            ExprKind::Inline { body, result: Some(id) } => {
                self.inline(body);
                // Another call of the function would change it.
                let result = self.memory(&Expr::new(ExprKind::Local(*id), e.ty.clone(), e.span));
                let at = self.temp(e.ty.size(), "value");
                self.copy(at, result, e.ty.size());
                return at;
            }
            _ => {}
        }
        let at = self.temp(e.ty.size(), "value");
        self.into(e, at);
        at
    }

    /// Writes the value to a place of the size of its type.
    pub fn into(&mut self, e: &Expr, to: Addr) {
        if in_register(&e.ty) {
            let v = self.scalar(e);
            self.store(v, to, e.ty.size());
            return;
        }
        match &e.kind {
            ExprKind::Str(bytes) => self.literal_into(bytes, e.ty.size(), to),
            // Has no place to be copied from.
            ExprKind::Error | ExprKind::Void => self.zero(to, e.ty.size()),
            ExprKind::PacketBytes { base, from, len } => self.packet_bytes(base, *from, *len, to),
            ExprKind::Tuple(items) => {
                let offsets = e.ty.tuple_offsets();
                self.zero_padding(&e.ty, to);
                for (item, at) in items.iter().zip(offsets) {
                    self.into(item, to.at(at));
                }
            }
            ExprKind::MapGet { map, keys } => self.map_into(*map, keys, to),
            ExprKind::Ternary { cond, then, other } | ExprKind::If { cond, then, other } => {
                let c = self.scalar(cond);
                let (yes, no, done) = (self.block(), self.block(), self.block());
                self.branch_if(IntCC::NotEqual, c, 0, yes, no);
                for (block, arm) in [(yes, then), (no, other)] {
                    self.enter(block);
                    self.push_facts();
                    self.into(arm, to);
                    self.pop_facts();
                    self.jump(done);
                }
                self.enter(done);
            }
            ExprKind::Block(stmts, value) => {
                self.stmts(stmts);
                self.settle();
                self.into(value, to);
            }
            ExprKind::Call { builtin, .. } => {
                if self.clean && matches!(e.ty, Ty::Str(_)) && !matches!(builtin.lower, Lower::Padded(_)) {
                    self.zero(to, e.ty.size());
                }
                match self.call(e, Some(to)) {
                    // Behind its NUL may be anything.
                    Operand::Mem(a) if self.clean && matches!(e.ty, Ty::Str(_)) => {
                        if a.base != to.base || a.offset != to.offset {
                            self.copy_string(to, a, e.ty.size());
                        }
                    }
                    Operand::Mem(a) => self.copy_unless_same(to, a, e.ty.size()),
                    Operand::Scalar(v) => self.store(v, to, e.ty.size()),
                    Operand::None => {}
                }
            }
            ExprKind::Cast(inner) if matches!(inner.ty, Ty::Str(_) | Ty::Buf(_)) => {
                // From a smaller capacity: the rest is zeros.
                let n = inner.ty.size().min(e.ty.size());
                if n < e.ty.size() {
                    self.zero(to, e.ty.size());
                }
                let from = self.memory(inner);
                self.copy(to, from, n);
                if inner.ty.size() > n && matches!(e.ty, Ty::Str(_)) {
                    self.store_imm(0, to.at(n - 1), 1);
                }
            }
            ExprKind::Cast(inner) => self.cast_into(inner, &e.ty, to),
            ExprKind::Arg(i) => self.argument_into(*i, e.ty.size(), to),
            ExprKind::Field { .. } | ExprKind::Index { .. } | ExprKind::Deref(_) => self.read_into(e, to),
            _ => {
                let from = self.memory(e);
                self.copy_string_aware(e, from, to);
            }
        }
    }

    /// A string in memory may have anything behind its NUL; a key may not.
    fn copy_string_aware(&mut self, e: &Expr, from: Addr, to: Addr) {
        self.copy(to, from, e.ty.size());
    }

    fn copy_unless_same(&mut self, to: Addr, from: Addr, bytes: u32) {
        if to.base != from.base || to.offset != from.offset {
            self.copy(to, from, bytes);
        }
    }

    /// Bytes between the fields of a tuple: zero, so that equal tuples are equal bytes.
    pub(crate) fn zero_padding(&mut self, ty: &Ty, to: Addr) {
        let types: Vec<Ty> = match ty {
            Ty::Tuple(ts) => ts.to_vec(),
            Ty::NamedTuple(ts) => ts.iter().map(|(_, t)| t.clone()).collect(),
            Ty::Record(_) => return self.zero(to, ty.size()),
            _ => return,
        };
        self.zero_gaps(&types, ty.size(), to);
    }

    pub(crate) fn zero_gaps(&mut self, types: &[Ty], size: u32, to: Addr) {
        let (offsets, _) = crate::types::struct_layout(types.iter());
        let ends = offsets.iter().zip(types).map(|(o, t)| o + t.size());
        let starts = offsets.iter().skip(1).copied().chain([size]);
        for (end, start) in ends.zip(starts) {
            if end < start {
                self.zero(to.at(end), start - end);
            }
        }
    }

    fn literal_into(&mut self, bytes: &[u8], capacity: u32, to: Addr) {
        let bytes = padded(bytes, capacity);
        if capacity > 64 {
            let at = self.m.literal(&bytes);
            let from = self.rodata(at);
            self.copy(to, from, capacity);
            return;
        }
        for (at, n) in super::memory::words(to.offset, capacity) {
            let mut word = [0u8; 8];
            word[..n as usize].copy_from_slice(&bytes[at as usize..(at + n) as usize]);
            self.store_imm(i64::from_le_bytes(word), to.at(at), n);
        }
    }

    fn tuple_field(&mut self, base: &Expr, index: usize) -> Addr {
        let at = base.ty.tuple_offsets().get(index).copied().unwrap_or(0);
        self.memory(base).at(at)
    }

    pub(crate) fn call(&mut self, e: &Expr, into: Option<Addr>) -> Operand {
        let ExprKind::Call { builtin, args } = &e.kind else { return Operand::None };
        self.at(e.span);
        match builtin.lower {
            Lower::Code(f) | Lower::Padded(f) => f(self, e, args, into),
            Lower::Never => Operand::None,
        }
    }

    /// A place for a memory value: the one that is wanted, or a temporary.
    pub fn place_or(&mut self, into: Option<Addr>, bytes: u32) -> Addr {
        into.unwrap_or_else(|| self.temp(bytes, "value"))
    }

    fn cast(&mut self, inner: &Expr, to: &Ty) -> Value {
        if let Ty::Array(..) = inner.ty {
            let from = self.memory(inner);
            return self.load_bytes(from, inner.ty.size().min(8));
        }
        let stays = known(to) || (matches!(to, Ty::Ptr(..)) && !known(&inner.ty));
        let mut v = if stays { self.scalar(inner) } else { self.number(inner) };
        if (inner.ty == Ty::Ipv4) != (*to == Ty::Ipv4) {
            // An address as a number, the first part highest, and back.
            v = self.swap_bytes(v, 4);
        }
        let (from, size) = (inner.ty.size(), to.size());
        let narrower = size < from || *to == Ty::Bool || (size == from && size < 8 && inner.ty.is_signed() != to.is_signed());
        // A negative number made unsigned and wider keeps its bits; the upper ones of the new width are already set.
        let sign_lost = size > from && size < 8 && inner.ty.is_signed() && !to.is_signed();
        if (narrower || sign_lost) && inner.ty != Ty::Bool { self.extend(v, to) } else { v }
    }

    /// A value to calculate with. To the verifier the address of what it knows is no number until it was negated, which it knows nothing
    /// of the result of: it would refuse all but sums with constants.
    fn number(&mut self, e: &Expr) -> Value {
        let v = self.scalar(e);
        // What was read where the verifier was told the type (`lower/typed.rs`) is a pointer to it, too.
        let told = self.m.typed.is_some() && matches!(e.ty, Ty::Ptr(_, Space::Kernel));
        if told || known(&e.ty) { self.forgotten(v) } else { v }
    }

    /// The same value, of which the verifier knows nothing.
    pub(super) fn forgotten(&mut self, v: Value) -> Value {
        let negated = self.b.ins().ineg(v);
        self.b.ins().ineg(negated)
    }

    fn cast_into(&mut self, inner: &Expr, to_ty: &Ty, to: Addr) {
        match (&inner.ty, to_ty) {
            (from, Ty::Array(..)) if from.is_int() => {
                self.zero(to, to_ty.size());
                let v = self.scalar(inner);
                // A literal is kept in 64 bits, and fits.
                self.store_bytes(v, to, from.size().min(to_ty.size()));
            }
            (Ty::Tuple(_) | Ty::NamedTuple(_), _) => self.convert_tuple(inner, to_ty, to),
            _ => {
                let from = self.memory(inner);
                self.copy(to, from, to_ty.size().min(inner.ty.size()));
            }
        }
    }

    /// A number to the bytes of an array, which may lie anywhere.
    fn store_bytes(&mut self, v: Value, to: Addr, bytes: u32) {
        for (at, n) in super::memory::words(to.offset, bytes) {
            let part = if at == 0 { v } else { self.b.ins().ushr_imm_u(v, i64::from(at * 8)) };
            self.store(part, to.at(at), n);
        }
    }

    /// The number that the bytes of an array are.
    fn load_bytes(&mut self, from: Addr, bytes: u32) -> Value {
        let mut all = None;
        for (at, n) in super::memory::words(from.offset, bytes) {
            let part = self.load(from.at(at), n, false);
            all = Some(match all {
                None => part,
                Some(before) => {
                    let part = self.b.ins().ishl_imm_u(part, i64::from(at * 8));
                    self.b.ins().bor(before, part)
                }
            });
        }
        all.unwrap_or_else(|| self.int(0))
    }

    /// A tuple whose fields widen, or have another order.
    fn convert_tuple(&mut self, inner: &Expr, to_ty: &Ty, to: Addr) {
        let (have, want) = (parts(&inner.ty), parts(to_ty));
        self.zero(to, to_ty.size());
        let from = self.memory(inner);
        let (sources, targets) = (inner.ty.tuple_offsets(), to_ty.tuple_offsets());
        for ((name, want), t) in want.iter().zip(targets) {
            let Some((i, have)) = have.iter().enumerate().find_map(|(i, (n, ty))| (n == name).then_some((i, ty))) else { continue };
            let s = sources[i];
            if in_register(have) && in_register(want) {
                let v = self.load_ty(from.at(s), have);
                self.store(v, to.at(t), want.size());
            } else {
                self.copy(to.at(t), from.at(s), have.size().min(want.size()));
            }
        }
    }

    fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Value {
        match op {
            BinOp::Or if super::packet::reads_packet(a) => return self.truth(op, a, b),
            BinOp::And | BinOp::Or => {
                let x = self.scalar(a);
                let short = self.int(i64::from(op == BinOp::Or));
                let rest = |s: &mut Self| {
                    let y = s.scalar(b);
                    s.compare_imm(IntCC::NotEqual, y, 0)
                };
                return if op == BinOp::And { self.either(x, rest, |_| short) } else { self.either(x, |_| short, rest) };
            }
            BinOp::Eq | BinOp::Ne if !(in_register(&a.ty) && in_register(&b.ty)) => return self.compare_memory(op, a, b),
            BinOp::Match => return self.matches(a, b.as_str().unwrap_or_default()),
            _ => {}
        }
        let signed = a.ty.is_signed();
        let (x, y) = match condition(op, signed) {
            Some(_) => self.compared(op, a, b),
            None => (self.number(a), self.number(b)),
        };
        let ins = self.b.ins();
        match op {
            BinOp::Add => ins.iadd(x, y),
            BinOp::Sub => ins.isub(x, y),
            BinOp::Mul => ins.imul(x, y),
            BinOp::BitAnd => ins.band(x, y),
            BinOp::BitOr => ins.bor(x, y),
            BinOp::BitXor => ins.bxor(x, y),
            BinOp::Shl => ins.ishl(x, y),
            BinOp::Shr if signed => ins.sshr(x, y),
            BinOp::Shr => ins.ushr(x, y),
            BinOp::Div | BinOp::Mod => self.divide(op == BinOp::Div, signed, x, y, b.as_int()),
            _ => match condition(op, signed) {
                Some(cc) => self.compare(cc, x, y),
                None => x,
            },
        }
    }

    /// Both sides of a comparison.
    fn compared(&mut self, op: BinOp, a: &Expr, b: &Expr) -> (Value, Value) {
        let raw = if matches!(op, BinOp::Eq | BinOp::Ne) { super::packet::raw(a, b) } else { None };
        match raw {
            Some((field, n)) => (self.read_raw(field), self.int(n)),
            None => (self.scalar(a), self.scalar(b)),
        }
    }

    /// A condition as 0 or 1.
    fn truth(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Value {
        let e = Expr::new(ExprKind::Binary(op, Box::new(a.clone()), Box::new(b.clone())), Ty::Bool, a.span);
        let (yes, no, done) = (self.block(), self.block(), self.block());
        let result = self.b.append_block_param(done, cranelift_codegen::ir::types::I64);
        self.push_facts();
        self.branch_on(&e, yes, no);
        self.pop_facts();
        for (block, v) in [(yes, 1), (no, 0)] {
            self.enter(block);
            let v = self.int(v);
            self.jump_with(done, v);
        }
        self.enter(done);
        result
    }

    /// Division by zero gives 0, its remainder the dividend, as the BPF instructions have it. Signed division came only with
    /// kernel 6.6, so it is made of the unsigned one.
    pub(crate) fn divide(&mut self, quotient: bool, signed: bool, x: Value, y: Value, constant: Option<i64>) -> Value {
        let magnitude = |s: &mut Self, v: Value| {
            let neg = s.b.ins().ineg(v);
            let zero = s.int(0);
            let less = s.b.ins().icmp(IntCC::SignedLessThan, v, zero);
            s.b.ins().select(less, neg, v)
        };
        let (ux, uy) = match (signed, constant) {
            (false, _) => (x, y),
            (true, Some(c)) if c > 0 => (magnitude(self, x), y),
            (true, _) => (magnitude(self, x), magnitude(self, y)),
        };
        let is_zero = constant.is_none().then(|| {
            let zero = self.int(0);
            self.b.ins().icmp(IntCC::Equal, uy, zero)
        });
        let safe = match is_zero {
            Some(z) => {
                let one = self.int(1);
                self.b.ins().select(z, one, uy)
            }
            None => uy,
        };
        let result = if quotient { self.b.ins().udiv(ux, safe) } else { self.b.ins().urem(ux, safe) };
        let result = if signed {
            // A quotient is negative where the signs differ, a remainder where the dividend is.
            let sign = if quotient { self.b.ins().bxor(x, y) } else { x };
            let neg = self.b.ins().ineg(result);
            let zero = self.int(0);
            let less = self.b.ins().icmp(IntCC::SignedLessThan, sign, zero);
            self.b.ins().select(less, neg, result)
        } else {
            result
        };
        match is_zero {
            Some(z) => {
                let other = if quotient { self.int(0) } else { x };
                self.b.ins().select(z, other, result)
            }
            None => result,
        }
    }

    /// A condition as a branch, without making a 0 or 1 of a comparison first. Gives what is known at `yes` and not here.
    pub(crate) fn branch_on(&mut self, e: &Expr, yes: Block, no: Block) -> Facts {
        if let Some(header) = super::packet::test(e) {
            return self.branch_on_header(header, yes, no);
        }
        match &e.kind {
            ExprKind::Binary(op, a, b) if in_register(&a.ty) && in_register(&b.ty) && condition(*op, a.ty.is_signed()).is_some() => {
                let (x, y) = self.compared(*op, a, b);
                if let Some(cc) = condition(*op, a.ty.is_signed()) {
                    let bit = self.b.ins().icmp(cc, x, y);
                    self.branch(bit, yes, no);
                }
            }
            ExprKind::Binary(BinOp::And, a, b) => {
                let first = super::packet::network_first(e, no == self.missing_block());
                self.push_facts();
                if let Some(header) = first {
                    let found = self.block();
                    let facts = self.branch_on_header(header, found, no);
                    self.enter(found);
                    self.add_facts(facts);
                }
                let middle = self.block();
                let facts = self.branch_on(a, middle, no);
                self.enter(middle);
                self.add_facts(facts);
                let facts = self.branch_on(b, yes, no);
                self.add_facts(facts);
                return self.pop_facts();
            }
            ExprKind::Binary(BinOp::Or, a, b) => {
                let middle = self.block();
                // Where the packet lacks what the left side reads, the right side decides.
                let outer = self.missing;
                if super::packet::reads_packet(a) {
                    self.missing = Some(middle);
                }
                self.push_facts();
                self.branch_on(a, yes, middle);
                self.pop_facts();
                self.missing = outer;
                self.enter(middle);
                self.push_facts();
                self.branch_on(b, yes, no);
                self.pop_facts();
            }
            ExprKind::Unary(UnOp::Not, inner) => drop(self.branch_on(inner, no, yes)),
            _ => {
                let v = self.scalar(e);
                self.branch_if(IntCC::NotEqual, v, 0, yes, no);
            }
        }
        Facts::new()
    }

    /// Nanoseconds since the start of the session.
    pub fn since_start(&mut self, now: Value) -> Value {
        let at = self.global(global::START_NS);
        let start = self.load(at, 8, false);
        self.b.ins().isub(now, start)
    }
}

fn condition(op: BinOp, signed: bool) -> Option<IntCC> {
    Some(match (op, signed) {
        (BinOp::Eq, _) => IntCC::Equal,
        (BinOp::Ne, _) => IntCC::NotEqual,
        (BinOp::Lt, true) => IntCC::SignedLessThan,
        (BinOp::Lt, false) => IntCC::UnsignedLessThan,
        (BinOp::Le, true) => IntCC::SignedLessThanOrEqual,
        (BinOp::Le, false) => IntCC::UnsignedLessThanOrEqual,
        (BinOp::Gt, true) => IntCC::SignedGreaterThan,
        (BinOp::Gt, false) => IntCC::UnsignedGreaterThan,
        (BinOp::Ge, true) => IntCC::SignedGreaterThanOrEqual,
        (BinOp::Ge, false) => IntCC::UnsignedGreaterThanOrEqual,
        _ => return None,
    })
}

fn padded(bytes: &[u8], capacity: u32) -> Vec<u8> {
    let mut b = bytes.to_vec();
    b.resize(capacity as usize, 0);
    if let Some(last) = b.last_mut() {
        *last = 0;
    }
    b
}

/// The parts of a tuple: name (a number where it has none) and type.
fn parts(ty: &Ty) -> Vec<(String, Ty)> {
    match ty {
        Ty::Tuple(ts) => ts.iter().enumerate().map(|(i, t)| (i.to_string(), t.clone())).collect(),
        Ty::NamedTuple(ts) => ts.to_vec(),
        _ => Vec::new(),
    }
}

/// The verifier knows what lies at the address.
fn known(ty: &Ty) -> bool {
    matches!(ty, Ty::Ptr(_, Space::Btf | Space::Ctx))
}
