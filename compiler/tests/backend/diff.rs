//! Random functions run in the kernel and on the host, and must do the same.
//!
//! `AWL_DIFF` says how many (300 when it is not set), `AWL_SEED` from which seed on.

use crate::kernel;
use crate::random::{self, DATA, INPUTS, OUT};
use crate::rng::Rng;
use awl_compiler::bpf::{self, Insn};
use awl_compiler::host::Host;
use awl_compiler::lowered::Module;
use std::sync::atomic::{AtomicUsize, Ordering};

/// functions to a module: they share a load of BTF and maps
const BATCH: usize = 50;
const RUNS: usize = 3;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(v) => v.parse().unwrap_or_else(|_| panic!("{name}={v} is no number")),
        Err(_) => default,
    }
}

fn inputs(seed: u64, run: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed ^ (run as u64) << 48);
    (0..INPUTS).flat_map(|_| rng.number().to_le_bytes()).collect()
}

fn memory(seed: u64, run: usize) -> Vec<u8> {
    let mut rng = Rng::new(!seed ^ (run as u64) << 48);
    (0..DATA / 8).flat_map(|_| rng.number().to_le_bytes()).collect()
}

/// What is seen after a run.
#[derive(PartialEq, Eq)]
struct Seen {
    result: u32,
    data: Vec<u8>,
    out: Vec<u8>,
}

impl Seen {
    fn difference(&self, other: &Seen) -> String {
        let mut text = format!("result {:#x} and {:#x}\n", self.result, other.result);
        for (name, a, b) in [("data", &self.data, &other.data), ("out", &self.out, &other.out)] {
            for (i, (x, y)) in a.chunks(8).zip(b.chunks(8)).enumerate() {
                if x != y {
                    text += &format!("{name}[{}]: {x:02x?} and {y:02x?}\n", i * 8);
                }
            }
        }
        text
    }
}

#[derive(Default)]
struct Count {
    functions: usize,
    insns: usize,
    spills: usize,
    too_complex: usize,
}

impl Count {
    fn add(&mut self, other: &Count) {
        self.functions += other.functions;
        self.insns += other.insns;
        self.spills += other.spills;
        self.too_complex += other.too_complex;
    }
}

fn describe(m: &Module, out: &bpf::Output, i: usize) -> String {
    format!("{}\n{}", m.functions[i].clif.display(), bpf::disassemble(&out.functions[i], m))
}

fn on_host(h: &mut Host, function: usize, seed: u64, run: usize) -> Seen {
    h.section(0).copy_from_slice(&memory(seed, run));
    h.section(1).fill(0);
    let result = h.run(function, &inputs(seed, run)).expect("a program") as u32;
    Seen { result, data: h.section(0).to_vec(), out: h.section(1).to_vec() }
}

fn in_kernel(k: &kernel::Loaded, seed: u64, run: usize) -> Seen {
    k.write_section(".bss.data", &memory(seed, run));
    k.write_section(".bss.out", &[0; OUT as usize]);
    let result = k.run(&random::name(seed), &inputs(seed, run));
    Seen { result, data: k.section(".bss.data"), out: k.section(".bss.out") }
}

fn batch(seeds: &[u64]) -> Count {
    let mut count = Count::default();
    let m = random::module(seeds);
    let options = bpf::Options {
        check: true,
        // every other module, where the kernel has it
        v4: seeds[0] / BATCH as u64 % 2 == 1 && kernel::has_v4(),
        ..bpf::Options::default()
    };
    let out = bpf::compile(&m, &options).unwrap_or_else(|e| panic!("seeds {}..: {e}", seeds[0]));
    let mut h = Host::new(&m).unwrap_or_else(|e| panic!("seeds {}..: {e}", seeds[0]));
    let k = kernel::load_some(
        &out.object,
        &mut |name, error| {
            // beyond what the verifier walks through: not a fault of the code
            if error.contains("BPF program is too large") || error.contains("too complex") {
                count.too_complex += 1;
                return true;
            }
            let i = m.functions.iter().position(|f| f.name == name).unwrap();
            eprintln!("{}", describe(&m, &out, i));
            false
        },
        &mut |_, _| {},
    )
    .unwrap_or_else(|e| panic!("{e}"));
    for (i, seed) in seeds.iter().enumerate() {
        let name = random::name(*seed);
        if !k.programs.contains_key(&name) {
            continue;
        }
        count.functions += 1;
        count.insns += out.functions[i].insns.len();
        count.spills += (out.functions[i].frame as usize).saturating_sub(80) / 8;
        for run in 0..RUNS {
            let (kernel, host) = (in_kernel(&k, *seed, run), on_host(&mut h, i, *seed, run));
            assert!(
                kernel == host,
                "{}\nseed {seed}, run {run}: kernel and host differ:\n{}",
                describe(&m, &out, i),
                kernel.difference(&host)
            );
        }
    }
    for (key, value) in h.map(0) {
        assert_eq!(k.lookup("table", &key, 8), Some(value), "seeds {}..", seeds[0]);
    }
    count
}

#[test]
fn kernel_and_host_agree() {
    if !kernel::available() {
        return;
    }
    let (from, n) = (setting("AWL_SEED", 1), setting("AWL_DIFF", 300));
    let seeds: Vec<u64> = (from..from + n).collect();
    let next = AtomicUsize::new(0);
    let batches: Vec<&[u64]> = seeds.chunks(BATCH).collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut count = Count::default();
    std::thread::scope(|scope| {
        let worker = || {
            let mut sum = Count::default();
            while let Some(seeds) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                sum.add(&batch(seeds));
            }
            sum
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for w in workers {
            match w.join() {
                Ok(c) => count.add(&c),
                Err(e) => std::panic::resume_unwind(e),
            }
        }
    });
    println!(
        "{} functions, {} instructions, {} spill slots, {} too complex for the verifier: no difference",
        count.functions, count.insns, count.spills, count.too_complex
    );
    assert!(count.too_complex * 10 <= n as usize, "too many are too complex");
}

/// `AWL_SHOW=seed` prints a function.
#[test]
fn show() {
    if let Ok(seed) = std::env::var("AWL_SHOW") {
        let m = random::module(&[seed.parse().unwrap()]);
        println!("{}", m.functions[0].clif.display());
        match bpf::compile(&m, &bpf::Options { vcode: true, ..bpf::Options::default() }) {
            Ok(out) => println!("{}\n{}", out.functions[0].vcode, bpf::disassemble(&out.functions[0], &m)),
            Err(e) => println!("{e}"),
        }
    }
}

/// A fault of the code generator, planted into finished code: the first instruction that it applies to.
type Fault = fn(&mut [Insn]) -> bool;

fn first(insns: &mut [Insn], hit: impl Fn(&Insn) -> bool, spoil: impl Fn(&mut Insn)) -> bool {
    match insns.iter_mut().find(|i| hit(i)) {
        Some(i) => {
            spoil(i);
            true
        }
        None => false,
    }
}

/// Is the comparison of the two oracles worth anything? Each fault must be noticed, by the verifier or by a difference.
#[test]
fn planted_faults_are_noticed() {
    if !kernel::available() {
        return;
    }
    let faults: [(&str, Fault); 6] = [
        ("an addition subtracts", |i| first(i, |i| i.code == 0x0f, |i| i.code = 0x1f)),
        ("a comparison takes equality along", |i| {
            // signed, by register
            first(
                i,
                |i| i.code == 0xce || i.code == 0x6e,
                |i| {
                    i.code = if i.code == 0xce { 0xde } else { 0x7e };
                },
            )
        }),
        ("a 32-bit move keeps the upper half", |i| first(i, |i| i.code == 0xbc, |i| i.code = 0xbf)),
        ("a shift is one off", |i| first(i, |i| i.code == 0xc7, |i| i.imm -= 1)),
        ("a store is too narrow", |i| {
            // to a data section: the stack is r10
            first(i, |i| i.code == 0x7b && i.dst != 10, |i| i.code = 0x63)
        }),
        ("a spilled value comes from its neighbour", |i| {
            let spill = |i: &Insn| i.code == 0x79 && i.src == 10 && i.off < -88;
            first(i, spill, |i| i.off += 8)
        }),
    ];
    // a fault may not show in one function, as where the value is not used
    const TRIES: u64 = 40;
    for (what, fault) in faults {
        let (mut planted, mut noticed) = (0, 0);
        for seed in 1..=TRIES {
            let m = random::module(&[seed]);
            let out = bpf::compile(&m, &bpf::Options::default()).unwrap();
            let mut hit = false;
            let mut rejected = false;
            let k = kernel::load_some(
                &out.object,
                &mut |_, _| {
                    rejected = true;
                    true
                },
                &mut |_, insns| hit = fault(insns),
            )
            .unwrap();
            if !hit {
                continue;
            }
            planted += 1;
            let mut h = Host::new(&m).unwrap();
            let differs = !rejected && (0..RUNS).any(|run| in_kernel(&k, seed, run) != on_host(&mut h, 0, seed, run));
            noticed += usize::from(rejected || differs);
        }
        println!("{what}: planted {planted} times, noticed {noticed} times");
        assert!(planted > 0, "{what}: never planted");
        assert!(noticed > 0, "{what}: planted {planted} times, never noticed");
    }
}
