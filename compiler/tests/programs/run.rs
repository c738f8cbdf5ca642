//! Runs a batch of programs in the kernel and on the host and compares.

use crate::evaluate::{self, Val};
use crate::generate;
use crate::kernel;
use crate::tree::{self, Held, Program};
use awl_compiler::agg::View;
use awl_compiler::artifact::{MapKind, Plan, Storage};
use awl_compiler::compile::{Compiled, compile};
use awl_compiler::host::Host;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::target::fixture::FixtureTarget;
use awl_compiler::types::{Agg, Ty};
use awl_compiler::value::{self, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// programs to a script, each a `begin` probe: they share a load of BTF and sections
const BATCH: u64 = 25;

/// Text of maps by name and key, and of records.
type Maps = BTreeMap<String, BTreeMap<String, String>>;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(v) => v.parse().unwrap_or_else(|_| panic!("{name}={v} is no number")),
        Err(_) => default,
    }
}

/// A value without the accidents of its type's width.
fn show(v: &Value) -> String {
    match v {
        Value::Int(v) => v.to_string(),
        Value::Uint(v) | Value::Ptr(v) => (*v as i64).to_string(),
        Value::Bool(b) => i64::from(*b).to_string(),
        Value::Str(s) => format!("{:?}", String::from_utf8_lossy(s)),
        Value::Tuple(items) => format!("({})", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Agg(View::Int(v)) => v.to_string(),
        Value::Agg(View::Uint(v)) => (*v as i64).to_string(),
        v => format!("{v:?}"),
    }
}

fn show_expected(v: &Val) -> String {
    match v {
        Val::Int(v) => v.to_string(),
        Val::Str(s) => format!("{s:?}"),
        Val::Tuple(items) => format!("({})", items.iter().map(show_expected).collect::<Vec<_>>().join(", ")),
    }
}

/// Keys as text: one key that is a tuple and as many keys are the same.
fn keys(of: &[String]) -> String {
    let all = list(of);
    match all.strip_prefix('(').and_then(|a| a.strip_suffix(')')) {
        Some(inner) if of.len() == 1 => inner.to_string(),
        _ => all,
    }
}

fn list(of: &[String]) -> String {
    of.join(", ")
}

/// Where the bytes of maps come from: the kernel or the host.
trait Side {
    fn section(&mut self, index: usize, plan: &Plan) -> Vec<u8>;
    fn entries(&mut self, map: usize, plan: &Plan) -> Vec<(Vec<u8>, Vec<u8>)>;
}

struct InKernel<'a>(&'a kernel::Loaded, usize);

impl Side for InKernel<'_> {
    fn section(&mut self, index: usize, plan: &Plan) -> Vec<u8> {
        self.0.section(&plan.sections[index].name)
    }

    fn entries(&mut self, map: usize, plan: &Plan) -> Vec<(Vec<u8>, Vec<u8>)> {
        let m = &plan.kernel_maps[map];
        let per_cpu = matches!(m.kind, MapKind::PercpuHash | MapKind::LruPercpuHash);
        self.0.entries(&m.name, per_cpu.then_some(self.1))
    }
}

struct OnHost<'a>(&'a mut Host);

impl Side for OnHost<'_> {
    fn section(&mut self, index: usize, _: &Plan) -> Vec<u8> {
        self.0.section(index).to_vec()
    }

    fn entries(&mut self, map: usize, _: &Plan) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.map(map)
    }
}

/// What is in the maps of one program, as the runtime would print it.
fn contents(plan: &Plan, prefix: &str, side: &mut dyn Side) -> Maps {
    let mut out = Maps::new();
    for m in plan.maps.iter().filter(|m| m.name.starts_with(prefix)) {
        let mut seen = BTreeMap::new();
        let size = m.value.size() as usize;
        match m.storage {
            Storage::Kernel(i) => {
                for (key, bytes) in side.entries(i, plan) {
                    let slots: Vec<Vec<u8>> = match &m.value {
                        Ty::Agg(_) => bytes.chunks(size.next_multiple_of(8)).map(<[u8]>::to_vec).collect(),
                        _ => vec![bytes],
                    };
                    let key: Vec<String> = value::sequence(&m.keys, &key).iter().map(show).collect();
                    let before = seen.insert(keys(&key), show(&value::decode_slots(&m.value, slots.iter().map(Vec::as_slice))));
                    assert!(before.is_none(), "@{}: two elements of the key {}", m.name, keys(&key));
                }
            }
            Storage::Slot { section, offset } => {
                let bytes = side.section(section, plan);
                let stride = plan.sections[section].per_cpu as usize;
                let flag = size.next_multiple_of(8);
                let parts: Vec<usize> = (0..bytes.len().checked_div(stride).unwrap_or(1)).map(|c| c * stride).collect();
                let at: Vec<usize> = parts.into_iter().map(|p| p + offset as usize).collect();
                // a count is there from the start, and says 0
                let always = matches!(m.value, Ty::Agg(Agg::Count));
                let set = always || at.iter().any(|a| value::uint(&bytes, a + flag, 8) != 0);
                let slots: Vec<Vec<u8>> = at.iter().map(|a| bytes[*a..a + size].to_vec()).collect();
                if set {
                    seen.insert(String::new(), show(&value::decode_slots(&m.value, slots.iter().map(Vec::as_slice))));
                }
            }
        }
        out.insert(m.name.clone(), seen);
    }
    out
}

fn records(plan: &Plan, of: Vec<Vec<u8>>) -> Vec<String> {
    let one = |r: Vec<u8>| {
        let event = &plan.events[value::uint(&r, 0, 4) as usize];
        let args: Vec<String> = event.args.iter().map(|a| show(&value::decode(&a.ty, &r[a.offset as usize..]))).collect();
        format!("{}: {}", value::uint(&r, 0, 4), list(&args))
    };
    of.into_iter().map(one).collect()
}

/// The outcome that the description asks for. Histograms and averages are left to the two others.
fn expected(p: &Program, comm: &str) -> (Maps, Vec<String>) {
    let outcome = evaluate::run(p, comm);
    let shown = p.maps.iter().zip(&outcome.maps).filter(|(m, _)| {
        use tree::Agg::*;
        matches!(m.held, Held::Plain(_) | Held::Agg(Count | Sum | Min | Max, _))
    });
    let maps = shown.map(|(m, elements)| {
        let none = Val::Int(0);
        let zero =
            (m.keys.is_empty() && elements.is_empty() && matches!(m.held, Held::Agg(tree::Agg::Count, _))).then_some((&[][..], &none));
        let each = elements.iter().map(|(k, v)| (k.as_slice(), v)).chain(zero);
        let each = each.map(|(k, v)| (keys(&k.iter().map(show_expected).collect::<Vec<_>>()), show_expected(v)));
        (m.name.clone(), each.collect())
    });
    let records = outcome.records.iter().map(|r| list(&r.iter().map(show_expected).collect::<Vec<_>>()));
    (maps.collect(), records.collect())
}

/// Lines that one has and the other doesn't.
fn difference(what: &str, a: &Maps, b: &Maps) -> String {
    let mut out = String::new();
    for (name, x) in a {
        let y = b.get(name).cloned().unwrap_or_default();
        for key in x.keys().chain(y.keys().filter(|k| !x.contains_key(*k))) {
            if x.get(key) != y.get(key) {
                let _ = writeln!(out, "@{name}[{key}] {what}: {:?} and {:?}", x.get(key), y.get(key));
            }
        }
    }
    out
}

fn script(programs: &[Program]) -> String {
    let mut out = "config = { max_map_keys = 512; perf_rb_pages = 64 }\n".to_string();
    programs.iter().for_each(|p| out += &format!("begin {}\n", p.text()));
    out
}

/// Diagnostics with the lines that they mean.
fn explain(c: &Compiled, sources: &SourceMap) -> String {
    let errors = c.diagnostics.iter().filter(|d| d.is_error());
    errors.map(|d| format!("{}: {}: {:?}\n", d.code, d.message, d.primary.as_ref().map(|l| sources.text(l.span)))).collect()
}

fn compiled(text: &str) -> Result<Compiled, String> {
    let mut sources = SourceMap::default();
    let file = sources.add("random", text);
    let c = compile(&sources, file, &FixtureTarget::new(), &Options::default(), false);
    if c.failed() { Err(explain(&c, &sources)) } else { Ok(c) }
}

fn comm() -> String {
    std::fs::read_to_string("/proc/thread-self/comm").map(|s| s.trim_end().to_string()).unwrap_or_default()
}

#[derive(Default)]
struct Count {
    programs: usize,
    insns: usize,
    records: usize,
    elements: usize,
    refused: usize,
    complaints: Vec<String>,
}

impl Count {
    fn add(&mut self, o: Count) {
        self.programs += o.programs;
        self.insns += o.insns;
        self.records += o.records;
        self.elements += o.elements;
        self.refused += o.refused;
        self.complaints.extend(o.complaints);
    }
}

fn batch(from: u64, n: u64, cpu: usize, cpus: usize) -> Count {
    let mut count = Count::default();
    let seeds: Vec<u64> = (from..from + n).collect();
    let programs: Vec<Program> = seeds.iter().map(|s| generate::program(*s, &format!("s{s}_"))).collect();
    let text = script(&programs);
    let c = match compiled(&text) {
        Ok(c) => c,
        // A frame over 512 bytes; a divisor that the checker knows to be 0, which the generator can't always see.
        Err(why) if n == 1 && ["frame-too-large", "division-by-zero"].iter().any(|c| why.contains(c)) => {
            count.refused += 1;
            return count;
        }
        Err(why) if n == 1 => {
            count.complaints.push(format!("seed {from} is refused:\n{text}\n{why}"));
            return count;
        }
        // one by one, to know which
        Err(_) => {
            seeds.iter().for_each(|s| count.add(batch(*s, 1, cpu, cpus)));
            return count;
        }
    };
    let (Some(lowered), Some(artifact)) = (&c.lowered, &c.artifact) else { panic!("no error and no program:\n{text}") };
    let (module, plan) = (&lowered.module, &artifact.plan);
    let mut refused = BTreeMap::new();
    let k = kernel::load_some(
        &artifact.object,
        &mut |name, error| {
            refused.insert(name.to_string(), error.to_string());
            true
        },
        &mut |_, _| {},
    )
    .unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut h = Host::with_cpus(module, cpus as u32).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let comm = comm();
    h.world().cpu = cpu as u32;
    h.world().comm.clone_from(&comm);
    let mut ring = plan.kernel_maps.iter().find(|m| m.kind == MapKind::Ringbuf).map(|m| k.ring(&m.name));
    for ((seed, p), made) in seeds.iter().zip(&programs).zip(&artifact.programs) {
        count.programs += 1;
        count.insns += made.insns as usize;
        let prefix = format!("s{seed}_");
        let complain = |what: String| format!("seed {seed}: {what}\nbegin {}\n", p.text());
        if let Some(error) = refused.get(&made.name) {
            // beyond what the verifier walks through: not a fault of the code
            if error.contains("BPF program is too large") || error.contains("too complex") {
                count.refused += 1;
            } else {
                count.complaints.push(complain(format!("the kernel refuses it: {error}")));
            }
            continue;
        }
        k.run(&made.name, &[0; 8]);
        let index = module.functions.iter().position(|f| f.name == made.name).expect("a function for each program");
        h.run(index, &[0; 8]);
        let in_kernel = records(plan, ring.as_mut().map(kernel::Ring::take).unwrap_or_default());
        let on_host = records(plan, h.events().into_iter().map(|(_, r)| r).collect());
        let (maps, wanted) = expected(p, &comm);
        let (a, b) = (contents(plan, &prefix, &mut InKernel(&k, cpus)), contents(plan, &prefix, &mut OnHost(&mut h)));
        let mut said = difference("in the kernel and on the host", &a, &b);
        said += &difference("expected and in the kernel", &maps, &a);
        if in_kernel != on_host {
            let _ = writeln!(said, "records in the kernel {in_kernel:?}\nand on the host {on_host:?}");
        }
        let bare: Vec<&str> = in_kernel.iter().map(|r| r.split_once(": ").map_or("", |(_, r)| r)).collect();
        if bare != wanted {
            let _ = writeln!(said, "records expected {wanted:?}\nand in the kernel {bare:?}");
        }
        count.records += in_kernel.len();
        count.elements += a.values().map(BTreeMap::len).sum::<usize>();
        if !said.is_empty() {
            count.complaints.push(complain(said));
        }
    }
    count
}

/// Stays on one CPU: the slots of per-CPU maps are compared.
fn pin() -> (usize, usize) {
    // SAFETY: `set` is as large as the call says, and is written before it is read.
    let cpu = unsafe {
        let cpu = libc::sched_getcpu().max(0) as usize;
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
        cpu
    };
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = possible.trim().rsplit(['-', ',']).next().and_then(|n| n.parse::<usize>().ok());
    (cpu, last.map_or(1, |n| n + 1))
}

#[test]
fn kernel_host_and_description_agree() {
    if !kernel::available() {
        return;
    }
    let (from, n) = (setting("AWL_SEED", 1), setting("AWL_PROGRAMS", 10_000));
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut count = Count::default();
    std::thread::scope(|scope| {
        let worker = || {
            let (cpu, cpus) = pin();
            let mut sum = Count::default();
            loop {
                let start = from + next.fetch_add(1, Ordering::Relaxed) as u64 * BATCH;
                // enough to work on
                if start >= from + n || sum.complaints.len() >= 5 {
                    return sum;
                }
                sum.add(batch(start, BATCH.min(from + n - start), cpu, cpus));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for w in workers {
            match w.join() {
                Ok(c) => count.add(c),
                Err(e) => std::panic::resume_unwind(e),
            }
        }
    });
    println!(
        "{} programs, {} instructions, {} records, {} elements of maps, {} too complex for the verifier",
        count.programs, count.insns, count.records, count.elements, count.refused
    );
    assert!(count.complaints.is_empty(), "{} programs differ\n{}", count.complaints.len(), count.complaints.join("\n"));
    assert!(count.refused * 20 <= n as usize, "too many are too complex");
}

/// `AWL_SHOW=seed` prints a program.
#[test]
fn show_one() {
    if let Ok(seed) = std::env::var("AWL_SHOW") {
        println!("begin {}", generate::program(seed.parse().expect("a number"), "m").text());
    }
}
