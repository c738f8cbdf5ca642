//! Symbols and addresses.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::Expr;
use crate::lower::body::Operand;
use crate::types::Ty;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "ksym",
        aliases: &[],
        signature: "ksym(address: ptr) -> ksym_t",
        is_unsafe: false,
        doc: "name of the kernel function or variable at an address",
        example: "tracepoint:timer:hrtimer_start { @[ksym(args.function)] = count(); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.pointer(&args[0]).0)),
    },
    Builtin {
        name: "usym",
        aliases: &[],
        signature: "usym(address: ptr) -> usym_t",
        is_unsafe: false,
        doc: "name of the function at an address of the running process",
        example: "uprobe:libc:malloc { @[usym(arg0)] = count(); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, args, into| {
            let at = b.pointer(&args[0]).0;
            let to = b.place_or(into, 16);
            b.store(at, to, 8);
            let both = b.pid_tgid();
            let tgid = b.shr_imm(both, 32);
            b.store(tgid, to.at(8), 8);
            Operand::Mem(to)
        }),
    },
    Builtin {
        name: "kaddr",
        aliases: &[],
        signature: "kaddr(name: const string) -> uint64",
        is_unsafe: false,
        doc: "address of a kernel symbol",
        example: "begin { printf(\"%p\\n\", kaddr(\"jiffies\")); exit(); }",
        check: Check::Custom(|c, call| {
            let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
            let name = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
            match c.target.kernel_symbol(&name) {
                Ok(Some(at)) => Expr::int(at as i64, Ty::U64, call.span),
                Ok(None) => c.fail(
                    Diagnostic::error("unknown-symbol", call.span, format!("the kernel has no symbol `{name}`")).label("no such symbol"),
                ),
                Err(why) => c.fail(Diagnostic::environment(why.code, why.message).at(call.span, "needed here").help(why.help)),
            }
        }),
        lower: Lower::Never,
    },
];
