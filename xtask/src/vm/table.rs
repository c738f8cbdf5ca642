//! What came of it, case by kernel.

use std::time::Duration;
use xtask::case::Case;

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// seconds
    Passed(f64),
    Failed(String),
    Skipped(String),
    /// the guest ended before
    Missing,
}

/// One kernel's boot.
#[derive(Default)]
pub struct Run {
    pub series: String,
    pub release: String,
    /// by number of the case
    pub verdicts: Vec<Verdict>,
    pub took: Duration,
    /// the end of the kernel's log where it ended too early
    pub died: Option<String>,
}

/// Prints failures, the table, why cases were left out, and a line that sums it up. True: nothing failed.
pub fn print(cases: &[Case], runs: &[Run], took: Duration) -> bool {
    for run in runs {
        for (case, v) in cases.iter().zip(&run.verdicts) {
            if let Verdict::Failed(why) = v {
                println!("FAIL on {} ({})\n{why}\nagain: cargo xtask vm {} --case {}\n", run.series, run.release, run.series, case.name);
            }
        }
        if let Some(tail) = &run.died {
            println!("{} ({}) ended before its cases did. The end of its log:\n{tail}\n", run.series, run.release);
        }
    }
    let width = cases.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.map(|c| format!("{c:<8}")).collect();
        println!("{name:width$}  {}", cells.join(" ").trim_end());
    };
    row("case", &mut runs.iter().map(|r| r.series.clone()));
    let mut reasons: Vec<&str> = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let mut cells = Vec::new();
        for run in runs {
            cells.push(match &run.verdicts[i] {
                Verdict::Passed(_) => "pass".to_string(),
                Verdict::Failed(_) => "FAIL".to_string(),
                Verdict::Missing => "MISSING".to_string(),
                Verdict::Skipped(why) => {
                    let n = reasons.iter().position(|r| r == why).unwrap_or_else(|| {
                        reasons.push(why);
                        reasons.len() - 1
                    });
                    format!("skip [{}]", n + 1)
                }
            });
        }
        row(&case.name, &mut cells.into_iter());
    }
    for (i, why) in reasons.iter().enumerate() {
        println!("[{}] {why}", i + 1);
    }
    let mut good = true;
    let sums: Vec<String> = runs
        .iter()
        .map(|r| {
            let count = |f: fn(&Verdict) -> bool| r.verdicts.iter().filter(|v| f(v)).count();
            let passed = count(|v| matches!(v, Verdict::Passed(_)));
            let skipped = count(|v| matches!(v, Verdict::Skipped(_)));
            let failed = r.verdicts.len() - passed - skipped;
            good &= failed == 0 && r.died.is_none();
            let some = |n: usize, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
            format!("{}: {passed} passed{}{} in {} s", r.series, some(skipped, "skipped"), some(failed, "FAILED"), r.took.as_secs())
        })
        .collect();
    println!("vm: {} ({} s in all)", sums.join("; "), took.as_secs());
    good
}
