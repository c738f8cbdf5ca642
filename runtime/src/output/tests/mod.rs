//! What comes out, byte for byte. The expected texts are what bpftrace 0.23 printed for the same values, where it can.

mod cut;
mod events;
mod json;
mod maps;
mod printf;
mod stacks;
mod values;

use super::sink::tests::Seen;
use super::*;
use crate::symbols::Symbols;
use awl_compiler::artifact::{EventArg, Map, StackStore, Storage};
use std::collections::HashMap;

/// Entries as tests write them.
type Plain = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// A session made of plain data.
#[derive(Default)]
struct Fake {
    maps: HashMap<usize, Entries>,
    stacks: HashMap<i64, Vec<u64>>,
    symbols: Symbols,
    log: Vec<String>,
}

impl Context for Fake {
    fn read_map(&mut self, map: usize) -> io::Result<Entries> {
        let none = || io::Error::from_raw_os_error(2);
        self.maps.get(&map).cloned().ok_or_else(none)
    }
    fn clear(&mut self, map: usize) -> io::Result<()> {
        self.log.push(format!("clear {map}"));
        Ok(())
    }
    fn zero(&mut self, map: usize) -> io::Result<()> {
        self.log.push(format!("zero {map}"));
        Err(io::ErrorKind::Unsupported.into())
    }
    fn stack(&mut self, _: StackStore, id: i64) -> Option<Vec<u64>> {
        self.stacks.get(&id).cloned()
    }
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }
    fn place(&mut self, span: Span) -> Option<Place> {
        (span.end > 0).then(|| Place { file: "stdin".into(), line: 1, columns: (span.start + 1, span.end + 1) })
    }
    fn boot_to_real_ns(&mut self) -> i64 {
        1_000_000_000
    }
    fn tai_to_real_ns(&mut self) -> i64 {
        -37_000_000_000
    }
}

/// An output whose bytes can be looked at, with its plan and its session.
struct Bench {
    out: Seen,
    err: Seen,
    output: Output,
    plan: Plan,
    ctx: Fake,
}

impl Bench {
    fn new(style: Style) -> Bench {
        let (out, err) = (Seen::default(), Seen::default());
        let options = Options { style, ..Options::default() };
        let output = Output::new(Box::new(out.clone()), Box::new(err.clone()), options);
        Bench { out, err, output, plan: Plan::default(), ctx: Fake::default() }
    }

    fn text() -> Bench {
        Bench::new(Style::Text)
    }

    fn json() -> Bench {
        Bench::new(Style::Json)
    }

    /// Adds a map and its entries.
    fn map(&mut self, name: &str, keys: &[Ty], value: Ty, entries: Plain) -> usize {
        let map = self.plan.maps.len();
        self.plan.maps.push(Map { name: name.into(), keys: keys.to_vec(), value, storage: Storage::Kernel(0), span: Span::default() });
        self.ctx.maps.insert(map, entries.into_iter().collect());
        map
    }

    /// Adds an event whose arguments follow each other as in a C struct.
    fn event(&mut self, kind: EventKind, tys: &[Ty]) -> usize {
        let mut at = EVENT_HEADER;
        let mut args = Vec::new();
        for ty in tys {
            at = at.next_multiple_of(ty.align());
            args.push(EventArg { ty: ty.clone(), offset: at });
            at += ty.size();
        }
        self.plan.events.push(Event { kind, size: at, args, span: Span::default() });
        self.plan.events.len() - 1
    }

    /// A record of an event, with the bytes of its arguments.
    fn record(&self, event: usize, values: &[&[u8]]) -> Vec<u8> {
        let about = &self.plan.events[event];
        let mut record = vec![0; about.size as usize];
        record[..4].copy_from_slice(&(event as u32).to_le_bytes());
        for (arg, value) in about.args.iter().zip(values) {
            let at = arg.offset as usize;
            record[at..at + value.len()].copy_from_slice(value);
        }
        record
    }

    fn run(&mut self, event: usize, values: &[&[u8]]) -> After {
        let record = self.record(event, values);
        self.output.event(&self.plan, &record, &mut self.ctx)
    }

    /// One event of its own kind; what it printed.
    fn once(&mut self, kind: EventKind, tys: &[Ty], values: &[&[u8]]) -> String {
        let event = self.event(kind, tys);
        assert_eq!(self.run(event, values), After::Continue);
        self.seen()
    }

    fn printed(&mut self, map: usize, top: u64, div: i64) -> String {
        let entries = self.ctx.maps[&map].clone();
        let select = Selection { top, div };
        let (plan, ctx) = (&self.plan, &mut self.ctx);
        self.output.map(plan, map, &entries, select, ctx);
        self.seen()
    }

    fn value(&mut self, ty: &Ty, bytes: &[u8]) -> String {
        self.output.value(&self.plan, ty, bytes, &mut self.ctx);
        self.seen()
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.output.flush();
        self.out.take()
    }

    fn seen(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn complaints(&mut self) -> String {
        String::from_utf8(self.err.take()).unwrap()
    }
}

fn words(words: &[i64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// One entry: 64-bit keys, and 64-bit words for each CPU.
fn entry(keys: &[i64], cpus: &[&[i64]]) -> (Vec<u8>, Vec<Vec<u8>>) {
    (words(keys), cpus.iter().map(|c| words(c)).collect())
}

/// A string's bytes, filled up with zeros.
fn padded(s: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = s.to_vec();
    bytes.resize(size, 0);
    bytes
}
