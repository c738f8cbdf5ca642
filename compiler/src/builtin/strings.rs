//! Strings and bytes.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::packet::bytes::points_into;
use crate::sema::{Call, Checker};
use crate::types::{Space, Ty};
use awl_grammar::ast;
use cranelift_codegen::ir::InstBuilder;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "str",
        aliases: &[],
        signature: "str(p: ptr, len?: int) -> string",
        is_unsafe: false,
        doc: "the NUL-terminated string that a pointer points to, at most `len` bytes with its NUL; of a packet (`str(payload + 5, $len)`) the text of `len` bytes, or of those that there are",
        example: "tracepoint:syscalls:sys_enter_openat { printf(\"%s\\n\", str(args.filename)); }",
        check: Check::Custom(str_check),
        lower: Lower::Code(str_lower),
    },
    Builtin {
        name: "buf",
        aliases: &[],
        signature: "buf(p: ptr, len?: int) -> buffer",
        is_unsafe: false,
        doc: "bytes that a pointer points to; printed with `%r`, `%rx`, `%rh`",
        example: "tracepoint:syscalls:sys_enter_write { printf(\"%r\\n\", buf(args.buf, 16)); }",
        check: Check::Custom(buf_check),
        lower: Lower::Padded(buf_lower),
    },
    Builtin {
        name: "strncmp",
        aliases: &[],
        signature: "strncmp(a: string, b: string, n: const int) -> int64",
        is_unsafe: false,
        doc: "0 if the first `n` bytes of two strings are the same, else 1",
        example: "tracepoint:sched:sched_switch /strncmp(comm, \"kwork\", 5) == 0/ { @ = count(); }",
        check: Check::Custom(strncmp_check),
        lower: Lower::Code(|b, _, args, _| {
            let n = args[2].as_int().unwrap_or(0).clamp(0, i64::from(u32::MAX)) as u32;
            let same = match (args[0].as_str(), args[1].as_str()) {
                (_, Some(s)) => b.equals_literal(&args[0], s, Some(n)),
                (Some(s), _) => b.equals_literal(&args[1], s, Some(n)),
                _ => b.equal_strings(&args[0], &args[1], n),
            };
            Operand::Scalar(b.compare_imm(cranelift_codegen::ir::condcodes::IntCC::Equal, same, 0))
        }),
    },
    Builtin {
        name: "strlen",
        aliases: &[],
        signature: "strlen(s: string) -> int64",
        is_unsafe: false,
        doc: "bytes of a string",
        example: "begin { print(strlen(\"abc\")); exit(); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.string_len(&args[0]))),
    },
    Builtin {
        name: "bswap",
        aliases: &[],
        signature: "bswap(n: int) -> int",
        is_unsafe: false,
        doc: "the bytes of an integer in the opposite order",
        example: "begin { printf(\"%x\\n\", bswap((uint16)0x1234)); exit(); }",
        check: Check::Custom(|c, call| {
            let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
            // A literal by itself is as small as it can be.
            if let (Some(ast::ExprKind::Int { value, .. }), Some(n)) = (call.ast(0).map(|a| &a.kind), args[0].as_int()) {
                let bits = u64::BITS - value.leading_zeros();
                let bytes = bits.div_ceil(8).max(1).next_power_of_two() as u8;
                args[0] = Expr::int(n, Ty::Int { bytes, signed: false }, args[0].span);
            }
            let ty = Ty::Int { bytes: args[0].ty.size() as u8, signed: false };
            Expr::new(ExprKind::Call { builtin: call.row, args }, ty, call.span)
        }),
        lower: Lower::Code(|b, e, args, _| {
            let v = b.scalar(&args[0]);
            Operand::Scalar(b.swap_bytes(v, e.ty.size()))
        }),
    },
    Builtin {
        name: "ntop",
        aliases: &[],
        signature: "ntop(af, address?) -> inet",
        is_unsafe: false,
        doc: "an IPv4 or IPv6 address as text",
        example: "begin { printf(\"%s\\n\", ntop(0x0100007f)); exit(); }",
        check: Check::Custom(ntop_check),
        lower: Lower::Code(ntop_lower),
    },
    Builtin {
        name: "macaddr",
        aliases: &[],
        signature: "macaddr(p: ptr) -> mac_address",
        is_unsafe: false,
        doc: "a hardware address as text",
        example: "uprobe:libc:puts { printf(\"%s\\n\", macaddr(arg0)); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, args, into| {
            let to = b.place_or(into, 6);
            b.read_memory(&args[0], to, 6);
            Operand::Mem(to)
        }),
    },
    Builtin {
        name: "cgroup_path",
        aliases: &[],
        signature: "cgroup_path(id: int, filter?: const string) -> cgroup_path_t",
        is_unsafe: false,
        doc: "path of a cgroup by its id, below mount points that match the filter",
        example: "interval:s:1 { print(cgroup_path(cgroup)); exit(); }",
        check: Check::Custom(|c, call| {
            let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
            let filter = args.get(1).and_then(Expr::as_str).map_or(String::new(), |s| String::from_utf8_lossy(s).into_owned());
            let id = c.string(&filter);
            args.truncate(1);
            args.push(Expr::int(i64::from(id), Ty::U32, call.span));
            Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::CgroupPath, call.span)
        }),
        lower: Lower::Code(|b, _, args, into| {
            let id = b.scalar(&args[0]);
            let to = b.place_or(into, 16);
            b.store(id, to, 8);
            b.store_imm(args[1].as_int().unwrap_or(0), to.at(8), 8);
            Operand::Mem(to)
        }),
    },
];

/// The largest string or buffer that a value can be.
const MOST: i64 = 1 << 20;

fn str_check(c: &mut Checker, call: &Call) -> Expr {
    // A positional parameter is text here, whatever it looks like.
    if let Some(text) = call.ast(0).and_then(|e| parameter_text(c, e)) {
        let len = call.ast(1).map(|n| c.expr(n));
        let Some(capacity) = string_capacity(c, len.as_ref()) else { return Expr::error(call.span) };
        return match len {
            Some(n) if n.is_error() => n,
            Some(n) if n.as_int().is_none() => {
                let text = c.string_literal(&text, call.span);
                let n = c.to_int64(n);
                Expr::new(ExprKind::Call { builtin: call.row, args: vec![text, n] }, Ty::Str(capacity), call.span)
            }
            _ => c.string_literal(cut(&text, capacity), call.span),
        };
    }
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let Some(capacity) = string_capacity(c, args.get(1)) else { return Expr::error(call.span) };
    // What is a string already stays one.
    if let ExprKind::Str(s) = &args[0].kind
        && args.get(1).is_none_or(|n| n.as_int().is_some())
    {
        return c.string_literal(cut(s, capacity), call.span);
    }
    if let Ty::Str(_) = args[0].ty
        && args.len() == 1
    {
        return args.into_iter().next().unwrap_or_else(|| Expr::error(call.span));
    }
    // In a packet no NUL is behind a text: the length is that of the text alone.
    let known = args.get(1).is_some_and(|n| n.as_int().is_some());
    let capacity = if points_into(&args[0]) && known { capacity + 1 } else { capacity };
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Str(capacity), call.span)
}

/// Bytes of a string of at most `len` bytes, NUL included.
fn string_capacity(c: &mut Checker, len: Option<&Expr>) -> Option<u32> {
    let max = c.options.config.max_strlen.max(1);
    match len.and_then(Expr::as_int) {
        None => Some(c.options.config.strlen()),
        Some(v) if (0..=MOST).contains(&v) => Some((v as u32).clamp(1, max)),
        Some(v) => {
            let span = len.map(|n| n.span).unwrap_or_default();
            let d = Diagnostic::error("arg-value", span, format!("a string of {v} bytes")).label(format!("expected 0 to {MOST}"));
            c.report(d);
            None
        }
    }
}

/// What fits into `capacity` bytes beside a NUL.
fn cut(text: &[u8], capacity: u32) -> &[u8] {
    &text[..text.len().min(capacity.saturating_sub(1) as usize)]
}

/// The text of `$1`, or of `$1 + 2` from its third byte on.
fn parameter_text(c: &Checker, e: &ast::Expr) -> Option<Vec<u8>> {
    match &e.kind {
        ast::ExprKind::Param(n) => {
            let text = c.options.params.get((*n as usize).wrapping_sub(1));
            Some(text.map_or(Vec::new(), |t| t.clone().into_bytes()))
        }
        ast::ExprKind::Binary(ast::BinOp::Add, a, b) => match (&a.kind, &b.kind) {
            (ast::ExprKind::Param(_), ast::ExprKind::Int { value, .. }) => {
                parameter_text(c, a)?.get(usize::try_from(*value).ok()?..).map(<[u8]>::to_vec)
            }
            _ => None,
        },
        _ => None,
    }
}

fn str_lower(b: &mut Body, e: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    let to = b.place_or(into, e.ty.size());
    if points_into(&args[0]) {
        let most = e.ty.size() - 1;
        let n = match args.get(1) {
            Some(n) if n.as_int().is_none() => b.scalar(n),
            _ => b.int(most.into()),
        };
        let (from, n) = b.packet_copy(&args[0], n, most, e.span);
        let with_nul = b.add_imm(n, 1);
        let room = b.int(i64::from(most) + 1);
        let with_nul = b.b.ins().umin(with_nul, room);
        b.read_string_of(from, Space::Kernel, to, with_nul);
        return Operand::Mem(to);
    }
    let (from, space) = b.pointer(&args[0]);
    let space = b.space_of_address(space);
    match args.get(1) {
        Some(n) if n.as_int().is_none() => {
            // NUL included, and never more than there is room for.
            let n = b.scalar(n);
            let least = b.int(1);
            let n = b.b.ins().umax(n, least);
            let most = b.int(i64::from(e.ty.size()));
            let n = b.b.ins().umin(n, most);
            b.read_string_of(from, space, to, n);
        }
        _ => {
            b.read_string(from, space, to, e.ty.size());
        }
    }
    Operand::Mem(to)
}

fn buf_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    let max = c.options.config.max_strlen;
    // As a string it ends at its first NUL, as bytes it doesn't.
    let literal = match call.ast(0).map(|a| &a.kind) {
        Some(ast::ExprKind::Str(bytes)) => Some(bytes.clone()),
        _ => None,
    };
    let known = match &args[0].ty {
        _ if literal.is_some() => literal.as_ref().map(|l| l.len() as u32 + 1),
        Ty::Array(..) | Ty::Str(_) => Some(args[0].ty.size()),
        _ => None,
    };
    let capacity = match (args.get(1).map(|n| n.as_int()), known) {
        (Some(Some(v)), _) if (0..=MOST).contains(&v) => (v as u32).clamp(1, max),
        (Some(Some(v)), _) => {
            let span = args[1].span;
            let d = Diagnostic::error("arg-value", span, format!("a buffer of {v} bytes")).label(format!("expected 0 to {MOST}"));
            return c.fail(d);
        }
        (Some(None), _) => c.options.config.strlen(),
        (None, Some(n)) => n.min(max),
        (None, None) => {
            let d = Diagnostic::error("arg-count", call.span, "`buf` of a pointer needs a length")
                .label("expected two arguments")
                .help("for instance: buf(args.buf, args.count)");
            return c.fail(d);
        }
    };
    if let Some(mut bytes) = literal {
        bytes.resize(bytes.len().max(capacity as usize), 0);
        let ty = Ty::Array(std::sync::Arc::new(Ty::Int { bytes: 1, signed: false }), bytes.len() as u32);
        args[0] = Expr::new(ExprKind::Bytes(bytes), ty, args[0].span);
    }
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Buf(capacity), call.span)
}

/// `{ u32 len; u8 data[] }`
fn buf_lower(b: &mut Body, e: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    let Ty::Buf(capacity) = e.ty else { return Operand::None };
    let seen = std::mem::take(&mut b.seen_only);
    let to = b.place_or(into, e.ty.size());
    if args.get(1).is_some_and(|n| n.as_int() == Some(0)) {
        b.zero(to, e.ty.size());
        return Operand::Mem(to);
    }
    let counted = args.get(1).is_some_and(|n| n.as_int().is_none());
    // Equal ones are equal bytes, also behind their ends.
    if !seen && (counted || points_into(&args[0])) {
        b.zero(to, e.ty.size());
    }
    let n = match args.get(1) {
        Some(n) if counted => {
            let n = b.scalar(n);
            let most = b.int(i64::from(capacity));
            b.b.ins().umin(n, most)
        }
        // A buffer has room for a byte even where none is asked for.
        n => b.int(n.and_then(Expr::as_int).map_or(i64::from(capacity), |n| n.min(i64::from(capacity)))),
    };
    let (from, space, n) = if points_into(&args[0]) {
        let (from, n) = b.packet_copy(&args[0], n, capacity, e.span);
        (from, Space::Kernel, n)
    } else {
        let (from, space) = b.pointer(&args[0]);
        (from, b.space_of_address(space), n)
    };
    let ok = b.read_bytes_of(from, space, to.at(4), n);
    let zero = b.int(0);
    let len = b.select(ok, n, zero);
    b.store(len, to, 4);
    Operand::Mem(to)
}

const AF_INET6: i64 = 10;

fn strncmp_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if let Some(n) = args.get(2).filter(|n| n.as_int().is_some_and(|n| n < 0)) {
        return c.fail(Diagnostic::error("arg-value", n.span, "a negative number of bytes").label("expected a constant from 0"));
    }
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::I64, call.span)
}

/// `ntop(address)` by the size of the address, `ntop(family, address)`.
fn ntop_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    let Some(address) = args.pop() else { return Expr::error(call.span) };
    let address = if matches!(address.ty, Ty::Record(_)) { c.one_value(address) } else { address };
    // Arrays of `char` are strings by their type; a text is none.
    let text = args.iter().chain([&address]).any(|a| a.as_str().is_some());
    let ok = !text && matches!(&address.ty, Ty::Int { .. } | Ty::Ptr(..) | Ty::Str(_) | Ty::Ipv4 | Ty::Ipv6)
        || matches!(&address.ty, Ty::Array(t, n) if t.size() * n == 16 || t.size() * n == 4);
    if !ok {
        let d = Diagnostic::error("arg-type", address.span, format!("`{}` is no address", address.ty))
            .label("expected an integer, or an array of 4 or 16 bytes");
        return c.fail(d);
    }
    args.push(address);
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Inet, call.span)
}

/// `{ u32 af; u8 address[16]; u32 pad }` with `af` 4 or 6
fn ntop_lower(b: &mut Body, _: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    let to = b.place_or(into, 24);
    b.zero(to, 24);
    let address = &args[args.len() - 1];
    let wide = matches!(&address.ty, Ty::Array(t, n) if t.size() * n == 16) || matches!(address.ty, Ty::Str(16) | Ty::Ipv6);
    if args.len() == 2 {
        let af = b.scalar(&args[0]);
        let (four, six) = (b.int(4), b.int(6));
        let is_six = b.compare_imm(cranelift_codegen::ir::condcodes::IntCC::Equal, af, AF_INET6);
        let v = b.select(is_six, six, four);
        b.store(v, to, 4);
    } else {
        b.store_imm(if wide { 6 } else { 4 }, to, 4);
    }
    match &address.ty {
        Ty::Int { .. } | Ty::Ipv4 => {
            let v = b.scalar(address);
            b.store(v, to.at(4), 4);
        }
        Ty::Ipv6 => {
            let from = b.memory(address);
            b.copy(to.at(4), from, 16);
        }
        Ty::Array(t, n) => b.read_memory(address, to.at(4), (t.size() * n).min(16)),
        Ty::Str(n) => b.read_memory(address, to.at(4), (*n).min(16)),
        Ty::Ptr(..) if args.len() == 2 => b.read_memory(address, to.at(4), 16),
        _ => b.read_memory(address, to.at(4), 4),
    }
    Operand::Mem(to)
}

/// Where an address without a type points in this probe.
impl Body<'_> {
    pub(crate) fn space_of_address(&self, space: Space) -> Space {
        match (space, &self.probe.context) {
            (Space::Unknown, crate::hir::Context::Registers { user: true, .. } | crate::hir::Context::Static(_)) => Space::User,
            (Space::Unknown, _) => Space::Kernel,
            (s, _) => s,
        }
    }
}
