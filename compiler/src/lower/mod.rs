//! Typed trees to CLIF functions and the plan.

pub mod body;
mod callback;
pub mod context;
mod event;
pub mod expr;
pub mod helper;
mod map;
mod memory;
pub mod module;
pub mod packet;
pub mod pattern;
mod read;
mod stmt;
mod string;
mod turns;
pub(crate) mod typed;
mod unwind;
mod verdict;
pub mod walk;

use crate::artifact::{EventKind, Plan};
use crate::diagnostic::Diagnostic;
use crate::hir::{self, Expr};
use crate::lowered::{Function, Module};
use crate::probe::session;
use crate::sema::{Loops, Options};
use crate::target::{Feature, Target};
use crate::types::Ty;
use awl_grammar::span::Span;
use body::{Body, Home};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, Signature, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use expr::in_register;
use module::ModuleBuilder;

pub use module::Lines;
pub(crate) use module::longest_key;

/// The builder asks for these though eBPF has one answer to each.
const FRONTEND: TargetFrontendConfig = TargetFrontendConfig {
    default_call_conv: CallConv::SystemV,
    pointer_width: target_lexicon::PointerWidth::U64,
    page_size_align_log2: 12,
};

pub struct Lowered {
    pub module: Module,
    pub plan: Plan,
    /// what the kernel that the script is for can't do
    pub refused: Vec<Diagnostic>,
}

pub fn lower(program: &hir::Program, target: &dyn Target, options: &Options, lines: &dyn Lines) -> Lowered {
    let cpu_slots = target.possible_cpus().max(1).next_power_of_two();
    let mut m = ModuleBuilder::new(program, options, cpu_slots, target);
    for probe in &program.probes {
        let start = m.functions.len();
        let needs_claim = lower_probe(&mut m, program, probe, false);
        if needs_claim {
            m.functions.truncate(start);
            lower_probe(&mut m, program, probe, true);
        }
    }
    let refused = missing(&m, target);
    let (module, plan) = m.finish(lines);
    Lowered { module, plan, refused }
}

fn missing(m: &ModuleBuilder, target: &dyn Target) -> Vec<Diagnostic> {
    let mut seen = std::collections::HashSet::new();
    let new = m.required.iter().filter(|(f, at)| !target.has(*f) && seen.insert((*f, *at)));
    new.map(|(feature, span)| lacking(*feature, target, *span)).collect()
}

/// This kernel is too old for what stands there.
pub fn lacking(feature: Feature, target: &dyn Target, span: Span) -> Diagnostic {
    let (what, instead) = feature.words();
    let (since, this) = (feature.since(), target.kernel());
    Diagnostic::environment("kernel-feature", format!("{what} needs Linux {}.{}, this is {}.{}", since.0, since.1, this.0, this.1))
        .at(span, "here")
        .help(instead)
}

/// Lowers one program; true if it has to be done again with a claim on scratch memory.
fn lower_probe(m: &mut ModuleBuilder, program: &hir::Program, probe: &hir::Probe, claim: bool) -> bool {
    let index = m.reserve_function();
    m.slot_names.clear();
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(types::I64));
    sig.returns.push(AbiParam::new(types::I64));
    let mut func = ir::Function::with_name_signature(ir::UserFuncName::user(0, index as u32), sig);
    let given = (m.options.loops, m.options.scratch_locals);
    if m.has_loops && turns::walks_packet(probe) {
        // What the verifier sees to be a constant it would follow turn by turn in a callback, too.
        (m.options.loops, m.options.scratch_locals) = (Loops::Called, true);
    }
    let again = build(m, program, probe, claim, &mut func);
    (m.options.loops, m.options.scratch_locals) = given;
    let slots = std::mem::take(&mut m.slot_names);
    m.functions[index] = Some(Function { name: probe.name.clone(), program: Some(probe.kind), clif: func, slots });
    again
}

/// Fills the function of a program.
fn build(m: &mut ModuleBuilder, program: &hir::Program, probe: &hir::Probe, claim: bool, func: &mut ir::Function) -> bool {
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(func, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let ctx = b.block_params(entry)[0];
    let mut body = Body::new(b, m, program, probe, ctx);
    body.at(probe.span);
    let returns = probe.session.as_ref().map(|s| (s, body.session(s.is_return)));
    body.whole(claim);
    let Body { mut b, m, needs_claim: mut again, .. } = body;
    if let Some((s, at)) = returns {
        let mut body = Body::new(b, m, program, &s.returns, ctx);
        body.enter(at);
        body.cookie_shift = s.shift;
        body.at(s.returns.span);
        body.whole(claim);
        again |= body.needs_claim;
        b = body.b;
    }
    b.seal_all_blocks();
    b.finalize(FRONTEND);
    again
}

/// Without parameters of blocks that get the same value on all ways: the builder sees to the plain cases only, and each of the others is
/// moves at run time. Blocks that nothing reaches go before, since the pass passes over them.
fn without_copies(f: Function) -> Function {
    let mut flags = settings::builder();
    // That is the business of `bpf::Options::check`.
    let _ = flags.set("enable_verifier", "false");
    let mut context = cranelift_codegen::Context::for_function(f.clif);
    context.compute_cfg();
    context.compute_domtree();
    let flags = settings::Flags::new(flags);
    // Only the verifier gives errors.
    let _ = context.eliminate_unreachable_code(&flags);
    let _ = context.remove_constant_phis(&flags);
    Function { clif: context.func, ..f }
}

impl Body<'_> {
    /// All of a probe, from where the builder stands.
    fn whole(&mut self, claim: bool) {
        let (program, probe) = (self.program, self.probe);
        self.open_verdict();
        self.dispatch();
        if program.events.iter().any(|e| e.kind == EventKind::Exit) {
            self.unless_ended();
        }
        if claim {
            self.claim_scratch();
        }
        self.locals();
        if let Some(p) = &probe.predicate {
            self.at(p.span);
            self.predicate(p);
        }
        self.stmts(&probe.body);
        self.leave();
        self.finish_exits();
        self.settle_scratch();
    }

    /// Goes on at the entry; the block is for the return. The answer is a `bool`: eight bits of a register.
    fn session(&mut self, is_return: u32) -> ir::Block {
        let context = self.context;
        let answer = self.kfunc(session::IS_RETURN, is_return, &[context]);
        let answer = self.and_imm(answer, 0xff);
        let (entry, returns) = (self.block(), self.block());
        self.branch_if(IntCC::Equal, answer, 0, entry, returns);
        self.enter(entry);
        returns
    }

    /// Gives every local a home.
    fn locals(&mut self) {
        let sharing = callback::Sharing::of(&self.probe.body, self.m.options.loops);
        let roomy = self.m.options.scratch_locals;
        let mut word = callback::FIRST_LOCAL;
        let places: Vec<Option<u32>> = (0..self.probe.locals.len())
            .map(|id| {
                // Pointers that the verifier knows as such can be kept nowhere else.
                let elsewhere = roomy && matches!(self.probe.locals[id].ty, Ty::Int { .. } | Ty::Bool) && !sharing.counters.contains(&id);
                let shared = sharing.locals.contains(&id) && in_register(&self.probe.locals[id].ty) && !elsewhere;
                shared.then(|| {
                    let at = word;
                    word += if sharing.counters.contains(&id) { 16 } else { 8 };
                    at
                })
            })
            .collect();
        let shared = sharing.any;
        if shared {
            self.open_env(word);
        }
        for (id, local) in self.probe.locals.iter().enumerate() {
            let home = match (in_register(&local.ty), places[id], self.env) {
                // A callback can't keep an address of the program's stack.
                (true, ..) if sharing.addressed.contains(&id) => {
                    let at = self.lasting(8, &format!("${}", local.name), !shared);
                    self.store_imm(0, at, 8);
                    Home::Memory(at)
                }
                (true, Some(word), Some(env)) => {
                    let at = env.at(word);
                    self.store_imm(0, at, 8);
                    if sharing.counters.contains(&id) {
                        self.store_imm(0, at.at(8), 8);
                    }
                    Home::Memory(at)
                }
                (true, ..) if sharing.locals.contains(&id) || (roomy && matches!(local.ty, Ty::Int { .. } | Ty::Bool)) => {
                    let at = self.lasting(8, &format!("${}", local.name), false);
                    self.store_imm(0, at, 8);
                    Home::Memory(at)
                }
                (true, ..) => {
                    let v = self.b.declare_var(types::I64);
                    let zero = self.int(0);
                    self.b.def_var(v, zero);
                    Home::Register(v)
                }
                (false, ..) => {
                    let at = self.lasting(local.ty.size(), &format!("${}", local.name), !shared);
                    // A string that is read before it is set is empty; the stack must hold something in any case.
                    let bytes = if local.ty.size() <= 64 { local.ty.size() } else { 8 };
                    self.zero(at, bytes);
                    Home::Memory(at)
                }
            };
            self.homes.insert(id, home);
        }
    }

    /// Goes on where it holds, leaves the program where not.
    fn predicate(&mut self, p: &Expr) {
        let (go, exit) = (self.block(), self.exit);
        let facts = self.branch_on(p, go, exit);
        self.enter(go);
        self.add_facts(facts);
    }

    /// The blocks that end the program.
    fn finish_exits(&mut self) {
        let (exit, out) = (self.exit, self.out);
        self.enter(exit);
        self.unclaim_scratch();
        self.jump(out);
        self.enter(out);
        let value = self.final_value();
        self.b.ins().return_(&[value]);
    }

    /// A callback has no such blocks; the builder wants every block that exists to end.
    fn finish_unused_exit(&mut self) {
        for block in [self.exit, self.out] {
            self.enter(block);
            let zero = self.int(0);
            self.b.ins().return_(&[zero]);
        }
    }
}
