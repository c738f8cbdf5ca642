//! What the attach point hands over, and which attach point it is.

use super::body::{Addr, Body, Fact};
use super::helper;
use crate::artifact::ProgramKind;
use crate::hir::{Context, Expr, Program};
use crate::probe::convention::Place;
use crate::probe::usdt::argument::{Argument, Operand};
use crate::target::{Arch, Target};
use crate::types::{Space, Ty};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

/// System-call numbers are below this on every architecture that awl knows.
const SYSCALLS: i64 = 1024;

/// Offsets in `struct pt_regs`, in bytes (`arch/*/include/asm/ptrace.h`).
pub struct Registers {
    /// arguments of a function
    pub args: &'static [u32],
    /// arguments of a system call
    pub syscall: &'static [u32],
    pub ret: u32,
    /// number of a system call, and its size
    pub number: (u32, u32),
    pub ip: u32,
    pub sp: u32,
    /// At a function's entry the arguments that no register holds lie from here on above the stack pointer, eight bytes each:
    /// above the return address on x86-64 (System V ABI 3.2.3), right at it on arm64 (AAPCS64 6.8.2).
    pub stack_args: i64,
    /// what a process in user mode has
    pub user_mode: Mode,
    /// what a process has that runs 32-bit code
    pub narrow: Mode,
}

/// A register that tells which mode the processor is in.
pub struct Mode {
    /// offset in `struct pt_regs`, in bytes
    pub at: u32,
    /// the bits that tell
    pub mask: i64,
    /// what they are where it holds
    pub is: i64,
}

const X86_64: Registers = Registers {
    args: &[112, 104, 96, 88, 72, 64],
    syscall: &[112, 104, 96, 56, 72, 64],
    ret: 80,
    number: (120, 8),
    ip: 128,
    sp: 152,
    stack_args: 8,
    // the code segment: its ring, and `__USER32_CS`
    user_mode: Mode { at: 136, mask: 3, is: 3 },
    narrow: Mode { at: 136, mask: 0xffff, is: 0x23 },
};

const AARCH64: Registers = Registers {
    args: &[0, 8, 16, 24, 32, 40, 48, 56],
    // x0 is overwritten by the result: orig_x0
    syscall: &[272, 8, 16, 24, 32, 40],
    ret: 0,
    // `s32 syscallno`; what is beside it is not the verifier's to read
    number: (280, 4),
    ip: 256,
    sp: 248,
    stack_args: 0,
    // the state of the processor: its exception level, and `PSR_MODE32_BIT`
    user_mode: Mode { at: 264, mask: 0xf, is: 0 },
    narrow: Mode { at: 264, mask: 0x10, is: 0x10 },
};

pub fn registers(arch: Arch) -> &'static Registers {
    match arch {
        Arch::X86_64 => &X86_64,
        Arch::Aarch64 => &AARCH64,
    }
}

const X86_64_NAMES: &[&str] = &[
    "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp",
    "ss",
];

const AARCH64_NAMES: &[&str] = &[
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "r16", "r17", "r18", "r19",
    "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "sp", "pc", "pstate",
];

/// Names of the registers in `struct pt_regs`, in its order, eight bytes each.
pub fn register_names(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => X86_64_NAMES,
        Arch::Aarch64 => AARCH64_NAMES,
    }
}

/// Offset of a register in `struct pt_regs`, in bytes.
pub fn register(arch: Arch, name: &str) -> Option<u32> {
    register_names(arch).iter().position(|n| *n == name).map(|i| 8 * i as u32)
}

/// In `thread_info.status`: the thread is in a 32-bit call (`arch/x86/include/asm/thread_info.h`).
const TS_COMPAT: i64 = 2;

/// Offset of `thread_info.status` in a task, where a program of the script wants to know it.
pub fn thread_status(program: &Program, target: &dyn Target) -> Option<u32> {
    let wanted = target.arch() == Arch::X86_64 && program.probes.iter().any(|p| matches!(p.context, Context::Syscall { .. }));
    let inside = wanted.then(|| target.btf_offset("task_struct", "thread_info"))??;
    Some(inside + target.btf_offset("thread_info", "status")?)
}

impl Body<'_> {
    /// Code before the predicate: leaves the program where this event isn't ours.
    pub(crate) fn dispatch(&mut self) {
        if let Context::Iter { objects, .. } = &self.probe.context {
            self.objects(objects);
        }
        let Context::Syscall { exit, numbers, .. } = &self.probe.context else { return };
        let number = self.syscall_number(*exit);
        let out = self.out;
        let ours = self.block();
        match numbers.as_slice() {
            [(n, _)] => self.branch_if(IntCC::Equal, number, i64::from(*n), ours, out),
            many => {
                let mut table = vec![0u8; SYSCALLS as usize * 2];
                for (n, point) in many {
                    if i64::from(*n) < SYSCALLS {
                        table[*n as usize * 2..][..2].copy_from_slice(&(*point as u16 + 1).to_le_bytes());
                    }
                }
                let known = self.block();
                self.branch_if(IntCC::UnsignedLessThan, number, SYSCALLS, known, out);
                self.enter(known);
                let at = self.m.literal(&table);
                let start = self.rodata(at);
                let start = self.address(start);
                let offset = self.shl_imm(number, 1);
                let entry = self.add(start, offset);
                let point = self.load(Addr::ptr(entry), 2, false);
                self.set_fact(Fact::Point, point);
                self.branch_if(IntCC::NotEqual, point, 0, ours, out);
            }
        }
        self.enter(ours);
        self.leave_out_compat();
    }

    /// The perf tracepoints leave 32-bit calls out: their numbers mean other calls. On x86-64 64-bit code can make them too, so
    /// registers are only asked where the kernel's types don't say where its own mark is.
    fn leave_out_compat(&mut self) {
        let (native, out) = (self.block(), self.out);
        match self.m.thread_status {
            Some(at) => {
                let status = self.thread_status(at);
                let compat = self.and_imm(status, TS_COMPAT);
                self.branch_if(IntCC::Equal, compat, 0, native, out);
            }
            None => {
                let narrow = &registers(self.m.arch).narrow;
                let regs = self.registers();
                let bits = self.mode_bits(regs, narrow);
                self.branch_if(IntCC::NotEqual, bits, narrow.is, native, out);
            }
        }
        self.enter(native);
    }

    /// The bits that tell a mode.
    pub(crate) fn mode_bits(&mut self, regs: Value, mode: &Mode) -> Value {
        let v = self.load(Addr::ptr(regs).at(mode.at), 8, false);
        self.and_imm(v, mode.mask)
    }

    fn thread_status(&mut self, at: u32) -> Value {
        if self.m.task_btf {
            let task = self.helper(helper::GET_CURRENT_TASK_BTF, &[]);
            return self.load(Addr::ptr(task).at(at), 4, false);
        }
        let task = self.helper(helper::GET_CURRENT_TASK, &[]);
        let to = self.temp(8, "thread status");
        self.store_imm(0, to, 8);
        let args = [self.address(to), self.int(4), self.add_imm(task, i64::from(at))];
        self.helper(helper::PROBE_READ_KERNEL, &args);
        self.load(to, 4, false)
    }

    /// Leaves the program after the last object. The verifier takes a pointer for valid only in the register that was compared.
    fn objects(&mut self, objects: &[u32]) {
        for at in objects {
            let context = self.context;
            let v = self.load(Addr::ptr(context).at(*at), 8, false);
            let (there, out) = (self.block(), self.out);
            self.branch_if(IntCC::NotEqual, v, 0, there, out);
            self.enter(there);
            self.set_fact(Fact::Object(*at), v);
        }
    }

    /// Number of the attach point among several system calls.
    pub(crate) fn syscall_point(&mut self) -> Value {
        let p = self.fact(Fact::Point, |s| s.int(1));
        self.add_imm(p, -1)
    }

    fn syscall_number(&mut self, exit: bool) -> Value {
        if exit {
            let regs = self.registers();
            let (at, bytes) = registers(self.m.arch).number;
            self.load(Addr::ptr(regs).at(at), bytes, true)
        } else {
            let context = self.context;
            self.load(Addr::ptr(context).at(8), 8, false)
        }
    }

    /// Registers of the traced process: the context itself, or what the first argument points to.
    fn registers(&mut self) -> Value {
        match self.probe.context {
            Context::Syscall { .. } | Context::RawSyscall { .. } => self.fact(Fact::Registers, |s| {
                let context = s.context;
                s.load(Addr::ptr(context), 8, false)
            }),
            _ => self.context,
        }
    }

    /// Field `i` of `args`.
    pub(crate) fn argument(&mut self, i: usize, ty: &Ty) -> Value {
        let regs = registers(self.m.arch);
        match &self.probe.context {
            Context::RawArgs(_) | Context::Function { .. } => {
                let context = self.context;
                // The verifier looks at the types of what is loaded, not of what a helper copies.
                let copied = self.m.options.plain_arguments && matches!(ty, Ty::Ptr(..));
                let v = match copied {
                    true => self.read_pointer(context, 8 * i as i64, false),
                    false => self.load(Addr::ptr(context).at(8 * i as u32), 8, false),
                };
                match ty {
                    t if t.is_int() => self.extend(v, t),
                    _ if copied => v,
                    // What may be null to the verifier can't even be added to.
                    Ty::Ptr(_, Space::Kernel) if matches!(self.probe.kind, ProgramKind::TpBtf { .. }) => self.forgotten(v),
                    _ => v,
                }
            }
            Context::Iter { record, .. } => {
                let at = record.fields.get(i).map_or(0, |f| f.offset);
                self.fact(Fact::Object(at), |s| {
                    let context = s.context;
                    s.load(Addr::ptr(context).at(at), ty.size(), ty.is_signed())
                })
            }
            Context::Registers { user, .. } => {
                let (context, user) = (self.context, *user);
                match regs.args.get(i) {
                    Some(at) => self.load(Addr::ptr(context).at(*at), 8, false),
                    None => {
                        let sp = self.load(Addr::ptr(context).at(regs.sp), 8, false);
                        self.read_pointer(sp, regs.stack_args + 8 * (i - regs.args.len()) as i64, user)
                    }
                }
            }
            Context::Static(args) => match args.get(i).cloned() {
                Some(Ok(a)) => self.static_argument(&a),
                _ => self.int(0),
            },
            // The record of sys_enter: number at 8, arguments from 16; of sys_exit: number, then the result.
            Context::Syscall { exit, record, .. } | Context::RawSyscall { exit, record } => {
                let exit = *exit;
                let v = match record.fields.get(i).map(|f| f.offset) {
                    Some(8) => self.syscall_number(exit),
                    Some(16) if exit => {
                        let context = self.context;
                        self.load(Addr::ptr(context).at(8), 8, false)
                    }
                    Some(at) if at >= 16 => match regs.syscall.get((at as usize - 16) / 8) {
                        Some(r) => {
                            let base = self.registers();
                            self.load(Addr::ptr(base).at(*r), 8, false)
                        }
                        None => self.int(0),
                    },
                    _ => self.int(0),
                };
                self.extend(v, ty)
            }
            _ => self.int(0),
        }
    }

    /// An argument that fits into no register: the six of any system call together, or a structure.
    pub(crate) fn argument_into(&mut self, i: usize, size: u32, to: Addr) {
        let first = match &self.probe.context {
            Context::Syscall { record, .. } | Context::RawSyscall { record, .. } => {
                record.fields.get(i).and_then(|f| f.offset.checked_sub(16))
            }
            _ => None,
        };
        let registers = registers(self.m.arch).syscall;
        let structure = matches!(self.probe.context, Context::RawArgs(_) | Context::Function { .. });
        for word in 0..size / 8 {
            let v = match first.and_then(|at| registers.get((at / 8 + word) as usize)) {
                Some(r) => {
                    let base = self.registers();
                    self.load(Addr::ptr(base).at(*r), 8, false)
                }
                None if structure => {
                    let context = self.context;
                    self.load(Addr::ptr(context).at(8 * (i as u32 + word)), 8, false)
                }
                None => self.int(0),
            };
            self.store(v, to.at(word * 8), 8);
        }
    }

    /// A parameter, or what a function returned, as the debug information has it.
    pub(crate) fn parameter(&mut self, place: Place, ty: &Ty) -> Value {
        let (context, regs) = (self.context, registers(self.m.arch));
        let v = match place {
            Place::Register(at) => self.load(Addr::ptr(context).at(at), 8, false),
            Place::Stack(above) => {
                let sp = self.load(Addr::ptr(context).at(regs.sp), 8, false);
                self.read_pointer(sp, above, true)
            }
            Place::Address(above) => {
                let sp = self.load(Addr::ptr(context).at(regs.sp), 8, false);
                self.add_imm(sp, above)
            }
        };
        // Callers leave anything in the bits that the type doesn't have.
        if ty.is_int() { self.extend(v, ty) } else { v }
    }

    fn static_argument(&mut self, a: &Argument) -> Value {
        let context = self.context;
        match a.from {
            Operand::Register(at) => self.load(Addr::ptr(context).at(at), a.bytes, a.signed),
            Operand::Constant(n) => {
                let unused = 64 - 8 * a.bytes;
                self.int(if a.signed { n << unused >> unused } else { ((n as u64) << unused >> unused) as i64 })
            }
            Operand::Memory { base, index, displacement } => {
                let mut at = self.int(displacement);
                for (register, scale) in base.map(|b| (b, 1)).into_iter().chain(index) {
                    let v = self.load(Addr::ptr(context).at(register), 8, false);
                    let v = self.mul_imm(v, i64::from(scale));
                    at = self.add(at, v);
                }
                self.read_user_integer(at, a.bytes, a.signed)
            }
        }
    }

    /// `args.args[i]` of `raw_syscalls:sys_enter`.
    pub(crate) fn syscall_argument(&mut self, index: &Expr) -> Value {
        let offsets = registers(self.m.arch).syscall;
        let regs = self.registers();
        if let Some(i) = index.as_int() {
            return match offsets.get(i as usize) {
                Some(at) => self.load(Addr::ptr(regs).at(*at), 8, false),
                None => self.int(0),
            };
        }
        let i = self.scalar(index);
        let mut result = self.int(0);
        for (n, at) in offsets.iter().enumerate() {
            let v = self.load(Addr::ptr(regs).at(*at), 8, false);
            let n = self.int(n as i64);
            let this = self.b.ins().icmp(IntCC::Equal, i, n);
            result = self.b.ins().select(this, v, result);
        }
        result
    }

    /// The value that a function returned.
    pub(crate) fn returned(&mut self) -> Value {
        let (context, at) = (self.context, registers(self.m.arch).ret);
        self.load(Addr::ptr(context).at(at), 8, false)
    }

    /// Name of the attach point, in the table of names.
    pub(crate) fn point_name(&mut self, func: bool) -> Addr {
        let (at, stride) = self.m.names(func);
        match self.point_number() {
            None => self.rodata(at),
            Some(n) => {
                let n = self.b.ins().ireduce(types::I32, n);
                let n = self.b.ins().uextend(types::I64, n);
                let last = self.m.plan.points.len() as i64 - 1;
                let last = self.int(last);
                let n = self.b.ins().umin(n, last);
                let offset = self.mul_imm(n, i64::from(stride));
                let start = self.rodata(at);
                let start = self.address(start);
                let p = self.add(start, offset);
                Addr::ptr(p)
            }
        }
    }

    /// Process id (upper half) and thread id in awl's own pid namespace; zeros for a task that isn't in it.
    pub fn pid_tgid(&mut self) -> Value {
        self.fact(Fact::PidTgid, |s| match s.m.pid_namespace {
            None => s.init_pid_tgid(),
            Some((device, inode)) => {
                // { u32 pid; u32 tgid }: as one number the thread is the lower half
                let to = s.temp(8, "pid and tid");
                s.store_imm(0, to, 8);
                let args = [s.int(device as i64), s.int(inode as i64), s.address(to), s.int(8)];
                s.helper(helper::GET_NS_CURRENT_PID_TGID, &args);
                s.load(to, 8, false)
            }
        })
    }

    /// The same as the initial pid namespace numbers them.
    pub fn init_pid_tgid(&mut self) -> Value {
        self.helper(helper::GET_CURRENT_PID_TGID, &[])
    }
}
