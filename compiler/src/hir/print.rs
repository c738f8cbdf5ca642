//! The typed tree as text, one statement a line, for `--emit hir` and for tests. Written like the language where it can be,
//! with the type behind everything whose type its operands don't tell.

use super::*;
use crate::sema::operator::{symbol, symbol_unary};
use crate::types::Space;

pub fn print(p: &Program) -> String {
    let mut out = Printer { p, locals: &[], out: String::new(), indent: 0 };
    out.program();
    out.out
}

struct Printer<'a> {
    p: &'a Program,
    /// of the probe that is being printed
    locals: &'a [Local],
    out: String,
    indent: usize,
}

impl<'a> Printer<'a> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
        self.out.push_str(text.as_ref());
        self.out.push('\n');
    }

    fn program(&mut self) {
        let p = self.p;
        for o in &p.options {
            self.line(format!("option --{} {} = {:?} {:?}", o.name, o.kind, o.default, o.description));
        }
        for (i, m) in p.maps.iter().enumerate() {
            let declared = m.declared.map_or(String::new(), |(kind, n)| format!(", declared {kind:?} of {n}"));
            let pin = m.pin.as_ref().map_or(String::new(), |name| format!(", pinned as {name}"));
            self.line(format!("map {i} {}{} = {}{declared}{pin}", at(&m.name), types("[", &m.keys, "]"), ty(&m.value)));
        }
        for (i, e) in p.events.iter().enumerate() {
            self.line(format!("event {i} {} {}", e.kind, types("(", &e.args, ")")).trim_end());
        }
        for (i, s) in p.strings.iter().enumerate() {
            self.line(format!("string {i} {s:?}"));
        }
        for (i, s) in p.points.iter().enumerate() {
            self.line(format!("point {i} {s}"));
        }
        for probe in &p.probes {
            self.probe(probe);
        }
    }

    fn probe(&mut self, probe: &'a Probe) {
        self.locals = &probe.locals;
        let acts = if probe.acts { ", acts" } else { "" };
        self.line(format!("probe {} {:?}{acts}", probe.name, probe.kind));
        self.indent += 1;
        self.context(&probe.context);
        for a in &probe.attach {
            self.line(format!("attach {} {:?}", a.point, a.to));
        }
        for (i, l) in probe.locals.iter().enumerate() {
            self.line(format!("local {}: {}", self.local(i), ty(&l.ty)));
        }
        if let Some(e) = &probe.predicate {
            let e = self.expr(e);
            self.line(format!("only if {e}"));
        }
        self.stmts(&probe.body);
        if let Some(s) = &probe.session {
            self.probe(&s.returns);
        }
        self.indent -= 1;
    }

    fn context(&mut self, c: &Context) {
        let named = |args: &[(String, Ty)]| args.iter().map(|(n, t)| format!("{n}: {}", ty(t))).collect::<Vec<_>>().join(", ");
        let text = match c {
            Context::None => return,
            Context::Record(r) => format!("record {}", r.name),
            Context::RawArgs(args) => format!("raw ({})", named(args)),
            Context::Function { args, ret } => {
                format!("function ({}){}", named(args), ret.as_ref().map_or(String::new(), |t| format!(": {}", ty(t))))
            }
            Context::Iter { record, objects, file } => {
                let reader = file.map_or(String::new(), |f| format!(", read through the file at {} of what is at {}", f.seq, f.meta));
                format!("iter {}, null at {objects:?} after the last{reader}", record.name)
            }
            Context::Syscall { exit, numbers, record } => {
                let numbers: Vec<_> = numbers.iter().map(|(n, point)| format!("{n} is point {point}")).collect();
                format!("{} of system calls {}, as {}", way(*exit), numbers.join(", "), record.name)
            }
            Context::RawSyscall { exit, record } => format!("{} of all system calls, as {}", way(*exit), record.name),
            Context::Registers { ret, user, cookie, typed } => {
                let place = if *user { "a process" } else { "the kernel" };
                let typed = typed.as_ref().map_or(String::new(), |s| {
                    let all: Vec<_> = s.parameters.iter().map(|p| format!("{} {}", ty(&p.ty), p.name)).collect();
                    format!(" ({}){}", all.join(", "), s.ret.as_ref().map_or(String::new(), |t| format!(": {}", ty(t))))
                });
                format!("registers at {} of a function{typed} of {place}{}", way(*ret), if *cookie { ", by cookie" } else { "" })
            }
            Context::Static(args) => format!("static probe of {} arguments", args.len()),
            Context::PerfEvent => "perf event".to_owned(),
            Context::Packet(layer) => format!("packet {layer:?}"),
        };
        self.line(format!("context {text}"));
    }

    fn local(&self, id: LocalId) -> String {
        self.locals.get(id).map_or(format!("${id}"), |l| format!("${}.{id}", l.name))
    }

    fn place(&mut self, map: MapId, keys: &[Expr]) -> String {
        let name = self.p.maps.get(map).map_or(format!("@{map}"), |m| at(&m.name));
        if keys.is_empty() { name } else { format!("{name}[{}]", self.list(keys)) }
    }

    fn list(&mut self, es: &[Expr]) -> String {
        let texts: Vec<_> = es.iter().map(|e| self.expr(e)).collect();
        texts.join(", ")
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|s| self.stmt(s));
    }

    /// `head {`, the statements, and `}`.
    fn block(&mut self, head: &str, stmts: &[Stmt]) {
        self.line(format!("{head}{{").trim_start());
        self.indent += 1;
        self.stmts(stmts);
        self.indent -= 1;
        self.line("}");
    }

    fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Expr(e) => {
                let e = self.expr(e);
                self.line(e);
            }
            StmtKind::SetLocal(id, value) => {
                let value = self.expr(value);
                self.line(format!("{} = {value}", self.local(*id)));
            }
            StmtKind::SetMap { map, keys, value } => {
                let (place, value) = (self.place(*map, keys), self.expr(value));
                self.line(format!("{place} = {value}"));
            }
            StmtKind::SetField { place, value } => {
                let (place, value) = (self.expr(place), self.expr(value));
                self.line(format!("{place} = {value}"));
            }
            StmtKind::AddMap { map, keys, value } => {
                let (place, value) = (self.place(*map, keys), self.expr(value));
                self.line(format!("{place} += {value}"));
            }
            StmtKind::Aggregate { map, keys, agg, arg } => {
                let place = self.place(*map, keys);
                let arg = arg.as_ref().map_or(String::new(), |e| self.expr(e));
                self.line(format!("{place} <- {}({arg})", crate::agg::type_name(agg)));
            }
            StmtKind::If { cond, then, other } => {
                let cond = self.expr(cond);
                self.block(&format!("if {cond} "), then);
                if !other.is_empty() {
                    self.block("else ", other);
                }
            }
            StmtKind::While { cond, body } => {
                let cond = self.expr(cond);
                self.block(&format!("while {cond} "), body);
            }
            StmtKind::ForRange { var, from, to, body } => {
                let (from, to) = (self.expr(from), self.expr(to));
                self.block(&format!("for {} in {from}..{to} ", self.local(*var)), body);
            }
            StmtKind::ForMap { var, map, body } => {
                let map = self.place(*map, &[]);
                self.block(&format!("for {} in {map} ", self.local(*var)), body);
            }
            StmtKind::Break => self.line("break"),
            StmtKind::Continue => self.line("continue"),
            StmtKind::Return(None) => self.line("return"),
            StmtKind::Return(Some(e)) => {
                let e = self.expr(e);
                self.line(format!("return {e}"));
            }
            StmtKind::Block(body) => self.block("", body),
        }
    }

    /// Statements within an expression: on lines of their own, the expression goes on behind the brace.
    fn inner(&mut self, stmts: &[Stmt]) -> String {
        let around = std::mem::take(&mut self.out);
        self.indent += 1;
        self.stmts(stmts);
        self.indent -= 1;
        let inside = std::mem::replace(&mut self.out, around);
        format!("{{\n{inside}{}}}", "  ".repeat(self.indent))
    }

    fn expr(&mut self, e: &Expr) -> String {
        let of = ty(&e.ty);
        match &e.kind {
            ExprKind::Error => "<error>".to_owned(),
            ExprKind::Void => "void".to_owned(),
            ExprKind::Int(v) => format!("{v}:{of}"),
            ExprKind::Str(s) => format!("{:?}", String::from_utf8_lossy(s)),
            ExprKind::Bytes(b) => format!("bytes {b:02x?}:{of}"),
            ExprKind::PacketBytes { base, from, len } => format!("packet({}, {from}, {len}):{of}", self.expr(base)),
            ExprKind::InNetwork { address, network, bits } => {
                format!("({} in {network:02x?}/{bits})", self.expr(address))
            }
            ExprKind::Local(id) => self.local(*id),
            ExprKind::MapGet { map, keys } => self.place(*map, keys),
            ExprKind::StepMap { map, keys, by, old } => format!("{}({}, {by})", step(*old), self.place(*map, keys)),
            ExprKind::StepLocal { local, by, old } => format!("{}({}, {by})", step(*old), self.local(*local)),
            ExprKind::Call { builtin, args } => format!("{}({}):{of}", builtin.name, self.list(args)),
            ExprKind::Emit { event, args } => format!("emit {event}({})", self.list(args)),
            ExprKind::Unary(op, a) => format!("{}{}:{of}", symbol_unary(*op), self.expr(a)),
            ExprKind::Binary(op, a, b) => format!("({} {} {}):{of}", self.expr(a), symbol(*op), self.expr(b)),
            ExprKind::Ternary { cond, then, other } => {
                format!("({} ? {} : {}):{of}", self.expr(cond), self.expr(then), self.expr(other))
            }
            ExprKind::If { cond, then, other } => {
                format!("(if {} then {} else {}):{of}", self.expr(cond), self.expr(then), self.expr(other))
            }
            ExprKind::Block(body, value) => {
                let body = self.inner(body);
                format!("do {body} then {}", self.expr(value))
            }
            ExprKind::Inline { body, result } => {
                let result = result.map_or("nothing".to_owned(), |r| self.local(r));
                let body = self.inner(body);
                format!("inline {body} giving {result}")
            }
            ExprKind::Ctx => format!("ctx:{of}"),
            ExprKind::Arg(i) => format!("args.{i}:{of}"),
            ExprKind::Parameter(place) => format!("{place:?}:{of}"),
            ExprKind::SyscallArg(i) => format!("args.args[{}]:{of}", self.expr(i)),
            ExprKind::Field { base, field } => {
                let bits = field.bits.map_or(String::new(), |(first, n)| format!(" bits {first}+{n}"));
                let marks = [(field.data_loc, " data_loc"), (field.big_endian, " big-endian")];
                let marks: String = marks.iter().filter(|m| m.0).map(|m| m.1).collect();
                let arrow = if matches!(base.ty, Ty::Ptr(..)) { "->" } else { "." };
                format!("{}{arrow}{}@{}{bits}{marks}:{of}", self.expr(base), field.name, field.offset)
            }
            ExprKind::TupleField { base, index } => format!("{}.{index}:{of}", self.expr(base)),
            ExprKind::Index { base, index } => format!("{}[{}]:{of}", self.expr(base), self.expr(index)),
            ExprKind::AddressOf(a) => format!("&{}:{of}", self.expr(a)),
            ExprKind::Deref(a) => format!("*{}:{of}", self.expr(a)),
            ExprKind::Cast(a) => format!("({of}){}", self.expr(a)),
            ExprKind::Tuple(es) => format!("({}):{of}", self.list(es)),
            ExprKind::MapSum { map, keys } => format!("number({}):{of}", self.place(*map, keys)),
            ExprKind::ProbeName { func } => if *func { "point.func" } else { "point.name" }.to_owned(),
        }
    }
}

fn at(name: &str) -> String {
    format!("@{}", name.trim_start_matches('@'))
}

fn way(ret: bool) -> &'static str {
    if ret { "the exit" } else { "the entry" }
}

fn step(old: bool) -> &'static str {
    if old { "step_after" } else { "step_before" }
}

fn types(open: &str, ts: &[Ty], close: &str) -> String {
    if ts.is_empty() {
        return String::new();
    }
    let texts: Vec<_> = ts.iter().map(ty).collect();
    format!("{open}{}{close}", texts.join(", "))
}

/// As the user would write it, and where a pointer points.
fn ty(t: &Ty) -> String {
    let space = match t {
        Ty::Ptr(_, Space::Kernel) => " kernel",
        Ty::Ptr(_, Space::User) => " user",
        Ty::Ptr(_, Space::Btf) => " btf",
        Ty::Ptr(_, Space::Ctx) => " ctx",
        Ty::Ptr(_, Space::Packet) => " packet",
        Ty::Ptr(_, Space::Own) => " own",
        _ => "",
    };
    format!("{t}{space}")
}
