//! Who is running: process, thread, user, CPU, cgroup.

use super::{Builtin, Check, Lower};
use crate::artifact::AttachTo;
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::helper;
use crate::probe::convention::Place;
use crate::sema::{Call, Checker};
use crate::target::Feature;
use crate::types::{Space, Ty};
use awl_grammar::ast;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

/// A builtin without arguments that one expression computes.
macro_rules! variable {
    ($name:literal, $aliases:expr, $ty:literal, $doc:literal, $code:expr) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            signature: concat!($name, "() -> ", $ty),
            is_unsafe: false,
            doc: $doc,
            example: concat!("interval:s:1 { print(", $name, "); exit(); }"),
            check: Check::Signature,
            lower: Lower::Code(|b, _, _, _| Operand::Scalar($code(b))),
        }
    };
}

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "pid",
        aliases: &[],
        signature: "pid(namespace?) -> uint32",
        is_unsafe: false,
        doc: "process id (thread group) of the running task, in awl's own pid namespace (`curr_ns`) or in the initial one (`init`)",
        example: "interval:s:1 { print(pid); exit(); }",
        check: Check::Custom(numbered),
        lower: Lower::Code(|b, _, args, _| {
            let both = number_pair(b, args);
            Operand::Scalar(b.shr_imm(both, 32))
        }),
    },
    Builtin {
        name: "tid",
        aliases: &[],
        signature: "tid(namespace?) -> uint32",
        is_unsafe: false,
        doc: "thread id of the running task, in awl's own pid namespace (`curr_ns`) or in the initial one (`init`)",
        example: "interval:s:1 { print(tid); exit(); }",
        check: Check::Custom(numbered),
        lower: Lower::Code(|b, _, args, _| {
            let both = number_pair(b, args);
            Operand::Scalar(low_half(b, both))
        }),
    },
    variable!("uid", &[], "uint64", "user id of the running task", |b: &mut Body| {
        let both = uid_gid(b);
        low_half(b, both)
    }),
    variable!("gid", &[], "uint64", "group id of the running task", |b: &mut Body| {
        let both = uid_gid(b);
        b.shr_imm(both, 32)
    }),
    Builtin {
        name: "username",
        aliases: &[],
        signature: "username() -> username",
        is_unsafe: false,
        doc: "name of the user of the running task",
        example: "interval:s:1 { print(username); exit(); }",
        check: Check::Signature,
        lower: Lower::Code(|b, _, _, _| {
            let both = uid_gid(b);
            Operand::Scalar(low_half(b, both))
        }),
    },
    Builtin {
        name: "comm",
        aliases: &[],
        signature: "comm(pid?: int) -> string[16]",
        is_unsafe: false,
        doc: "name of the running task, or of the task with that number in the initial pid namespace (empty where there is none; \
              Linux 6.2, where the kernel lets programs of the probe's kind ask)",
        example: "tracepoint:sched:sched_switch { @[comm] = count(); }",
        check: Check::Custom(name_of_task),
        lower: Lower::Padded(comm),
    },
    variable!("cpu", &[], "uint64", "number of the CPU that runs this", |b: &mut Body| b.helper(helper::GET_SMP_PROCESSOR_ID, &[])),
    Builtin {
        name: "ncpus",
        aliases: &[],
        signature: "ncpus() -> uint64",
        is_unsafe: false,
        doc: "how many CPUs the machine can have",
        example: "begin { print(ncpus); exit(); }",
        check: Check::Custom(|c, call| Expr::int(i64::from(c.target.possible_cpus()), Ty::U64, call.span)),
        lower: Lower::Never,
    },
    variable!("numaid", &[], "uint64", "number of the NUMA node that runs this", |b: &mut Body| b.helper(helper::GET_NUMA_NODE_ID, &[])),
    variable!("cgroup", &[], "uint64", "id of the running task's cgroup (v2)", |b: &mut Body| b.helper(helper::GET_CURRENT_CGROUP_ID, &[])),
    Builtin {
        name: "cgroupid",
        aliases: &[],
        signature: "cgroupid(path: const string) -> uint64",
        is_unsafe: false,
        doc: "id of the cgroup (v2) of that path",
        example: "begin { print(cgroupid(\"/sys/fs/cgroup\")); exit(); }",
        check: Check::Custom(cgroup_id),
        lower: Lower::Never,
    },
    Builtin {
        name: "curtask",
        aliases: &[],
        signature: "curtask() -> struct task_struct*",
        is_unsafe: false,
        doc: "the running task's `struct task_struct`",
        example: "interval:s:1 { print((uint64)curtask); exit(); }",
        check: Check::Custom(curtask),
        lower: Lower::Code(|b, e, _, _| {
            let number = match &e.ty {
                Ty::Ptr(_, Space::Btf) => helper::GET_CURRENT_TASK_BTF,
                _ => helper::GET_CURRENT_TASK,
            };
            Operand::Scalar(b.helper(number, &[]))
        }),
    },
    variable!("rand", &[], "uint64", "a random number", |b: &mut Body| b.helper(helper::GET_PRANDOM_U32, &[])),
    variable!("jiffies", &[], "uint64", "the kernel's count of clock ticks", |b: &mut Body| b.helper(helper::JIFFIES64, &[])),
    Builtin {
        name: "cpid",
        aliases: &[],
        signature: "cpid() -> uint64",
        is_unsafe: false,
        doc: "process id of the command that `-c` started; 0 and a warning where none was",
        example: "tracepoint:sched:sched_switch /pid == cpid/ { @ = count(); }",
        check: Check::Custom(child_pid),
        lower: Lower::Never,
    },
    Builtin {
        name: "has_cpid",
        aliases: &[],
        signature: "has_cpid() -> bool",
        is_unsafe: false,
        doc: "was a command started by `-c`? Known before the script runs, so that `!has_cpid || pid == cpid` works without one too",
        example: "tracepoint:sched:sched_switch /!has_cpid || pid == cpid/ { @ = count(); }",
        check: Check::Custom(|c, call| Expr::int(i64::from(c.options.child.is_some()), Ty::Bool, call.span)),
        lower: Lower::Never,
    },
    Builtin {
        name: "ctx",
        aliases: &[],
        signature: "ctx() -> void*",
        is_unsafe: false,
        doc: "the program's context, as the kernel hands it over",
        example: "tracepoint:sched:sched_switch { print((uint64)ctx); exit(); }",
        check: Check::Custom(|c, call| {
            let to = match &c.at.context {
                Some(Context::Iter { record, .. }) => Ty::Record(record.clone()),
                _ => Ty::Void,
            };
            Expr::new(ExprKind::Ctx, Ty::ptr(to, Space::Ctx), call.span)
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "args",
        aliases: &[],
        signature: "args() -> any",
        is_unsafe: false,
        doc: "what the probe hands over: `args.NAME`, listed by `awl -lv PROBE`",
        example: "tracepoint:sched:sched_switch { @[args.next_comm] = count(); }",
        check: Check::Custom(|c, call| c.args(call.span)),
        lower: Lower::Never,
    },
    Builtin {
        name: "retval",
        aliases: &[],
        signature: "retval() -> uint64",
        is_unsafe: false,
        doc: "what the probed function returned",
        example: "uretprobe:libc:malloc { @[retval == 0] = count(); }",
        check: Check::Custom(retval),
        lower: Lower::Code(|b, e, _, _| Operand::Scalar(if b.probe.kind.is_fexit() { result_of_program(b, e) } else { b.returned() })),
    },
    Builtin {
        name: "probe",
        aliases: &[],
        signature: "probe() -> string",
        is_unsafe: false,
        doc: "full name of the attach point that runs",
        example: "tracepoint:sched:sched_* { @[probe] = count(); }",
        check: Check::Custom(|c, call| match c.only_point() {
            Some(name) => c.string_literal(name.as_bytes(), call.span),
            None => {
                let ty = Ty::Str(crate::lower::module::names_stride(c.points(), false));
                Expr::new(ExprKind::ProbeName { func: false }, ty, call.span)
            }
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "probetype",
        aliases: &[],
        signature: "probetype() -> string",
        is_unsafe: false,
        doc: "kind of the attach point that runs; `special` in `begin`, `end` and `self`",
        example: "interval:s:1 { print(probetype); exit(); }",
        check: Check::Custom(|c, call| {
            let name = match c.at.provider {
                "begin" | "end" | "self" => "special",
                provider => provider,
            };
            c.string_literal(name.as_bytes(), call.span)
        }),
        lower: Lower::Never,
    },
    Builtin {
        name: "func",
        aliases: &[],
        signature: "func() -> string",
        is_unsafe: false,
        doc: "name of the probed function",
        example: "uprobe:libc:malloc { @[func] = count(); }",
        check: Check::Custom(func),
        lower: Lower::Never,
    },
];

const NAMESPACES: &[&str] = &["curr_ns", "init"];

/// `pid` and `tid`: which namespace numbers the task.
fn numbered(c: &mut Checker, call: &Call) -> Expr {
    let which = match (call.args.len(), call.ast(0)) {
        (0, _) => 0,
        (1, Some(ast::Expr { kind: ast::ExprKind::Name(n), .. })) if NAMESPACES.contains(&n.as_str()) => i64::from(n == "init"),
        _ => {
            let d = Diagnostic::error("arg-type", call.span, format!("`{}` takes the name of a namespace", call.row.name));
            return c.fail(d.label("expected `curr_ns` or `init`").note(call.row.signature));
        }
    };
    Expr::new(ExprKind::Call { builtin: call.row, args: vec![Expr::int(which, Ty::U32, call.span)] }, Ty::U32, call.span)
}

fn number_pair(b: &mut Body, args: &[Expr]) -> Value {
    let initial = args.first().and_then(Expr::as_int) == Some(1);
    if initial && b.m.pid_namespace.is_some() { b.init_pid_tgid() } else { b.pid_tgid() }
}

fn low_half(b: &mut Body, v: Value) -> Value {
    let low = b.b.ins().ireduce(types::I32, v);
    b.b.ins().uextend(types::I64, low)
}

fn uid_gid(b: &mut Body) -> Value {
    b.fact(crate::lower::body::Fact::UidGid, |b| b.helper(helper::GET_CURRENT_UID_GID, &[]))
}

const FROM_PID: &str = "bpf_task_from_pid";
const RELEASE: &str = "bpf_task_release";

fn name_of_task(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let call_of = |args| Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Str(16), call.span);
    let Some(pid) = args.into_iter().next() else { return call_of(Vec::new()) };
    let Some(kind) = c.at.kind.filter(|_| c.target.has(Feature::TaskFromPid)) else {
        return c.fail(crate::lower::lacking(Feature::TaskFromPid, c.target, call.span));
    };
    let ids = c.kfunc(FROM_PID).zip(c.kfunc(RELEASE)).zip(c.target.btf_offset("task_struct", "comm"));
    match (ids, c.target.kfunc_allowed(FROM_PID, kind)) {
        (Some(((from, release), offset)), Ok(true)) => {
            let number = |n: u32| Expr::int(i64::from(n), Ty::U32, call.span);
            let pid = c.to_int64(pid);
            call_of(vec![pid, number(from), number(release), number(offset)])
        }
        (_, Err(why)) => c.fail(Diagnostic::environment(why.code, why.message).at(call.span, "needed here").help(why.help)),
        _ => {
            let provider = c.at.provider;
            let d = Diagnostic::error("not-here", call.span, format!("this kernel doesn't let a `{provider}` probe look for another task"))
                .label("`comm` alone is the running task's");
            c.fail(d.help("`fentry`, `fexit`, `rawtracepoint`, `iter` and `lsm` can"))
        }
    }
}

/// The task is held while its name is read.
fn comm_of(b: &mut Body, args: &[Expr], into: Option<Addr>) -> Operand {
    let constant = |i: usize| args[i].as_int().unwrap_or(0);
    let (from, release, offset) = (constant(1) as u32, constant(2) as u32, constant(3));
    let to = b.place_or(into, 16);
    let mut pid = b.scalar(&args[0]);
    if args[0].as_int().is_none_or(|n| i32::try_from(n).is_err()) {
        // The kernel takes 32 bits of it: a larger number would be another task's.
        let fits = b.compare_imm(IntCC::UnsignedLessThanOrEqual, pid, i64::from(i32::MAX));
        let none = b.int(0);
        pid = b.select(fits, pid, none);
    }
    b.zero(to, 16);
    let task = b.kfunc(FROM_PID, from, &[pid]);
    b.when(task, |b| {
        let (at, n, name) = (b.address(to), b.int(16), b.add_imm(task, offset));
        b.helper(helper::PROBE_READ_KERNEL, &[at, n, name]);
        b.kfunc(RELEASE, release, &[task]);
    });
    Operand::Mem(to)
}

fn comm(b: &mut Body, _: &Expr, args: &[Expr], into: Option<Addr>) -> Operand {
    if !args.is_empty() {
        return comm_of(b, args, into);
    }
    let to = b.place_or(into, 16);
    // From 6.0 to 6.3 the helper leaves what is behind the name as it was.
    b.zero(to, 16);
    let (at, n) = (b.address(to), b.int(16));
    b.helper(helper::GET_CURRENT_COMM, &[at, n]);
    Operand::Mem(to)
}

/// With its type where the kernel's types are known, as an address elsewhere.
fn curtask(c: &mut Checker, call: &Call) -> Expr {
    let ty = match c.types.named("struct task_struct") {
        Some(task) => Ty::ptr(task, if c.target.has(crate::target::Feature::CurrentTaskBtf) { Space::Btf } else { Space::Kernel }),
        None => Ty::U64,
    };
    Expr::new(ExprKind::Call { builtin: call.row, args: Vec::new() }, ty, call.span)
}

fn child_pid(c: &mut Checker, call: &Call) -> Expr {
    match c.options.child {
        Some(pid) => Expr::int(i64::from(pid), Ty::U64, call.span),
        None => {
            c.report(
                Diagnostic::warning("no-child", call.span, "`cpid` is 0: no command was started")
                    .label("no command")
                    .help("start one with `-c`: `awl -c 'ls /' ...`, or ask before: `if (has_cpid) { ... }`"),
            );
            Expr::int(0, Ty::U64, call.span)
        }
    }
}

fn cgroup_id(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let path = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    match c.target.cgroup_id(&path) {
        Ok(id) => Expr::int(id as i64, Ty::U64, call.span),
        Err(why) => c.fail(Diagnostic::error(why.code, call.span, why.message).label("no such cgroup").help(why.help)),
    }
}

fn retval(c: &mut Checker, call: &Call) -> Expr {
    match &c.at.context {
        Some(Context::Registers { ret: true, typed: Some(s), .. }) if s.ret.is_some() => {
            let at = crate::lower::context::registers(c.target.arch()).ret;
            Expr::new(ExprKind::Parameter(Place::Register(at)), s.ret.clone().unwrap_or(Ty::U64), call.span)
        }
        Some(Context::Registers { ret: true, .. }) => Expr::new(ExprKind::Call { builtin: call.row, args: Vec::new() }, Ty::U64, call.span),
        Some(Context::Function { ret: Some(Ty::Void), .. }) => {
            c.fail(Diagnostic::error("no-args", call.span, "this function returns nothing").label("there is no `retval`"))
        }
        // The kernel's record of its end calls it `ret`.
        Some(Context::Syscall { exit: true, .. } | Context::RawSyscall { exit: true, .. } | Context::Record(_)) if c.returns_here() => {
            let args = c.args(call.span);
            c.member(args, &ast::Ident { name: "ret".into(), span: call.span }, call.span)
        }
        // How many arguments lie in front of it the kernel alone knows, which doesn't trust the types of every program.
        Some(Context::Function { ret: Some(ty), .. }) if c.at.attach.iter().any(|a| matches!(a.to, AttachTo::BpfProgram { .. })) => {
            Expr::new(ExprKind::Call { builtin: call.row, args: Vec::new() }, ty.clone(), call.span)
        }
        // It lies behind the arguments.
        Some(Context::Function { args, ret: Some(ty) }) => Expr::new(ExprKind::Arg(args.len()), ty.clone(), call.span),
        _ => {
            let provider = c.at.provider;
            let help = match &c.at.context {
                Some(Context::Function { .. }) => "it is known at the function's end: `fexit:...`",
                Some(Context::Registers { user: false, .. }) => "it is known at the function's end: `kretprobe:...`",
                Some(Context::Registers { user: true, .. }) => "it is known at the function's end: `uretprobe:...`",
                _ => "return values are in return probes: `kretprobe:...`; of system calls `syscall:NAME:return`",
            };
            c.fail(
                Diagnostic::error("no-args", call.span, format!("a `{provider}` probe has no `retval`"))
                    .label("nothing returns here")
                    .help(help),
            )
        }
    }
}

fn result_of_program(b: &mut Body, e: &Expr) -> Value {
    b.m.required.push((Feature::FunctionResult, e.span));
    let to = b.temp(8, "result");
    b.store_imm(0, to, 8);
    let (context, at) = (b.context, b.address(to));
    b.helper(helper::GET_FUNC_RET, &[context, at]);
    let v = b.load(to, 8, false);
    b.extend(v, &e.ty)
}

fn func(c: &mut Checker, call: &Call) -> Expr {
    use crate::lower::module::{function_of, names_stride};
    let of_functions = matches!(c.at.context, Some(Context::Registers { .. } | Context::Function { .. }));
    match c.only_point() {
        _ if !of_functions => {
            let provider = c.at.provider;
            c.fail(
                Diagnostic::error("no-args", call.span, format!("a `{provider}` probe has no `func`"))
                    .label("no function is probed here")
                    .help("the attach point's name is `probe`"),
            )
        }
        Some(name) => c.string_literal(function_of(&name).as_bytes(), call.span),
        None => Expr::new(ExprKind::ProbeName { func: true }, Ty::Str(names_stride(c.points(), true)), call.span),
    }
}
