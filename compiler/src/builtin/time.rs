//! Clocks.

use super::{Builtin, Check, Lower};
use crate::artifact::EventKind;
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::helper;
use crate::sema::{Call, Checker};
use crate::types::Ty;
use awl_grammar::ast;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "nsecs",
        aliases: &[],
        signature: "nsecs(clock?) -> uint64",
        is_unsafe: false,
        doc: "nanoseconds of a clock: `monotonic`, `boot` (the default), `tai`, `sw_tai`",
        example: "begin { @t = nsecs; exit(); }",
        check: Check::Custom(nsecs),
        lower: Lower::Code(|b, _, args, _| {
            let number = match args.first().and_then(Expr::as_int) {
                Some(0) => helper::KTIME_GET_NS,
                Some(2) => helper::KTIME_GET_TAI_NS,
                Some(3) => {
                    let boot = b.helper(helper::KTIME_GET_BOOT_NS, &[]);
                    let at = b.global(crate::artifact::global::BOOT_TO_REAL_NS);
                    let offset = b.load(at, 8, false);
                    return Operand::Scalar(b.add(boot, offset));
                }
                _ => helper::KTIME_GET_BOOT_NS,
            };
            Operand::Scalar(b.helper(number, &[]))
        }),
    },
    Builtin {
        name: "elapsed",
        aliases: &[],
        signature: "elapsed() -> uint64",
        is_unsafe: false,
        doc: "nanoseconds since awl started",
        example: "interval:ms:10 { print(elapsed / 1000000); exit(); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, _, _| {
            let now = b.now();
            Operand::Scalar(b.since_start(now))
        }),
    },
    Builtin {
        name: "time",
        aliases: &[],
        signature: "time(format?: const string) -> void",
        is_unsafe: false,
        doc: "prints the time of day, as strftime(3) has it; `%H:%M:%S\\n` when nothing is given",
        example: "interval:s:1 { time(\"%H:%M:%S\\n\"); exit(); }",
        check: Check::Custom(|c, call| {
            let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
            let format = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned());
            c.emit(EventKind::Time(format.unwrap_or_else(|| "%H:%M:%S\n".into())), Vec::new(), call.span)
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "strftime",
        aliases: &[],
        signature: "strftime(format: const string, ns: int) -> timestamp",
        is_unsafe: false,
        doc: "a time of `nsecs` (or `nsecs(tai)`) as text, as strftime(3) has it, and `%f` for microseconds",
        example: "begin { printf(\"%s\\n\", strftime(\"%H:%M:%S\", nsecs)); exit(); }",
        check: Check::Custom(strftime),
        lower: Lower::Code(timestamp),
    },
];

const CLOCKS: &[&str] = &["monotonic", "boot", "tai", "sw_tai"];

fn nsecs(c: &mut Checker, call: &Call) -> Expr {
    let clock = match call.ast(0) {
        None => 1,
        Some(ast::Expr { kind: ast::ExprKind::Name(n), span }) => match CLOCKS.iter().position(|c| c == n) {
            Some(i) => i as i64,
            None => {
                let d = Diagnostic::error("arg-value", *span, format!("unknown clock `{n}`"));
                return c.fail(match nearest(n, CLOCKS.iter().copied()) {
                    Some(n) => d.label(format!("did you mean `{n}`?")),
                    None => d.label(format!("expected {}", CLOCKS.join(", "))),
                });
            }
        },
        Some(e) => {
            let d =
                Diagnostic::error("arg-type", e.span, "`nsecs` takes the name of a clock").label(format!("expected {}", CLOCKS.join(", ")));
            return c.fail(d);
        }
    };
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![Expr::int(clock, Ty::I64, call.span)] }, Ty::U64, call.span)
}

fn strftime(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    let format = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    let id = c.string(&format);
    args[0] = Expr::int(i64::from(id), Ty::U32, call.span);
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Timestamp, call.span)
}

fn timestamp(b: &mut Body, _: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    let ns = b.scalar(&args[1]);
    let to = b.place_or(into, 16);
    b.store(ns, to, 8);
    let format = args[0].as_int().unwrap_or(0);
    b.store_imm(format, to.at(8), 8);
    Operand::Mem(to)
}
