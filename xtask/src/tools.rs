//! `cargo xtask tools [KERNEL...]`: the tools of Debian's bpftrace packages under the bpftrace of the same package and under
//! awl, in one boot of each kernel: what bpftrace runs, awl runs, and prints in the same columns.

mod shape;

use crate::options::{Options, Words};
use crate::peer::debian::Peer;
use crate::vm::{Failed, KERNELS, Machine, Said, cache, guest, kernel};
use shape::Shape;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const USAGE: &str = "cargo xtask tools [KERNEL...] [--tool NAME] [--awl PATH]";
/// Debian's releases whose packages are taken.
const SUITES: &[&str] = &["bookworm", "trixie"];
/// Tools that are run at a time.
const BATCH: usize = 5;
const MEMORY: &str = "4G";
const LIMIT: u32 = 150;
/// What the workload runs, and what it needs.
const PROGRAMS: &[&str] = &["getent", "script", "setpriv"];
const MODULES: &[&str] = &["loop"];
/// Looked for by tools; taken along where this machine has them.
const LIBRARIES: &[&str] = &["libssl.so.3", "libcrypto.so.3", "libpthread.so.0", "libreadline.so.8", "libtinfo.so.6"];

/// True: nothing was at fault.
pub fn main(args: &[String]) -> Result<bool, Failed> {
    all(&Options::parse(args, &Words { usage: USAGE, choice: "--tool", flags: &[], kernels: KERNELS })?)
}

/// Tools of one suite that run at a time.
struct Batch<'a> {
    peer: &'a Peer,
    names: Vec<&'a str>,
}

/// What one of the two made of a tool.
#[derive(Default)]
struct Ran {
    status: Option<i32>,
    /// only with `missing_probes = warn`
    told: bool,
    stdout: String,
    stderr: String,
}

/// True: all that bpftrace runs is as it should be.
fn all(o: &Options) -> Result<bool, Failed> {
    let cache = cache()?;
    std::fs::create_dir_all(&cache)?;
    let mut peers = Vec::new();
    for suite in SUITES {
        let peer = Peer::get(&cache, suite)?;
        let mut tools = peer.tools()?;
        tools.retain(|(name, _)| o.only.is_empty() || o.only.contains(name));
        peers.push((peer, tools));
    }
    let mut batches = Vec::new();
    for (peer, tools) in &peers {
        for part in tools.chunks(BATCH) {
            batches.push(Batch { peer, names: part.iter().map(|(n, _)| n.as_str()).collect() });
        }
    }
    if batches.is_empty() {
        return Err(Failed(format!("no tool is called {}", o.only.join(" or "))));
    }
    let texts: HashMap<(&str, &str), &str> =
        peers.iter().flat_map(|(p, tools)| tools.iter().map(|(n, t)| ((p.suite.as_str(), n.as_str()), t.as_str()))).collect();
    let machine = Machine::get(&cache, o.awl.as_deref())?;
    let mut good = true;
    for series in &o.kernels {
        let begun = Instant::now();
        let kernel = machine.kernel(series, false)?;
        let image = image(&machine, &kernel, &peers, &batches)?;
        println!("{:<28} {:<9} {:<5} {:<7} columns", format!("tool on {}", kernel.release), "bpftrace", "awl", "header");
        let mut sums = Sums::default();
        let mut faults = Vec::new();
        let limit = Duration::from_secs(60 + u64::from(LIMIT) * batches.len() as u64);
        let boot = machine.boot(&kernel, &image, MEMORY, limit, |said| {
            let Said::Done(n, got, _) = said else { return };
            let Some(batch) = batches.get(n) else { return };
            let ran = read(&got.stdout);
            for name in &batch.names {
                let text = texts.get(&(batch.peer.suite.as_str(), *name)).copied().unwrap_or_default();
                row(batch, name, text, &ran, &mut sums, &mut faults);
            }
        })?;
        for f in &faults {
            println!("\n{f}");
        }
        if let Some(tail) = &boot.died {
            println!("\nthe guest ended early. The end of its log:\n{tail}");
        }
        let tools: usize = batches.iter().map(|b| b.names.len()).sum();
        println!(
            "tools: {series}: {} of {tools} run under bpftrace, {} of these under awl ({} only with missing_probes = warn), {} with the same header, {} of {} with the same columns \
             ({} s)",
            sums.theirs,
            sums.both,
            sums.told,
            sums.header,
            sums.same,
            sums.data,
            begun.elapsed().as_secs()
        );
        good &= boot.died.is_none() && faults.is_empty() && sums.seen == tools;
    }
    Ok(good)
}

fn image(
    machine: &Machine,
    kernel: &kernel::Kernel,
    peers: &[(Peer, Vec<(String, String)>)],
    batches: &[Batch],
) -> Result<Vec<u8>, Failed> {
    let mut parts = machine.parts(kernel);
    (parts.limit, parts.programs, parts.modules) = (LIMIT, PROGRAMS, MODULES);
    let steps: Vec<guest::Step> = batches
        .iter()
        .map(|b| guest::Step {
            needs: String::new(),
            run: format!(
                "TOOLS='{}'\nPEER='{}'\nDIR=/tools/{}\n{}",
                b.names.join(" "),
                b.peer.guest_command(),
                b.peer.suite,
                include_str!("tools/run.sh")
            ),
        })
        .collect();
    let mut c = guest::files(&parts, &steps)?;
    c.file("vm/work.sh", 0o644, include_bytes!("tools/work.sh"));
    for (peer, tools) in peers {
        peer.put(&mut c)?;
        for (name, text) in tools {
            c.file(&format!("tools/{}/{name}.bt", peer.suite), 0o644, text.as_bytes());
        }
    }
    for name in LIBRARIES {
        let path = PathBuf::from("/usr/lib/x86_64-linux-gnu").join(name);
        if path.exists() {
            guest::add_library(&mut c, &machine.root, &path)?;
        }
    }
    Ok(c.finish())
}

/// What the guest's script printed, by who and tool.
fn read(text: &str) -> HashMap<(String, String), Ran> {
    let mut all = HashMap::new();
    let mut at: Option<(String, String)> = None;
    let mut errors = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#### ") {
            let words: Vec<&str> = rest.split(' ').collect();
            if let [who, tool, status, rest @ ..] = words.as_slice() {
                let key = (who.to_string(), tool.to_string());
                all.insert(key.clone(), Ran { status: status.parse().ok(), told: !rest.is_empty(), ..Ran::default() });
                (at, errors) = (Some(key), false);
            }
        } else if line == "#!!!" {
            errors = true;
        } else if let Some(ran) = at.as_ref().and_then(|k| all.get_mut(k)) {
            let to = if errors { &mut ran.stderr } else { &mut ran.stdout };
            to.push_str(line);
            to.push('\n');
        }
    }
    all
}

#[derive(Default)]
struct Sums {
    seen: usize,
    theirs: usize,
    both: usize,
    told: usize,
    header: usize,
    data: usize,
    same: usize,
}

fn row(batch: &Batch, name: &str, text: &str, ran: &HashMap<(String, String), Ran>, sums: &mut Sums, faults: &mut Vec<String>) {
    let suite = &batch.peer.suite;
    let get = |who: &str| ran.get(&(who.to_string(), name.to_string()));
    let (Some(theirs), Some(ours)) = (get("bpftrace"), get("awl")) else {
        faults.push(format!("{suite}/{name}: the guest did not come to its end"));
        return;
    };
    sums.seen += 1;
    let runs = |r: &Ran| r.status == Some(0);
    let word = |yes: bool| if yes { "yes" } else { "NO" };
    let (a, b) = (Shape::of(text, &theirs.stdout), Shape::of(text, &ours.stdout));
    let mut cells =
        [if runs(theirs) { "runs" } else { "no" }, if runs(ours) { if ours.told { "warn" } else { "runs" } } else { "no" }, "", ""];
    if runs(theirs) {
        sums.theirs += 1;
        let header = a.header == b.header;
        let columns = a.missing_in(&b);
        if runs(ours) {
            sums.both += 1;
            sums.told += usize::from(ours.told);
            sums.header += usize::from(header);
            let some = !a.lines.is_empty();
            sums.data += usize::from(some);
            sums.same += usize::from(some && columns.is_empty());
            cells[2] = word(header);
            cells[3] = if some { word(columns.is_empty()) } else { "(nothing seen)" };
        } else {
            cells[1] = "NO";
        }
        if !runs(ours) || !header || !columns.is_empty() {
            let first = |t: &str| t.lines().take(12).collect::<Vec<_>>().join("\n");
            let missing: Vec<String> = columns.iter().map(|c| format!("  only bpftrace prints lines like: {c}")).collect();
            faults.push(format!(
                "{suite}/{name} (again: --tool {name})\n{}\n--- bpftrace\n{}\n--- awl (status {:?})\n{}\n{}",
                missing.join("\n"),
                first(&theirs.stdout),
                ours.status,
                first(&ours.stdout),
                first(&ours.stderr)
            ));
        }
    }
    let line = format!("{:<28} {:<9} {:<5} {:<7} {}", format!("{suite}/{name}"), cells[0], cells[1], cells[2], cells[3]);
    let why = theirs.stderr.lines().chain(theirs.stdout.lines()).find(|l| l.contains("ERROR") || l.contains("error:"));
    let why = if runs(theirs) { None } else { Some(why.or_else(|| theirs.stderr.lines().next()).unwrap_or("it says nothing")) };
    println!("{}{}", line.trim_end(), why.map_or(String::new(), |w| format!("  {}", w.trim())));
}
