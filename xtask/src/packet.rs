//! `cargo xtask packet [KERNEL]`: how many instructions a packet takes in tools of `examples/net` and in what a C programmer would write
//! for the same, side by side in one boot: the kernel runs both on the same packet again and again, and its clock counts instructions.

use crate::options::{Options, Words};
use crate::vm::{Failed, Machine, Said, cache, guest, run, write_between};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const USAGE: &str = "cargo xtask packet [KERNEL] [--row TEXT] [--write] [--awl PATH]";
const KERNEL: &str = "6.12";
const MEMORY: &str = "2G";
/// The kernel's loop around a program, and the least program there is: cases of `benches/c/packets.bpf.c`.
const NOTHING: [&str; 2] = ["pass", "tc_pass"];
/// So often a packet's runs are timed (`packet/run.sh`).
const ROUNDS: u16 = 12;
const PORT: u16 = 1000;

/// A line of `benches/packets.txt`.
struct Row {
    what: String,
    /// the tool of `examples/net`, and C's case
    case: String,
    parameters: String,
    packet: Vec<u8>,
    /// run once before
    before: Option<Vec<u8>>,
    /// the same from other ports: each of them once
    others: Vec<Vec<u8>>,
    /// so many times what C executes is at fault
    limit: f64,
}

impl Row {
    fn of(line: &str) -> Option<Row> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [what, case, parameters, source, to, tags, before, limit] = cells.as_slice() else { return None };
        let (source, to, tags) = (source.parse().ok()?, to.parse().ok()?, tags.parse().ok()?);
        let others = if *before == "each" { (1..=ROUNDS).map(|n| frame(source, to, tags, PORT + n)).collect() } else { Vec::new() };
        let before = match before.split_once(' ') {
            Some((source, to)) => Some(frame(source.parse().ok()?, to.parse().ok()?, 0, PORT)),
            None => None,
        };
        Some(Row {
            what: (*what).into(),
            case: (*case).into(),
            parameters: (*parameters).into(),
            packet: frame(source, to, tags, PORT),
            before,
            others,
            limit: limit.parse().ok()?,
        })
    }
}

/// A TCP packet on Ethernet, checksums left out: they are corrected, never asked for.
fn frame(source: Ipv4Addr, to: Ipv4Addr, tags: usize, port: u16) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99];
    out.extend([0x81, 0, 0, 7].repeat(tags));
    out.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0]);
    out.extend(source.octets());
    out.extend(to.octets());
    out.extend(port.to_be_bytes());
    out.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 3, 232, 0, 0, 0, 0]);
    out
}

/// True: all rows were measured, and none is over its limit.
pub fn main(args: &[String]) -> Result<bool, Failed> {
    let o = Options::parse(args, &Words { usage: USAGE, choice: "--row", flags: &["--write"], kernels: &[KERNEL] })?;
    // Of several the last one counts.
    let series = o.kernels.last().map_or(KERNEL, String::as_str);
    let cache = cache()?;
    std::fs::create_dir_all(&cache)?;
    let mut machine = Machine::get(&cache, o.awl.as_deref())?;
    machine.qemu.counts = true;
    let text = std::fs::read_to_string(machine.top.join("benches/packets.txt"))?;
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    let rows: Result<Vec<Row>, Failed> =
        lines.map(|l| Row::of(l).ok_or_else(|| Failed(format!("benches/packets.txt: `{l}` is no row")))).collect();
    let rows: Vec<Row> = rows?.into_iter().filter(|r| o.wants(&r.what)).collect();
    let kernel = machine.kernel(series, false)?;
    let mut parts = machine.parts(&kernel);
    parts.programs = &["bpftool"];
    let steps: Vec<guest::Step> = rows.iter().enumerate().map(|(i, r)| step(i, r)).collect();
    let mut c = guest::files(&parts, &steps)?;
    for case in rows.iter().map(|r| r.case.as_str()).chain(NOTHING) {
        c.copy(&compiled(&machine.top, case)?, &format!("vm/c/{case}.o"))?;
    }
    for (i, r) in rows.iter().enumerate() {
        c.file(&format!("vm/packets/{i}"), 0o644, &r.packet);
        if let Some(b) = &r.before {
            c.file(&format!("vm/packets/{i}.before"), 0o644, b);
        }
        for (n, p) in r.others.iter().enumerate() {
            c.file(&format!("vm/packets/{i}.{}", n + 1), 0o644, p);
        }
        let tool = format!("{}.bt", r.case);
        c.copy(&machine.top.join("examples/net").join(&tool), &format!("vm/tools/{tool}"))?;
    }
    let mut table = String::new();
    let mut say = |line: String| {
        println!("{line}");
        table.push_str(&line);
        table.push('\n');
    };
    say(format!("Linux {}:\n", kernel.release));
    say("| packet | C executes | awl executes | awl / C | C's program | awl's program |\n|---|---|---|---|---|---|".into());
    let (mut faults, mut measured) = (Vec::new(), 0);
    let limit = Duration::from_secs(60 + u64::from(guest::CASE_LIMIT) * rows.len() as u64);
    let boot = machine.boot(&kernel, &c.finish(), MEMORY, limit, |said| {
        let Said::Done(n, got, _) = said else { return };
        let Some(r) = rows.get(n) else { return };
        let Some(cost) = Cost::of(&got.stdout) else { return faults.push(format!("{}: {}{}", r.what, got.stdout, got.stderr)) };
        measured += 1;
        let times = cost.awl as f64 / cost.c as f64;
        let [a, b] = cost.lengths;
        say(format!("| {} | {} | {} | {times:.2} | {a} | {b} |", r.what, cost.c, cost.awl));
        if times > r.limit {
            faults.push(format!("{}: awl executes {times:.2} times what C does, {} is the limit", r.what, r.limit));
        }
    })?;
    faults.iter().for_each(|f| println!("\n{f}"));
    if let Some(tail) = &boot.died {
        println!("\nthe guest ended early. The end of its log:\n{tail}");
    }
    let whole = boot.died.is_none() && measured == rows.len();
    if o.has("--write") && whole && o.only.is_empty() {
        write_between(&machine.top.join("docs/kernels.md"), "packets", &table)?;
    }
    Ok(whole && faults.is_empty())
}

fn step(i: usize, r: &Row) -> guest::Step {
    let set = format!("PACKET=/vm/packets/{i}\nCASE={}\nPARAMETERS={}\n", r.case, guest::quoted(&r.parameters));
    guest::Step { needs: String::new(), run: set + include_str!("packet/run.sh") }
}

/// C's program.
fn compiled(top: &Path, case: &str) -> Result<PathBuf, Failed> {
    let to = top.join(format!("target/vm/{case}.o"));
    // Where Debian has the headers of this kind of machine.
    let headers = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let flags = ["-O2", "-g", "-target", "bpf", &format!("-DCASE_{case}"), &headers, "-c", "-o"];
    run(Command::new("clang").args(flags).arg(&to).arg(top.join("benches/c/packets.bpf.c")))?;
    Ok(to)
}

/// What the guest counted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// executed instructions of the processor
    c: u64,
    awl: u64,
    /// instructions of BPF, C's and awl's
    lengths: [u64; 2],
}

impl Cost {
    /// Lines `TOOL: LENGTH: VERDICT TIME...` of nothing, C and awl. Both must have come to the same verdict.
    fn of(text: &str) -> Option<Cost> {
        let line = |tool: &str| -> Option<(u64, &str, u64)> {
            let mut parts = text.lines().find_map(|l| l.strip_prefix(tool)?.strip_prefix(": "))?.split(": ");
            let (length, rest) = (parts.next()?.parse::<u64>().ok()?, parts.next()?);
            let (verdict, times) = rest.split_once(' ')?;
            // The least: now and then something else has its turn in between.
            Some((length / 8, verdict, times.split_whitespace().filter_map(|t| t.parse().ok()).min()?))
        };
        let ((_, _, nothing), (a, first, c), (b, second, awl)) = (line("nothing")?, line("C")?, line("awl")?);
        (first == second && c > nothing).then(|| Cost { c: c - nothing, awl: awl.saturating_sub(nothing), lengths: [a, b] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_says() {
        let text = "nothing: 16: 2 11 10 10\nC: 80: 1 500 112 112\nawl: 160: 1 121 121 133\n";
        assert_eq!(Cost::of(text), Some(Cost { c: 102, awl: 111, lengths: [10, 20] }));
        assert_eq!(Cost::of(&text.replace("C: 80: 1", "C: 80: 2")), None, "other verdicts");
        assert_eq!(Cost::of("nothing: 16: 2 10\n"), None);
    }

    #[test]
    fn rows_of_the_benchmarks() {
        let text = include_str!("../../benches/packets.txt");
        let rows: Vec<Option<Row>> = text.lines().filter(|l| !l.starts_with('#')).map(Row::of).collect();
        assert!(rows.len() > 4 && rows.iter().all(Option::is_some));
        let tagged = rows.iter().flatten().map(|r| r.packet.len()).max();
        assert_eq!(tagged, Some(54 + 8));
    }
}
