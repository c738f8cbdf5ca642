//! What a running script says: ring-buffer records and maps, as text or as JSON, to a file or to standard output.
//!
//! `text` and `json` write the same `Value`s. Nothing here talks to the kernel: maps, stacks and symbols come from a
//! `Context`, so that everything can be tested with bytes.

mod histogram;
mod json;
mod losses;
mod maps;
mod names;
mod notices;
mod number;
mod printf;
mod series;
mod sink;
mod text;
mod time;
mod trials;

pub use maps::Selection;
pub use sink::{Buffering, file, stdout};

use crate::symbols::Symbols;
use crate::sys::clock;
use awl_compiler::Span;
use awl_compiler::artifact::{EVENT_HEADER, Event, EventKind, Format, MapKind, Plan, StackStore};
use awl_compiler::sema::follow::FAMILY;
use awl_compiler::types::Ty;
use awl_compiler::value::{self, Value};
use sink::Sink;
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use unicode_width::UnicodeWidthStr;

/// A text with blanks behind it, up to so many columns of a terminal: some characters take two, some none.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// Entries of a map: the key's bytes, and the value's for each CPU (one, where the map is not per-CPU). A map without keys
/// has one entry with an empty key once it is assigned, and none before.
pub type Entries = crate::maps::Rows;

/// What output asks of the session: the state of maps and stacks, and what the script's text says.
pub trait Context {
    /// All entries of a map of the plan.
    fn read_map(&mut self, map: usize) -> io::Result<Entries>;
    /// All entries of a map, which leave it.
    fn take_map(&mut self, map: usize) -> io::Result<Entries> {
        let entries = self.read_map(map)?;
        self.clear(map)?;
        Ok(entries)
    }
    /// `clear(@m)`
    fn clear(&mut self, map: usize) -> io::Result<()>;
    /// `zero(@m)`
    fn zero(&mut self, map: usize) -> io::Result<()>;
    /// Frames of a stack, the innermost first, as words of what `store` holds; zeros at the end are ignored.
    fn stack(&mut self, store: StackStore, id: i64) -> Option<Vec<u64>>;
    fn symbols(&mut self) -> &mut Symbols;
    /// Where a span lies in the script; `None`: unknown.
    fn place(&mut self, span: Span) -> Option<Place> {
        let _ = span;
        None
    }
    /// Realtime minus boottime, ns.
    fn boot_to_real_ns(&mut self) -> i64 {
        clock::boot_to_real_ns() as i64
    }
    /// Realtime minus atomic time, ns.
    fn tai_to_real_ns(&mut self) -> i64 {
        clock::tai_to_real_ns() as i64
    }
}

/// A place in the script, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// from 1
    pub line: u32,
    /// from 1: the first column, and the one after the last
    pub columns: (u32, u32),
}

/// What the session has to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum After {
    Continue,
    /// `exit(status)`
    Exit(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    #[default]
    Text,
    /// `-f json`
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub style: Style,
    /// `--json-version 2`: each object says when it was written and of which probe it is
    pub tagged: bool,
    pub buffering: Buffering,
    /// `max_cat_bytes`
    pub cat_bytes: u64,
    /// off with `--no-warnings`
    pub warnings: bool,
    pub cut: Cut,
    /// `--human`: values of maps with units
    pub human: bool,
    /// marks of tests in colour
    pub colour: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            style: Style::Text,
            tagged: false,
            buffering: Buffering::Line,
            cat_bytes: 10240,
            warnings: true,
            cut: Cut::default(),
            human: false,
            colour: false,
        }
    }
}

/// How strings are shown that filled the bytes that they had (`max_strlen`): all but surely they were cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// `max_strlen`, NUL included; 0: no string is taken to be cut
    pub capacity: usize,
    /// `str_trunc_trailer`
    pub trailer: String,
}

impl Cut {
    fn mark<'s>(&self, s: &'s [u8]) -> Cow<'s, [u8]> {
        if s.len() + 1 == self.capacity { Cow::Owned([s, self.trailer.as_bytes()].concat()) } else { Cow::Borrowed(s) }
    }
}

/// Everything a value may need to become text.
pub(crate) struct Env<'e> {
    plan: &'e Plan,
    ctx: &'e mut dyn Context,
    names: &'e mut names::Names,
    times: &'e mut time::Times,
    cut: &'e Cut,
    human: bool,
}

pub struct Output {
    options: Options,
    sink: Sink,
    errors: Box<dyn Write + Send>,
    /// formats of the plan's events, compiled when an event first comes
    formats: Vec<Option<printf::Program>>,
    names: names::Names,
    times: time::Times,
    scratch: Vec<u8>,
    trials: trials::Trials,
}

impl Output {
    /// `errors` takes messages that are no output (and, as text, `errorf` and `warnf`): standard error.
    pub fn new(to: Box<dyn Write + Send>, errors: Box<dyn Write + Send>, options: Options) -> Output {
        Output {
            sink: Sink::new(to, options.buffering).tagged(options.tagged && options.style == Style::Json),
            options,
            errors,
            formats: Vec::new(),
            names: names::Names::default(),
            times: time::Times::default(),
            scratch: Vec::new(),
            trials: trials::Trials::default(),
        }
    }

    /// A ring-buffer record; all of them must belong to the same plan.
    pub fn event(&mut self, plan: &Plan, record: &[u8], ctx: &mut dyn Context) -> After {
        let index = value::uint(record, 0, 4) as usize;
        let Some(event) = plan.events.get(index) else {
            self.complain(format_args!("a record of an unknown event ({index})"));
            return After::Continue;
        };
        if self.options.tagged {
            // A helper's failure says its place itself.
            let point = plan.points.get(value::uint(record, 4, 4) as usize).filter(|_| event.kind != EventKind::HelperError);
            self.sink.of_probe(point.map(String::as_str));
        }
        let after = match &event.kind {
            EventKind::Printf(format) => {
                self.printf(index, format, event, plan, record, ctx);
                After::Continue
            }
            EventKind::Exit => After::Exit(argument(event, record, 0) as i64),
            _ => {
                self.seldom(index, event, plan, record, ctx);
                After::Continue
            }
        };
        self.sink.done();
        self.sink.of_probe(None);
        after
    }

    fn printf(&mut self, index: usize, format: &Format, event: &Event, plan: &Plan, record: &[u8], ctx: &mut dyn Context) {
        match self.options.style {
            Style::Text => {
                let mut out = std::mem::take(self.sink.buffer());
                self.format_into(&mut out, (index, format, event), plan, record, ctx);
                *self.sink.buffer() = out;
            }
            Style::Json => {
                let text = self.format((index, format, event), plan, record, ctx);
                json::line(self.sink.buffer(), "printf", |out| json::string(out, &text));
                self.scratch = text;
            }
        }
    }

    fn format_into(
        &mut self,
        out: &mut Vec<u8>,
        (index, format, event): (usize, &Format, &Event),
        plan: &Plan,
        record: &[u8],
        ctx: &mut dyn Context,
    ) {
        if self.formats.len() <= index {
            self.formats.resize_with(plan.events.len(), || None);
        }
        let Some(slot) = self.formats.get_mut(index) else {
            return;
        };
        let args = &event.args;
        let program = slot.get_or_insert_with(|| printf::Program::new(format, args));
        let env = &mut Env { plan, ctx, names: &mut self.names, times: &mut self.times, cut: &self.options.cut, human: self.options.human };
        program.run(out, record, env);
    }

    /// The formatted text of an event, in a buffer to be given back to `scratch`.
    fn format(&mut self, event: (usize, &Format, &Event), plan: &Plan, record: &[u8], ctx: &mut dyn Context) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        self.format_into(&mut text, event, plan, record, ctx);
        text
    }

    fn seldom(&mut self, index: usize, event: &Event, plan: &Plan, record: &[u8], ctx: &mut dyn Context) {
        match &event.kind {
            EventKind::Printf(_)
            | EventKind::Exit
            | EventKind::Fill(_)
            | EventKind::Unwatch
            | EventKind::Losses
            | EventKind::Packet { .. } => {}
            EventKind::Errorf(format) => {
                let text = self.format((index, format, event), plan, record, ctx);
                self.remark("errorf", "ERROR", &text, ctx.place(event.span));
                self.scratch = text;
            }
            EventKind::Warnf(format) => {
                if self.options.warnings {
                    let text = self.format((index, format, event), plan, record, ctx);
                    self.remark("warnf", "WARNING", &text, ctx.place(event.span));
                    self.scratch = text;
                }
            }
            EventKind::Cat(format) => {
                let path = self.format((index, format, event), plan, record, ctx);
                self.cat(&path);
                self.scratch = path;
            }
            EventKind::System(format) => {
                let command = self.format((index, format, event), plan, record, ctx);
                self.system(&command);
                self.scratch = command;
            }
            EventKind::PrintValue => {
                if let Some(arg) = event.args.first() {
                    self.value(plan, &arg.ty, after(record, arg.offset), ctx);
                }
            }
            EventKind::PrintMapItem(map) => {
                if let Some(arg) = event.args.first() {
                    self.item(plan, *map, &arg.ty, after(record, arg.offset), ctx);
                }
            }
            EventKind::PrintMap(map) | EventKind::TakeMap(map) => {
                let select = Selection { top: argument(event, record, 0), div: argument(event, record, 1) as i64 };
                let entries = match event.kind {
                    EventKind::TakeMap(_) => ctx.take_map(*map),
                    _ => ctx.read_map(*map),
                };
                match entries {
                    Ok(entries) => self.map(plan, *map, &entries, select, ctx),
                    Err(e) => self.map_failed(plan, *map, "read", &e),
                }
            }
            EventKind::Clear(map) => {
                if let Err(e) = ctx.clear(*map) {
                    self.map_failed(plan, *map, "clear", &e);
                }
            }
            EventKind::Zero(map) => {
                if let Err(e) = ctx.zero(*map) {
                    self.map_failed(plan, *map, "zero", &e);
                }
            }
            EventKind::Time(format) => {
                let mut text = Vec::new();
                self.times.format(&mut text, format, clock::real_ns() as i64);
                self.put("time", &text, b"");
            }
            EventKind::Join { delimiter } => {
                let mut text = Vec::new();
                let arg = event.args.first().map(|arg| value::decode(&arg.ty, after(record, arg.offset)));
                if let Some(Value::Tuple(parts)) = arg {
                    let count = parts.first().and_then(Value::as_word).unwrap_or(0);
                    for (i, part) in parts.iter().skip(1).take(count as usize).enumerate() {
                        if i > 0 {
                            text.extend_from_slice(delimiter.as_bytes());
                        }
                        if let Value::Str(s) = part {
                            text.extend_from_slice(s);
                        }
                    }
                }
                self.put("join", &text, b"\n");
            }
            EventKind::HelperError => {
                let call = plan.calls.get(argument(event, record, 0) as usize);
                let code = argument(event, record, 1) as u32 as i32;
                if let Some((span, helper)) = call
                    && self.options.warnings
                {
                    self.helper_failed(helper, code, ctx.place(*span));
                }
            }
        }
    }

    /// A value by itself, as `print` writes it.
    pub fn value(&mut self, plan: &Plan, ty: &Ty, bytes: &[u8], ctx: &mut dyn Context) {
        self.any(plan, &value::decode(ty, bytes), ctx);
    }

    fn any(&mut self, plan: &Plan, value: &Value, ctx: &mut dyn Context) {
        let out = self.sink.buffer();
        let env = &mut Env { plan, ctx, names: &mut self.names, times: &mut self.times, cut: &self.options.cut, human: self.options.human };
        match self.options.style {
            Style::Text => {
                text::value(out, value, env);
                out.push(b'\n');
            }
            Style::Json => json::line(out, "value", |out| json::value(out, value, env)),
        }
    }

    /// `print(@m[k])`: a tuple of the keys, whose value is read now, or of the keys and the value.
    fn item(&mut self, plan: &Plan, index: usize, ty: &Ty, bytes: &[u8], ctx: &mut dyn Context) {
        let (Some(map), Ty::Tuple(tys)) = (plan.maps.get(index), ty) else {
            return self.value(plan, ty, bytes, ctx);
        };
        if let (Some(last), Some(at)) = (tys.get(map.keys.len()), ty.tuple_offsets().last()) {
            return self.value(plan, last, after(bytes, *at), ctx);
        }
        // As values: the kernel's keys are filled up to whole words, and behind a NUL there may be anything.
        let key = value::sequence(tys, bytes);
        match ctx.read_map(index) {
            Ok(entries) => {
                let found = entries.iter().find(|row| value::sequence(&map.keys, row.key) == key);
                let slots = found.iter().flat_map(|row| row.slots());
                self.any(plan, &value::decode_slots(&map.value, slots), ctx);
            }
            Err(e) => self.map_failed(plan, index, "read", &e),
        }
    }

    /// A map by its index in the plan.
    pub fn map(&mut self, plan: &Plan, map: usize, entries: &Entries, select: Selection, ctx: &mut dyn Context) {
        let Some(map) = plan.maps.get(map) else {
            return self.complain(format_args!("an unknown map ({map})"));
        };
        let env = &mut Env { plan, ctx, names: &mut self.names, times: &mut self.times, cut: &self.options.cut, human: self.options.human };
        match self.options.style {
            Style::Text => maps::text(&mut self.sink, map, entries, select, env),
            Style::Json => maps::json(&mut self.sink, map, entries, select, env),
        }
        self.sink.done();
    }

    /// At the end: every map that has something in it, by name, below two empty lines.
    pub fn maps_at_exit(&mut self, plan: &Plan, ctx: &mut dyn Context) {
        if self.options.style == Style::Text {
            self.sink.buffer().extend_from_slice(b"\n\n");
        }
        // Of a bloom filter nothing can be told but what is asked.
        let told = |m: &awl_compiler::artifact::Map| maps::kind(m, plan) != Some(MapKind::BloomFilter) && m.name != FAMILY;
        let shown = |i: &usize| plan.maps.get(*i).is_none_or(told);
        let mut order: Vec<usize> = (0..plan.maps.len()).filter(shown).collect();
        order.sort_by_key(|&i| plan.maps.get(i).map(|m| &m.name));
        for map in order {
            match ctx.read_map(map) {
                Ok(entries) => self.map(plan, map, &entries, Selection::default(), ctx),
                Err(e) => self.map_failed(plan, map, "read", &e),
            }
        }
    }

    /// All records at hand are done: what should be seen by now goes out.
    pub fn pause(&mut self) {
        self.sink.pause();
    }

    /// Everything goes out.
    pub fn flush(&mut self) {
        self.sink.flush();
    }

    /// Nobody reads any more, or writing failed: the session may end.
    pub fn closed(&self) -> bool {
        self.sink.closed()
    }

    /// Why writing failed, once; a reader that has gone away is no failure.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.sink.take_error()
    }

    /// Text of its own kind: as it is, or one JSON object.
    fn put(&mut self, kind: &str, text: &[u8], end: &[u8]) {
        let out = self.sink.buffer();
        match self.options.style {
            Style::Text => {
                out.extend_from_slice(text);
                out.extend_from_slice(end);
            }
            Style::Json => json::line(out, kind, |out| json::string(out, text)),
        }
    }

    fn cat(&mut self, path: &[u8]) {
        use std::os::unix::{ffi::OsStrExt, fs::OpenOptionsExt};
        let name = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
        let mut text = Vec::new();
        // A pipe that nobody writes to, or a device that has nothing to say, must not stop the stream.
        let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(name);
        let read = match file.and_then(|f| f.take(self.options.cat_bytes).read_to_end(&mut text)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            read => read,
        };
        match read {
            Ok(_) => self.put("cat", &text, b""),
            Err(e) => {
                let why = plain_error(&e);
                // As bpftrace: who reads the stream sees that there was nothing.
                self.put("cat", b"", b"");
                self.complain(format_args!("failed to open file '{}': {why}", name.display()));
            }
        }
    }

    /// Runs a command until it ends; its standard output is ours.
    fn system(&mut self, command: &[u8]) {
        use std::os::unix::ffi::OsStrExt;
        self.sink.flush();
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(std::ffi::OsStr::from_bytes(command));
        let ran = shell.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
        match ran {
            Ok(ran) => self.put("syscall", &ran.stdout, b""),
            Err(e) => {
                let why = plain_error(&e);
                self.complain(format_args!("system(): /bin/sh didn't run: {why}"));
            }
        }
    }

    /// `errorf` and `warnf`.
    fn remark(&mut self, kind: &str, label: &str, text: &[u8], place: Option<Place>) {
        match self.options.style {
            Style::Text => {
                self.sink.pause();
                let mut line = located(place.as_ref(), label).into_bytes();
                line.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
                self.error_line(&line);
            }
            Style::Json => json::message(self.sink.buffer(), kind, |out| {
                out.extend_from_slice(b"\"msg\": ");
                json::string(out, text);
                json_place(out, place.as_ref());
            }),
        }
    }

    fn helper_failed(&mut self, helper: &str, code: i32, place: Option<Place>) {
        let code_of = |n: i32| code == -n;
        let why = match helper {
            "map_update_elem" if code_of(libc::E2BIG) => "the map is full".to_owned(),
            "map_delete_elem" if code_of(libc::ENOENT) => "there is no such element".to_owned(),
            _ => plain_error(&io::Error::from_raw_os_error(code.saturating_neg())),
        };
        match self.options.style {
            Style::Text => {
                self.sink.pause();
                let mut line = located(place.as_ref(), "WARNING");
                line += &format!("Failed to {helper}: {why} ({code})");
                self.error_line(line.as_bytes());
            }
            Style::Json => json::message(self.sink.buffer(), "helper_error", |out| {
                out.extend_from_slice(b"\"msg\": ");
                json::string(out, plain_error(&io::Error::from_raw_os_error(code.saturating_neg())).as_bytes());
                out.extend_from_slice(b", \"helper\": ");
                json::string(out, helper.as_bytes());
                out.extend_from_slice(format!(", \"retcode\": {code}").as_bytes());
                json_place(out, place.as_ref());
            }),
        }
    }

    fn map_failed(&mut self, plan: &Plan, map: usize, what: &str, error: &io::Error) {
        let name = plan.maps.get(map).map_or("?", |m| &m.name);
        let why = plain_error(error);
        self.complain(format_args!("couldn't {what} map @{name}: {why}"));
    }

    fn complain(&mut self, message: std::fmt::Arguments) {
        self.sink.pause();
        self.error_line(format!("ERROR: {message}").as_bytes());
    }

    fn error_line(&mut self, line: &[u8]) {
        let mut line = line.to_vec();
        line.push(b'\n');
        // where standard error is closed there is nobody to tell
        let _ = self.errors.write_all(&line);
    }
}

/// An integer argument of an event, 0 where there is none.
pub(crate) fn argument(event: &Event, record: &[u8], n: usize) -> u64 {
    let arg = event.args.get(n);
    arg.map_or(0, |arg| {
        let at = arg.offset.max(EVENT_HEADER) as usize;
        let size = arg.ty.size().min(8) as u8;
        value::uint(record, at, size)
    })
}

fn after(record: &[u8], at: u32) -> &[u8] {
    record.get(at as usize..).unwrap_or(&[])
}

fn located(place: Option<&Place>, label: &str) -> String {
    match place {
        Some(p) => format!("{}:{}:{}-{}: {label}: ", p.file, p.line, p.columns.0, p.columns.1),
        None => format!("{label}: "),
    }
}

fn json_place(out: &mut Vec<u8>, place: Option<&Place>) {
    if let Some(p) = place {
        out.extend_from_slice(b", \"filename\": ");
        json::string(out, p.file.as_bytes());
        let at = format!(", \"line\": {}, \"col\": {}", p.line, p.columns.0);
        out.extend_from_slice(at.as_bytes());
    }
}

/// The C library's words, without Rust's `(os error 2)`.
fn plain_error(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
