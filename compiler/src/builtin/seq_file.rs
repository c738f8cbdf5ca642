//! What a pinned iterator prints: text that its program writes into the file it is read through, with no awl beside it. The kernel
//! formats integers (`bpf_seq_printf`), everything else is bytes (`bpf_seq_write`).
//!
//! `bpf_seq_printf` knows flags and a width, neither `#` nor a precision nor `%o`; before Linux 5.13 it takes nothing but printable
//! ASCII, and strings of 127 bytes at most (`kernel/trace/bpf_trace.c`): strings are written by their length instead.

use crate::artifact::{EventKind, Format, Piece, Verb};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind};
use crate::lower::body::{Addr, Body, Fact, Operand};
use crate::lower::helper;
use crate::sema::{Call, Checker};
use crate::types::Ty;
use awl_grammar::span::Span;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// `MAX_BPRINTF_VARARGS`
const MOST_VALUES: usize = 12;
/// The widest padding, in bytes: it is written from a run of blanks.
const WIDEST: u32 = 1024;

impl Checker<'_> {
    /// Goes what this probe prints into the file of a pinned iterator?
    pub(crate) fn writes_file(&self) -> bool {
        self.at.context.as_ref().is_some_and(|c| c.seq_file().is_some())
    }
}

/// The refusal of what awl would have to do.
pub(crate) fn unheard(kind: &EventKind, span: Span) -> Diagnostic {
    let d = Diagnostic::error("pinned-iterator", span, "awl isn't there when a pinned iterator is read")
        .label("expected nothing that awl has to do: `printf`, `print` of a value");
    match kind {
        EventKind::Exit => d.help("`return;` ends the run for this object"),
        EventKind::Errorf(_) | EventKind::Warnf(_) => d.help("`printf` writes to those who read it, `debugf` to the kernel's own trace"),
        EventKind::PrintMap(_) | EventKind::TakeMap(_) | EventKind::PrintMapItem(_) | EventKind::Clear(_) | EventKind::Zero(_) => {
            d.help("keep it in a map of its own name, `let @seen = hash(4096) pin(\"seen\");`: `awl map dump seen` prints it")
        }
        _ => d.help("without the pin it is done: `iter:NAME { ... }`"),
    }
}

/// `printf`, whose arguments fit its conversions.
pub(super) fn checked(c: &mut Checker, call: &Call, (text, format): (Expr, &Format), args: Vec<Expr>) -> Expr {
    for (verb, arg) in format.verbs().zip(&args) {
        if let Err(expected) = writable(verb, &arg.ty) {
            let d = Diagnostic::error("format-type", arg.span, format!("a pinned iterator can't print a `{}` that way", arg.ty));
            return c.fail(d.label(format!("expected {expected}")).because(text.span, "the kernel formats what this iterator prints"));
        }
    }
    made(call, text, args)
}

/// `print` of a value.
pub(super) fn line(c: &mut Checker, call: &Call, e: Expr) -> Expr {
    let format = match &e.ty {
        Ty::Str(_) => "%s\n",
        Ty::Int { signed: true, .. } => "%lld\n",
        Ty::Int { .. } => "%llu\n",
        ty => {
            let d = Diagnostic::error("format-type", e.span, format!("a pinned iterator can't print a `{ty}`"));
            return c.fail(
                d.label("expected an integer or a string").help("print its parts, each as one of these: `printf(\"%d %s\\n\", ...)`"),
            );
        }
    };
    let format = Expr::new(ExprKind::Str(format.into()), Ty::Str(format.len() as u32 + 1), e.span);
    made(call, format, vec![e])
}

fn made(call: &Call, format: Expr, mut args: Vec<Expr>) -> Expr {
    args.insert(0, format);
    Expr::new(ExprKind::Call { builtin: call.row, args }, Ty::Void, call.span)
}

fn writable(verb: &Verb, ty: &Ty) -> Result<(), &'static str> {
    let plain = *verb == Verb { conversion: verb.conversion.clone(), length: verb.length.clone(), ..Verb::default() };
    match verb.conversion.as_str() {
        _ if verb.width > Some(WIDEST) => Err("a width of at most 1024"),
        "s" if matches!(ty, Ty::Str(_)) => Ok(()),
        "d" | "i" | "u" | "x" | "X" if !ty.is_scalar() => Err("an integer or a pointer"),
        "d" | "i" | "u" | "x" | "X" if verb.alt => Err("no `#` (write `0x%x`)"),
        "d" | "i" | "u" | "x" | "X" if verb.precision.is_some() => Err("no precision (`%08x` fills up with zeros)"),
        "d" | "i" | "u" | "x" | "X" => Ok(()),
        "p" if ty.is_scalar() && plain => Ok(()),
        "p" => Err("`%p` of a number, without a width"),
        "c" if ty.is_scalar() => Ok(()),
        _ => Err("%d, %i, %u, %x, %X, %p or %c of a number, or %s of a string"),
    }
}

/// Bits of a number that a conversion shows: as in C at least an int's, and never fewer than the type has.
fn shown(verb: &Verb, ty: &Ty) -> u8 {
    match verb.length.as_str() {
        "hh" => 1,
        "h" => 2,
        "" if *ty == Ty::Bool => 4,
        "" => ty.size().clamp(4, 8) as u8,
        _ => 8,
    }
}

/// A run of text and integers, as far as one call of `bpf_seq_printf` takes it.
#[derive(Default)]
struct Run {
    /// for the kernel
    format: Vec<u8>,
    /// the same where it has no conversion
    text: Vec<u8>,
    values: Vec<Value>,
}

impl Run {
    fn end(&mut self, b: &mut Body) {
        let run = std::mem::take(self);
        if run.values.is_empty() {
            write_bytes(b, &run.text);
            return;
        }
        let data = b.temp(8 * run.values.len() as u32, "what is printed");
        for (i, v) in run.values.iter().enumerate() {
            b.store(*v, data.at(8 * i as u32), 8);
        }
        let mut format = run.format;
        format.push(0);
        let at = b.m.literal(&format);
        let at = b.rodata(at);
        let (file, at, size) = (file(b), b.address(at), b.int(format.len() as i64));
        let (data, length) = (b.address(data), b.int(8 * run.values.len() as i64));
        b.helper(helper::SEQ_PRINTF, &[file, at, size, data, length]);
    }
}

/// Code of `printf` and `print`: the format, then the arguments. What finds no room in the file's buffer is no loss: the kernel
/// shows it and asks for the object again, with more room.
pub(super) fn write(b: &mut Body, _: &Expr, args: &[Expr], _: Option<Addr>) -> Operand {
    let text = String::from_utf8_lossy(args[0].as_str().unwrap_or_default()).into_owned();
    let mut rest = args[1..].iter();
    let mut run = Run::default();
    for piece in crate::format::parse(&text).0.pieces {
        let verb = match &piece {
            Piece::Text(t) => {
                if !t.bytes().all(|c| matches!(c, b' '..=b'~' | b'\t'..=b'\r')) {
                    run.end(b);
                    write_bytes(b, t.as_bytes());
                } else {
                    run.format.extend(t.replace('%', "%%").bytes());
                    run.text.extend(t.bytes());
                }
                continue;
            }
            Piece::Verb(v) => v,
        };
        let Some(arg) = rest.next() else { continue };
        match verb.conversion.as_str() {
            "s" => {
                run.end(b);
                let mark = b.mark();
                let (at, length) = b.string_copy(arg);
                padded(b, verb, (at, length, arg.ty.size() - 1), true);
                b.release(mark);
            }
            "c" => {
                run.end(b);
                let (v, at) = (b.scalar(arg), b.temp(8, "a character"));
                b.store(v, at, 8);
                let one = b.int(1);
                padded(b, verb, (at, one, 1), false);
            }
            "p" => {
                run.end(b);
                let v = b.scalar(arg);
                let (some, none, done) = (b.block(), b.block(), b.block());
                b.branch_if(IntCC::NotEqual, v, 0, some, none);
                for (block, mut run) in [
                    (some, Run { format: b"0x%llx".to_vec(), text: Vec::new(), values: vec![v] }),
                    (none, Run { text: b"(nil)".to_vec(), ..Run::default() }),
                ] {
                    b.enter(block);
                    b.push_facts();
                    run.end(b);
                    b.pop_facts();
                    b.jump(done);
                }
                b.enter(done);
            }
            conversion => {
                if run.values.len() == MOST_VALUES {
                    run.end(b);
                }
                let signed = matches!(conversion, "d" | "i");
                let v = b.scalar(arg);
                let v = b.extend(v, &Ty::Int { bytes: shown(verb, &arg.ty), signed });
                let flags = [(verb.minus, '-'), (verb.plus, '+'), (verb.space, ' '), (verb.zero, '0')];
                let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, c)| *c).collect();
                let width = verb.width.map_or(String::new(), |w| w.to_string());
                run.format.extend(format!("%{flags}{width}ll{conversion}").bytes());
                run.values.push(v);
            }
        }
    }
    run.end(b);
    Operand::None
}

/// The file that the program is read through.
fn file(b: &mut Body) -> Value {
    b.fact(Fact::SeqFile, |b| {
        let Some(at) = b.probe.context.seq_file() else { return b.int(0) };
        let context = b.context;
        let meta = b.load(Addr::ptr(context).at(at.meta), 8, false);
        b.load(Addr::ptr(meta).at(at.seq), 8, false)
    })
}

fn write_bytes(b: &mut Body, text: &[u8]) {
    if !text.is_empty() {
        let at = b.m.literal(text);
        let (at, length) = (b.rodata(at), b.int(text.len() as i64));
        write_at(b, at, length);
    }
}

fn write_at(b: &mut Body, at: Addr, length: Value) {
    let (file, at) = (file(b), b.address(at));
    b.helper(helper::SEQ_WRITE, &[file, at, length]);
}

/// Bytes with a width and a precision. They are a place, their number, and the most that it can be.
fn padded(b: &mut Body, verb: &Verb, (at, mut length, most): (Addr, Value, u32), string: bool) {
    if let Some(p) = verb.precision.filter(|p| *p < most) {
        let p = b.int(i64::from(p));
        length = b.b.ins().umin(length, p);
    }
    let blanks = verb.width.map(|w| {
        let (width, zero) = (b.int(i64::from(w)), b.int(0));
        let missing = b.b.ins().isub(width, length);
        let missing = b.b.ins().smax(missing, zero);
        (vec![b' '; w as usize], b.b.ins().umin(missing, width))
    });
    let pad = |b: &mut Body| {
        if let Some((blanks, missing)) = &blanks {
            let place = b.m.literal(blanks);
            let place = b.rodata(place);
            write_at(b, place, *missing);
        }
    };
    if !verb.minus {
        pad(b);
    }
    write_at(b, at, length);
    let config = &b.m.options.config;
    let (capacity, trailer) = (config.strlen(), config.str_trunc_trailer.clone());
    if string && most + 1 >= capacity {
        // It filled its room: all but surely it was cut.
        let cut = b.compare_imm(IntCC::Equal, length, i64::from(capacity) - 1);
        b.when(cut, |b| write_bytes(b, trailer.as_bytes()));
    }
    if verb.minus {
        pad(b);
    }
}
