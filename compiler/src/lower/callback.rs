//! Loops that the kernel drives: `bpf_loop` and `bpf_for_each_map_elem` call a function of ours for each turn.
//!
//! Program and callback share the locals through a block on the program's stack, the *env*: the context pointer, a word
//! that says that a `return` was met (its lowest bit; above it the verdict), the program's scratch memory where it was
//! claimed, then a word for each local that callbacks name (two for a range's variable). Locals too large for a word are in
//! scratch memory. A loop of awl's own (`repeat`) has an env without locals.

use super::body::{Addr, Base, Body, Fact, Facts, Home, Loop};
use super::helper;
use crate::artifact::{global, percpu};
use crate::hir::{Expr, ExprKind, LocalId, MapId, Stmt, StmtKind};
use crate::lowered::{Function, Object};
use crate::sema::Loops;
use crate::target::Feature;
use crate::types::{Ty, struct_layout};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::collections::HashSet;

/// What `bpf_loop` allows (`BPF_MAX_LOOPS`).
const MOST_TURNS: i64 = 1 << 23;
const CONTEXT: u32 = 0;
const RETURNED: u32 = 8;
const SCRATCH: u32 = 16;
pub(crate) const FIRST_LOCAL: u32 = 24;
/// Words that `repeat` shares with its steps.
const WORDS: u32 = 8;

/// What a program and its callbacks share.
#[derive(Default)]
pub(crate) struct Sharing {
    /// is there a loop that becomes a callback?
    pub any: bool,
    /// locals that such loops name
    pub locals: HashSet<LocalId>,
    /// variables of range loops among them
    pub counters: HashSet<LocalId>,
    /// locals whose address is taken
    pub addressed: HashSet<LocalId>,
}

impl Sharing {
    pub fn of(stmts: &[Stmt], loops: Loops) -> Sharing {
        let mut found = Sharing::default();
        for s in stmts {
            super::walk::in_stmt(s, &mut |s| found.note(s, loops), &mut |_| {});
            super::walk::in_stmt(s, &mut |_| {}, &mut |e| {
                if let ExprKind::AddressOf(of) = &e.kind
                    && let ExprKind::Local(id) = of.kind
                {
                    found.addressed.insert(id);
                }
            });
        }
        found
    }

    fn note(&mut self, s: &Stmt, loops: Loops) {
        match &s.kind {
            StmtKind::ForMap { var, .. } => self.locals.insert(*var),
            StmtKind::ForRange { var, from, to, .. } if !super::stmt::plain_range(loops, from, to) => {
                self.counters.insert(*var);
                self.locals.insert(*var)
            }
            StmtKind::While { .. } if loops == Loops::Called => true,
            _ => return,
        };
        self.any = true;
        let locals = std::cell::RefCell::new(&mut self.locals);
        super::walk::in_stmt(
            s,
            &mut |s| match &s.kind {
                StmtKind::SetLocal(id, _) | StmtKind::ForRange { var: id, .. } | StmtKind::ForMap { var: id, .. } => {
                    locals.borrow_mut().insert(*id);
                }
                _ => {}
            },
            &mut |e| {
                if let ExprKind::Local(id) | ExprKind::StepLocal { local: id, .. } | ExprKind::Inline { result: Some(id), .. } = &e.kind {
                    locals.borrow_mut().insert(*id);
                }
            },
        );
    }
}

impl Body<'_> {
    /// Puts the context where callbacks find it.
    pub(crate) fn open_env(&mut self, bytes: u32) {
        // It holds pointers, which only the stack may.
        let env = self.slot(bytes, "locals shared with loops");
        self.scratch.stack += bytes.next_multiple_of(8);
        self.fill_env(env);
        self.env = Some(env);
    }

    fn fill_env(&mut self, env: Addr) {
        let context = self.context;
        self.store(context, env.at(CONTEXT), 8);
        self.store_imm(0, env.at(RETURNED), 8);
        if self.claimed {
            let scratch = self.scratch_base();
            self.store(scratch, env.at(SCRATCH), 8);
        }
    }

    /// Runs `step` for 0 up to `turns`, in the kernel's loop, so that the verifier looks at it once. The words are shared by
    /// all steps; their place is given back, valid until the next `repeat`. A step is told its number, of which nothing is
    /// known, and gives 1 to stop.
    pub fn repeat(&mut self, turns: Value, words: &[Value], step: impl FnOnce(&mut Body, Value, Addr) -> Value) -> Addr {
        let env = match self.words {
            Some(env) => env,
            None => {
                let bytes = FIRST_LOCAL + 8 * WORDS;
                let env = self.slot(bytes, "words shared with loops");
                self.scratch.stack += bytes;
                self.words = Some(env);
                env
            }
        };
        self.fill_env(env);
        for (i, w) in words.iter().enumerate() {
            let w = if self.is_number(*w) { self.unknown(*w) } else { *w };
            self.store(w, env.at(FIRST_LOCAL + 8 * i as u32), 8);
        }
        let index = self.function_of_ours(2, false, |s, params| {
            let words = Addr::ptr(params[1]).at(FIRST_LOCAL);
            let stop = step(s, params[0], words);
            s.b.ins().return_(&[stop]);
            s.dead = true;
        });
        let f = self.callback_address(index, 2);
        let (at, flags) = (self.address(env), self.int(0));
        self.helper_for(Feature::Bytewise, helper::LOOP, &[turns, f, at, flags]);
        env.at(FIRST_LOCAL)
    }

    pub(crate) fn note_return(&mut self) {
        let Some(env) = self.env else { return };
        match self.verdict {
            None => self.store_imm(1, env.at(RETURNED), 8),
            Some(var) => {
                let v = self.b.use_var(var);
                let v = self.shl_imm(v, 1);
                let one = self.int(1);
                let v = self.b.ins().bor(v, one);
                self.store(v, env.at(RETURNED), 8);
            }
        }
    }

    pub(crate) fn for_range_callback(&mut self, var: usize, from: &Expr, to: &Expr, body: &[Stmt]) {
        let (from, to) = (self.scalar(from), self.scalar(to));
        let Some(Home::Memory(home)) = self.homes.get(&var).copied() else { return };
        let Some(env) = self.env else { return };
        let outer = env.base;
        // The word behind the variable's own holds the start. The turn's number comes from the kernel: a counter of our own
        // would be a new state at each turn, of which the verifier never sees the end.
        let start = home.at(8);
        self.store(from, start, 8);
        let turns = self.b.ins().isub(to, from);
        let zero = self.int(0);
        let turns = self.b.ins().smax(turns, zero);
        let over = self.compare_imm(IntCC::SignedGreaterThan, turns, MOST_TURNS);
        self.when(over, |s| s.count_failure(percpu::LOOP_CUT));
        let most = self.int(MOST_TURNS);
        let turns = self.b.ins().umin(turns, most);
        let index = self.callback(2, |s, params| {
            let (at, start) = (home_in(s, outer, home), home_in(s, outer, start));
            let start = s.load(start, 8, false);
            let i = s.add(start, params[0]);
            s.store(i, at, 8);
            s.loops.push(Loop::Callback);
            s.stmts(body);
            s.loops.pop();
        });
        // Where the verifier knows that there are no turns it drops the callback, but not the mention of it, and the kernel then
        // refuses the program (Linux 6.18: "No program to jit"). Behind a branch both go.
        self.forget_numbers();
        self.when(turns, |s| {
            let f = s.callback_address(index, 2);
            let (env, flags) = (s.address(env), s.int(0));
            s.helper(helper::LOOP, &[turns, f, env, flags]);
        });
        self.after_callback();
    }

    /// The same number, of which the verifier knows nothing. Before 6.7 it walks a callback once: a branch that is never taken at
    /// the first turn it would throw away.
    fn unknown(&mut self, v: Value) -> Value {
        if !self.m.first_turn_only {
            return v;
        }
        let zero = self.unknown_zero();
        self.add(v, zero)
    }

    /// 0, of which the verifier knows nothing.
    pub(crate) fn unknown_zero(&mut self) -> Value {
        let globals = self.symbol(Object::Section(super::module::GLOBALS));
        self.load(Addr::ptr(globals).at(global::ZERO), 8, false)
    }

    /// Is it computed from constants and comparisons alone, so that it is no address?
    fn is_number(&self, v: Value) -> bool {
        use cranelift_codegen::ir::{Opcode, ValueDef};
        let dfg = &self.b.func.dfg;
        let ValueDef::Result(inst, _) = dfg.value_def(v) else { return false };
        match dfg.insts[inst].opcode() {
            Opcode::Iconst | Opcode::Icmp => true,
            Opcode::Uextend | Opcode::Iadd | Opcode::Isub => dfg.inst_args(inst).iter().all(|a| self.is_number(*a)),
            // Of two that are chosen between one may come from a helper or from memory.
            Opcode::Select => dfg.inst_args(inst).iter().skip(1).any(|a| self.is_number(*a)),
            _ => false,
        }
    }

    /// Makes the verifier forget what it knows of the shared numbers.
    fn forget_numbers(&mut self) {
        if !self.m.first_turn_only {
            return;
        }
        let mut shared: Vec<(usize, Addr)> = Vec::new();
        for (id, home) in &self.homes {
            if let Home::Memory(at) = home
                && self.probe.locals.get(*id).is_some_and(|l| l.ty.is_int())
            {
                shared.push((*id, *at));
            }
        }
        shared.sort_by_key(|(id, _)| *id);
        for (_, at) in shared {
            let v = self.load(at, 8, false);
            let v = self.unknown(v);
            self.store(v, at, 8);
        }
    }

    /// A loop whose turns are not known. It ends after `MOST_TURNS`, which is counted: the kernel wants an end.
    pub(crate) fn while_callback(&mut self, cond: &Expr, body: &[Stmt]) {
        let Some(env) = self.env else { return };
        let index = self.callback(2, |s, _| {
            s.at(cond.span);
            let (inside, done) = (s.block(), s.block());
            let mut facts = Facts::new();
            match cond.as_int() {
                Some(0) => s.jump(done),
                Some(_) => s.jump(inside),
                None => facts = s.branch_on(cond, inside, done),
            }
            s.enter(done);
            let stop = s.int(1);
            s.b.ins().return_(&[stop]);
            s.enter(inside);
            s.add_facts(facts);
            s.loops.push(Loop::Callback);
            s.stmts(body);
            s.loops.pop();
        });
        self.forget_numbers();
        let f = self.callback_address(index, 2);
        let (env, flags, most) = (self.address(env), self.int(0), self.int(MOST_TURNS));
        let turns = self.helper(helper::LOOP, &[most, f, env, flags]);
        let all = self.compare_imm(IntCC::SignedGreaterThanOrEqual, turns, MOST_TURNS);
        self.when(all, |s| s.count_failure(percpu::LOOP_CUT));
        self.after_callback();
    }

    pub(crate) fn for_map(&mut self, var: usize, map: MapId, body: &[Stmt]) {
        let Some((kernel, _)) = self.kernel_kind(map) else { return };
        let Some(Home::Memory(home)) = self.homes.get(&var).copied() else { return };
        let Some(outer) = self.env.map(|e| e.base) else { return };
        let pair = self.probe.locals[var].ty.clone();
        let value_ty = self.m.plan.maps[map].value.clone();
        let key_types = self.m.plan.maps[map].keys.clone();
        let key_size = struct_layout(key_types.iter()).1;
        let index = self.callback(4, |s, params| {
            let at = home_in(s, outer, home);
            let offsets = pair.tuple_offsets();
            let [key_at, value_at] = [offsets.first().copied().unwrap_or(0), offsets.get(1).copied().unwrap_or(0)];
            s.copy(at.at(key_at), Addr::ptr(params[1]), key_size);
            match &value_ty {
                Ty::Agg(agg) => {
                    let agg = agg.clone();
                    let cpus = i64::from(s.m.plan.cpu_slots);
                    let mut total = crate::agg::Total::new(s, &agg);
                    s.count_to(cpus, |s, cpu| {
                        let m = s.symbol(Object::Map(kernel));
                        let p = s.helper(helper::MAP_LOOKUP_PERCPU_ELEM, &[m, params[1], cpu]);
                        s.when(p, |s| total.add(s, Addr::ptr(p)));
                    });
                    let v = total.finish(s);
                    s.store(v, at.at(value_at), 8);
                }
                t => s.copy(at.at(value_at), Addr::ptr(params[2]), t.size()),
            }
            s.loops.push(Loop::Callback);
            s.stmts(body);
            s.loops.pop();
        });
        self.forget_numbers();
        let f = self.callback_address(index, 4);
        let Some(env) = self.env else { return };
        let (m, env, flags) = (self.symbol(Object::Map(kernel)), self.address(env), self.int(0));
        self.helper(helper::FOR_EACH_MAP_ELEM, &[m, f, env, flags]);
        self.after_callback();
    }

    /// How many elements a map has: the kernel counts the calls of a callback that does nothing.
    pub(crate) fn map_len(&mut self, map: MapId) -> Value {
        let Some((kernel, _)) = self.kernel_kind(map) else { return self.int(1) };
        let index = self.m.counting_callback();
        let f = self.callback_address(index, 4);
        let (m, null, flags) = (self.symbol(Object::Map(kernel)), self.int(0), self.int(0));
        self.helper(helper::FOR_EACH_MAP_ELEM, &[m, f, null, flags])
    }

    /// A `return` inside of the loop ends the function that the loop is in, or the program.
    fn after_callback(&mut self) {
        // It may have moved the packet.
        self.forget_pointers();
        let Some(env) = self.env else { return };
        let returned = self.load(env.at(RETURNED), 8, false);
        let (yes, no) = (self.block(), self.block());
        self.branch_if(IntCC::NotEqual, returned, 0, yes, no);
        self.enter(yes);
        if let Some(done) = self.calls.last().copied() {
            // The function that the loop is in ends, and no more.
            self.store_imm(0, env.at(RETURNED), 8);
            self.jump(done);
            self.enter(no);
            return;
        }
        if self.verdict.is_some() {
            let one = self.int(1);
            let v = self.b.ins().sshr(returned, one);
            let v = self.proven_verdict(v);
            self.set_verdict(v);
        }
        if self.in_callback {
            let one = self.int(1);
            self.b.ins().return_(&[one]);
        } else {
            let exit = self.exit;
            self.jump(exit);
        }
        self.enter(no);
    }

    fn callback(&mut self, params: usize, make: impl FnOnce(&mut Body, &[Value])) -> usize {
        self.function_of_ours(params, true, make)
    }

    /// Builds a function with `params` parameters, the last of which is the env; gives its number.
    fn function_of_ours(&mut self, params: usize, locals: bool, make: impl FnOnce(&mut Body, &[Value])) -> usize {
        let outer = self.env.map(|e| e.base).unwrap_or(Base::Ptr(self.context));
        let index = self.m.reserve_function();
        let name = format!("{}_loop{index}", self.probe.name);
        let mut sig = Signature::new(CallConv::SystemV);
        sig.params = vec![AbiParam::new(types::I64); params];
        sig.returns = vec![AbiParam::new(types::I64)];
        let mut func = ir::Function::with_name_signature(ir::UserFuncName::user(0, index as u32), sig);
        let mut context = FunctionBuilderContext::new();
        let slots = std::mem::take(&mut self.m.slot_names);
        let (patches, most, inner) = {
            let mut b = FunctionBuilder::new(&mut func, &mut context);
            let entry = b.create_block();
            b.append_block_params_for_function_params(entry);
            b.switch_to_block(entry);
            let values = b.block_params(entry).to_vec();
            let env = values[params - 1];
            let mut child = Body::new(b, self.m, self.program, self.probe, env);
            child.in_callback = true;
            child.span = self.span;
            child.open_verdict();
            let missing = child.block();
            (child.missing, child.given_up) = (Some(missing), Some(missing));
            child.env = Some(Addr::ptr(env));
            child.context = child.load(Addr::ptr(env).at(CONTEXT), 8, false);
            child.scratch.at = self.scratch.at;
            // The kernel's 512 bytes are for the whole chain of calls.
            child.scratch.stack = self.scratch.stack;
            child.scratch.most = self.scratch.most;
            if self.claimed {
                let scratch = child.load(Addr::ptr(env).at(SCRATCH), 8, false);
                child.set_fact(Fact::Scratch, scratch);
                child.claimed = true;
            }
            for (id, home) in self.homes.iter().filter(|_| locals) {
                if let Home::Memory(a) = home {
                    let a = home_in(&mut child, outer, *a);
                    child.homes.insert(*id, Home::Memory(a));
                }
            }
            make(&mut child, &values);
            if !child.dead {
                let zero = child.int(0);
                child.b.ins().return_(&[zero]);
            }
            // A header that isn't there ends the program.
            child.enter(missing);
            child.note_return();
            let one = child.int(1);
            child.b.ins().return_(&[one]);
            child.finish_unused_exit();
            let out = (child.scratch.take_patches(), child.scratch.most, std::mem::take(&mut child.scratch.children));
            self.needs_claim |= child.needs_claim;
            child.b.seal_all_blocks();
            child.b.finalize(super::FRONTEND);
            out
        };
        self.scratch.most = self.scratch.most.max(most);
        let slots = std::mem::replace(&mut self.m.slot_names, slots);
        self.scratch.children.extend(inner);
        self.scratch.children.push((Function { name, program: None, clif: func, slots }, index, patches));
        index
    }
}

/// The place of a local as a callback reaches it; `outer` is the env of the function that calls.
fn home_in(child: &mut Body, outer: Base, home: Addr) -> Addr {
    match child.env {
        Some(env) if home.base == outer => Addr { base: env.base, offset: home.offset },
        _ => {
            let base = child.scratch_base();
            Addr { base: Base::Ptr(base), offset: home.offset }
        }
    }
}
