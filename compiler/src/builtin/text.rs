//! Searching and cutting strings. What is searched is copied to scratch memory once, which also says how long it is; the
//! search is a loop of the kernel (`bpf_loop`), so that the verifier looks at one turn, whatever the length.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::sema::{Call, Checker};
use crate::types::Ty;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// A row whose result is a string or number made of strings.
macro_rules! row {
    ($name:literal, $signature:literal, $doc:literal, $example:literal, $check:expr, $lower:expr) => {
        Builtin {
            name: $name,
            aliases: &[],
            signature: $signature,
            is_unsafe: false,
            doc: $doc,
            example: $example,
            check: $check,
            lower: Lower::Code($lower),
        }
    };
}

pub const ROWS: &[Builtin] = &[
    row!(
        "strstr",
        "strstr(haystack: string, needle: string) -> int64",
        "where in `haystack` `needle` first occurs, from 0; -1 where it does not",
        "begin { print(strstr(\"tracing\", \"in\")); exit(); }",
        Check::Custom(short_needle),
        |b, _, args, _| Operand::Scalar(find(b, &args[0], &args[1]))
    ),
    row!(
        "strcontains",
        "strcontains(haystack: string, needle: string) -> bool",
        "does `needle` occur in `haystack`?",
        "tracepoint:sched:sched_switch /strcontains(args.next_comm, \"work\")/ { @ = count(); }",
        Check::Custom(short_needle),
        |b, _, args, _| {
            let at = find(b, &args[0], &args[1]);
            Operand::Scalar(b.compare_imm(IntCC::SignedGreaterThanOrEqual, at, 0))
        }
    ),
    row!(
        "starts_with",
        "starts_with(s: string, prefix: string) -> bool",
        "does `s` begin with `prefix`?",
        "tracepoint:sched:sched_switch /starts_with(args.next_comm, \"kworker\")/ { @ = count(); }",
        Check::Signature,
        |b, _, args, _| match args[1].as_str() {
            Some(prefix) => Operand::Scalar(b.equals_literal(&args[0], prefix, Some(prefix.len() as u32))),
            None => Operand::Scalar(same_part(b, &args[0], &args[1], false)),
        }
    ),
    row!(
        "ends_with",
        "ends_with(s: string, suffix: string) -> bool",
        "does `s` end with `suffix`?",
        "tracepoint:syscalls:sys_enter_openat /ends_with(str(args.filename), \".so\")/ { @ = count(); }",
        Check::Signature,
        |b, _, args, _| Operand::Scalar(same_part(b, &args[0], &args[1], true))
    ),
    row!(
        "substr",
        "substr(s: string, start: int, len?: int) -> string",
        "the part of `s` from byte `start` (from 0; below 0 counted from the end), `len` bytes of it or all the rest",
        "begin { print(substr(\"tracing\", 1, 3)); exit(); }",
        Check::Custom(|c, call| cut(c, call, |args| args.get(2).and_then(Expr::as_int))),
        substr
    ),
    row!(
        "field",
        "field(s: string, separator: const string, n: const int) -> string",
        "the `n`th part (from 0; -1 is the last) of `s` between separators of one byte; empty where there are not so many",
        "begin { print(field(\"/usr/bin/ls\", \"/\", -1)); exit(); }",
        Check::Custom(field_check),
        field
    ),
    row!(
        "basename",
        "basename(path: string) -> string",
        "what follows the last `/` of a path",
        "tracepoint:syscalls:sys_enter_openat { @[basename(str(args.filename))] = count(); }",
        Check::Custom(|c, call| cut(c, call, |_| None)),
        |b, e, args, _| {
            let (s, len) = b.string_copy(&args[0]);
            let slash = b.int(i64::from(b'/'));
            let start = after_last(b, s, len, args[0].ty.size(), slash);
            part(b, e, s, args[0].ty.size(), start, len)
        }
    ),
    row!(
        "str_concat",
        "str_concat(a: string, b: string) -> string",
        "one string after the other",
        "begin { print(str_concat(comm, \"!\")); exit(); }",
        Check::Custom(concat_check),
        concat
    ),
    row!(
        "hash",
        "hash(value) -> uint64",
        "a number of 64 bits that stands for a number or a string: the same for the same value, in every run",
        "begin { print(hash(\"abc\") == hash(\"abc\")); exit(); }",
        Check::Custom(hash_check),
        hash
    ),
    row!(
        "strcap",
        "strcap(s) -> int64",
        "bytes that a string or an array has room for; of a pointer, bytes of the string that it points to",
        "begin { print(strcap(comm)); exit(); }",
        Check::Custom(capacity),
        |b, _, args, _| Operand::Scalar(b.string_len(&args[0]))
    ),
];

/// The longest needle that is searched for; comparing it is a loop that the verifier walks.
const LONGEST_NEEDLE: u32 = 4096;

fn short_needle(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if args[1].ty.size() > LONGEST_NEEDLE {
        let d = Diagnostic::error("arg-value", args[1].span, format!("a string of up to {} bytes to search for", args[1].ty.size()))
            .label(format!("expected at most {LONGEST_NEEDLE} bytes"))
            .help("take a shorter one: `str(p, 256)`");
        return c.fail(d);
    }
    let ty = if call.row.name == "strstr" { Ty::I64 } else { Ty::Bool };
    Expr::new(ExprKind::Call { builtin: call.row, args }, ty, call.span)
}

/// A result with the capacity of the first argument, or less where a constant says so.
fn cut(c: &mut Checker, call: &Call, most: fn(&[Expr]) -> Option<i64>) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let capacity = args[0].ty.size();
    let capacity = match most(&args) {
        Some(n) => capacity.min(n.clamp(0, i64::from(u32::MAX) - 1) as u32 + 1),
        None => capacity,
    };
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Str(capacity.max(1)), call.span)
}

fn field_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if args[1].as_str().is_none_or(|s| s.len() != 1) {
        let d = Diagnostic::error("arg-value", args[1].span, "`separator` of `field` is one byte")
            .label("expected one byte, for instance \"/\"");
        return c.fail(d);
    }
    let ty = Ty::Str(args[0].ty.size().max(1));
    Expr::new(ExprKind::Call { builtin: call.row, args }, ty, call.span)
}

fn hash_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    let e = args.remove(0);
    let e = match &e.ty {
        Ty::Str(_) => e,
        t if t.is_scalar() => c.to_int64(e),
        t => {
            let d = Diagnostic::error("arg-type", e.span, format!("`hash` of a `{t}`")).label("expected a number or a string");
            return c.fail(d);
        }
    };
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![e] }, Ty::U64, call.span)
}

/// FNV-1a over the bytes of a string.
fn hash(b: &mut Body, _: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    if !matches!(args[0].ty, Ty::Str(_)) {
        let v = b.scalar(&args[0]);
        return Operand::Scalar(crate::agg::distinct::mix_in(b, v));
    }
    let (s, len) = b.string_copy(&args[0]);
    let size = args[0].ty.size();
    let (at, start) = (b.address(s), b.int(0xcbf2_9ce4_8422_2325_u64 as i64));
    let words = b.repeat(len, &[start, at], |b, i, words| {
        let (so_far, s) = (b.load(words, 8, false), b.load(words.at(8), 8, false));
        let p = byte(b, s, i, size);
        let c = b.load(p, 1, false);
        let mixed = b.b.ins().bxor(so_far, c);
        let next = b.mul_imm(mixed, 0x100_0000_01b3);
        b.store(next, words, 8);
        b.int(0)
    });
    Operand::Scalar(b.load(words, 8, false))
}

fn concat_check(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let both = args[0].ty.size() + args[1].ty.size();
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Str(both.saturating_sub(1).max(1)), call.span)
}

fn capacity(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    match &args[0].ty {
        Ty::Str(n) | Ty::Array(_, n) => Expr::int(i64::from(*n), Ty::I64, call.span),
        Ty::Ptr(to, _) if matches!(**to, Ty::Int { bytes: 1, .. }) => {
            let size = c.options.config.strlen();
            let Some(row) = super::find("str") else { return Expr::error(call.span) };
            let text = Expr::new(ExprKind::Call { builtin: row, args }, Ty::Str(size), call.span);
            Expr::new(ExprKind::Call { builtin: call.row, args: vec![text] }, Ty::I64, call.span)
        }
        t => {
            let d = Diagnostic::error("arg-type", args[0].span, format!("`strcap` of a `{t}`"))
                .label("expected a string, an array or a pointer to characters");
            c.fail(d)
        }
    }
}

/// An address `index` bytes behind one, within `capacity` by data flow, as the verifier wants it.
fn byte(b: &mut Body, start: Value, index: Value, capacity: u32) -> Addr {
    let last = b.int(i64::from(capacity.max(1)) - 1);
    let index = b.b.ins().umin(index, last);
    Addr::ptr(b.add(start, index))
}

const FOUND: u32 = 0;

fn find(b: &mut Body, haystack: &Expr, needle: &Expr) -> Value {
    let (hay, hay_len) = b.string_copy(haystack);
    let (size, needle_size) = (haystack.ty.size(), needle.ty.size());
    let constant = needle.as_str().map(<[u8]>::to_vec);
    let (pin, pin_len) = match &constant {
        Some(s) if s.is_empty() => return b.int(0),
        Some(s) if s.len() as u32 >= size => return b.int(-1),
        Some(s) => (b.int(0), b.int(s.len() as i64)),
        None => {
            let (at, len) = b.string_copy(needle);
            (b.address(at), len)
        }
    };
    let hay = b.address(hay);
    let starts = b.b.ins().isub(hay_len, pin_len);
    let starts = b.add_imm(starts, 1);
    let zero = b.int(0);
    let starts = b.b.ins().smax(starts, zero);
    let none = b.int(-1);
    let words = b.repeat(starts, &[none, hay, pin, pin_len], |b, i, words| {
        let hay = b.load(words.at(8), 8, false);
        let same = match constant {
            Some(s) => {
                let at = byte(b, hay, i, size - s.len() as u32);
                b.equal_to_bytes(at, &s)
            }
            None => {
                let (pin, len) = (b.load(words.at(16), 8, false), b.load(words.at(24), 8, false));
                same_bytes(b, (hay, i, size), (pin, needle_size), len)
            }
        };
        b.when(same, |b| b.store(i, words.at(FOUND), 8));
        same
    });
    b.load(words.at(FOUND), 8, false)
}

/// Are `len` bytes of one string from `start` those of another? A loop that the verifier walks.
fn same_bytes(b: &mut Body, (x, start, x_size): (Value, Value, u32), (y, y_size): (Value, u32), len: Value) -> Value {
    let (head, inside, next, done) = (b.block(), b.block(), b.block(), b.block());
    let result = b.b.append_block_param(done, cranelift_codegen::ir::types::I64);
    let j = b.b.declare_var(cranelift_codegen::ir::types::I64);
    let (zero, one) = (b.int(0), b.int(1));
    b.b.def_var(j, zero);
    let most = b.int(i64::from(y_size));
    let len = b.b.ins().umin(len, most);
    b.jump(head);
    b.enter(head);
    let at = b.b.use_var(j);
    let more = b.b.ins().icmp(IntCC::UnsignedLessThan, at, len);
    b.b.ins().brif(more, inside, &[], done, &[one.into()]);
    b.enter(inside);
    let from = b.add(start, at);
    let (p, q) = (byte(b, x, from, x_size), byte(b, y, at, y_size));
    let (c, d) = (b.load(p, 1, false), b.load(q, 1, false));
    let equal = b.b.ins().icmp(IntCC::Equal, c, d);
    b.b.ins().brif(equal, next, &[], done, &[zero.into()]);
    b.enter(next);
    let up = b.add_imm(at, 1);
    b.b.def_var(j, up);
    b.jump(head);
    b.enter(done);
    result
}

/// Does a string begin (or end) with another?
fn same_part(b: &mut Body, s: &Expr, part: &Expr, at_end: bool) -> Value {
    let ((x, x_len), (y, y_len)) = (b.string_copy(s), b.string_copy(part));
    let (x, y) = (b.address(x), b.address(y));
    let (x_size, y_size) = (s.ty.size(), part.ty.size());
    let start = b.b.ins().isub(x_len, y_len);
    let fits = b.compare_imm(IntCC::SignedGreaterThanOrEqual, start, 0);
    let zero = b.int(0);
    let start = if at_end { start } else { zero };
    let turns = b.select(fits, y_len, zero);
    let words = b.repeat(turns, &[fits, x, y, start], |b, i, words| {
        let (x, y, start) = (b.load(words.at(8), 8, false), b.load(words.at(16), 8, false), b.load(words.at(24), 8, false));
        let from = b.add(start, i);
        let (p, q) = (byte(b, x, from, x_size), byte(b, y, i, y_size));
        let (c, d) = (b.load(p, 1, false), b.load(q, 1, false));
        let differs = b.compare(IntCC::NotEqual, c, d);
        b.when(differs, |b| b.store_imm(0, words, 8));
        differs
    });
    b.load(words, 8, false)
}

/// The bytes of `s` from `start` to `end` as the string that `e` is.
fn part(b: &mut Body, e: &Expr, s: Addr, size: u32, start: Value, end: Value) -> Operand {
    let to = b.scratch_memory(e.ty.size());
    let len = b.b.ins().isub(end, start);
    let zero = b.int(0);
    let len = b.b.ins().smax(len, zero);
    let room = b.add_imm(len, 1);
    let most = b.int(i64::from(e.ty.size()));
    let room = b.b.ins().umin(room, most);
    let from = b.address(s);
    let from = byte(b, from, start, size);
    let from = b.address(from);
    b.read_string_of(from, crate::types::Space::Kernel, to, room);
    Operand::Mem(to)
}

fn substr(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let (s, len) = b.string_copy(&args[0]);
    let zero = b.int(0);
    let start = b.scalar(&args[1]);
    let start = if args[1].ty.is_signed() {
        let from_end = b.add(len, start);
        let negative = b.compare_imm(IntCC::SignedLessThan, start, 0);
        let start = b.select(negative, from_end, start);
        b.b.ins().smax(start, zero)
    } else {
        start
    };
    let start = b.b.ins().umin(start, len);
    let end = match args.get(2) {
        Some(n) => {
            let n = b.scalar(n);
            let n = b.b.ins().smax(n, zero);
            let n = b.b.ins().umin(n, len);
            let end = b.add(start, n);
            b.b.ins().umin(end, len)
        }
        None => len,
    };
    part(b, e, s, args[0].ty.size(), start, end)
}

/// One more than the place of the last byte that is `wanted`, 0 where none is.
fn after_last(b: &mut Body, s: Addr, len: Value, size: u32, wanted: Value) -> Value {
    let (at, zero) = (b.address(s), b.int(0));
    let words = b.repeat(len, &[zero, at, wanted], |b, i, words| {
        let (s, wanted) = (b.load(words.at(8), 8, false), b.load(words.at(16), 8, false));
        let p = byte(b, s, i, size);
        let c = b.load(p, 1, false);
        let hit = b.compare(IntCC::Equal, c, wanted);
        b.when(hit, |b| {
            let next = b.add_imm(i, 1);
            b.store(next, words, 8);
        });
        b.int(0)
    });
    b.load(words, 8, false)
}

/// Counts separators: the part begins behind the `n`th and ends at the next.
fn field(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let (s, len) = b.string_copy(&args[0]);
    let size = args[0].ty.size();
    let separator = args[1].as_str().and_then(|s| s.first()).copied().unwrap_or(0);
    let at = b.address(s);
    let zero = b.int(0);
    let count = |b: &mut Body, i: Value, words: Addr| {
        let s = b.load(words.at(8), 8, false);
        let p = byte(b, s, i, size);
        let c = b.load(p, 1, false);
        b.compare_imm(IntCC::Equal, c, i64::from(separator))
    };
    let n = args[2].as_int().unwrap_or(0);
    let wanted = if n < 0 {
        let words = b.repeat(len, &[zero, at], |b, i, words| {
            let hit = count(b, i, words);
            b.bump(hit, words);
            b.int(0)
        });
        let separators = b.load(words, 8, false);
        b.add_imm(separators, n + 1)
    } else {
        b.int(n)
    };
    // words: separators so far, the string, the number wanted, start, end
    let first = b.compare_imm(IntCC::Equal, wanted, 0);
    let start = b.select(first, zero, len);
    let words = b.repeat(len, &[zero, at, wanted, start, len], |b, i, words| {
        let hit = count(b, i, words);
        let result = b.b.declare_var(cranelift_codegen::ir::types::I64);
        let zero = b.int(0);
        b.b.def_var(result, zero);
        b.when(hit, |b| {
            let (seen, wanted) = (b.load(words, 8, false), b.load(words.at(16), 8, false));
            let now = b.add_imm(seen, 1);
            b.store(now, words, 8);
            let begins = b.compare(IntCC::Equal, now, wanted);
            b.when(begins, |b| {
                let start = b.add_imm(i, 1);
                b.store(start, words.at(24), 8);
            });
            let ends = b.compare(IntCC::Equal, seen, wanted);
            b.when(ends, |b| {
                b.store(i, words.at(32), 8);
                let one = b.int(1);
                b.b.def_var(result, one);
            });
        });
        b.b.use_var(result)
    });
    let (start, end) = (b.load(words.at(24), 8, false), b.load(words.at(32), 8, false));
    part(b, e, s, size, start, end)
}

fn concat(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let second = b.memory(&args[1]);
    let first = b.memory(&args[0]);
    let (n, m) = (args[0].ty.size(), args[1].ty.size());
    let to = b.scratch_memory(e.ty.size().max(n));
    let source = b.address(first);
    let got = b.read_string(source, crate::types::Space::Kernel, to, n);
    let len = b.add_imm(got, -1);
    let start = b.address(to);
    let end = byte(b, start, len, n);
    let (end, room, from) = (b.address(end), b.int(i64::from(m)), b.address(second));
    b.helper(crate::lower::helper::PROBE_READ_KERNEL_STR, &[end, room, from]);
    Operand::Mem(to)
}
