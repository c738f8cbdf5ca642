//! What a script prints and does outside of the kernel.

use super::{Builtin, Check, Lower, seq_file};
use crate::artifact::{EventKind, Format, Piece, Verb, percpu};
use crate::diagnostic::{Diagnostic, counted};
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::helper;
use crate::sema::{Call, Checker};
use crate::types::{Space, Ty};
use awl_grammar::ast;
use awl_grammar::span::Span;
use cranelift_codegen::ir::condcodes::IntCC;
use std::sync::Arc;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "printf",
        aliases: &[],
        signature: "printf(format: const string, ...) -> void",
        is_unsafe: false,
        doc: "prints as printf(3) does",
        example: "begin { printf(\"%d %s\\n\", pid, comm); exit(); }",
        check: Check::Custom(|c, call| format_call(c, call, EventKind::Printf)),
        lower: Lower::Code(seq_file::write),
    },
    Builtin {
        name: "errorf",
        aliases: &[],
        signature: "errorf(format: const string, ...) -> void",
        is_unsafe: false,
        doc: "prints an error with its place in the script",
        example: "begin { errorf(\"bad: %d\\n\", 1); exit(); }",
        check: Check::Custom(|c, call| format_call(c, call, EventKind::Errorf)),
        lower: Lower::Never,
    },
    Builtin {
        name: "warnf",
        aliases: &[],
        signature: "warnf(format: const string, ...) -> void",
        is_unsafe: false,
        doc: "prints a warning with its place in the script",
        example: "begin { warnf(\"odd: %d\\n\", 1); exit(); }",
        check: Check::Custom(|c, call| format_call(c, call, EventKind::Warnf)),
        lower: Lower::Never,
    },
    Builtin {
        name: "debugf",
        aliases: &[],
        signature: "debugf(format: const string, ...) -> void",
        is_unsafe: false,
        doc: "writes a line to the kernel's own trace (`cat /sys/kernel/tracing/trace_pipe`), with at most three arguments; before Linux 5.13 one string at most, and no percent sign",
        example: "begin { debugf(\"%d %s\\n\", pid, comm); exit(); }",
        check: Check::Custom(debugf),
        lower: Lower::Code(trace_line),
    },
    Builtin {
        name: "cat",
        aliases: &[],
        signature: "cat(path: const string, ...) -> void",
        is_unsafe: false,
        doc: "prints a file; the path is a format like that of printf",
        example: "begin { cat(\"/proc/loadavg\"); exit(); }",
        check: Check::Custom(|c, call| format_call(c, call, EventKind::Cat)),
        lower: Lower::Never,
    },
    Builtin {
        name: "system",
        aliases: &[],
        signature: "system(command: const string, ...) -> void",
        is_unsafe: true,
        doc: "runs a command by the shell; the command is a format like that of printf",
        example: "begin { system(\"date\"); exit(); }",
        check: Check::Custom(|c, call| format_call(c, call, EventKind::System)),
        lower: Lower::Never,
    },
    Builtin {
        name: "print",
        aliases: &[],
        signature: "print(value, top?: const int, div?: const int) -> void",
        is_unsafe: false,
        doc: "prints a value or a map; of a map only the `top` largest, numbers divided by `div`",
        example: "interval:s:1 { print(@); clear(@); exit(); } tracepoint:sched:sched_switch { @[comm] = count(); }",
        check: Check::Custom(print),
        lower: Lower::Code(seq_file::write),
    },
    Builtin {
        name: "print_stats",
        aliases: &[],
        signature: "print_stats() -> void",
        is_unsafe: false,
        doc: "prints what went missing so far: events, updates of full maps, reads, strings; of each probe the runs that were left out and the hits that the kernel did not hand on (kprobes, from Linux 6.7)",
        example: "kprobe:vfs_read { @[tid] = count(); } interval:s:1 { print_stats(); exit(); }",
        check: Check::Custom(|c, call| {
            if c.checked_args(call).is_none() {
                return Expr::error(call.span);
            }
            c.emit(EventKind::Losses, Vec::new(), call.span)
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "exit",
        aliases: &[],
        signature: "exit(code?: int) -> void",
        is_unsafe: false,
        doc: "ends the session, after `end` probes and the printing of maps",
        example: "interval:s:1 { exit(); }",
        check: Check::Custom(|c, call| {
            let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
            let args = args.into_iter().map(|a| c.to_int64(a)).collect();
            c.emit(EventKind::Exit, args, call.span)
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "join",
        aliases: &[],
        signature: "join(strings: ptr, delimiter?: const string) -> void",
        is_unsafe: false,
        doc: "prints the strings of an array of up to 16 pointers (an argv), with a blank or `delimiter` between them",
        example: "tracepoint:syscalls:sys_enter_execve { join(args.argv); }",
        check: Check::Custom(join),
        lower: Lower::Code(strings_of_join),
    },
];

/// The format as it is written, the same parsed, and the arguments behind it.
fn with_format(c: &mut Checker, call: &Call) -> Option<(Expr, Format, Vec<Expr>)> {
    let mut args = c.checked_args(call)?;
    let first = args.remove(0);
    let text = String::from_utf8_lossy(first.as_str().unwrap_or_default()).into_owned();
    let (format, problems) = crate::format::parse(&text);
    for p in problems {
        c.report(Diagnostic::warning("format", first.span, p.message).label("in this format"));
    }
    Some((first, format, args))
}

/// Another number of arguments than the format has conversions for.
fn miscounted(c: &mut Checker, call: &Call, format: (usize, Span), given: usize, expected: &str) -> Expr {
    let (wanted, at) = (counted(format.0 as u64, "conversion"), format.1);
    let d = Diagnostic::error("format-args", call.span, format!("the format has {wanted}, found {}", counted(given as u64, "argument")));
    c.fail(d.label(format!("expected {expected}")).because(at, format!("{wanted} here")))
}

fn format_call(c: &mut Checker, call: &Call, kind: fn(Arc<Format>) -> EventKind) -> Expr {
    let Some((first, format, args)) = with_format(c, call) else { return Expr::error(call.span) };
    let verbs: Vec<_> = format.verbs().cloned().collect();
    if verbs.len() != args.len() {
        return miscounted(c, call, (verbs.len(), first.span), args.len(), &counted(verbs.len() as u64, "argument"));
    }
    let mut out = Vec::with_capacity(args.len());
    for (verb, arg) in verbs.iter().zip(args) {
        match c.format_argument(&verb.conversion, arg) {
            Some(a) => out.push(a),
            None => return Expr::error(call.span),
        }
    }
    let kind = kind(Arc::new(format));
    if let (true, EventKind::Printf(format)) = (c.writes_file(), &kind) {
        return seq_file::checked(c, call, (first, format), out);
    }
    c.emit(kind, out, call.span)
}

/// Arguments that `bpf_trace_printk` takes.
const MOST_TRACED: usize = 3;

/// The kernel formats: its conversions are fewer, and everything but strings goes as 64 bits.
fn debugf(c: &mut Checker, call: &Call) -> Expr {
    let Some((first, format, args)) = with_format(c, call) else { return Expr::error(call.span) };
    let first = first.span;
    let (wanted, given) = (format.verbs().count(), args.len());
    if wanted != given || given > MOST_TRACED {
        let expected = if wanted > MOST_TRACED { format!("at most {MOST_TRACED} arguments") } else { counted(wanted as u64, "argument") };
        return miscounted(c, call, (wanted, first), given, &expected);
    }
    let mut kernel = String::new();
    let mut verbs = args.into_iter();
    let mut out = Vec::new();
    for piece in &format.pieces {
        let verb = match piece {
            Piece::Text(t) => {
                kernel += &t.replace('%', "%%");
                continue;
            }
            Piece::Verb(v) => v,
        };
        let Some(arg) = verbs.next().and_then(|a| c.format_argument(&verb.conversion, a)) else { return Expr::error(call.span) };
        let plain = *verb == Verb { conversion: verb.conversion.clone(), length: verb.length.clone(), ..Verb::default() };
        let (span, is_text) = (arg.span, matches!(arg.ty, Ty::Str(_)));
        match verb.conversion.as_str() {
            "s" if is_text && plain => {
                kernel += "%s";
                out.push(arg);
            }
            n @ ("d" | "i" | "u" | "x") if plain && arg.ty.is_scalar() => {
                kernel += "%ll";
                kernel += n;
                out.push(if arg.ty.is_int() { c.to_int64(arg) } else { arg });
            }
            "p" if plain && arg.ty.is_scalar() => {
                kernel += "0x%llx";
                out.push(arg);
            }
            _ => {
                let d = Diagnostic::error("format-type", span, format!("the kernel can't print a `{}` that way", arg.ty))
                    .label("expected %d, %i, %u, %x or %p of a number, or %s of a string, without a width")
                    .help("`printf` and `warnf` can");
                return c.fail(d);
            }
        }
    }
    // The kernel ends the line itself.
    let kernel = kernel.strip_suffix('\n').unwrap_or(&kernel);
    out.insert(0, Expr::new(ExprKind::Str(kernel.as_bytes().to_vec()), Ty::Str(kernel.len() as u32 + 1), first));
    Expr::new(ExprKind::Call { builtin: call.row, args: out }, Ty::Void, call.span)
}

fn trace_line(b: &mut Body, _: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let mut format = args[0].as_str().unwrap_or_default().to_vec();
    format.push(0);
    let size = format.len() as i64;
    let mut values = Vec::new();
    for a in &args[1..] {
        values.push(match a.ty {
            Ty::Str(_) => {
                let at = b.memory(a);
                b.address(at)
            }
            _ => b.scalar(a),
        });
    }
    let at = b.m.literal(&format);
    let at = b.rodata(at);
    let (at, size) = (b.address(at), b.int(size));
    values.splice(0..0, [at, size]);
    let r = b.helper(helper::TRACE_PRINTK, &values);
    let failed = b.compare_imm(IntCC::SignedLessThan, r, 0);
    b.when(failed, |b| b.helper_failed(percpu::HELPER_FAILED, helper::TRACE_PRINTK, r));
    Operand::None
}

impl Checker<'_> {
    /// A value that can be sent to the runtime and printed by this conversion.
    fn format_argument(&mut self, conversion: &str, e: Expr) -> Option<Expr> {
        let e = self.sendable(e)?;
        let ok = match conversion {
            "s" => !matches!(e.ty, Ty::Ptr(..)) && !matches!(e.ty, Ty::Int { .. }) || matches!(e.ty, Ty::Enum(_)),
            "r" | "rx" | "rh" => matches!(e.ty, Ty::Buf(_)),
            "gr" => e.ty.is_scalar(),
            "c" | "d" | "i" | "u" | "o" | "x" | "X" | "p" => {
                e.ty.is_scalar() || matches!(e.ty, Ty::Ksym | Ty::Usym | Ty::Username | Ty::Stack { .. })
            }
            _ => true,
        };
        if ok {
            return Some(e);
        }
        let d = Diagnostic::error("format-type", e.span, format!("`%{conversion}` of a `{}`", e.ty));
        let d = match (&e.ty, conversion) {
            (Ty::Int { bytes: 8, .. }, "s") => d
                .label("expected a string, found a number")
                .help("print numbers with `%d`; where it is the address of a string: `str(...)`"),
            (Ty::Int { .. }, "s") => d.label("expected a string, found a number").help("print numbers with `%d`"),
            (Ty::Ptr(..), "s") => d.label("expected a string, found a pointer").help("read the string that it points to: `str(...)`"),
            (Ty::Str(_), _) => d.label("expected a number, found a string").help("print strings with `%s`"),
            (_, "r" | "rx" | "rh") => d.label("expected a buffer").help("make one with `buf(...)`"),
            _ => d.label("this conversion can't print it").help("print it with `%s`"),
        };
        self.report(d);
        None
    }

    /// Aggregations are sent as their number, pointers into the context as addresses.
    fn sendable(&mut self, e: Expr) -> Option<Expr> {
        let e = if matches!(e.ty, Ty::Agg(_)) { self.to_int64(e) } else { e };
        if e.is_error() {
            return None;
        }
        if e.ty == Ty::Void {
            self.report(Diagnostic::error("no-value", e.span, "this has no value").label("expected something to print"));
            return None;
        }
        let ty = self.stored_type(&e.ty);
        if ty != e.ty {
            let span = e.span;
            return Some(Expr::new(ExprKind::Cast(Box::new(e)), ty, span));
        }
        Some(e)
    }
}

fn print(c: &mut Checker, call: &Call) -> Expr {
    let constant = |c: &mut Checker, i: usize| -> Option<Expr> {
        match call.ast(i) {
            None => Some(Expr::int(0, Ty::I64, call.span)),
            Some(e) => {
                let e = c.expr(e);
                match e.as_int() {
                    Some(v) if v >= 0 => Some(Expr::int(v, Ty::I64, e.span)),
                    _ if e.is_error() => None,
                    _ => {
                        let (what, found) = (
                            ["map", "top", "div"][i],
                            match e.as_int() {
                                Some(v) => v.to_string(),
                                None if e.ty.is_scalar() => "one that is known only at run time".into(),
                                None => format!("`{}`", e.ty),
                            },
                        );
                        c.report(
                            Diagnostic::error("arg-type", e.span, format!("`{what}` of `print` is a constant number, found {found}"))
                                .label("expected a constant from 0")
                                .note(call.row.signature),
                        );
                        None
                    }
                }
            }
        }
    };
    if call.args.is_empty() || call.args.len() > 3 {
        c.checked_args(call);
        return Expr::error(call.span);
    }
    if let Some((name, span)) = call.map(0) {
        let map = c.map_id(name, span);
        c.maps[map].read.get_or_insert(span);
        let (Some(top), Some(div)) = (constant(c, 1), constant(c, 2)) else { return Expr::error(call.span) };
        return c.emit(EventKind::PrintMap(map), vec![top, div], call.span);
    }
    if call.args.len() > 1 {
        let d =
            Diagnostic::error("arg-count", call.span, "`top` and `div` are for maps").label("this is not a map").note(call.row.signature);
        return c.fail(d);
    }
    let Some(a) = call.ast(0) else {
        c.checked_args(call);
        return Expr::error(call.span);
    };
    let e = match &a.kind {
        // All of them, with what they are called, as `*args`.
        ast::ExprKind::Name(name) if name == "args" => c.arguments(a.span),
        _ => c.expr(a),
    };
    // A header as its fields; its place in the packet tells nobody anything.
    let e = match &e.ty {
        Ty::Ptr(to, Space::Packet) if matches!(**to, Ty::Record(_)) => {
            let (ty, span) = ((**to).clone(), e.span);
            Expr::new(ExprKind::Deref(Box::new(e)), ty, span)
        }
        _ => e,
    };
    if let (ast::ExprKind::MapIndex { .. }, ExprKind::MapGet { map, keys }) = (&a.kind, &e.kind) {
        let (map, keys) = (*map, keys.clone());
        if let Ty::Agg(_) = e.ty {
            let key =
                Expr::new(ExprKind::Tuple(keys.clone()), Ty::Tuple(keys.iter().map(|k| k.ty.clone()).collect::<Vec<_>>().into()), e.span);
            return c.emit(EventKind::PrintMapItem(map), vec![key], call.span);
        }
    }
    match c.sendable(e) {
        Some(e) if c.writes_file() => seq_file::line(c, call, e),
        Some(e) => c.emit(EventKind::PrintValue, vec![e], call.span),
        None => Expr::error(call.span),
    }
}

/// `join` sends up to this many strings.
const JOIN_STRINGS: u32 = 16;

fn join(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let delimiter = args.get(1).and_then(Expr::as_str).map_or(" ".into(), |s| String::from_utf8_lossy(s).into_owned());
    let Some(argv) = args.into_iter().next() else { return Expr::error(call.span) };
    let size = c.options.config.strlen().min(1024);
    let strings = std::iter::repeat_n(Ty::Str(size), JOIN_STRINGS as usize);
    let ty = Ty::Tuple(std::iter::once(Ty::I64).chain(strings).collect());
    let all = Expr::new(ExprKind::Call { builtin: call.row, args: vec![argv] }, ty, call.span);
    c.emit(EventKind::Join { delimiter }, vec![all], call.span)
}

/// The strings of an array of pointers up to a null pointer, behind their number.
fn strings_of_join(b: &mut Body, e: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    let to = b.place_or(into, e.ty.size());
    let (argv, space) = b.pointer(&args[0]);
    let user = !matches!(space, Space::Kernel | Space::Btf | Space::Ctx);
    b.store_imm(0, to, 8);
    let done = b.block();
    let Ty::Tuple(parts) = &e.ty else { return Operand::None };
    let size = parts.last().map_or(0, Ty::size);
    for (i, at) in e.ty.tuple_offsets().into_iter().skip(1).enumerate() {
        let p = b.read_pointer(argv, 8 * i as i64, user);
        let more = b.block();
        b.branch_if(IntCC::NotEqual, p, 0, more, done);
        b.enter(more);
        b.read_string(p, if user { Space::User } else { Space::Kernel }, to.at(at), size);
        b.store_imm(i as i64 + 1, to, 8);
    }
    b.jump(done);
    b.enter(done);
    Operand::Mem(to)
}
