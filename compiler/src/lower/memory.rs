//! Where values that don't fit into a register live: small ones on the stack, large ones in per-CPU scratch memory.
//!
//! Scratch: a program of a guarded kind can't run twice at a time on one CPU (the kernel counts a second entry as a miss:
//! `bpf_prog_active` for perf and kprobe programs, `prog->active` for raw tracepoints, from 6.1 on, and trampolines, from 5.12 on),
//! so each program has a part of its own for each CPU. Uprobe programs are not guarded and can be preempted by themselves, and
//! interrupts run older kernels' raw tracepoints inside of one another: they claim one of four parts by a bit. It is set
//! atomically where a run may be preempted; interrupts leave the word as they found it.

use super::body::{Addr, Body, Fact};
use super::helper;
use super::module::{GLOBALS, PERCPU, RODATA, SCRATCH};
use crate::artifact::percpu;
use crate::hir::{Context, Probe};
use crate::lowered::{Function, Object};
use crate::target::KernelVersion;
use cranelift_codegen::ir::{Function as Func, Inst, InstructionData, Value, condcodes::IntCC};
use cranelift_codegen::ir::{InstBuilder, types};

/// Values up to this size live on the stack, while there is room.
const STACK_VALUE: u32 = 64;
/// Bytes of explicit slots; the rest of the 512 is for spills.
const STACK_BUDGET: u32 = 256;
/// Parts of scratch for each CPU in programs that can be preempted by themselves.
const PARTS: u32 = 4;

/// A program's part of the scratch section while it is being lowered.
#[derive(Default)]
pub struct Scratch {
    /// bytes in use, and the most that ever were
    pub at: u32,
    pub most: u32,
    /// of those in use the ones up to here last for the whole run
    kept: u32,
    /// bytes of explicit stack slots
    pub stack: u32,
    /// stack slots of temporaries that are free again: (bytes, slot)
    free: Vec<(u32, Addr)>,
    lent: Vec<(u32, Addr)>,
    /// constants to be filled in when the size is known: the stride, and the start of this program's part
    patches: Patches,
    /// callbacks of this program, with their own constants to be filled in
    pub(crate) children: Vec<(Function, usize, Patches)>,
}

/// Constants of one function that depend on the final size of scratch.
#[derive(Default)]
pub(crate) struct Patches(Vec<(Inst, Patch)>);

impl Patches {
    fn apply(self, func: &mut Func, part: u32, stride: u32, start: u32) {
        for (inst, what) in self.0 {
            let n = match what {
                Patch::Stride => stride,
                Patch::Start => start,
                Patch::Part(i) => 64 + i * part,
            };
            if let InstructionData::UnaryImm { imm, .. } = &mut func.dfg.insts[inst] {
                *imm = i64::from(n).into();
            }
        }
    }
}

impl Scratch {
    pub(crate) fn take_patches(&mut self) -> Patches {
        std::mem::take(&mut self.patches)
    }
}

#[derive(Clone, Copy)]
enum Patch {
    Stride,
    Start,
    /// offset of a part from the claims' word
    Part(u32),
}

/// A point to which temporaries are given back.
pub struct Mark {
    at: u32,
    lent: usize,
}

impl Body<'_> {
    /// Memory for a value that lives until the mark's release.
    pub fn temp(&mut self, bytes: u32, name: &str) -> Addr {
        let bytes = bytes.max(1).next_multiple_of(8);
        if bytes <= STACK_VALUE {
            if let Some(i) = self.scratch.free.iter().position(|(n, _)| *n == bytes) {
                let (n, a) = self.scratch.free.swap_remove(i);
                self.scratch.lent.push((n, a));
                return a;
            }
            if self.scratch.stack + bytes <= STACK_BUDGET {
                self.scratch.stack += bytes;
                let a = self.slot(bytes, name);
                self.scratch.lent.push((bytes, a));
                return a;
            }
        }
        self.scratch_memory(bytes)
    }

    /// Memory that lasts for the whole run.
    pub(crate) fn lasting(&mut self, bytes: u32, name: &str, on_stack: bool) -> Addr {
        let bytes = bytes.max(1).next_multiple_of(8);
        if on_stack && bytes <= STACK_VALUE && self.scratch.stack + bytes <= STACK_BUDGET {
            self.scratch.stack += bytes;
            return self.slot(bytes, name);
        }
        let at = self.scratch_memory(bytes);
        self.scratch.kept = self.scratch.at;
        at
    }

    /// Memory off the stack: helpers may write to it at any offset.
    pub fn scratch_memory(&mut self, bytes: u32) -> Addr {
        let base = self.scratch_base();
        let offset = self.scratch.at;
        self.scratch.at += bytes;
        self.scratch.most = self.scratch.most.max(self.scratch.at);
        Addr::ptr(base).at(offset)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { at: self.scratch.at, lent: self.scratch.lent.len() }
    }

    /// Temporaries made since the mark may be used again.
    pub(crate) fn release(&mut self, mark: Mark) {
        self.scratch.at = mark.at.max(self.scratch.kept);
        let back = self.scratch.lent.split_off(mark.lent.min(self.scratch.lent.len()));
        self.scratch.free.extend(back);
    }

    pub fn cpu(&mut self) -> Value {
        self.fact(Fact::Cpu, |b| {
            let id = b.helper(super::helper::GET_SMP_PROCESSOR_ID, &[]);
            let mask = i64::from(b.m.plan.cpu_slots) - 1;
            // By data flow, so that every kernel's verifier knows the bound.
            b.and_imm(id, mask)
        })
    }

    /// This CPU's part of the per-CPU section.
    pub fn percpu(&mut self, offset: u32) -> Addr {
        let base = self.fact(Fact::PerCpu, |b| {
            let cpu = b.cpu();
            let stride = i64::from(b.m.plan.sections[PERCPU].per_cpu);
            let at = b.mul_imm(cpu, stride);
            let start = b.symbol(Object::Section(PERCPU));
            b.add(start, at)
        });
        Addr::ptr(base).at(offset)
    }

    pub fn global(&mut self, offset: u32) -> Addr {
        Addr::ptr(self.symbol(Object::Section(GLOBALS))).at(offset)
    }

    pub fn rodata(&mut self, offset: u32) -> Addr {
        Addr::ptr(self.symbol(Object::Section(RODATA))).at(offset)
    }

    /// Counts something that went wrong (`artifact::percpu`).
    pub fn count_failure(&mut self, offset: u32) {
        let one = self.int(1);
        let at = self.percpu(offset);
        self.bump(one, at);
    }

    /// A helper gave `code`, below 0: counted and, where each is to be told, told.
    pub fn helper_failed(&mut self, counter: u32, number: u32, code: Value) {
        self.count_failure(counter);
        if self.m.options.helper_errors {
            self.report_helper(number, code);
        }
    }

    /// A stack without frames is empty, and none that failed.
    pub fn stack_failed(&mut self, number: u32, code: Value) {
        let failed = self.compare_imm(IntCC::NotEqual, code, helper::NO_FRAMES);
        self.when(failed, |b| b.helper_failed(percpu::STACK_FAILED, number, code));
    }

    pub(crate) fn scratch_base(&mut self) -> Value {
        self.fact(Fact::Scratch, |b| {
            // An unguarded program that finds out here that it needs scratch is lowered once more, with a claim.
            // Kernels without the instructions for one guard uprobe programs too (until 6.0).
            b.needs_claim |= (!guarded(b.probe) && b.m.atomic_fetch) || nests(b.probe, b.m.kernel);
            let cpu = b.cpu();
            b.scratch_of(cpu)
        })
    }

    /// This CPU's part of this program's part of the scratch section.
    fn scratch_of(&mut self, cpu: Value) -> Value {
        let stride = self.patched(Patch::Stride);
        let at = self.b.ins().imul(cpu, stride);
        let section = self.symbol(Object::Section(SCRATCH));
        let start = self.patched(Patch::Start);
        let own = self.add(section, start);
        self.add(own, at)
    }

    fn patched(&mut self, what: Patch) -> Value {
        let v = self.b.ins().iconst(types::I64, 0);
        if let Some(inst) = self.b.func.dfg.value_def(v).inst() {
            self.scratch.patches.0.push((inst, what));
        }
        v
    }

    /// Claims one of this CPU's parts that no one uses (bits of the word at the start say which are in use) and leaves the
    /// program when there is none. From here on `exit` gives it back.
    pub(crate) fn claim_scratch(&mut self) {
        let cpu = self.cpu();
        let own = self.scratch_of(cpu);
        let claims = Addr::ptr(own);
        let got = self.block();
        let (part, bit) = (self.b.append_block_param(got, types::I64), self.b.append_block_param(got, types::I64));
        for i in 0..PARTS {
            let (free, next) = (self.block(), self.block());
            let bit = self.int(1 << i);
            let old = self.atomic_or(bit, claims);
            let taken = self.and_imm(old, 1 << i);
            self.branch_if(IntCC::Equal, taken, 0, free, next);
            self.enter(free);
            let offset = self.patched(Patch::Part(i));
            let at = self.add(own, offset);
            let mask = self.int(!(1 << i));
            self.b.ins().jump(got, &[at.into(), mask.into()]);
            self.enter(next);
        }
        self.push_facts();
        self.count_failure(percpu::SCRATCH_BUSY);
        self.pop_facts();
        if self.probe.context.seq_file().is_some() {
            // The kernel asks for this object again (`bpf_iter_run_prog`).
            let again = self.int(1);
            self.b.ins().return_(&[again]);
        } else {
            let out = self.out;
            self.jump(out);
        }
        self.enter(got);
        self.set_fact(Fact::Scratch, part);
        let (mask, word) = (self.b.declare_var(types::I64), self.b.declare_var(types::I64));
        self.b.def_var(mask, bit);
        self.b.def_var(word, own);
        self.claim = Some((word, mask));
        self.claimed = true;
    }

    /// In the exit block: gives a claimed part back.
    pub(crate) fn unclaim_scratch(&mut self) {
        if let Some((word, mask)) = self.claim {
            let (word, mask) = (self.b.use_var(word), self.b.use_var(mask));
            self.atomic_and(mask, Addr::ptr(word));
        }
    }

    /// Fixes the size of this program's scratch, `bytes` for each CPU rounded to cache lines, and hands its callbacks over.
    pub(crate) fn settle_scratch(&mut self) {
        let patches = self.scratch.take_patches();
        let children = std::mem::take(&mut self.scratch.children);
        let used = !patches.0.is_empty() || children.iter().any(|c| !c.2.0.is_empty());
        let part = self.scratch.most.max(8).next_multiple_of(64);
        let stride = if self.claim.is_some() { 64 + PARTS * part } else { part };
        let section = &mut self.m.plan.sections[SCRATCH];
        let start = section.size;
        if used {
            section.size += stride * self.m.plan.cpu_slots;
        }
        patches.apply(self.b.func, part, stride, start);
        for (mut f, index, patches) in children {
            patches.apply(&mut f.clif, part, stride, start);
            self.m.functions[index] = Some(f);
        }
    }

    // Bytes

    /// Sets bytes to zero.
    pub fn zero(&mut self, to: Addr, bytes: u32) {
        if bytes > 256 {
            self.copy_by_helper(to, bytes);
            return;
        }
        let z = self.int(0);
        for (at, n) in words(to.offset, bytes) {
            self.store(z, to.at(at), n);
        }
    }

    /// No helper sets memory; reading zeros from our own read-only data does, in one call.
    fn copy_by_helper(&mut self, to: Addr, bytes: u32) {
        let zeros = self.m.zeros(bytes);
        let from = self.rodata(zeros);
        self.copy_call(to, from, bytes);
    }

    fn copy_call(&mut self, to: Addr, from: Addr, bytes: u32) {
        let (to, from) = (self.address(to), self.address(from));
        let n = self.int(i64::from(bytes));
        self.helper(super::helper::PROBE_READ_KERNEL, &[to, n, from]);
    }

    /// Copies between places that plain loads and stores reach.
    pub fn copy(&mut self, to: Addr, from: Addr, bytes: u32) {
        if bytes > 128 {
            self.copy_call(to, from, bytes);
            return;
        }
        for (at, n) in words(to.offset | from.offset, bytes) {
            let v = self.load(from.at(at), n, false);
            self.store(v, to.at(at), n);
        }
    }
}

/// The kernel never runs it twice at a time on one CPU.
pub(crate) fn guarded(probe: &Probe) -> bool {
    use crate::artifact::ProgramKind::{Cgroup, Lsm, ModifyReturn, SocketFilter};
    // Whoever reads a pinned iterator may be interrupted by somebody else who does.
    !matches!(probe.context, Context::Registers { user: true, .. } | Context::Static(_) | Context::Iter { file: Some(_), .. })
        && !matches!(probe.kind, SocketFilter | Cgroup(_) | Lsm { .. } | ModifyReturn { .. })
}

/// A kernel of that version runs it inside of itself, in interrupts.
fn nests(probe: &Probe, kernel: KernelVersion) -> bool {
    use crate::artifact::ProgramKind::{Fentry, Fexit, RawTracepoint, TpBtf};
    match probe.kind {
        RawTracepoint | TpBtf { .. } => kernel < KernelVersion(6, 1, 0),
        Fentry { .. } | Fexit { .. } => kernel < KernelVersion(5, 12, 0),
        _ => false,
    }
}

/// `bytes` cut into 8, 4, 2 and 1, each aligned for places that start at `start` from an aligned one: (offset, size). The
/// verifier refuses accesses of the stack that are not.
pub(crate) fn words(start: i32, bytes: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = bytes - at;
        let n = [8, 4, 2, 1].into_iter().find(|n| *n <= left && (start as u32 | at) & (n - 1) == 0)?;
        at += n;
        Some((at - n, n))
    })
}
