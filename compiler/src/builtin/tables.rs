//! Numbers by their names: errors, signals, system calls, addresses of the network.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::sema::{Call, Checker};
use crate::target::{Arch, syscalls};
use crate::types::Ty;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use std::net::{Ipv4Addr, Ipv6Addr};

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "strerror",
        aliases: &[],
        signature: "strerror(errno: int) -> string",
        is_unsafe: false,
        doc: "text of an error number",
        example: "tracepoint:syscalls:sys_exit_openat /args.ret < 0/ { @[strerror(-args.ret)] = count(); }",
        check: Check::Custom(|c, call| named(c, call, Table::Errors)),
        lower: Lower::Code(|b, e, args, _| look_up(b, e, args, Table::Errors)),
    },
    Builtin {
        name: "signal_name",
        aliases: &[],
        signature: "signal_name(signal: int) -> string",
        is_unsafe: false,
        doc: "text of a signal's number",
        example: "tracepoint:signal:signal_generate { @[signal_name(args.sig)] = count(); }",
        check: Check::Custom(|c, call| named(c, call, Table::Signals)),
        lower: Lower::Code(|b, e, args, _| look_up(b, e, args, Table::Signals)),
    },
    Builtin {
        name: "syscall_name",
        aliases: &[],
        signature: "syscall_name(number: int) -> string",
        is_unsafe: false,
        doc: "name of a system call by its number",
        example: "tracepoint:raw_syscalls:sys_enter { @[syscall_name(args.id)] = count(); }",
        check: Check::Custom(|c, call| named(c, call, Table::Syscalls)),
        lower: Lower::Code(|b, e, args, _| look_up(b, e, args, Table::Syscalls)),
    },
    Builtin {
        name: "pton",
        aliases: &[],
        signature: "pton(address: const string) -> uint8[]",
        is_unsafe: false,
        doc: "the bytes of an IPv4 (4) or IPv6 address (16) in network order",
        example: "begin { print(ntop(pton(\"127.0.0.1\"))); exit(); }",
        check: Check::Custom(pton),
        lower: Lower::Code(|b, _, args, _| {
            let at = b.m.literal(args[0].as_str().unwrap_or_default());
            Operand::Mem(b.rodata(at))
        }),
    },
];

#[derive(Clone, Copy)]
enum Table {
    Errors,
    Signals,
    Syscalls,
}

impl Table {
    fn unknown(self) -> &'static str {
        match self {
            Table::Errors => "Unknown error",
            Table::Signals => "N/A",
            Table::Syscalls => "Unknown syscall",
        }
    }

    /// By number from 0, empty where there is none.
    fn texts(self, arch: Arch) -> Vec<&'static str> {
        match self {
            Table::Errors => awl_stdlib::errors(),
            Table::Signals => awl_stdlib::signals(),
            Table::Syscalls => (0..syscalls::END).map(|n| syscalls::name(arch, n).unwrap_or_default()).collect(),
        }
    }
}

/// Bytes of one text of a table, NUL included.
fn stride(texts: &[&str], table: Table) -> u32 {
    let longest = texts.iter().map(|t| t.len()).max().unwrap_or(0).max(table.unknown().len());
    (longest as u32 + 1).next_multiple_of(8)
}

fn named(c: &mut Checker, call: &Call, table: Table) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let texts = table.texts(c.target.arch());
    if let Some(n) = args[0].as_int() {
        let text = usize::try_from(n).ok().and_then(|n| texts.get(n)).filter(|t| !t.is_empty());
        return c.string_literal(text.copied().unwrap_or(table.unknown()).as_bytes(), call.span);
    }
    let args = args.into_iter().map(|a| c.to_int64(a)).collect();
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Str(stride(&texts, table)), call.span)
}

/// The text's place in read-only data; the last one of the table is that of numbers without a name.
fn look_up(b: &mut Body, e: &Expr, args: &[Expr], table: Table) -> Operand {
    let texts = table.texts(b.m.arch);
    let size = e.ty.size();
    let mut bytes = Vec::new();
    for t in texts.iter().chain([&table.unknown()]) {
        let t = if t.is_empty() { table.unknown() } else { t };
        let end = bytes.len() + size as usize;
        bytes.extend_from_slice(t.as_bytes());
        bytes.resize(end, 0);
    }
    let n = b.scalar(&args[0]);
    // A negative number is a large one.
    let last = b.int(texts.len() as i64);
    let n = b.b.ins().umin(n, last);
    let offset = b.mul_imm(n, i64::from(size));
    let at = b.m.literal(&bytes);
    let start = b.rodata(at);
    let start = b.address(start);
    Operand::Mem(Addr::ptr(b.add(start, offset)))
}

fn pton(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let text = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    let bytes = match (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>()) {
        (Ok(v4), _) => v4.octets().to_vec(),
        (_, Ok(v6)) => v6.octets().to_vec(),
        _ => {
            let d = Diagnostic::error("arg-value", args[0].span, format!("`{text}` is no address"));
            return c.fail(d.label("expected one like 192.0.2.1 or 2001:db8::1"));
        }
    };
    let ty = Ty::Array(Ty::U8.into(), bytes.len() as u32);
    let bytes = Expr::new(ExprKind::Str(bytes), Ty::Void, call.span);
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![bytes] }, ty, call.span)
}

/// `is_err(p)`: the kernel returns errors as pointers from -4095.
pub const IS_ERR: Builtin = Builtin {
    name: "is_err",
    aliases: &[],
    signature: "is_err(p: ptr) -> bool",
    is_unsafe: false,
    doc: "is a pointer that the kernel returned an error (-4095 to -1)?",
    example: "begin { print(is_err(-2)); exit(); }",
    check: Check::Signature,
    lower: Lower::Code(|b, _, args, _| {
        let p = b.pointer(&args[0]).0;
        Operand::Scalar(b.compare_imm(IntCC::UnsignedGreaterThanOrEqual, p, -4095))
    }),
};
