//! Stacks of the kernel and of processes.

use super::{Builtin, Check, Lower};
use crate::artifact::StackStore;
use crate::config;
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::helper;
use crate::lowered::Object;
use crate::sema::{Call, Checker};
use crate::target::{Arch, Feature};
use crate::types::{StackKind, StackMode, Ty};
use awl_grammar::ast;
use cranelift_codegen::ir::condcodes::IntCC;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "kstack",
        aliases: &[],
        signature: "kstack(mode?, limit?: const int) -> kstack",
        is_unsafe: false,
        doc: "the kernel's stack; `mode` is bpftrace, perf or raw, `limit` the most frames (127)",
        example: "profile:hz:99 { @[kstack] = count(); } interval:s:1 { exit(); }",
        check: Check::Custom(|c, call| stack(c, call, StackKind::Kernel)),
        lower: Lower::Code(lower_stack),
    },
    Builtin {
        name: "ustack",
        aliases: &[],
        signature: "ustack(mode?, limit?: const int) -> ustack",
        is_unsafe: false,
        doc: "the running process's own stack; `mode` is bpftrace, perf, raw or build_id, `limit` the most frames (127)",
        example: "profile:hz:99 { @[ustack(5)] = count(); } interval:s:1 { exit(); }",
        check: Check::Custom(|c, call| stack(c, call, StackKind::User)),
        lower: Lower::Code(lower_stack),
    },
    Builtin {
        name: "dw_ustack",
        aliases: &[],
        signature: "dw_ustack(mode?, limit?: const int) -> dw_ustack",
        is_unsafe: false,
        doc: "as `ustack`, of a process that keeps no frame pointers: the one that `-p`, `-c` or `--dwarf-pid` names (x86-64)",
        example: "profile:hz:99 { @[dw_ustack(5)] = count(); }",
        check: Check::Custom(unwound),
        lower: Lower::Code(lower_stack),
    },
];

/// Frames that the kernel collects at most (`PERF_MAX_STACK_DEPTH`).
const MOST_FRAMES: i64 = 127;

fn stack(c: &mut Checker, call: &Call, kind: StackKind) -> Expr {
    let (mut mode, mut limit) = (c.options.config.stack_mode, MOST_FRAMES);
    if mode == StackMode::BuildId && kind != StackKind::User {
        // The setting is for all stacks.
        let d = Diagnostic::warning("config-value", call.span, format!("`{}` has no build ids: its addresses are printed", call.row.name));
        c.report(d.label("only `ustack` has: files that processes run").help(format!("say so: `{}(raw)`", call.row.name)));
        mode = StackMode::Raw;
    }
    if call.args.len() > 2 {
        c.checked_args(call);
        return Expr::error(call.span);
    }
    for i in 0..call.args.len() {
        let Some(a) = call.ast(i) else { return Expr::error(call.span) };
        if let ast::ExprKind::Name(n) = &a.kind
            && let Some(m) = config::stack_mode(n)
        {
            if i > 0 {
                let d = Diagnostic::error("arg-type", a.span, format!("the mode of `{}` stands first, and once", call.row.name))
                    .label("expected a number of frames")
                    .note(call.row.signature);
                return c.fail(d);
            }
            if m == StackMode::BuildId && kind != StackKind::User {
                let d = Diagnostic::error("arg-value", a.span, format!("`{}` has no build ids", call.row.name))
                    .label("only `ustack` has: files that processes run")
                    .help(format!("print addresses: `{}(raw)`", call.row.name));
                return c.fail(d);
            }
            mode = m;
            continue;
        }
        let e = c.expr(a);
        match e.as_int() {
            Some(n) if (0..=MOST_FRAMES).contains(&n) => limit = n,
            _ if e.is_error() => return e,
            Some(n) => {
                let d = Diagnostic::error("arg-value", a.span, format!("{n} frames")).label(format!("expected 0 to {MOST_FRAMES}"));
                return c.fail(d);
            }
            None => {
                let d = Diagnostic::error("arg-type", a.span, format!("`{}` takes a mode and a number of frames", call.row.name))
                    .label(format!("expected {}, or a constant", modes(kind)))
                    .note(call.row.signature);
                return c.fail(d);
            }
        }
    }
    let ty = Ty::Stack { kind, mode, limit: limit.max(1) as u16 };
    // What says that a task has begun to end: its stack can't be read any more.
    let flags = if kind == StackKind::Unwound { c.target.btf_offset("task_struct", "flags") } else { None };
    let args = flags.map(|at| Expr::int(i64::from(at), Ty::U32, call.span)).into_iter().collect();
    Expr::new(ExprKind::Call { builtin: call.row, args }, ty, call.span)
}

fn unwound(c: &mut Checker, call: &Call) -> Expr {
    if c.target.arch() != Arch::X86_64 {
        let d = Diagnostic::error("not-here", call.span, "`dw_ustack` is known on x86-64 only").label("not on this machine");
        return c.fail(d.help("`ustack` follows frame pointers, which most programs keep here"));
    }
    if c.layer().is_some() {
        let d = Diagnostic::error("not-here", call.span, "a packet belongs to no process").label("no process runs here");
        return c.fail(d.help("take the stack where it is sent: `tracepoint:syscalls:sys_enter_sendto`"));
    }
    let o = c.options;
    if o.pid.is_none() && o.child.is_none() && o.unwound.is_empty() && !o.dry_run {
        let d = Diagnostic::error("needs-process", call.span, "`dw_ustack` wants to know beforehand whose stacks it is for")
            .label("no process is named");
        return c.fail(d.help("name one: `-p PID`, `-c COMMAND` or `--dwarf-pid PID`"));
    }
    if !c.target.has(Feature::Unwinding) && !o.dry_run {
        return c.fail(crate::lower::lacking(Feature::Unwinding, c.target, call.span));
    }
    stack(c, call, StackKind::Unwound)
}

fn modes(kind: StackKind) -> &'static str {
    match kind {
        StackKind::User => "bpftrace, perf, raw, build_id",
        StackKind::Kernel | StackKind::Unwound => "bpftrace, perf, raw",
    }
}

fn flags(b: &Body, kind: StackKind) -> i64 {
    match b.probe.context {
        _ if kind.is_user() => helper::BPF_F_USER_STACK,
        // The program itself, what calls it and `__bpf_trace_sys_enter`: how it was attached is nobody's business.
        Context::Syscall { .. } | Context::RawSyscall { .. } => 3,
        _ => 0,
    }
}

/// How many frames a stack has: it is taken once more, since programs can't read the kernel's map of stacks.
pub fn depth(b: &mut Body, stack: &Expr) -> Operand {
    let Ty::Stack { kind, limit, .. } = stack.ty else { return Operand::None };
    if kind == StackKind::Unwound {
        let task_flags = if let ExprKind::Call { args, .. } = &stack.kind { offset(args) } else { None };
        return Operand::Scalar(b.unwind(limit, task_flags).1);
    }
    let bytes = 8 * u32::from(limit);
    let frames = b.temp(bytes, "stack");
    if bytes <= 64 {
        // On the stack: older kernels want all of it written before.
        b.zero(frames, bytes);
    }
    let flags = flags(b, kind);
    let args = [b.context, b.address(frames), b.int(i64::from(bytes)), b.int(flags)];
    let got = b.helper(helper::GET_STACK, &args);
    let failed = b.compare_imm(IntCC::SignedLessThan, got, 0);
    Operand::Scalar(b.either(
        failed,
        |b| {
            b.stack_failed(helper::GET_STACK, got);
            b.int(0)
        },
        |b| b.shr_imm(got, 3),
    ))
}

/// The offset that the checker has put there.
fn offset(args: &[Expr]) -> Option<u32> {
    args.first().and_then(Expr::as_int).map(|n| n as u32)
}

/// One helper call: the frames go into a map of stacks, the value is their number there.
fn lower_stack(b: &mut Body, e: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    let Ty::Stack { kind, mode, limit } = e.ty else { return Operand::None };
    let map = b.m.stack_map(StackStore::of(kind, mode, limit));
    let flags = flags(b, kind);
    let id = if kind == StackKind::Unwound {
        b.unwound(limit, offset(args), map)
    } else {
        let (ctx, map, flags) = (b.context, b.symbol(Object::Map(map)), b.int(flags));
        let id = b.helper(helper::GET_STACKID, &[ctx, map, flags]);
        let failed = b.compare_imm(IntCC::SignedLessThan, id, 0);
        b.when(failed, |b| b.stack_failed(helper::GET_STACKID, id));
        id
    };
    if !kind.is_user() {
        return Operand::Scalar(id);
    }
    let to = b.place_or(into, 16);
    b.store(id, to, 8);
    let both = b.pid_tgid();
    let tgid = b.shr_imm(both, 32);
    b.store(tgid, to.at(8), 8);
    Operand::Mem(to)
}
