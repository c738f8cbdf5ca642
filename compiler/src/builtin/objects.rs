//! Of objects of the kernel: names of files, cookies of sockets. The verifier must know the object's type, so these take what
//! a probe's typed arguments lead to.

use super::{Builtin, Check, Lower};
use crate::artifact::{EventKind, ProgramKind, percpu};
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind};
use crate::lower::body::{Addr, Body, Operand};
use crate::lower::helper;
use crate::lowered::Object;
use crate::packet::Layer;
use crate::sema::{Call, Checker};
use crate::target::Feature;
use crate::types::{RecordDef, Space, Ty};
use awl_grammar::ast::{self, Arg};
use awl_grammar::span::Span;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use std::sync::Arc;

pub const ROWS: &[Builtin] = &[
    Builtin {
        name: "path",
        aliases: &[],
        signature: "path(p: struct path, size?: const int) -> string",
        is_unsafe: false,
        doc: "whole name of a file, by it or by its `struct path`, or by a pointer to one; the last `size` bytes of one that is longer. \
              Where the kernel allows it: `iter`, `lsm`, and `fentry` and `fexit` of a few functions",
        example: "fentry:filp_close { @[path(args.filp)] = count(); } interval:s:1 { exit(); }",
        check: Check::Custom(path),
        lower: Lower::Code(path_of),
    },
    Builtin {
        name: "socket_cookie",
        aliases: &[],
        signature: "socket_cookie(sk?: struct sock*) -> uint64",
        is_unsafe: false,
        doc: "number of a socket, which stays while it lives (0 of a null pointer); without an argument, in probes of packets, \
              that of the packet's socket",
        example: "fentry:tcp_rcv_established { @[socket_cookie(args.sk)] = count(); } interval:s:1 { exit(); }",
        check: Check::Custom(cookie),
        lower: Lower::Code(cookie_of),
    },
    Builtin {
        name: "skboutput",
        aliases: &[],
        signature: "skboutput(file: const string, skb: struct sk_buff*, length: int, offset: int) -> int64",
        is_unsafe: false,
        doc: "writes the first `length` bytes of a packet without the first `offset` of them (14: an Ethernet header) into a pcap \
              file of raw IP packets, with the time; 0, or a negative error",
        example: "rawtracepoint:netif_receive_skb { $r = skboutput(\"in.pcap\", args.skb, args.skb.len, 0); } interval:s:1 { exit(); }",
        check: Check::Custom(skb_output),
        lower: Lower::Code(packet_record),
    },
];

/// What a record in memory, or a pointer, leads to: the record and whether the verifier knows its type.
fn object(e: &Expr) -> Option<(&Arc<RecordDef>, Space)> {
    match &e.ty {
        Ty::Ptr(to, space) => match &**to {
            Ty::Record(r) => Some((r, *space)),
            _ => None,
        },
        Ty::Record(r) => Some((r, home(e))),
        _ => None,
    }
}

/// The memory that a record lies in.
fn home(e: &Expr) -> Space {
    match &e.kind {
        ExprKind::Field { base, .. } | ExprKind::Index { base, .. } | ExprKind::Deref(base) => match &base.ty {
            Ty::Ptr(_, space) => *space,
            _ => home(base),
        },
        _ => Space::Own,
    }
}

/// Its arguments are objects that the verifier knows and that live as long as the program runs.
fn hands_objects(kind: ProgramKind) -> bool {
    use ProgramKind::{Fentry, Fexit, Iter, Lsm, ModifyReturn};
    matches!(kind, Fentry { .. } | Fexit { .. } | ModifyReturn { .. } | Lsm { .. } | Iter { .. })
}

/// A pointer that came without its type.
fn untyped(c: &mut Checker, call: &Call, span: Span, help: &str) -> Expr {
    let d = Diagnostic::error("arg-type", span, format!("`{}` takes an object whose type the kernel's verifier knows", call.row.name))
        .label("not one that a typed argument leads to")
        .note(call.row.signature);
    c.fail(d.help(help))
}

const PATH_HELP: &str = "fentry:filp_close { print(path(args.filp.f_path)); }";

fn path(c: &mut Checker, call: &Call) -> Expr {
    // `&file.f_path` is a number to the verifier, `file.f_path` a place in an object.
    if let Some(ast::Expr { kind: ast::ExprKind::Unary(ast::UnOp::AddrOf, inner), .. }) = call.ast(0) {
        let args: Vec<Arg> = std::iter::once(Arg::Expr((**inner).clone())).chain(call.args[1..].iter().cloned()).collect();
        return path(c, &Call { row: call.row, name: call.name, args: &args, span: call.span });
    }
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    if let (Some(file), Some((record, _))) = (call.ast(0), object(&args[0]))
        && record.name == "struct file"
    {
        let name = ast::Ident { name: "f_path".into(), span: file.span };
        let place = ast::ExprKind::Field { base: Box::new(file.clone()), name, arrow: false };
        let place = Arg::Expr(ast::Expr { kind: place, span: file.span });
        let args: Vec<Arg> = std::iter::once(place).chain(call.args[1..].iter().cloned()).collect();
        return path(c, &Call { row: call.row, name: call.name, args: &args, span: call.span });
    }
    if !c.at.kind.is_some_and(hands_objects) {
        let d = Diagnostic::error("not-here", call.span, format!("a `{}` probe can't ask for a file's path", c.at.provider))
            .label("only `fentry`, `fexit`, `lsm`, `fmod_ret` and `iter` can");
        return c.fail(d.help(PATH_HELP));
    }
    let most = c.options.config.max_strlen.max(1);
    // A constant, as the signature has it.
    let size = match args.get(1).and_then(|n| Some((n.as_int()?, n.span))) {
        None => c.options.config.strlen(),
        Some((n, _)) if (1..=i64::from(most)).contains(&n) => n as u32,
        Some((n, span)) => {
            let d = Diagnostic::error("arg-value", span, format!("a path of {n} bytes")).label(format!("expected 1 to {most}"));
            return c.fail(d.help("allow more: `config = { max_strlen = 4096 }`"));
        }
    };
    let Some((record, space)) = object(&args[0]).filter(|(r, _)| r.name == "struct path") else {
        let (span, ty) = (args[0].span, args[0].ty.to_string());
        let d = Diagnostic::error("arg-type", span, format!("`path` of a `{ty}`"))
            .label("expected a `struct path`, or a pointer to one")
            .note(call.row.signature);
        let dentry = object(&args[0]).is_some_and(|(r, _)| r.name == "struct dentry");
        return c.fail(d.help(if dentry { "a dentry alone knows its own name only: `str(DENTRY.d_name.name)`" } else { PATH_HELP }));
    };
    if space != Space::Btf || record.btf_id.is_none() {
        return untyped(c, call, args[0].span, PATH_HELP);
    }
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Str(size), call.span)
}

/// The helper leaves what it worked with behind the NUL, so it gets a place of its own. Of a path that is too long the end
/// fills the place (from Linux 5.14 on), and the failure is counted.
fn path_of(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let size = e.ty.size();
    let to = b.temp(size, "path");
    b.zero(to, size);
    let object = b.pointer(&args[0]).0;
    let (at, n) = (b.address(to), b.int(i64::from(size)));
    let r = b.helper(helper::D_PATH, &[object, at, n]);
    let failed = b.compare_imm(IntCC::SignedLessThan, r, 0);
    b.when(failed, |b| b.helper_failed(percpu::HELPER_FAILED, helper::D_PATH, r));
    Operand::Mem(to)
}

const COOKIE_HELP: &str = "fentry:tcp_rcv_established { @[socket_cookie(args.sk)] = count(); }";

fn cookie(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let call_of = |args| Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::U64, call.span);
    if let Some(Context::Packet(layer)) = &c.at.context {
        let d = match (layer, args.first()) {
            (Layer::Xdp, _) => Diagnostic::error("not-here", call.span, "no socket is known yet in `xdp`")
                .label("not at this probe")
                .help("`tc`, `cgroup_skb` and `socket` know it: `socket_cookie()`"),
            (_, None) => return call_of(args),
            (_, Some(e)) => Diagnostic::error("arg-count", e.span, "the packet's own socket is meant in probes of packets")
                .label("expected no argument")
                .help("`socket_cookie()`"),
        };
        return c.fail(d);
    }
    let typed = c.at.kind.is_some_and(|k| hands_objects(k) || matches!(k, ProgramKind::TpBtf { .. }));
    if !typed {
        let d = Diagnostic::error("not-here", call.span, format!("a `{}` probe can't ask for a socket's cookie", c.at.provider))
            .label("only probes with typed arguments and those of packets can");
        return c.fail(d.help(COOKIE_HELP));
    }
    let Some(e) = args.first() else {
        let d = Diagnostic::error("arg-count", call.span, "`socket_cookie` takes 1 argument here, found 0").label("expected a socket");
        return c.fail(d.note(call.row.signature).help(COOKIE_HELP));
    };
    let is_pointer = matches!(e.ty, Ty::Ptr(..));
    match object(e) {
        Some((record, space)) if is_pointer && is_socket(c, record) => {
            if space == Space::Btf && record.btf_id.is_some() {
                call_of(args)
            } else {
                untyped(c, call, e.span, COOKIE_HELP)
            }
        }
        _ => {
            let d = Diagnostic::error("arg-type", e.span, format!("`socket_cookie` of a `{}`", e.ty)).label("expected a `struct sock *`");
            c.fail(d.note(call.row.signature).help(COOKIE_HELP))
        }
    }
}

/// Sockets of all kinds begin with what all have: `struct sock_common`.
fn is_socket(c: &Checker, record: &Arc<RecordDef>) -> bool {
    let mut at = Arc::clone(record);
    for _ in 0..8 {
        if at.name == "struct sock_common" {
            return true;
        }
        let first = at.fields.iter().find(|f| f.offset == 0).and_then(|f| c.types.resolve(&f.ty, Space::Btf).ok());
        match first {
            Some(Ty::Record(r)) => at = r,
            _ => return false,
        }
    }
    false
}

fn cookie_of(b: &mut Body, e: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let of = match args.first() {
        Some(sk) => {
            b.m.required.push((Feature::SocketCookie, e.span));
            b.pointer(sk).0
        }
        None => b.context,
    };
    Operand::Scalar(b.helper(helper::GET_SOCKET_COOKIE, &[of]))
}

const SKB_HELP: &str = "rawtracepoint:netif_receive_skb { skboutput(\"in.pcap\", args.skb, args.skb.len, 0); }";

fn skb_output(c: &mut Checker, call: &Call) -> Expr {
    let Some(mut args) = c.checked_args(call) else { return Expr::error(call.span) };
    if !c.at.kind.is_some_and(|k| hands_objects(k) || matches!(k, ProgramKind::TpBtf { .. })) {
        let d = Diagnostic::error("not-here", call.span, format!("a `{}` probe has no packet that could be written", c.at.provider))
            .label("only probes with typed arguments have");
        return c.fail(d.help(SKB_HELP));
    }
    let file = args.first().and_then(Expr::as_str).map(|s| String::from_utf8_lossy(s).into_owned()).unwrap_or_default();
    if file.is_empty() {
        return c.fail(Diagnostic::error("arg-value", args[0].span, "a file without a name").label("expected a file's name"));
    }
    match object(&args[1]).filter(|(r, _)| r.name == "struct sk_buff" && matches!(args[1].ty, Ty::Ptr(..))) {
        Some((record, Space::Btf)) if record.btf_id.is_some() => {}
        Some(_) => return untyped(c, call, args[1].span, SKB_HELP),
        None => {
            let d = Diagnostic::error("arg-type", args[1].span, format!("`skboutput` of a `{}`", args[1].ty));
            return c.fail(d.label("expected a `struct sk_buff *`").note(call.row.signature).help(SKB_HELP));
        }
    }
    if let Some(n) = args[2..].iter().find(|a| a.as_int().is_some_and(|n| n < 0)) {
        let d = Diagnostic::error("arg-value", n.span, "packets have no bytes before their start").label("expected 0 or more");
        return c.fail(d.note(call.row.signature));
    }
    let event = c.event(EventKind::Packet { file }, vec![Ty::U64; 3], call.span);
    args[0] = Expr::int(event as i64, Ty::U64, call.span);
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::I64, call.span)
}

/// A record has 16 bits for its size.
const MOST_CAPTURED: i64 = 65_000;
/// `BPF_F_CURRENT_CPU`
const CURRENT_CPU: i64 = 0xffff_ffff;

fn packet_record(b: &mut Body, _: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let skb = b.pointer(&args[1]).0;
    let (length, offset) = (b.scalar(&args[2]), b.scalar(&args[3]));
    let event = args[0].as_int().unwrap_or(0) as usize;
    let size = b.m.plan.events[event].size;
    let record = b.temp(size, "packet's record");
    b.record_header(event, record);
    let time = b.helper(helper::KTIME_GET_BOOT_NS, &[]);
    for (i, v) in [time, length, offset].into_iter().enumerate() {
        let at = b.m.plan.events[event].args[i].offset;
        b.store(v, record.at(at), 8);
    }
    let most = b.int(MOST_CAPTURED);
    let captured = b.b.ins().umin(length, most);
    let high = b.shl_imm(captured, 32);
    let cpu = b.int(CURRENT_CPU);
    let flags = b.b.ins().bor(high, cpu);
    let map = b.m.packet_buffers();
    let map = b.symbol(Object::Map(map));
    let (data, size) = (b.address(record), b.int(i64::from(size)));
    let r = b.helper(helper::SKB_OUTPUT, &[skb, map, flags, data, size]);
    let failed = b.compare_imm(IntCC::SignedLessThan, r, 0);
    b.when(failed, |b| b.helper_failed(percpu::HELPER_FAILED, helper::SKB_OUTPUT, r));
    Operand::Scalar(r)
}
