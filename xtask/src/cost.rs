//! `cargo xtask cost [KERNEL]`: what an event of each probe type costs under bpftrace and under awl, side by side in one boot:
//! both are attached to the same events, and the kernel itself takes the time (`bpf_stats`) by a clock that counts instructions.

use crate::options::{Options, Words};
use crate::peer::{self, debian::Peer};
use crate::vm::{Failed, Machine, Said, cache, guest, write_between};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const USAGE: &str = "cargo xtask cost [KERNEL] [--row TEXT] [--write] [--awl PATH]";
const KERNEL: &str = "6.12";
const MEMORY: &str = "4G";
/// seconds for a row
const LIMIT: u32 = 90;

/// What is measured. A row with a `base` shows what it adds to that row's program.
struct Row {
    what: &'static str,
    program: &'static str,
    base: Option<&'static str>,
}

const fn row(what: &'static str, program: &'static str) -> Row {
    Row { what, program, base: None }
}

const fn chain(what: &'static str, program: &'static str, base: &'static str) -> Row {
    Row { what, program, base: Some(base) }
}

const ROWS: &[Row] = &[
    row("kprobe", "kprobe:vfs_read { @ = count(); }"),
    row("kprobe, argument", "kprobe:vfs_read { @ = sum(arg2); }"),
    row("kretprobe", "kretprobe:vfs_read { @ = sum(retval); }"),
    row("fentry", "fentry:vfs_read { @ = count(); }"),
    row("fentry, argument", "fentry:vfs_read { @ = sum(args.count); }"),
    row("fexit", "fexit:vfs_read { @ = sum(retval); }"),
    row("tracepoint of a call", "tracepoint:syscalls:sys_enter_read { @ = sum(args.count); }"),
    row("tracepoint", "tracepoint:sched:sched_switch { @ = sum(args.next_pid); }"),
    row("rawtracepoint", "rawtracepoint:sys_enter { @ = count(); }"),
    row("uprobe", "uprobe:/usr/lib/x86_64-linux-gnu/libc.so.6:read { @ = sum(arg2); }"),
    row("uretprobe", "uretprobe:/usr/lib/x86_64-linux-gnu/libc.so.6:read { @ = sum(retval); }"),
    row("profile", "profile:hz:99 { @ = count(); }"),
    row("software", "software:cpu-clock:1000000 { @ = count(); }"),
    row("filter", "kprobe:vfs_read /pid == 1/ { @ = count(); }"),
    row("histogram", "kretprobe:vfs_read { @ = hist(retval); }"),
    row("line", r#"kprobe:vfs_read { printf("%d %s\n", pid, comm); }"#),
    row("by process", "kprobe:vfs_read { @[pid] = count(); }"),
    row("by name", "kprobe:vfs_read { @[comm] = count(); }"),
    row("kernel stack", "kprobe:vfs_read { @[kstack] = count(); }"),
    row("user stack", "kprobe:vfs_read { @[ustack] = count(); }"),
    chain(
        "chain of 4, fentry",
        "fentry:vfs_read { @ = sum(args.file->f_inode->i_sb->s_type->fs_flags); }",
        "fentry:vfs_read { @ = sum(args.count); }",
    ),
    chain(
        "chain of 4, curtask",
        "fentry:vfs_read { @ = sum(curtask->group_leader->real_parent->group_leader->pid); }",
        "fentry:vfs_read { @ = sum(args.count); }",
    ),
    chain(
        "chain of 4, curtask in a kprobe",
        "kprobe:vfs_read { @ = sum(curtask->group_leader->real_parent->group_leader->pid); }",
        "kprobe:vfs_read { @ = sum(arg2); }",
    ),
    chain(
        "chain of 4, kprobe",
        "kprobe:vfs_read { @ = sum(((struct file *)arg0)->f_inode->i_sb->s_type->fs_flags); }",
        "kprobe:vfs_read { @ = sum(arg2); }",
    ),
];

/// A function's entry and its return, whose whole price is measured: what the kernel does around the programs is most of it.
const PAIRS: &[(&str, &str)] = &[
    ("entry and return", "kprobe:vfs_read { @in = sum(arg2); } kretprobe:vfs_read { @out = sum(retval); }"),
    (
        "entry and return, several functions",
        "kprobe:vfs_read,kprobe:vfs_readlink { @in = sum(arg2); } kretprobe:vfs_read,kretprobe:vfs_readlink { @out = sum(retval); }",
    ),
];

/// True: all rows were measured, and awl executes nowhere more than bpftrace.
pub fn main(args: &[String]) -> Result<bool, Failed> {
    let o = Options::parse(args, &Words { usage: USAGE, choice: "--row", flags: &["--write"], kernels: &[KERNEL] })?;
    // Of several the last one counts.
    let series = o.kernels.last().map_or(KERNEL, String::as_str);
    let wanted = |r: &&Row| o.wants(r.what);
    let rows: Vec<&Row> = ROWS.iter().filter(|r| wanted(r) || ROWS.iter().filter(wanted).any(|c| c.base == Some(r.program))).collect();
    let cache = cache()?;
    std::fs::create_dir_all(&cache)?;
    let peer = Peer::get(&cache, peer::SUITE)?;
    let mut machine = Machine::get(&cache, o.awl.as_deref())?;
    machine.qemu.counts = true;
    let kernel = machine.kernel(series, false)?;
    let mut parts = machine.parts(&kernel);
    (parts.limit, parts.programs) = (LIMIT, &["bpftool"]);
    let step = |program: &str, script: &str| {
        let set = format!("PROGRAM={}\nPEER={}\n", guest::quoted(program), guest::quoted(&peer.guest_command()));
        guest::Step { needs: String::new(), run: set + script }
    };
    let pairs: Vec<&(&str, &str)> = PAIRS.iter().filter(|(what, _)| o.wants(what)).collect();
    let mut steps: Vec<guest::Step> = rows.iter().map(|r| step(r.program, include_str!("cost/run.sh"))).collect();
    steps.extend(pairs.iter().map(|(_, program)| step(program, include_str!("cost/pair.sh"))));
    let mut c = guest::files(&parts, &steps)?;
    peer.put(&mut c)?;
    let (mut table, mut whole_calls) = (String::new(), String::new());
    let say = |table: &mut String, line: String| {
        println!("{line}");
        table.push_str(&line);
        table.push('\n');
    };
    let title = format!("Linux {}, {}:\n", kernel.release, peer.version()?);
    whole_calls.push_str(&format!("{title}\n| probes | program | bpftrace | awl, two links | awl |\n|---|---|---|---|---|\n"));
    say(&mut table, title);
    say(
        &mut table,
        "| probe | program | bpftrace executes | awl executes | bpftrace's program | awl's program |\n|---|---|---|---|---|---|".into(),
    );
    let mut all: BTreeMap<&str, [Cost; 2]> = BTreeMap::new();
    let mut faults = Vec::new();
    let boot = machine.boot(&kernel, &c.finish(), MEMORY, Duration::from_secs(60 + u64::from(LIMIT) * steps.len() as u64), |said| {
        let Said::Done(n, got, _) = said else { return };
        let Some(r) = rows.get(n) else {
            let Some((what, program)) = n.checked_sub(rows.len()).and_then(|n| pairs.get(n)) else { return };
            match whole(&got.stdout) {
                Some(cells) => say(&mut whole_calls, format!("| {what} | `{program}` | {} | {} | {} |", cells[0], cells[1], cells[2])),
                None => faults.push(format!("{what}: {}{}", got.stdout, got.stderr)),
            }
            return;
        };
        let cost = costs(&got.stdout);
        let cells = cost.as_ref().map_or(["-".into(), "-".into(), "-".into(), "-".into()], |[a, b]| {
            let less = |a: u64, base: Option<u64>| base.map_or(a.to_string(), |base| format!("{a} (+{})", a.saturating_sub(base)));
            let base = r.base.and_then(|p| all.get(p));
            [less(a.ns, base.map(|b| b[0].ns)), less(b.ns, base.map(|b| b[1].ns)), a.instructions.to_string(), b.instructions.to_string()]
        });
        say(&mut table, format!("| {} | `{}` | {} |", r.what, r.program, cells.join(" | ")));
        match cost {
            Some(c) => drop(all.insert(r.program, c)),
            None => faults.push(format!("{}: {}", r.what, got.stderr)),
        }
    })?;
    let dearer: Vec<&&Row> = rows.iter().filter(|r| all.get(r.program).is_some_and(|[a, b]| b.ns > a.ns)).collect();
    dearer.iter().for_each(|r| faults.push(format!("{}: awl executes more than bpftrace", r.what)));
    faults.iter().for_each(|f| println!("\n{f}"));
    if let Some(tail) = &boot.died {
        println!("\nthe guest ended early. The end of its log:\n{tail}");
    }
    let whole = boot.died.is_none() && all.len() == rows.len();
    if o.has("--write") && whole {
        let file = machine.top.join("docs/kernels.md");
        if !rows.is_empty() {
            write_between(&file, "cost", &table)?;
        }
        if pairs.len() == PAIRS.len() && faults.is_empty() {
            write_between(&file, "cost of pairs", &whole_calls)?;
        }
    }
    Ok(whole && faults.is_empty())
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    ns: u64,
    instructions: u64,
}

/// A program, as bpftool shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Program {
    instructions: u64,
    time: u64,
    runs: u64,
}

fn programs(text: &str) -> BTreeMap<u64, Program> {
    let mut all: BTreeMap<u64, Program> = BTreeMap::new();
    let mut id = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| words.windows(2).find(|w| w[0] == key).and_then(|w| w[1].trim_end_matches('B').parse::<u64>().ok());
        if !line.starts_with([' ', '\t'])
            && let Some(n) = words.first().and_then(|w| w.strip_suffix(':')?.parse().ok())
        {
            id = n;
            all.insert(id, Program { time: after("run_time_ns").unwrap_or(0), runs: after("run_cnt").unwrap_or(0), instructions: 0 });
        } else if let (Some(bytes), Some(p)) = (after("xlated"), all.get_mut(&id)) {
            p.instructions = bytes / 8;
        }
    }
    all
}

/// Of bpftrace and of awl: the median of the rounds. The program that runs most is the probe's.
fn costs(text: &str) -> Option<[Cost; 2]> {
    let mut parts: BTreeMap<&str, BTreeMap<u64, Program>> = BTreeMap::new();
    for part in text.split("#### ").skip(1) {
        let (name, rest) = part.split_once('\n')?;
        parts.insert(name, programs(rest));
    }
    let ids = |name: &str| parts.get(name).map(|p| p.keys().copied().collect::<BTreeSet<u64>>());
    let (before, between, after) = (ids("bpftrace")?, ids("awl")?, ids("0")?);
    let of = |new: BTreeSet<u64>| -> Option<Cost> {
        let rounds: Vec<&BTreeMap<u64, Program>> = parts.iter().filter(|(k, _)| k.parse::<u8>().is_ok()).map(|(_, v)| v).collect();
        let (first, last) = (rounds.first()?, rounds.last()?);
        let gain = |id: &u64| Some(last.get(id)?.runs.saturating_sub(first.get(id)?.runs));
        let id = new.into_iter().max_by_key(|id| gain(id))?;
        let mut times = Vec::new();
        for w in rounds.windows(2) {
            let (a, b) = (w[0].get(&id)?, w[1].get(&id)?);
            times.extend(b.time.saturating_sub(a.time).checked_div(b.runs.saturating_sub(a.runs)));
        }
        times.sort_unstable();
        Some(Cost { ns: *times.get(times.len() / 2)?, instructions: last.get(&id)?.instructions })
    };
    Some([of(between.difference(&before).copied().collect())?, of(after.difference(&between).copied().collect())?])
}

/// Calls that a round of `pair.sh` makes.
const CALLS: f64 = 20_000.0;

/// What bpftrace, awl with two links and awl add to a call of the function, in nanoseconds of that clock.
fn whole(text: &str) -> Option<[u64; 3]> {
    let micros = |who: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix("#### ")?.strip_prefix(who)?.strip_prefix(' '))?;
        line.trim().parse::<f64>().ok()
    };
    let nothing = micros("nothing")?.min(micros("again")?);
    let added = |who: &str| Some(((micros(who)? - nothing).max(0.0) * 1e3 / CALLS).round() as u64);
    Some([added("bpftrace")?, added("two")?, added("awl")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bpftool_says() {
        let line = |id: u64, time: u64, runs: u64| {
            format!(
                "{id}: kprobe  name f  tag 12  gpl run_time_ns {time} run_cnt {runs}\n\tloaded_at x\n\txlated 80B  jited 61B  memlock 4096B\n"
            )
        };
        assert_eq!(programs(&line(7, 900, 9))[&7], Program { instructions: 10, time: 900, runs: 9 });
        let mut text = format!("#### bpftrace\n{}#### awl\n{}{}", line(1, 0, 0), line(1, 0, 0), line(2, 0, 0));
        for round in 0..4u64 {
            let (a, b) = (line(2, 1000 * round, 10 * round), line(3, 500 * round, 10 * round));
            text += &format!("#### {round}\n{}{a}{b}{}", line(1, 1, 1), line(4, 5, 1));
        }
        assert_eq!(costs(&text), Some([Cost { ns: 100, instructions: 10 }, Cost { ns: 50, instructions: 10 }]));
        assert_eq!(costs("#### bpftrace\n"), None);
        let text = "#### nothing 20000\n#### bpftrace 60000\n#### two 50000\n#### awl 40000\n#### again 30000\n";
        assert_eq!(whole(text), Some([2000, 1500, 1000]));
        assert_eq!(whole("#### nothing 20000\n#### two \n"), None);
    }
}
