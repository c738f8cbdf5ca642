//! One function being built: a thin layer over CLIF's builder that speaks of addresses, helpers and facts. The files of
//! `lower/` go through it wherever it has a word for what they want.
//!
//! Every value is an i64. Integers narrower than that are kept extended by their own sign.

use super::module::ModuleBuilder;
use crate::hir::{self, LocalId};
use crate::lowered::{KFUNC, LOCAL, NAMESPACE_DATA, NAMESPACE_FUNC};
use crate::types::Ty;
use awl_grammar::span::Span;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, Block, ExtFuncData, ExternalName, GlobalValue, GlobalValueData, InstBuilder, MemFlagsData, Signature, SourceLoc,
    StackSlot, StackSlotData, StackSlotKind, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use std::collections::HashMap;

/// A place in memory that plain loads and stores reach.
#[derive(Clone, Copy, Debug)]
pub struct Addr {
    pub base: Base,
    /// bytes
    pub offset: i32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Base {
    Ptr(Value),
    Slot(StackSlot),
}

impl Addr {
    pub fn ptr(v: Value) -> Addr {
        Addr { base: Base::Ptr(v), offset: 0 }
    }

    pub fn at(self, bytes: u32) -> Addr {
        Addr { offset: self.offset + bytes as i32, ..self }
    }
}

/// What an expression is in the program.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// in a register
    Scalar(Value),
    /// in memory; for strings up to the first NUL, the rest of the capacity is unspecified
    Mem(Addr),
    /// no value
    None,
}

/// Things that stay the same during one run of a program, so that they are computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    PidTgid,
    UidGid,
    Cpu,
    PerCpu,
    Scratch,
    CurrentTask,
    Point,
    /// what an iterator hands over at that offset of its context
    Object(u32),
    Registers,
    /// the file that a pinned iterator is read through
    SeqFile,
    Packet(super::packet::PacketFact),
}

pub type Facts = HashMap<Fact, Value>;

/// Where a local lives.
#[derive(Clone, Copy, Debug)]
pub enum Home {
    Register(Variable),
    Memory(Addr),
}

/// Blocks that leave a loop.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    Blocks {
        next: Block,
        done: Block,
    },
    /// in a callback: return 0 to go on, 1 to stop
    Callback,
}

pub struct Body<'a> {
    pub(crate) b: FunctionBuilder<'a>,
    pub m: &'a mut ModuleBuilder,
    pub program: &'a hir::Program,
    pub probe: &'a hir::Probe,
    pub(crate) homes: HashMap<LocalId, Home>,
    /// facts known here, by nesting of blocks
    facts: Vec<Facts>,
    /// facts whose values change when the packet is moved, wherever that is
    moving: HashMap<Fact, Variable>,
    pub(crate) loops: Vec<Loop>,
    /// where the functions that are inlined here end, innermost last
    pub(crate) calls: Vec<Block>,
    /// gives scratch back and returns
    pub(crate) exit: Block,
    /// returns
    pub(crate) out: Block,
    /// the word of scratch claims and the mask that gives the claim back
    pub(crate) claim: Option<(Variable, Variable)>,
    /// the aggregation at work is one that the runtime takes away while programs run
    pub(crate) taken: bool,
    /// scratch memory is a part that was claimed
    pub(crate) claimed: bool,
    /// scratch was used in a program that has to claim it
    pub(crate) needs_claim: bool,
    /// strings are written with zeros up to their capacity: they are keys
    pub(crate) clean: bool,
    /// The bytes at work go into a record: what is behind their end is nobody's.
    pub(crate) seen_only: bool,
    /// The expression that is a statement: nobody sees its value.
    pub(crate) unheard: Option<Span>,
    pub(crate) context: Value,
    /// from the attach point that a cookie names to the one that runs
    pub(crate) cookie_shift: i64,
    /// what is being lowered, as far as it matters to messages
    pub(crate) span: Span,
    symbols: HashMap<usize, GlobalValue>,
    functions: HashMap<(u32, usize), ir::FuncRef>,
    pub(crate) scratch: super::memory::Scratch,
    /// the frame that callbacks share: pointers and locals, 8 bytes each
    pub(crate) env: Option<Addr>,
    /// the env of loops of our own
    pub(crate) words: Option<Addr>,
    pub(crate) in_callback: bool,
    /// where to go on when the packet lacks what is read; `exit` where nothing is said
    pub(crate) missing: Option<Block>,
    /// where a run ends that can't go on at all; `exit` where nothing is said
    pub(crate) given_up: Option<Block>,
    /// what the program returns, where it is asked for a verdict
    pub(crate) verdict: Option<Variable>,
    /// after a `return`, `break` or `continue` nothing more is reached in this block
    pub(crate) dead: bool,
}

pub const MEM: MemFlagsData = MemFlagsData::trusted();

impl<'a> Body<'a> {
    pub(crate) fn new(
        b: FunctionBuilder<'a>,
        m: &'a mut ModuleBuilder,
        program: &'a hir::Program,
        probe: &'a hir::Probe,
        context: Value,
    ) -> Body<'a> {
        let mut b = b;
        let (exit, out) = (b.create_block(), b.create_block());
        Body {
            b,
            m,
            program,
            probe,
            homes: HashMap::new(),
            facts: vec![HashMap::new()],
            moving: HashMap::new(),
            loops: Vec::new(),
            calls: Vec::new(),
            exit,
            out,
            claim: None,
            taken: false,
            claimed: false,
            needs_claim: false,
            clean: false,
            seen_only: false,
            unheard: None,
            context,
            cookie_shift: 0,
            span: probe.span,
            symbols: HashMap::new(),
            functions: HashMap::new(),
            scratch: Default::default(),
            env: None,
            words: None,
            in_callback: false,
            missing: None,
            given_up: None,
            verdict: None,
            dead: false,
        }
    }

    /// Code from here on belongs to this place of the source.
    pub fn at(&mut self, span: Span) {
        self.span = span;
        self.m.at = span;
        let line = self.m.line(span);
        self.b.set_srcloc(SourceLoc::new(line));
    }

    // Constants and arithmetic

    pub fn int(&mut self, v: i64) -> Value {
        self.b.ins().iconst(types::I64, v)
    }

    /// The number, where the value is one that the script or its lowering says.
    pub(crate) fn constant(&self, v: Value) -> Option<i64> {
        match self.b.func.dfg.insts[self.b.func.dfg.value_def(v).inst()?] {
            ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } => Some(imm.bits()),
            _ => None,
        }
    }

    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().iadd(a, b)
    }

    pub fn add_imm(&mut self, a: Value, n: i64) -> Value {
        if n == 0 {
            return a;
        }
        let n = self.int(n);
        self.b.ins().iadd(a, n)
    }

    pub fn mul_imm(&mut self, a: Value, n: i64) -> Value {
        let n = self.int(n);
        self.b.ins().imul(a, n)
    }

    pub fn and_imm(&mut self, a: Value, n: i64) -> Value {
        let n = self.int(n);
        self.b.ins().band(a, n)
    }

    pub fn shr_imm(&mut self, a: Value, n: i64) -> Value {
        let n = self.int(n);
        self.b.ins().ushr(a, n)
    }

    pub fn shl_imm(&mut self, a: Value, n: i64) -> Value {
        let n = self.int(n);
        self.b.ins().ishl(a, n)
    }

    /// 0 or 1
    pub fn compare(&mut self, cc: IntCC, a: Value, b: Value) -> Value {
        let bit = self.b.ins().icmp(cc, a, b);
        self.b.ins().uextend(types::I64, bit)
    }

    pub fn compare_imm(&mut self, cc: IntCC, a: Value, n: i64) -> Value {
        let n = self.int(n);
        self.compare(cc, a, n)
    }

    pub fn select(&mut self, cond: Value, a: Value, b: Value) -> Value {
        self.b.ins().select(cond, a, b)
    }

    /// A register's value as one of the type: cut and extended.
    pub fn extend(&mut self, v: Value, ty: &Ty) -> Value {
        let bits = 64 - 8 * i64::from(ty.size());
        match ty {
            Ty::Bool => self.compare_imm(IntCC::NotEqual, v, 0),
            _ if bits <= 0 => v,
            t if t.is_signed() => {
                let n = self.int(bits);
                let up = self.b.ins().ishl(v, n);
                self.b.ins().sshr(up, n)
            }
            _ if bits == 32 => {
                let low = self.b.ins().ireduce(types::I32, v);
                self.b.ins().uextend(types::I64, low)
            }
            _ => self.and_imm(v, (1i64 << (64 - bits)) - 1),
        }
    }

    /// The low `bytes` (1, 2, 4, 8) in the opposite order.
    pub fn swap_bytes(&mut self, v: Value, bytes: u32) -> Value {
        let narrow = match bytes {
            2 => types::I16,
            4 => types::I32,
            8 => return self.b.ins().bswap(v),
            _ => return self.and_imm(v, 0xff),
        };
        let low = self.b.ins().ireduce(narrow, v);
        let swapped = self.b.ins().bswap(low);
        self.b.ins().uextend(types::I64, swapped)
    }

    // Memory

    fn parts(&mut self, a: Addr) -> (Value, i32) {
        match a.base {
            Base::Ptr(p) => (p, a.offset),
            Base::Slot(s) => (self.b.ins().stack_addr(types::I64, s, a.offset), 0),
        }
    }

    /// The address as a value, for helpers.
    pub fn address(&mut self, a: Addr) -> Value {
        let (p, offset) = self.parts(a);
        self.add_imm(p, i64::from(offset))
    }

    /// Loads `bytes` (1, 2, 4, 8), extended by the sign.
    pub fn load(&mut self, a: Addr, bytes: u32, signed: bool) -> Value {
        let (p, o) = self.parts(a);
        let ins = self.b.ins();
        match (bytes, signed) {
            (1, false) => ins.uload8(types::I64, MEM, p, o),
            (1, true) => ins.sload8(types::I64, MEM, p, o),
            (2, false) => ins.uload16(types::I64, MEM, p, o),
            (2, true) => ins.sload16(types::I64, MEM, p, o),
            (4, false) => ins.uload32(MEM, p, o),
            (4, true) => ins.sload32(MEM, p, o),
            _ => ins.load(types::I64, MEM, p, o),
        }
    }

    pub fn load_ty(&mut self, a: Addr, ty: &Ty) -> Value {
        self.load(a, ty.size(), ty.is_signed())
    }

    /// Stores the low `bytes` (1, 2, 4, 8).
    pub fn store(&mut self, v: Value, a: Addr, bytes: u32) {
        let (p, o) = self.parts(a);
        let ins = self.b.ins();
        match bytes {
            1 => ins.istore8(MEM, v, p, o),
            2 => ins.istore16(MEM, v, p, o),
            4 => ins.istore32(MEM, v, p, o),
            _ => ins.store(MEM, v, p, o),
        };
    }

    pub fn store_imm(&mut self, n: i64, a: Addr, bytes: u32) {
        let v = self.int(n);
        self.store(v, a, bytes);
    }

    /// Adds to eight bytes in memory, atomically against other CPUs.
    pub fn atomic_add(&mut self, v: Value, a: Addr) {
        let p = self.address(a);
        self.b.ins().atomic_rmw(types::I64, MEM, ir::AtomicRmwOp::Add, p, v);
    }

    /// The same, and gives the old value. Without the instruction that does both no addition is lost either, but the value
    /// may be that before another CPU's addition.
    pub fn atomic_fetch_add(&mut self, v: Value, a: Addr) -> Value {
        if !self.m.atomic_fetch {
            let old = self.load(a, 8, false);
            self.atomic_add(v, a);
            return old;
        }
        let p = self.address(a);
        self.b.ins().atomic_rmw(types::I64, MEM, ir::AtomicRmwOp::Add, p, v)
    }

    /// Sets bits; gives what was there.
    pub(crate) fn atomic_or(&mut self, v: Value, a: Addr) -> Value {
        self.atomic_bits(ir::AtomicRmwOp::Or, v, a, |s, old| s.b.ins().bor(old, v))
    }

    /// Keeps bits; gives what was there.
    pub(crate) fn atomic_and(&mut self, v: Value, a: Addr) -> Value {
        self.atomic_bits(ir::AtomicRmwOp::And, v, a, |s, old| s.b.ins().band(old, v))
    }

    /// Kernels without the instruction (before 5.12) have no preemption where this is asked for: interrupts put back what they find.
    fn atomic_bits(&mut self, op: ir::AtomicRmwOp, v: Value, a: Addr, plainly: impl FnOnce(&mut Self, Value) -> Value) -> Value {
        if !self.m.atomic_fetch {
            let old = self.load(a, 8, false);
            let new = plainly(self, old);
            self.store(new, a, 8);
            return old;
        }
        let p = self.address(a);
        self.b.ins().atomic_rmw(types::I64, MEM, op, p, v)
    }

    /// Adds to eight bytes that only this CPU writes.
    pub fn bump(&mut self, v: Value, a: Addr) {
        let old = self.load(a, 8, false);
        let new = self.b.ins().iadd(old, v);
        self.store(new, a, 8);
    }

    /// Adds to eight bytes of this CPU's part of an aggregation, which the runtime may take away at any moment.
    pub fn grow(&mut self, v: Value, a: Addr) {
        if self.taken { self.atomic_add(v, a) } else { self.bump(v, a) }
    }

    pub(crate) fn slot(&mut self, bytes: u32, name: &str) -> Addr {
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes.next_multiple_of(8), 3));
        self.m.slot_names.push(name.to_string());
        Addr { base: Base::Slot(slot), offset: 0 }
    }

    // Symbols and calls

    /// Address of a map (for helpers) or of a section's first byte.
    pub fn symbol(&mut self, object: crate::lowered::Object) -> Value {
        let index = self.m.object(object);
        let gv = match self.symbols.get(&index) {
            Some(gv) => *gv,
            None => {
                let name = self.b.func.declare_imported_user_function(UserExternalName { namespace: NAMESPACE_DATA, index: index as u32 });
                let data = GlobalValueData::Symbol { name: ExternalName::User(name), offset: 0.into(), colocated: false, tls: false };
                let gv = self.b.create_global_value(data);
                self.symbols.insert(index, gv);
                gv
            }
        };
        self.b.ins().symbol_value(types::I64, gv)
    }

    pub(crate) fn function(&mut self, index: u32, params: usize) -> ir::FuncRef {
        if let Some(f) = self.functions.get(&(index, params)) {
            return *f;
        }
        let mut sig = Signature::new(CallConv::SystemV);
        sig.params = vec![AbiParam::new(types::I64); params];
        sig.returns = vec![AbiParam::new(types::I64)];
        let signature = self.b.import_signature(sig);
        let name = self.b.func.declare_imported_user_function(UserExternalName { namespace: NAMESPACE_FUNC, index });
        let f = self.b.import_function(ExtFuncData { name: ExternalName::User(name), signature, colocated: false, patchable: false });
        self.functions.insert((index, params), f);
        f
    }

    /// Calls a BPF helper by its number (`lower::helper`).
    pub fn helper(&mut self, number: u32, args: &[Value]) -> Value {
        match super::helper::feature(number) {
            Some(feature) => self.helper_for(feature, number, args),
            None => self.call_helper(number, args),
        }
    }

    /// The same for something that a script asks for in other words than the helper's.
    pub(crate) fn helper_for(&mut self, feature: crate::target::Feature, number: u32, args: &[Value]) -> Value {
        let at = self.m.at;
        self.m.required.push((feature, at));
        self.call_helper(number, args)
    }

    fn call_helper(&mut self, number: u32, args: &[Value]) -> Value {
        let f = self.function(number, args.len());
        let call = self.b.ins().call(f, args);
        self.b.inst_results(call)[0]
    }

    /// Calls a function of the kernel, by its name and its type's number.
    pub fn kfunc(&mut self, name: &str, btf_id: u32, args: &[Value]) -> Value {
        let index = self.m.kfunc(name, btf_id);
        let f = self.function(KFUNC + index, args.len());
        let call = self.b.ins().call(f, args);
        self.b.inst_results(call)[0]
    }

    /// Address of a function of ours, for helpers that call back.
    pub(crate) fn callback_address(&mut self, index: usize, params: usize) -> Value {
        let f = self.function(LOCAL + index as u32, params);
        self.b.ins().func_addr(types::I64, f)
    }

    // Facts

    /// The value of a fact, computed where it is first needed; known in all code that follows in this block and in blocks
    /// inside of it.
    pub fn fact(&mut self, fact: Fact, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if let Some(v) = self.known(fact) {
            return v;
        }
        let v = make(self);
        self.set_fact(fact, v);
        v
    }

    pub(crate) fn known(&mut self, fact: Fact) -> Option<Value> {
        let v = self.facts.iter().rev().find_map(|f| f.get(&fact)).copied()?;
        Some(self.moving.get(&fact).map_or(v, |var| self.b.use_var(*var)))
    }

    pub(crate) fn set_fact(&mut self, fact: Fact, v: Value) {
        self.move_fact(fact, v);
        if let Some(f) = self.facts.last_mut() {
            f.insert(fact, v);
        }
    }

    /// From here on a fact that is known has another value.
    pub(crate) fn move_fact(&mut self, fact: Fact, v: Value) {
        if self.may_move(fact) {
            let var = *self.moving.entry(fact).or_insert_with(|| self.b.declare_var(types::I64));
            self.b.def_var(var, v);
        }
    }

    /// All that are known, in any block around.
    pub(crate) fn all_facts(&self) -> Vec<Fact> {
        let mut all: Vec<Fact> = self.facts.iter().flat_map(|f| f.keys().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// For a block that is reached from anywhere.
    pub(crate) fn forget_facts(&mut self) {
        self.facts = vec![HashMap::new()];
    }

    pub(crate) fn forget(&mut self, which: impl Fn(&Fact) -> bool) {
        for scope in &mut self.facts {
            scope.retain(|f, _| !which(f));
        }
    }

    pub(crate) fn push_facts(&mut self) {
        self.facts.push(HashMap::new());
    }

    /// What has become known since the last `push_facts` is known no more; where that holds, `add_facts` says.
    pub(crate) fn pop_facts(&mut self) -> Facts {
        self.facts.pop().unwrap_or_default()
    }

    pub(crate) fn add_facts(&mut self, facts: Facts) {
        if let Some(last) = self.facts.last_mut() {
            last.extend(facts);
        }
    }

    // Blocks

    pub fn block(&mut self) -> Block {
        self.b.create_block()
    }

    /// Goes on in `block`, which has been jumped to.
    pub fn enter(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.dead = false;
    }

    pub fn jump(&mut self, to: Block) {
        if !self.dead {
            self.b.ins().jump(to, &[]);
        }
        self.dead = true;
    }

    pub(crate) fn jump_with(&mut self, to: Block, v: Value) {
        if !self.dead {
            self.b.ins().jump(to, &[v.into()]);
        }
        self.dead = true;
    }

    pub fn branch(&mut self, cond: Value, yes: Block, no: Block) {
        if !self.dead {
            self.b.ins().brif(cond, yes, &[], no, &[]);
        }
        self.dead = true;
    }

    /// Branches on a comparison, without making a 0 or 1 of it first.
    pub fn branch_if(&mut self, cc: IntCC, a: Value, n: i64, yes: Block, no: Block) {
        let n = self.int(n);
        let bit = self.b.ins().icmp(cc, a, n);
        self.branch(bit, yes, no);
    }

    /// Runs `then` only where `v` is not zero.
    pub fn when(&mut self, v: Value, then: impl FnOnce(&mut Self)) {
        let (yes, done) = (self.block(), self.block());
        self.branch_if(IntCC::NotEqual, v, 0, yes, done);
        self.enter(yes);
        self.push_facts();
        then(self);
        self.pop_facts();
        self.jump(done);
        self.enter(done);
    }

    /// A value from one of two branches, on `v` not being zero.
    pub fn either(&mut self, v: Value, yes: impl FnOnce(&mut Self) -> Value, no: impl FnOnce(&mut Self) -> Value) -> Value {
        let (a, b, done) = (self.block(), self.block(), self.block());
        let result = self.b.append_block_param(done, types::I64);
        self.branch_if(IntCC::NotEqual, v, 0, a, b);
        for (block, make) in [(a, Box::new(yes) as Box<dyn FnOnce(&mut Self) -> Value>), (b, Box::new(no))] {
            self.enter(block);
            self.push_facts();
            let v = make(self);
            self.pop_facts();
            self.jump_with(done, v);
        }
        self.enter(done);
        result
    }
}
