//! `cargo xtask attach [KERNEL...]`: how long many functions of the kernel take to be attached to and detached from, in each kernel.
//! Where one link holds them all there are limits, and what is over one by far is at fault: an emulated machine is slow.

use crate::options::{Options, Words};
use crate::vm::{Failed, KERNELS, Machine, Said, cache, guest, write_between};
use std::time::Duration;

pub const USAGE: &str = "cargo xtask attach [KERNEL...] [--row TEXT] [--write] [--awl PATH]";
/// seconds for a row
const LIMIT: u32 = 240;
/// so many times slower than meant is at fault
const PATIENCE: f64 = 5.0;

/// What is measured.
struct Row {
    what: &'static str,
    program: &'static str,
    /// ms, for attaching and for detaching, that are meant where the kernel has links for many functions
    limit: f64,
    /// thousands of functions, which are minutes where each has an event of its own
    many: bool,
}

const ROWS: &[Row] = &[
    Row { what: "one function", program: "kprobe:vfs_read { @ = count(); }", limit: 200.0, many: false },
    Row { what: "a list", program: "kprobe:vfs_read, kprobe:vfs_write, kprobe:tcp_send* { @ = count(); }", limit: 200.0, many: false },
    Row { what: "a pattern", program: "kprobe:vfs_* { @ = count(); }", limit: 200.0, many: false },
    Row { what: "returns", program: "kretprobe:vfs_* { @ = count(); }", limit: 200.0, many: false },
    Row { what: "a longer pattern", program: "kprobe:tcp_* { @ = count(); }", limit: 200.0, many: false },
    Row { what: "which one it is", program: "kprobe:tcp_* { @[func] = count(); }", limit: 200.0, many: false },
    Row {
        what: "over 10,000 functions",
        program: "config = { max_probes = 30000 } kprobe:a*, kprobe:b*, kprobe:c*, kprobe:e*, kprobe:g*, kprobe:h*, kprobe:i* { @ = count(); }",
        limit: 3000.0,
        many: true,
    },
];

/// What awl said of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Took {
    points: u64,
    attaching: f64,
    detaching: f64,
}

/// `67 attach points: attached in 34.1 ms, detached in 12.0 ms`
fn took(text: &str) -> Option<Took> {
    let line = text.lines().find(|l| l.contains(" attach points: attached in "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [points, _, _, _, _, attaching, _, _, _, detaching, _] = words.as_slice() else { return None };
    Some(Took { points: points.parse().ok()?, attaching: attaching.parse().ok()?, detaching: detaching.parse().ok()? })
}

/// True: all rows were measured, and none took longer than it may.
pub fn main(args: &[String]) -> Result<bool, Failed> {
    let words = Words { usage: USAGE, choice: "--row", flags: &["--write"], kernels: KERNELS };
    let o = Options::parse(args, &words)?;
    let cache = cache()?;
    std::fs::create_dir_all(&cache)?;
    let machine = Machine::get(&cache, o.awl.as_deref())?;
    let rows: Vec<&Row> = ROWS.iter().filter(|r| o.wants(r.what)).collect();
    let (mut cells, mut whole) = (vec![Vec::new(); rows.len()], true);
    for series in &o.kernels {
        let kernel = machine.kernel(series, false)?;
        let mut parts = machine.parts(&kernel);
        parts.limit = LIMIT;
        let multi = xtask::need::find("kprobe-multi").map_err(Failed)?.0;
        let step = |r: &&Row| guest::Step {
            needs: if r.many { format!("{{ {multi}; }} || {{ echo minutes; exit 1; }}\n") } else { String::new() },
            run: format!("{multi} && echo multi\nexec awl -v -e {} -c true\n", guest::quoted(r.program)),
        };
        let image = guest::files(&parts, &rows.iter().map(step).collect::<Vec<_>>())?.finish();
        let mut faults = Vec::new();
        let mut cell = vec!["-".to_string(); rows.len()];
        let boot =
            machine.boot(&kernel, &image, "2G", Duration::from_secs(60 + u64::from(LIMIT) * rows.len() as u64), |said| match said {
                Said::Skipped(n, why) if n < rows.len() => cell[n] = why,
                Said::Done(n, got, _) if n < rows.len() => {
                    let Some(t) = took(&got.stderr) else { return faults.push(format!("{}: {}{}", rows[n].what, got.stdout, got.stderr)) };
                    cell[n] = format!("{} in {:.0}, {:.0}", t.points, t.attaching, t.detaching);
                    println!("{series}: {}: {}", rows[n].what, cell[n]);
                    let slow = t.attaching.max(t.detaching) > PATIENCE * rows[n].limit && got.stdout.contains("multi");
                    if slow {
                        faults.push(format!(
                            "{}: {:.0} ms, {:.0} ms: meant are {:.0}",
                            rows[n].what, t.attaching, t.detaching, rows[n].limit
                        ));
                    }
                }
                _ => {}
            })?;
        faults.iter().for_each(|f| println!("{series}: {f}"));
        if let Some(tail) = &boot.died {
            println!("{series}: the guest ended early. The end of its log:\n{tail}");
        }
        whole &= faults.is_empty() && boot.died.is_none();
        cells.iter_mut().zip(cell).for_each(|(row, c)| row.push(c));
    }
    let mut table = format!("| | {} |\n|---|{}\n", o.kernels.join(" | "), "---|".repeat(o.kernels.len()));
    for (r, cells) in rows.iter().zip(&cells) {
        table += &format!("| {}: `{}` | {} |\n", r.what, r.program, cells.join(" | "));
    }
    print!("{table}");
    if o.has("--write") && whole {
        write_between(&machine.top.join("docs/kernels.md"), "attaching", &table)?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_awl_says() {
        let text = "Attached 67 probes\n67 attach points: attached in 34.1 ms, detached in 12.0 ms\n";
        assert_eq!(took(text), Some(Took { points: 67, attaching: 34.1, detaching: 12.0 }));
        assert_eq!(took("error: x\n"), None);
    }
}
