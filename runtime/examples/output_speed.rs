//! How many events the output formats in a second of CPU time: `cargo run --release -p awl-runtime --example output_speed`.

use awl_compiler::artifact::{EVENT_HEADER, Event, EventArg, EventKind, Map, Plan, Storage};
use awl_compiler::types::{Agg, Ty};
use awl_compiler::{Span, format};
use awl_runtime::output::{After, Context, Entries, Options, Output, Selection, Style};
use awl_runtime::symbols::Symbols;
use std::io;
use std::sync::Arc;

#[derive(Default)]
struct Nothing(Symbols);

impl Context for Nothing {
    fn read_map(&mut self, _: usize) -> io::Result<Entries> {
        Ok(Entries::default())
    }
    fn clear(&mut self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn zero(&mut self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn stack(&mut self, _: awl_compiler::artifact::StackStore, _: i64) -> Option<Vec<u64>> {
        None
    }
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.0
    }
}

fn plan(text: &str) -> Plan {
    let tys = [Ty::U32, Ty::Str(16), Ty::I64];
    let mut at = EVENT_HEADER;
    let mut args = Vec::new();
    for ty in tys {
        at = at.next_multiple_of(ty.align());
        let offset = at;
        at += ty.size();
        args.push(EventArg { ty, offset });
    }
    let event = Event { kind: EventKind::Printf(Arc::new(format::parse(text).0)), size: at, args, span: Span::default() };
    let map = Map {
        name: String::new(),
        keys: vec![Ty::Str(16)],
        value: Ty::Agg(Agg::Count),
        storage: Storage::Kernel(0),
        span: Span::default(),
    };
    Plan { events: vec![event], maps: vec![map], ..Plan::default() }
}

fn output(style: Style) -> io::Result<Output> {
    let to = std::fs::File::create("/dev/null")?;
    let options = Options { style, ..Options::default() };
    Ok(Output::new(Box::new(to), Box::new(io::stderr()), options))
}

/// Seconds this thread was on a CPU: others' load doesn't count.
fn cpu_seconds() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    Ok(ns.unwrap_or(0.0) / 1e9)
}

fn main() -> io::Result<()> {
    const EVENTS: u32 = 5_000_000;
    for (style, text) in [(Style::Text, "%d %s %d\n"), (Style::Text, "%-6d %-16s %x\n"), (Style::Json, "%d %s %d\n")] {
        let plan = plan(text);
        let mut best = f64::MAX;
        for _ in 0..5 {
            let (mut out, mut ctx) = (output(style)?, Nothing::default());
            let mut record = [0u8; 40];
            record[12..15].copy_from_slice(b"dd\0");
            let start = cpu_seconds()?;
            for n in 0..EVENTS {
                record[8..12].copy_from_slice(&(n % 50_000).to_le_bytes());
                record[32..40].copy_from_slice(&u64::from(n).to_le_bytes());
                assert_eq!(out.event(&plan, &record, &mut ctx), After::Continue);
                if n % 256 == 0 {
                    out.pause();
                }
            }
            out.flush();
            best = best.min(cpu_seconds()? - start);
        }
        let rate = f64::from(EVENTS) / best / 1e6;
        println!("{style:?} {text:?}: {rate:.1} M events/s");
    }
    let plan = plan("");
    let entries: Entries = (0..1_000_000u32)
        .map(|n| {
            let mut key = format!("p{}", n.wrapping_mul(0x9e37_79b9)).into_bytes();
            key.resize(16, 0);
            (key, vec![vec![1, 0, 0, 0, 0, 0, 0, 0]; 2])
        })
        .collect();
    for style in [Style::Text, Style::Json] {
        let (mut out, mut ctx) = (output(style)?, Nothing::default());
        let start = cpu_seconds()?;
        out.map(&plan, 0, &entries, Selection::default(), &mut ctx);
        out.flush();
        let ms = (cpu_seconds()? - start) * 1e3;
        println!("{style:?} map of 1 M string keys on 2 CPUs: {ms:.0} ms");
    }
    Ok(())
}
