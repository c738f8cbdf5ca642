//! The typed tree: ids instead of names, a type on every expression, conversions written out. One `Probe` here is one
//! BPF program: a probe of the script whose attach points differ in what the body sees appears once for each kind.

mod print;

use crate::artifact::{Attach, EventKind, MapKind, ProgramKind};
use crate::builtin::Builtin;
use crate::types::{Agg, RecordDef, Ty};
use awl_grammar::ast::{BinOp, UnOp};
use awl_grammar::span::Span;
use std::sync::Arc;

pub use print::print;

pub type LocalId = usize;
pub type MapId = usize;

#[derive(Clone, Debug, Default)]
pub struct Program {
    pub probes: Vec<Probe>,
    pub maps: Vec<Map>,
    pub events: Vec<Event>,
    pub strings: Vec<String>,
    /// names of all attach points after expansion
    pub points: Vec<String>,
    /// attach points that match nothing yet (`--follow`)
    pub waiting: Vec<crate::sema::follow::Waiting>,
    /// named parameters that it asks for, in order
    pub options: Vec<ScriptOption>,
}

/// A parameter that `getopt` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptOption {
    pub name: String,
    /// `bool`, `int` or `string`
    pub kind: &'static str,
    pub default: Option<String>,
    pub description: String,
}

#[derive(Clone, Debug)]
pub struct Map {
    pub name: String,
    pub keys: Vec<Ty>,
    pub value: Ty,
    pub span: Span,
    /// `let @m = kind(N)`
    pub declared: Option<(MapKind, u32)>,
    /// `pin("name")`
    pub pin: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub kind: EventKind,
    pub args: Vec<Ty>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Probe {
    pub name: String,
    pub span: Span,
    pub kind: ProgramKind,
    pub context: Context,
    pub attach: Vec<Attach>,
    pub locals: Vec<Local>,
    /// it gives verdicts or changes packets
    pub acts: bool,
    pub predicate: Option<Expr>,
    pub body: Vec<Stmt>,
    /// of a kprobe: its program serves the returns of the same functions as well
    pub session: Option<Session>,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub returns: Box<Probe>,
    /// from an attach point of the entry to the return's
    pub shift: i64,
    /// the type in vmlinux of the function that tells which of the two runs
    pub is_return: u32,
}

impl Context {
    /// Of a pinned iterator: what it prints goes to those who read its file.
    pub fn seq_file(&self) -> Option<SeqFile> {
        match self {
            Context::Iter { file, .. } => *file,
            _ => None,
        }
    }
}

impl Program {
    /// The probes as they stand in the script.
    pub fn bodies(&self) -> impl Iterator<Item = &Probe> {
        self.probes.iter().flat_map(|p| std::iter::once(p).chain(p.session.as_ref().map(|s| &*s.returns)))
    }
}

/// Where a pinned iterator finds the file that it is read through (`struct seq_file`), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqFile {
    /// of `meta` in the context
    pub meta: u32,
    /// of `seq` in `struct bpf_iter_meta`
    pub seq: u32,
}

/// What a program's context holds, and how one program serves several attach points.
#[derive(Clone, Debug)]
pub enum Context {
    /// begin, end, self
    None,
    /// a tracepoint's record, at the context pointer
    Record(Arc<RecordDef>),
    /// `u64` each
    RawArgs(Vec<(String, Ty)>),
    /// those of a function of the kernel; behind them what it returned, where it has
    Function { args: Vec<(String, Ty)>, ret: Option<Ty> },
    /// a record; the pointers at the offsets `objects` are null after the last object
    Iter { record: Arc<RecordDef>, objects: Vec<u32>, file: Option<SeqFile> },
    /// A raw tracepoint `sys_enter` or `sys_exit` that stands for `tracepoint:syscalls:sys_{enter,exit}_NAME`: the
    /// numbers it lets pass with the attach point of each, and the record whose fields map to registers.
    Syscall { exit: bool, numbers: Vec<(u32, usize)>, record: Arc<RecordDef> },
    /// the same for `tracepoint:raw_syscalls:sys_{enter,exit}`: all system calls
    RawSyscall { exit: bool, record: Arc<RecordDef> },
    /// registers at a function of the kernel, or of a process (`user`); one attach point, or the cookie tells which
    Registers { ret: bool, user: bool, cookie: bool, typed: Option<Arc<crate::probe::convention::Signature>> },
    /// registers at a static probe of a process: its arguments, each or its text in the note where that can't be read
    Static(Vec<Result<crate::probe::usdt::argument::Argument, String>>),
    /// `struct bpf_perf_event_data`
    PerfEvent,
    /// `struct xdp_md`, `struct __sk_buff`
    Packet(crate::packet::Layer),
}

#[derive(Clone, Debug)]
pub struct Local {
    pub name: String,
    pub ty: Ty,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    Expr(Expr),
    SetLocal(LocalId, Expr),
    /// an element of a tuple, array or record in a local is never assigned: the language has no such statement
    SetMap {
        map: MapId,
        keys: Vec<Expr>,
        value: Expr,
    },
    /// a field of a packet's header, or of what the stack knows of the packet
    SetField {
        place: Expr,
        value: Expr,
    },
    /// `@m[k] += v` on integers; atomic
    AddMap {
        map: MapId,
        keys: Vec<Expr>,
        value: Expr,
    },
    /// `@m[k] = count()`
    Aggregate {
        map: MapId,
        keys: Vec<Expr>,
        agg: Agg,
        arg: Option<Expr>,
    },
    If {
        cond: Expr,
        then: Vec<Stmt>,
        other: Vec<Stmt>,
    },
    While {
        cond: Expr,
        body: Vec<Stmt>,
    },
    /// `var` runs from `from` to `to`, which is out
    ForRange {
        var: LocalId,
        from: Expr,
        to: Expr,
        body: Vec<Stmt>,
    },
    /// `var` is a tuple (key, value)
    ForMap {
        var: LocalId,
        map: MapId,
        body: Vec<Stmt>,
    },
    Break,
    Continue,
    Return(Option<Expr>),
    Block(Vec<Stmt>),
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: Ty,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// stands where an error was reported
    Error,
    Void,
    /// integers, booleans, enums and constant pointers
    Int(i64),
    /// a literal without its NUL
    Str(Vec<u8>),
    /// a constant of a type that lies in memory: its bytes
    Bytes(Vec<u8>),
    /// `len` bytes of what a pointer into the packet points to, as a buffer
    PacketBytes {
        base: Box<Expr>,
        from: u32,
        len: u32,
    },
    /// is the IPv6 address in the network of that many leading bits?
    InNetwork {
        address: Box<Expr>,
        network: [u8; 16],
        bits: u32,
    },
    Local(LocalId),
    MapGet {
        map: MapId,
        keys: Vec<Expr>,
    },
    /// `@m[k]++` and the like: a map or a local; the value is that before (or after) the step
    StepMap {
        map: MapId,
        keys: Vec<Expr>,
        by: i64,
        old: bool,
    },
    StepLocal {
        local: LocalId,
        by: i64,
        old: bool,
    },
    Call {
        builtin: &'static Builtin,
        args: Vec<Expr>,
    },
    /// queues a record for the runtime
    Emit {
        event: usize,
        args: Vec<Expr>,
    },
    Unary(UnOp, Box<Expr>),
    /// operands have the same type but for shifts; strings, tuples and buffers only with `Eq` and `Ne`
    Binary(BinOp, Box<Expr>, Box<Expr>),
    Ternary {
        cond: Box<Expr>,
        then: Box<Expr>,
        other: Box<Expr>,
    },
    /// statements, then a value
    Block(Vec<Stmt>, Box<Expr>),
    /// the body of a function, which a `Return` in it leaves; its value is in `result`
    Inline {
        body: Vec<Stmt>,
        result: Option<LocalId>,
    },
    /// `if` with a value in both arms
    If {
        cond: Box<Expr>,
        then: Box<Expr>,
        other: Box<Expr>,
    },
    /// the context pointer
    Ctx,
    /// field `index` of `args`
    Arg(usize),
    /// a parameter of a program's function
    Parameter(crate::probe::convention::Place),
    /// element of `args.args` under `RawSyscall`
    SyscallArg(Box<Expr>),
    /// a member of the record that `base` (a pointer or a record value) stands for
    Field {
        base: Box<Expr>,
        field: FieldRef,
    },
    TupleField {
        base: Box<Expr>,
        index: usize,
    },
    /// element of an array value or of what a pointer points to
    Index {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    /// of a local or a map without keys
    AddressOf(Box<Expr>),
    /// `*p`
    Deref(Box<Expr>),
    /// integer, enum, bool and pointer conversions: to `ty` by truncation or extension of the operand's sign
    Cast(Box<Expr>),
    /// a tuple, or the fields of a named tuple in order
    Tuple(Vec<Expr>),
    /// an aggregation read as a number, over all CPUs
    MapSum {
        map: MapId,
        keys: Vec<Expr>,
    },
    /// number of the attach point as a name of the table of names: a string
    ProbeName {
        func: bool,
    },
}

/// A field with its type resolved.
#[derive(Clone, Debug)]
pub struct FieldRef {
    pub name: String,
    pub offset: u32,
    pub bits: Option<(u8, u8)>,
    pub data_loc: bool,
    /// in network order
    pub big_endian: bool,
}

impl Expr {
    pub fn new(kind: ExprKind, ty: Ty, span: Span) -> Expr {
        Expr { kind, ty, span }
    }

    pub fn error(span: Span) -> Expr {
        Expr::new(ExprKind::Error, Ty::Error, span)
    }

    pub fn int(value: i64, ty: Ty, span: Span) -> Expr {
        Expr::new(ExprKind::Int(value), ty, span)
    }

    pub fn is_error(&self) -> bool {
        self.ty == Ty::Error
    }

    /// The value of a constant integer.
    pub fn as_int(&self) -> Option<i64> {
        match &self.kind {
            ExprKind::Int(v) => Some(*v),
            ExprKind::Cast(e) => e.as_int(),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&[u8]> {
        match &self.kind {
            ExprKind::Str(s) => Some(s),
            _ => None,
        }
    }
}
