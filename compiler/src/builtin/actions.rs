//! What changes the traced system (refused without `--unsafe`), and what changes the session.

use super::{Builtin, Check, Lower};
use crate::artifact::EventKind;
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::helper;
use crate::sema::{Call, Checker};
use crate::types::Ty;
use cranelift_codegen::ir::Value;
use cranelift_codegen::ir::condcodes::IntCC;
use std::sync::Arc;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "signal",
        aliases: &[],
        signature: "signal(signal) -> void",
        is_unsafe: true,
        doc: "sends a signal, by number or name (`\"SIGSTOP\"`), to the running process",
        example: "uprobe:libc:puts { signal(\"SIGUSR1\"); }",
        check: Check::Custom(signal),
        lower: Lower::Code(|b, _, args, _| send(b, args, helper::SEND_SIGNAL)),
    },
    Builtin {
        name: "signal_thread",
        aliases: &[],
        signature: "signal_thread(signal) -> void",
        is_unsafe: true,
        doc: "sends a signal, by number or name (`\"SIGSTOP\"`), to the running thread",
        example: "uprobe:libc:puts { signal_thread(\"SIGUSR1\"); }",
        check: Check::Custom(signal),
        lower: Lower::Code(|b, _, args, _| send(b, args, helper::SEND_SIGNAL_THREAD)),
    },
    Builtin {
        name: "override",
        aliases: &[],
        signature: "override(result: int) -> void",
        is_unsafe: true,
        doc: "makes the probed kernel function return this at once (only functions that the kernel marks for error injection)",
        example: "kprobe:__x64_sys_getuid /comm == \"id\"/ { override(2 << 21); }",
        check: Check::Custom(override_check),
        lower: Lower::Code(|b, _, args, _| {
            let result = b.scalar(&args[0]);
            let context = b.context;
            b.helper(helper::OVERRIDE_RETURN, &[context, result]);
            Operand::None
        }),
    },
    Builtin {
        name: "unwatch",
        aliases: &[],
        signature: "unwatch(address: address) -> void",
        is_unsafe: false,
        doc: "takes away the watchpoints of an address (`watchpoint:ADDRESS:...`); awl does it as soon as it reads the order",
        example: "watchpoint:0x10000000:8:rw { unwatch(0x10000000); } interval:s:1 { exit(); }",
        check: Check::Custom(|c, call| {
            let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
            let args = args.into_iter().map(|a| Expr::new(ExprKind::Cast(Box::new(a)), Ty::U64, call.span)).collect();
            c.emit(EventKind::Unwatch, args, call.span)
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "write_user",
        aliases: &[],
        signature: "write_user(address: ptr, value, len?: int) -> bool",
        is_unsafe: true,
        doc: "writes a value's bytes (or `len` of them) into the running process's memory; with `len`, of a pointer what it points to. True if they were written",
        example: "uprobe:libc:puts { write_user(arg0, (uint8)88); }",
        check: Check::Custom(write_user),
        lower: Lower::Code(write_user_lower),
    },
];

/// Probes whose running process is awl, or whichever happens to be on the CPU.
const NOBODYS: &[&str] = &["begin", "end", "self", "test", "bench", "interval", "iter"];

fn signal(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let provider = c.at.provider;
    if NOBODYS.contains(&provider) {
        let d = Diagnostic::error("not-here", call.span, format!("a `{provider}` probe belongs to no process that could be meant"));
        return c.fail(
            d.label("whom would it reach?")
                .help("signals go to the process that a probe sees: `uprobe:libc:puts /pid == cpid/ { signal(...); }`"),
        );
    }
    let span = args[0].span;
    let number = match (args[0].as_str(), &args[0].ty) {
        (Some(name), _) => {
            let name = String::from_utf8_lossy(name).into_owned();
            let full = if name.starts_with("SIG") { name.clone() } else { format!("SIG{name}") };
            match awl_stdlib::constant(&full).filter(|n| (1..=64).contains(n)) {
                Some(n) => Expr::int(n, Ty::U32, span),
                None => {
                    let d = Diagnostic::error("arg-value", span, format!("there is no signal `{name}`"));
                    let known = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGSTOP"];
                    return c.fail(match nearest(&full, known) {
                        Some(n) => d.label(format!("did you mean `{n}`?")),
                        None => d.label("no such signal").help("`kill -l` lists them"),
                    });
                }
            }
        }
        (_, t) if t.is_int() => {
            if let Some(n) = args[0].as_int()
                && !(1..=64).contains(&n)
            {
                let d = Diagnostic::error("arg-value", span, format!("there is no signal {n}")).label("expected 1 to 64");
                return c.fail(d);
            }
            args[0].clone()
        }
        (_, t) => {
            let d = Diagnostic::error("arg-type", span, format!("`{}` takes a signal, found `{t}`", call.row.name));
            return c.fail(d.label("expected its name in quotes, or its number"));
        }
    };
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![number] }, Ty::Void, call.span)
}

fn send(b: &mut Body, args: &[Expr], number: u32) -> Operand {
    let signal = b.scalar(&args[0]);
    let failed = b.helper(number, &[signal]);
    b.when(failed, |b| b.count_failure(crate::artifact::percpu::HELPER_FAILED));
    Operand::None
}

fn override_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if c.at.provider != "kprobe" {
        let provider = c.at.provider;
        let d = Diagnostic::error("not-here", call.span, format!("a `{provider}` probe can't replace a function's result"))
            .label("only a `kprobe` can")
            .help("kprobe:FUNCTION { override(...); }");
        return c.fail(d);
    }
    let args = args.into_iter().map(|a| c.to_int64(a)).collect();
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Void, call.span)
}

/// Most bytes that are written through a pointer at once.
const LONGEST: u32 = 1 << 16;

fn write_user(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    if let (Some(n), Ty::Ptr(_, space)) = (args.get(2).and_then(Expr::as_int).and_then(|n| u32::try_from(n).ok()), &args[1].ty) {
        // A pointer and a length: what lies there.
        let (bytes, span) = (Ty::Array(Arc::new(Ty::U8), n.clamp(1, LONGEST)), args[1].span);
        let to = Expr::new(ExprKind::Cast(Box::new(args[1].clone())), Ty::ptr(bytes.clone(), *space), span);
        args[1] = Expr::new(ExprKind::Deref(Box::new(to)), bytes, span);
    }
    let fits = match args.get(2) {
        None => !matches!(args[1].ty, Ty::Agg(_) | Ty::Void),
        Some(n) => n.as_int().is_some_and(|n| (1..=i64::from(args[1].ty.size())).contains(&n)),
    };
    if !fits {
        let d = Diagnostic::error("arg-value", call.span, "`write_user` writes a value, or the first bytes of one")
            .label(format!("expected a constant length of 1 to {}", args[1].ty.size().max(1)))
            .note(call.row.signature);
        return c.fail(d);
    }
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Bool, call.span)
}

fn write_user_lower(b: &mut Body, _: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let failed = write_bytes(b, args);
    Operand::Scalar(b.compare_imm(IntCC::Equal, failed, 0))
}

/// The helper's answer: 0, or a negative error.
fn write_bytes(b: &mut Body, args: &[Expr]) -> Value {
    let to = b.pointer(&args[0]).0;
    let from = b.memory(&args[1]);
    let n = match args.get(2).and_then(Expr::as_int) {
        Some(n) => b.int(n),
        None => match &args[1].ty {
            // What is written of a string ends with its NUL.
            Ty::Str(_) => {
                let (copy, len) = b.string_copy(&args[1]);
                let (from, n) = (b.address(copy), b.add_imm(len, 1));
                return b.helper(helper::PROBE_WRITE_USER, &[to, from, n]);
            }
            t => b.int(i64::from(t.size())),
        },
    };
    let from = b.address(from);
    b.helper(helper::PROBE_WRITE_USER, &[to, from, n])
}
