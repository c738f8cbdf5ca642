//! What stands in the running task's `struct task_struct`, and the registers that a probe sees.

use super::{Builtin, Check, Lower};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Context, Expr, ExprKind};
use crate::lower::body::{Addr, Operand};
use crate::lower::context::{register, register_names, registers};
use crate::sema::{Call, Checker};
use crate::types::Ty;
use awl_grammar::ast;
use cranelift_codegen::ir::condcodes::IntCC;

/// A builtin that follows members from a task, the running one where none is given.
macro_rules! of_task {
    ($name:literal, $ty:literal, $doc:literal, $path:expr) => {
        Builtin {
            name: $name,
            aliases: &[],
            signature: concat!($name, "(task?: ptr) -> ", $ty),
            is_unsafe: false,
            doc: $doc,
            example: concat!("interval:s:1 { print(", $name, "); exit(); }"),
            check: Check::Custom(|c, call| of_task(c, call, $path)),
            lower: Lower::Never,
        }
    };
}

pub const ROWS: &[Builtin] = &[
    of_task!("ppid", "uint32", "process id of the parent of the running task, or of the task given", &["real_parent", "tgid"]),
    of_task!("pcomm", "string[16]", "name of the parent of the running task, or of the task given", &["real_parent", "comm"]),
    of_task!(
        "leader_tid",
        "uint32",
        "thread id of the first thread of the running process, or of the task given",
        &["group_leader", "pid"]
    ),
    of_task!(
        "leader_comm",
        "string[16]",
        "name of the first thread of the running process, or of the task given",
        &["group_leader", "comm"]
    ),
    Builtin {
        name: "usermode",
        aliases: &[],
        signature: "usermode() -> uint8",
        is_unsafe: false,
        doc: "1 where the probe interrupted a process in user mode, 0 where the kernel; 1 in `begin` and the like, 0 where nothing is interrupted",
        example: "profile:hz:99 { @[usermode] = count(); } interval:s:1 { exit(); }",
        check: Check::Custom(usermode),
        lower: Lower::Code(|b, _, _, _| {
            let mode = &registers(b.m.arch).user_mode;
            let bits = b.mode_bits(b.context, mode);
            Operand::Scalar(b.compare_imm(IntCC::Equal, bits, mode.is))
        }),
    },
    Builtin {
        name: "reg",
        aliases: &[],
        signature: "reg(name: const string) -> uint64",
        is_unsafe: false,
        doc: "a register of what the probe interrupted, by its name on this machine (`ip`, `sp`, `ax`, ...; on arm64 `pc`, `sp`, `r0`, ...)",
        example: "profile:hz:99 { @[ksym(reg(\"ip\"))] = count(); } interval:s:1 { exit(); }",
        check: Check::Custom(reg),
        lower: Lower::Code(|b, _, args, _| {
            let at = args[0].as_int().unwrap_or(0) as u32;
            Operand::Scalar(b.load(Addr::ptr(b.context).at(at), 8, false))
        }),
    },
];

fn of_task(c: &mut Checker, call: &Call, path: &[&str]) -> Expr {
    let Some(given) = c.checked_args(call) else { return Expr::error(call.span) };
    let span = call.span;
    let mut at = match (given.is_empty(), call.ast(0)) {
        (false, Some(task)) => task.clone(),
        _ => ast::Expr { kind: ast::ExprKind::Name("curtask".into()), span },
    };
    for name in path {
        let name = ast::Ident { name: (*name).into(), span };
        at = ast::Expr { kind: ast::ExprKind::Field { base: Box::new(at), name, arrow: true }, span };
    }
    let e = c.expr(&at);
    if e.ty.is_int() { Expr::new(ExprKind::Cast(Box::new(e)), Ty::U32, span) } else { e }
}

/// Are there registers at the context pointer?
fn registers_there(c: &Checker) -> bool {
    matches!(c.at.context, Some(Context::Registers { .. } | Context::Static(_) | Context::PerfEvent))
}

fn has_registers(c: &mut Checker, call: &Call) -> bool {
    let there = registers_there(c);
    if !there {
        let provider = c.at.provider;
        c.report(
            Diagnostic::error("no-args", call.span, format!("a `{provider}` probe has no registers"))
                .label("nothing to read here")
                .help("probes of functions and `profile` have them"),
        );
    }
    there
}

fn of_registers(c: &mut Checker, call: &Call, name: &str, ty: Ty) -> Expr {
    let arch = c.target.arch();
    match register(arch, name) {
        Some(at) => {
            let at = Expr::int(i64::from(at), Ty::U32, call.span);
            Expr::new(ExprKind::Call { builtin: call.row, args: vec![at] }, ty, call.span)
        }
        None => {
            let names = register_names(arch);
            let d = Diagnostic::error("arg-value", call.span, format!("this machine has no register `{name}`"));
            let d = match nearest(name, names.iter().copied()) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None => d.label("no such register"),
            };
            c.fail(d.note(format!("its registers: {}", names.join(", "))))
        }
    }
}

fn reg(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if !has_registers(c, call) {
        return Expr::error(call.span);
    }
    let name = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    of_registers(c, call, &name, Ty::U64)
}

fn usermode(c: &mut Checker, call: &Call) -> Expr {
    if c.checked_args(call).is_none() {
        return Expr::error(call.span);
    }
    // Nothing is interrupted elsewhere: awl runs in user mode, and what the kernel calls in the kernel.
    if !registers_there(c) {
        let own = matches!(c.at.provider, "begin" | "end" | "self" | "test" | "bench");
        return Expr::int(i64::from(own), Ty::U8, call.span);
    }
    Expr::new(ExprKind::Call { builtin: call.row, args: Vec::new() }, Ty::U8, call.span)
}
