//! A walk along a process's stack by the tables of `crate::unwind`, in the kernel's own loop: a turn for each frame.

use super::body::{Addr, Body};
use super::{context, helper};
use crate::artifact::{KernelMap, MapKind, percpu};
use crate::hir::Context;
use crate::lowered::Object;
use crate::unwind::{self, bp, cfa};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// Words that the turns share.
const IP: u32 = 0;
const SP: u32 = 8;
const BP: u32 = 16;
/// frames so far
const COUNT: u32 = 24;
/// 1 where `IP` is the very instruction, 0 where it is the one behind a call
const EXACT: u32 = 32;
const TABLE: u32 = 40;
const FRAMES: u32 = 48;
/// for what helpers read and are given
const FREE: u32 = 56;

/// Addresses of processes have no more bits.
const ADDRESS_BITS: i64 = 47;

/// `struct pt_regs` of what a signal interrupted, above the stack pointer in the code that returns from the handler: `gregs` of
/// `ucontext_t` (x86-64).
const SIGNAL_BP: i64 = 120;
const SIGNAL_SP: i64 = 160;
const SIGNAL_IP: i64 = 168;

impl Body<'_> {
    /// Frames of the running process, the innermost first: where they are (`limit` words, zeros behind the last), and how many.
    /// A process without tables is walked by the kernel, along its frame pointers. `task_flags`: their offset in a task.
    pub(crate) fn unwind(&mut self, limit: u16, task_flags: Option<u32>) -> (Addr, Value) {
        let room = 8 * u32::from(limit).next_power_of_two();
        let frames = self.scratch_memory(room);
        self.zero(frames, room);
        let key = self.temp(8, "process");
        let both = self.pid_tgid();
        let process = self.shr_imm(both, 32);
        self.store(process, key, 8);
        let map = self.unwind_map(unwind::PROCESSES_MAP, MapKind::Hash, unwind::CHUNKS_BYTES, unwind::PROCESSES);
        let args = [self.symbol(Object::Map(map)), self.address(key)];
        let table = self.helper(helper::MAP_LOOKUP_ELEM, &args);
        let start = self.lasting(24, "registers", true);
        let count = self.either(
            table,
            |b| {
                b.user_registers(start);
                let one = b.int(1);
                let zero = b.int(0);
                let turns = b.turns(limit, task_flags);
                let (ip, sp, bp) = (b.load(start, 8, false), b.load(start.at(SP), 8, false), b.load(start.at(BP), 8, false));
                let frames = b.address(frames);
                let words =
                    b.repeat(turns, &[ip, sp, bp, zero, one, table, frames, zero], |b, turn, words| b.unwind_frame(turn, words, room));
                b.load(words.at(COUNT), 8, false)
            },
            |b| {
                b.count_failure(percpu::NO_TABLES);
                let (at, bytes, flags) = (b.address(frames), b.int(8 * i64::from(limit)), b.int(helper::BPF_F_USER_STACK));
                let args = [b.context, at, bytes, flags];
                let got = b.helper(helper::GET_STACK, &args);
                let failed = b.compare_imm(IntCC::SignedLessThan, got, 0);
                b.when(failed, |b| b.stack_failed(helper::GET_STACK, got));
                let zero = b.int(0);
                let bytes = b.b.ins().smax(got, zero);
                b.shr_imm(bytes, 3)
            },
        );
        (frames, count)
    }

    /// The same, kept in the map of such stacks: the number by which it is found there, negative where it isn't.
    pub(crate) fn unwound(&mut self, limit: u16, task_flags: Option<u32>, map: usize) -> Value {
        let (frames, count) = self.unwind(limit, task_flags);
        let start = self.address(frames);
        let room = i64::from(u32::from(limit).next_power_of_two());
        let words = self.repeat(count, &[start, count], |b, i, words| {
            let frames = b.load(words, 8, false);
            let i = b.and_imm(i, room - 1);
            let at = b.shl_imm(i, 3);
            let at = b.add(frames, at);
            let ip = b.load(Addr::ptr(at), 8, false);
            let hash = b.load(words.at(8), 8, false);
            let hash = b.b.ins().bxor(hash, ip);
            // Multiplication spreads upwards, the shift brings it down.
            let hash = b.mul_imm(hash, 0x9e37_79b9_7f4a_7c15_u64 as i64);
            let down = b.shr_imm(hash, 29);
            let hash = b.b.ins().bxor(hash, down);
            b.store(hash, words.at(8), 8);
            b.int(0)
        });
        let hash = self.load(words.at(8), 8, false);
        let id = self.and_imm(hash, i64::MAX);
        let key = self.temp(8, "stack's number");
        self.store(id, key, 8);
        self.either(
            count,
            |b| {
                let args = [b.symbol(Object::Map(map)), b.address(key)];
                let known = b.helper(helper::MAP_LOOKUP_ELEM, &args);
                b.either(
                    known,
                    |_| id,
                    |b| {
                        let args = [b.symbol(Object::Map(map)), b.address(key), b.address(frames), b.int(helper::BPF_ANY)];
                        let r = b.helper(helper::MAP_UPDATE_ELEM, &args);
                        let failed = b.compare_imm(IntCC::SignedLessThan, r, 0);
                        b.when(failed, |b| b.helper_failed(percpu::STACK_FAILED, helper::MAP_UPDATE_ELEM, r));
                        b.either(failed, |b| b.int(-1), |_| id)
                    },
                )
            },
            |b| b.int(-1),
        )
    }

    /// No turn for a task that has begun to end, and may have given its memory back.
    fn turns(&mut self, limit: u16, task_flags: Option<u32>) -> Value {
        /// `PF_EXITING` (include/linux/sched.h)
        const EXITING: i64 = 4;
        let all = self.int(i64::from(limit));
        let Some(at) = task_flags else { return all };
        let task = self.helper(helper::GET_CURRENT_TASK_BTF, &[]);
        let flags = self.load(Addr::ptr(task).at(at), 4, false);
        let exiting = self.and_imm(flags, EXITING);
        let none = self.int(0);
        self.select(exiting, none, all)
    }

    fn unwind_map(&mut self, name: &str, kind: MapKind, value_size: u32, max_entries: u32) -> usize {
        let maps = &mut self.m.plan.kernel_maps;
        maps.iter().position(|m| m.name == name).unwrap_or_else(|| {
            maps.push(KernelMap { name: name.into(), kind, key_size: 4, value_size, max_entries, pin: None, stacks: None });
            maps.len() - 1
        })
    }

    /// Instruction pointer, stack pointer and rbp of the process, as it is or as it entered the kernel.
    fn user_registers(&mut self, to: Addr) {
        let offset = |b: &Body, name| context::register(b.m.arch, name).unwrap_or(0);
        let at = [(offset(self, "ip"), IP), (offset(self, "sp"), SP), (offset(self, "bp"), BP)];
        let copy = |b: &mut Body, from: Value| {
            for (offset, word) in at {
                let v = b.load(Addr::ptr(from).at(offset), 8, false);
                b.store(v, to.at(word), 8);
            }
        };
        let of_task = |b: &mut Body| {
            let task = b.helper(helper::GET_CURRENT_TASK_BTF, &[]);
            let regs = b.helper(helper::TASK_PT_REGS, &[task]);
            copy(b, regs);
        };
        let ctx = self.context;
        match &self.probe.context {
            Context::Registers { user: true, .. } | Context::Static(_) => copy(self, ctx),
            Context::PerfEvent => {
                let cs = self.load(Addr::ptr(ctx).at(offset(self, "cs")), 8, false);
                let ring = self.and_imm(cs, 3);
                let (user, kernel, done) = (self.block(), self.block(), self.block());
                self.branch_if(IntCC::Equal, ring, 3, user, kernel);
                self.enter(user);
                copy(self, ctx);
                self.jump(done);
                self.enter(kernel);
                of_task(self);
                self.jump(done);
                self.enter(done);
            }
            _ => of_task(self),
        }
    }

    /// One turn: notes the frame and leaves it. Gives 1 at the end.
    fn unwind_frame(&mut self, turn: Value, words: Addr, room: u32) -> Value {
        let (done, missing) = (self.block(), self.block());
        let stop = self.b.append_block_param(done, types::I64);
        let (ip, sp) = (self.load(words.at(IP), 8, false), self.load(words.at(SP), 8, false));
        let old_bp = self.load(words.at(BP), 8, false);
        let frames = self.load(words.at(FRAMES), 8, false);
        // A counter of our own would be a new state for the verifier at each turn.
        let place = self.shl_imm(turn, 3);
        let place = self.and_imm(place, i64::from(room) - 8);
        let place = self.add(frames, place);
        self.store(ip, Addr::ptr(place), 8);
        let more = self.add_imm(turn, 1);
        self.store(more, words.at(COUNT), 8);

        let rule = self.rule_at(ip, words, missing);
        let kind = self.and_imm(rule, 7);
        let up = self.shl_imm(rule, 32);
        let distance = self.int(48);
        let at = self.b.ins().sshr(up, distance);
        let offset = self.mul_imm(at, i64::from(unwind::UNIT));
        let found = self.block();
        let frame = self.b.append_block_param(found, types::I64);
        let below_sp = self.add(sp, offset);
        let below_bp = self.add(old_bp, offset);
        self.case(kind, cfa::SP, |b| b.jump_with(found, below_sp));
        self.case(kind, cfa::BP, |b| b.jump_with(found, below_bp));
        self.case(kind, cfa::AT_BP, |b| {
            let v = b.saved(below_bp, words, missing);
            b.jump_with(found, v);
        });
        self.case(kind, cfa::AT_SP, |b| {
            let v = b.saved(below_sp, words, missing);
            b.jump_with(found, v);
        });
        self.case(kind, cfa::PLT, |b| {
            let in_entry = b.and_imm(ip, 15);
            let pushed = b.compare(IntCC::SignedGreaterThanOrEqual, in_entry, at);
            let pushed = b.shl_imm(pushed, 3);
            let v = b.add(sp, pushed);
            let v = b.add_imm(v, 8);
            b.jump_with(found, v);
        });
        self.case(kind, cfa::SIGNAL, |b| {
            for (at, word) in [(SIGNAL_IP, IP), (SIGNAL_BP, BP), (SIGNAL_SP, SP)] {
                let from = b.add_imm(sp, at);
                let v = b.saved(from, words, missing);
                b.store(v, words.at(word), 8);
            }
            b.store_imm(1, words.at(EXACT), 8);
            let zero = b.int(0);
            b.jump_with(done, zero);
        });
        self.case(kind, cfa::END, |b| {
            let one = b.int(1);
            b.jump_with(done, one);
        });
        self.jump(missing);

        self.enter(found);
        // Stacks grow downwards: who called is above. Anything else would go round for ever.
        let above = self.b.ins().icmp(IntCC::UnsignedGreaterThan, frame, sp);
        let ahead = self.block();
        self.branch(above, ahead, missing);
        self.enter(ahead);
        let return_at = self.add_imm(frame, -8);
        let caller = self.saved(return_at, words, missing);
        let (called, nobody) = (self.block(), self.block());
        self.branch_if(IntCC::NotEqual, caller, 0, called, nobody);
        self.enter(nobody);
        let one = self.int(1);
        self.jump_with(done, one);
        self.enter(called);
        self.store(caller, words.at(IP), 8);
        self.store(frame, words.at(SP), 8);
        self.store_imm(0, words.at(EXACT), 8);
        let bp_kind = self.shr_imm(rule, 3);
        let bp_kind = self.and_imm(bp_kind, 3);
        let up = self.shl_imm(rule, 48);
        let distance = self.int(56);
        let at = self.b.ins().sshr(up, distance);
        let offset = self.mul_imm(at, i64::from(unwind::UNIT));
        let leave = self.block();
        for (kind, base) in [(bp::AT_CFA, frame), (bp::AT_BP, old_bp)] {
            self.case(bp_kind, kind, |b| {
                let from = b.add(base, offset);
                let v = b.saved(from, words, missing);
                b.store(v, words.at(BP), 8);
                b.jump(leave);
            });
        }
        self.case(bp_kind, bp::LOST, |b| {
            b.store_imm(0, words.at(BP), 8);
            b.jump(leave);
        });
        self.jump(leave);
        self.enter(leave);
        let zero = self.int(0);
        self.jump_with(done, zero);

        self.enter(missing);
        self.push_facts();
        self.count_failure(percpu::UNWIND_CUT);
        self.pop_facts();
        let one = self.int(1);
        self.jump_with(done, one);
        self.enter(done);
        stop
    }

    /// `then`, which leaves, where `kind` is that one.
    fn case(&mut self, kind: Value, one: i64, then: impl FnOnce(&mut Self)) {
        let (yes, no) = (self.block(), self.block());
        self.branch_if(IntCC::Equal, kind, one, yes, no);
        self.enter(yes);
        then(self);
        self.enter(no);
    }

    /// Eight bytes of the process's stack.
    fn saved(&mut self, from: Value, words: Addr, missing: Block) -> Value {
        let to = words.at(FREE);
        let args = [self.address(to), self.int(8), from];
        let r = self.helper(helper::PROBE_READ_USER, &args);
        let read = self.block();
        self.branch_if(IntCC::Equal, r, 0, read, missing);
        self.enter(read);
        self.load(to, 8, false)
    }

    /// The word of the rule for an address; both searches are without branches, which the verifier would follow one by one.
    fn rule_at(&mut self, ip: Value, words: Addr, missing: Block) -> Value {
        let exact = self.load(words.at(EXACT), 8, false);
        // Behind a call there may be another function, or none.
        let pc = self.add(ip, exact);
        let pc = self.add_imm(pc, -1);
        let outside = self.shr_imm(pc, ADDRESS_BITS);
        let inside = self.block();
        self.branch_if(IntCC::Equal, outside, 0, inside, missing);
        self.enter(inside);
        let table = self.load(words.at(TABLE), 8, false);
        let chunk = self.last_not_above(pc, unwind::CHUNKS, |b, i| {
            let at = b.mul_imm(i, i64::from(unwind::CHUNK_BYTES));
            let at = b.add(table, at);
            b.load(Addr::ptr(at), 8, false)
        });
        let at = self.mul_imm(chunk, i64::from(unwind::CHUNK_BYTES));
        let chunk = self.add(table, at);
        let base = self.load(Addr::ptr(chunk).at(8), 8, false);
        let number = self.load(Addr::ptr(chunk).at(16), 8, false);
        self.store(number, words.at(FREE), 8);
        let map = self.unwind_map(unwind::PAGES_MAP, MapKind::Array, unwind::PAGE_BYTES, unwind::PAGES);
        let args = [self.symbol(Object::Map(map)), self.address(words.at(FREE))];
        let page = self.helper(helper::MAP_LOOKUP_ELEM, &args);
        let there = self.block();
        self.branch_if(IntCC::NotEqual, page, 0, there, missing);
        self.enter(there);
        let distance = self.b.ins().isub(pc, base);
        let row = self.last_not_above(distance, unwind::ROWS, |b, i| {
            let at = b.shl_imm(i, 2);
            let at = b.add(page, at);
            b.load(Addr::ptr(at), 4, false)
        });
        let at = self.shl_imm(row, 2);
        let at = self.add(page, at);
        self.load(Addr::ptr(at).at(4 * unwind::ROWS), 4, false)
    }

    /// Of `len` sorted numbers (a power of two) the last that isn't above `wanted`; the first is never compared.
    fn last_not_above(&mut self, wanted: Value, len: u32, mut number: impl FnMut(&mut Self, Value) -> Value) -> Value {
        let mut low = self.int(0);
        let mut step = i64::from(len) / 2;
        while step > 0 {
            let middle = self.add_imm(low, step);
            let middle = self.and_imm(middle, i64::from(len) - 1);
            let n = number(self, middle);
            // all ones where it is above
            let difference = self.b.ins().isub(wanted, n);
            let sign = self.int(63);
            let above = self.b.ins().sshr(difference, sign);
            let all = self.int(-1);
            let not_above = self.b.ins().bxor(above, all);
            let taken = self.and_imm(not_above, step);
            low = self.add(low, taken);
            step /= 2;
        }
        self.and_imm(low, i64::from(len) - 1)
    }
}
