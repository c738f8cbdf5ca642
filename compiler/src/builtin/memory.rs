//! Symbols and addresses.

use super::{Builtin, Check, Lower};
use crate::artifact::AttachTo;
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::context::register;
use crate::lower::helper;
use crate::lower::packet::bytes::points_into;
use crate::sema::{Call, Checker};
use crate::target::{Arch, Feature};
use crate::types::{Space, Ty};
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "ksym",
        aliases: &[],
        signature: "ksym(address: address) -> ksym_t",
        is_unsafe: false,
        doc: "name of the kernel function or variable at an address",
        example: "tracepoint:timer:hrtimer_start { @[ksym(args.function)] = count(); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, args, _| Operand::Scalar(b.pointer(&args[0]).0)),
    },
    Builtin {
        name: "usym",
        aliases: &[],
        signature: "usym(address: address) -> usym_t",
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
            match symbol(c, &name, call.span) {
                Some(at) => Expr::int(at as i64, Ty::U64, call.span),
                None => Expr::error(call.span),
            }
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "percpu_kaddr",
        aliases: &[],
        signature: "percpu_kaddr(name: const string, cpu?: int) -> uint64*",
        is_unsafe: false,
        doc: "address of a variable that each CPU has its own of: that of the running CPU, or of `cpu` (0 where there is no such CPU)",
        example: "begin { print((uint64)percpu_kaddr(\"runqueues\", 0) != 0); exit(); }",
        check: Check::Custom(percpu_kaddr),
        lower: Lower::Code(percpu_address),
    },
    Builtin {
        name: "uaddr",
        aliases: &[],
        signature: "uaddr(name: const string) -> uint64*",
        is_unsafe: false,
        doc: "address in the running process of a variable or function of the probed program or library, as a pointer to an unsigned \
              integer of the variable's size (`uint64*` where none has it). In probes of programs",
        example: "uprobe:libc:puts { print(*uaddr(\"stdout\") != 0); }",
        check: Check::Custom(uaddr),
        lower: Lower::Code(user_address),
    },
    Builtin {
        name: "kptr",
        aliases: &[],
        signature: "kptr(p: ptr) -> ptr",
        is_unsafe: false,
        doc: "the same pointer, as one into the kernel's memory",
        example: "begin { print((uint64)kptr(kaddr(\"jiffies\")) != 0); exit(); }",
        check: Check::Custom(|c, call| in_space(c, call, Space::Kernel)),
        lower: Lower::Never,
    },
    Builtin {
        name: "uptr",
        aliases: &[],
        signature: "uptr(p: ptr) -> ptr",
        is_unsafe: false,
        doc: "the same pointer, as one into the running process's memory",
        example: "tracepoint:raw_syscalls:sys_enter { @ = uptr(args.args[0]) != 0; }",
        check: Check::Custom(|c, call| in_space(c, call, Space::User)),
        lower: Lower::Never,
    },
    Builtin {
        name: "memcmp",
        aliases: &[],
        signature: "memcmp(a: ptr, b: ptr, n: int) -> int64",
        is_unsafe: false,
        doc: "compares `n` bytes: 0 where they are the same, else below or above 0 as the first that differs is in `a`",
        example: "begin { print(memcmp(\"abc\", \"abd\", 3)); exit(); }",
        check: Check::Custom(memcmp),
        lower: Lower::Code(compare_memory),
    },
    Builtin {
        name: "kfunc_exist",
        aliases: &[],
        signature: "kfunc_exist(name: const string) -> bool",
        is_unsafe: false,
        doc: "does this kernel have a function of that name for programs to call?",
        example: "begin { print(kfunc_exist(\"bpf_task_from_pid\")); exit(); }",
        check: Check::Custom(|c, call| {
            let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
            let name = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
            match c.target.btf() {
                Ok(types) => {
                    let found = types.find(crate::target::btf::Kind::Func, &name).is_some();
                    Expr::int(i64::from(found), Ty::Bool, call.span)
                }
                Err(why) => c.fail(Diagnostic::environment(why.code, why.message).at(call.span, "needed here").help(why.help)),
            }
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "kfunc_allowed",
        aliases: &[],
        signature: "kfunc_allowed(name: const string) -> bool",
        is_unsafe: false,
        doc: "does this kernel let programs of the probe's kind call its function of that name?",
        example: "rawtracepoint:sched_switch { print(kfunc_allowed(\"bpf_task_from_pid\")); exit(); }",
        check: Check::Custom(kfunc_allowed),
        lower: Lower::Never,
    },
    super::tables::IS_ERR,
];

fn kfunc_allowed(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let name = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    let Some(kind) = c.at.kind else { return Expr::error(call.span) };
    match c.target.kfunc_allowed(&name, kind) {
        Ok(allowed) => Expr::int(i64::from(allowed), Ty::Bool, call.span),
        Err(why) => c.fail(Diagnostic::environment(why.code, why.message).at(call.span, "needed here").help(why.help)),
    }
}

/// The address of a kernel's symbol, or a report.
fn symbol(c: &mut Checker, name: &str, span: awl_grammar::span::Span) -> Option<u64> {
    match c.target.kernel_symbol(name) {
        Ok(Some(at)) => return Some(at),
        Ok(None) => {
            let d = Diagnostic::error("unknown-symbol", span, format!("the kernel has no symbol `{name}`")).label("no such symbol");
            c.report(d.help("`less /proc/kallsyms` shows those that it has"));
        }
        Err(why) => {
            let d = Diagnostic::environment(why.code, why.message).at(span, "needed here").help(why.help);
            if c.options.dry_run {
                // What another machine knows is no fault of the script.
                c.report(d.as_warning());
                return Some(0);
            }
            c.report(d);
        }
    }
    None
}

/// The kernel adds to a per-CPU symbol's address what `__per_cpu_offset` says for the CPU.
fn percpu_kaddr(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let name = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    let (Some(at), Some(offsets)) = (symbol(c, &name, call.span), symbol(c, "__per_cpu_offset", call.span)) else {
        return Expr::error(call.span);
    };
    let number = |v: u64| Expr::int(v as i64, Ty::U64, call.span);
    let mut all = vec![number(at), number(offsets), number(u64::from(c.target.possible_cpus()))];
    all.extend(args.into_iter().nth(1).map(|cpu| c.to_int64(cpu)));
    Expr::new(ExprKind::Call { builtin: call.row, args: all }, Ty::ptr(Ty::U64, Space::Kernel), call.span)
}

fn percpu_address(b: &mut Body, _: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let (at, offsets) = (b.scalar(&args[0]), b.scalar(&args[1]));
    let cpu = match args.get(3) {
        Some(cpu) => b.scalar(cpu),
        None => b.cpu(),
    };
    let most = b.scalar(&args[2]);
    let there = b.compare(IntCC::UnsignedLessThan, cpu, most);
    Operand::Scalar(b.either(
        there,
        |b| {
            let bytes = b.shl_imm(cpu, 3);
            let entry = b.add(offsets, bytes);
            let offset = b.read_pointer(entry, 0, false);
            b.add(at, offset)
        },
        |b| b.int(0),
    ))
}

/// Programs and libraries are loaded anywhere, but whole: what the symbol is away from the probed place in the file, it is away
/// from it in the process.
fn uaddr(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let name = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    let ret = match &c.at.context {
        Some(Context::Registers { user: true, ret, .. }) => *ret,
        Some(Context::Static(_)) => false,
        _ => {
            let provider = c.at.provider;
            let d = Diagnostic::error("not-here", call.span, format!("a `{provider}` probe is in no program whose symbols could be meant"))
                .label("only `uprobe`, `uretprobe` and `usdt` are");
            return c.fail(d.help("the kernel's own are `kaddr(\"name\")`"));
        }
    };
    let pointer = |size: u8| Ty::ptr(Ty::Int { bytes: size, signed: false }, Space::User);
    let place = c.at.attach.iter().find_map(|a| match &a.to {
        AttachTo::Uprobe { binary, sites, .. } => Some((binary.clone(), sites.first()?.offset)),
        _ => None,
    });
    // A body without any place is only checked.
    let Some((binary, offset)) = place else { return Expr::int(0, pointer(8), call.span) };
    let symbol = match c.target.user_symbol(&binary, &name) {
        Ok(Some(symbol)) => symbol,
        Ok(None) => {
            let d = Diagnostic::error("unknown-symbol", args[0].span, format!("`{binary}` has no symbol `{name}`")).label("no such symbol");
            return c.fail(d.help(format!("`nm {binary}` and `nm -D {binary}` list those that it has")));
        }
        Err(why) => return c.fail(Diagnostic::environment(why.code, why.message).at(call.span, "needed here").help(why.help)),
    };
    let ty = pointer(if matches!(symbol.size, 1 | 2 | 4) { symbol.size as u8 } else { 8 });
    let number = |n: u64, ty: Ty| Expr::int(n as i64, ty, call.span);
    if symbol.fixed {
        let address = number(symbol.address, Ty::U64);
        return Expr::new(ExprKind::Cast(Box::new(address)), ty, call.span);
    }
    let Some(site) = c.target.code_address(&binary, offset) else {
        let d = Diagnostic::error("no-match", call.span, format!("the probed place is not in the code of `{binary}`"));
        return c.fail(d.label("its distance to the symbol isn't known"));
    };
    let (distance, ret) = (number(symbol.address.wrapping_sub(site), Ty::U64), number(u64::from(ret), Ty::Bool));
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![distance, ret] }, ty, call.span)
}

fn user_address(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let context = b.context;
    let here = if args[1].as_int() == Some(1) {
        b.m.required.push((Feature::UserFunction, e.span));
        b.helper(helper::GET_FUNC_IP, &[context])
    } else {
        let name = if b.m.arch == Arch::X86_64 { "ip" } else { "pc" };
        b.load(Addr::ptr(context).at(register(b.m.arch, name).unwrap_or(0)), 8, false)
    };
    let distance = b.scalar(&args[0]);
    Operand::Scalar(b.add(here, distance))
}

fn in_space(c: &mut Checker, call: &Call, space: Space) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let Some(e) = args.into_iter().next() else { return Expr::error(call.span) };
    let to = match &e.ty {
        Ty::Ptr(to, _) => (**to).clone(),
        Ty::Int { .. } => Ty::Int { bytes: 1, signed: true },
        t => {
            let d =
                Diagnostic::error("arg-type", e.span, format!("`{}` of a `{t}`", call.row.name)).label("expected a pointer or an address");
            return c.fail(d);
        }
    };
    Expr::new(ExprKind::Cast(Box::new(e)), Ty::ptr(to, space), call.span)
}

fn memcmp(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    let most = i64::from(c.options.config.max_strlen);
    if let Some(n) = args[2].as_int()
        && !(0..=most).contains(&n)
    {
        let d = Diagnostic::error("arg-value", args[2].span, format!("{n} bytes to compare"))
            .label(format!("expected 0 to {most}"))
            .help("allow more: `config = { max_strlen = 4096 }`");
        return c.fail(d);
    }
    let n = args.remove(2);
    let n = c.to_int64(n);
    args.extend([n, Expr::int(most, Ty::I64, call.span)]);
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::I64, call.span)
}

/// Both sides are read into scratch memory, then compared byte by byte by a loop of the kernel.
fn compare_memory(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let most = args[2].as_int().or(args[3].as_int()).unwrap_or(1).max(1);
    let n = b.scalar(&args[2]);
    let most_value = b.int(most);
    let n = b.b.ins().umin(n, most_value);
    let mut sides = Vec::new();
    for side in &args[..2] {
        if points_into(side) {
            sides.push(b.packet_bytes_at(side, n, most as u32, e.span));
            continue;
        }
        let (from, space) = b.pointer(side);
        let space = b.space_of_address(space);
        let to = b.scratch_memory(most as u32);
        // Of a value that lies here no more is read than there is of it.
        let room = match side.ty {
            Ty::Ptr(..) | Ty::Int { .. } => most,
            _ => most.min(i64::from(side.ty.size())),
        };
        let room = b.int(room);
        let size = b.b.ins().umin(n, room);
        b.read_bytes_of(from, space, to, size);
        sides.push(b.address(to));
    }
    let zero = b.int(0);
    let words = b.repeat(n, &[zero, sides[0], sides[1]], |b, i, words| {
        let (x, y) = (b.load(words.at(8), 8, false), b.load(words.at(16), 8, false));
        let last = b.int(most - 1);
        let i = b.b.ins().umin(i, last);
        let (p, q) = (b.add(x, i), b.add(y, i));
        let (c, d) = (b.load(Addr::ptr(p), 1, false), b.load(Addr::ptr(q), 1, false));
        let difference = b.b.ins().isub(c, d);
        b.store(difference, words, 8);
        b.compare_imm(IntCC::NotEqual, difference, 0)
    });
    Operand::Scalar(b.load(words, 8, false))
}
