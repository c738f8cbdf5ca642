//! What came of it, case by kernel.

use std::time::Duration;
use xtask::case::Case;

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// seconds
    Passed(f64),
    /// at the second try, and what was wrong at the first
    Second(String),
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

impl Run {
    /// What another boot of the same kernel came to, for the cases that it was for.
    pub fn add(&mut self, other: Run) {
        for (mine, its) in self.verdicts.iter_mut().zip(other.verdicts) {
            if its != Verdict::Missing {
                *mine = its;
            }
        }
        self.took += other.took;
        self.died = self.died.take().or(other.died);
    }

    /// What a second try came to, for the cases that had one.
    pub fn again(&mut self, second: Run) {
        for (mine, its) in self.verdicts.iter_mut().zip(second.verdicts) {
            match (its, &*mine) {
                (Verdict::Passed(_), Verdict::Failed(why)) => *mine = Verdict::Second(why.clone()),
                (Verdict::Passed(_), Verdict::Missing) => *mine = Verdict::Second("the guest ended before".into()),
                (Verdict::Missing, _) => {}
                (its, _) => *mine = its,
            }
        }
        self.took += second.took;
        if let (Some(tail), None) = (&self.died, &second.died) {
            println!("{} ({}) ended before its cases did, at the first try. The end of its log:\n{tail}\n", self.series, self.release);
        }
        self.died = second.died;
    }
}

/// Prints the table, why cases were left out, failures, and a line that sums it up (the ends of long logs are what is read). True: nothing failed.
pub fn print(cases: &[Case], runs: &[Run], took: Duration) -> bool {
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
                Verdict::Second(_) => "pass 2nd".to_string(),
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
    for run in runs {
        for (case, v) in cases.iter().zip(&run.verdicts) {
            let (what, why) = match v {
                Verdict::Failed(why) => ("FAIL on", why),
                Verdict::Second(why) => ("failed once, then passed, on", why),
                _ => continue,
            };
            println!("\n{what} {} ({})\n{why}\nagain: cargo xtask vm {} --case {}", run.series, run.release, run.series, case.name);
        }
        if let Some(tail) = &run.died {
            println!("\n{} ({}) ended before its cases did. The end of its log:\n{tail}", run.series, run.release);
        }
    }
    let mut good = true;
    let sums: Vec<String> = runs
        .iter()
        .map(|r| {
            let count = |f: fn(&Verdict) -> bool| r.verdicts.iter().filter(|v| f(v)).count();
            let passed = count(|v| matches!(v, Verdict::Passed(_)));
            let skipped = count(|v| matches!(v, Verdict::Skipped(_)));
            let second = count(|v| matches!(v, Verdict::Second(_)));
            let failed = r.verdicts.len() - passed - second - skipped;
            good &= failed == 0 && r.died.is_none();
            let some = |n: usize, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
            let rest = [(second, "passed at the second try"), (skipped, "skipped"), (failed, "FAILED")].map(|(n, what)| some(n, what));
            format!("{}: {passed} passed{} in {} s", r.series, rest.concat(), r.took.as_secs())
        })
        .collect();
    println!("vm: {} ({} s in all)", sums.join("; "), took.as_secs());
    good
}

/// Kinds of probes, as the README names them.
const PROBES: &[&str] = &[
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "tracepoint",
    "rawtracepoint",
    "uprobe",
    "uretprobe",
    "usdt",
    "profile",
    "interval",
    "software",
    "hardware",
    "watchpoint",
    "iter",
    "lsm",
    "xdp",
    "tc",
    "socket",
    "cgroup_skb",
];

/// A table of example by kernel: `yes` where it was loaded, attached and ended, else why not.
pub fn examples(cases: &[Case], runs: &[Run]) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = row(std::iter::once("example".to_string()).chain(runs.iter().map(|r| r.series.clone())).collect());
    out += &format!("|---{}|\n", "|---".repeat(runs.len()));
    for (i, case) in cases.iter().enumerate() {
        let Some(name) = case.name.strip_prefix(super::EXAMPLES).and_then(|n| n.strip_prefix('/')) else { continue };
        let cell = |r: &Run| match &r.verdicts[i] {
            Verdict::Passed(_) | Verdict::Second(_) => "yes".to_string(),
            Verdict::Skipped(why) => why.clone(),
            Verdict::Failed(_) | Verdict::Missing => "**fails**".to_string(),
        };
        out += &row(std::iter::once(format!("`{name}`")).chain(runs.iter().map(cell)).collect());
    }
    out
}

/// A table of probe by kernel: `yes` where a case with such a probe ran and printed what it should, else why it was left out.
pub fn support(cases: &[Case], runs: &[Run]) -> String {
    let row = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let mut out = row(&mut std::iter::once("probe".to_string()).chain(runs.iter().map(|r| r.series.clone())));
    out += &format!("|---{}|\n", "|---".repeat(runs.len()));
    for probe in PROBES {
        // What is refused proves nothing.
        let of: Vec<usize> = (0..cases.len()).filter(|i| cases[*i].directive("exit").is_none() && has(&cases[*i].script, probe)).collect();
        if of.is_empty() {
            continue;
        }
        let cell = |r: &Run| {
            let any = |f: fn(&Verdict) -> bool| of.iter().any(|i| f(&r.verdicts[*i]));
            let why = of.iter().find_map(|i| match &r.verdicts[*i] {
                Verdict::Skipped(why) => Some(why.clone()),
                _ => None,
            });
            match () {
                () if any(|v| matches!(v, Verdict::Failed(_) | Verdict::Missing)) => "**fails**".to_string(),
                () if any(|v| matches!(v, Verdict::Passed(_) | Verdict::Second(_))) => "yes".to_string(),
                () => why.unwrap_or_default(),
            }
        };
        out += &row(&mut std::iter::once(format!("`{probe}`")).chain(runs.iter().map(cell)));
    }
    out
}

/// Does the script have such a probe?
fn has(script: &str, probe: &str) -> bool {
    let code = script.lines().filter(|l| !l.trim_start().starts_with("//"));
    code.into_iter().any(|l| {
        l.match_indices(probe).any(|(at, _)| {
            l[at + probe.len()..].starts_with(':') && !l[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_by_kernel() {
        let case = |name: &str| Case { name: name.into(), script: String::new(), expected: String::new(), beside: None };
        let cases = [case("kernel/a"), case("examples/net/b"), case("examples/lsm/c")];
        let verdicts = vec![Verdict::Passed(1.0), Verdict::Passed(1.0), Verdict::Skipped("no hooks".into())];
        let table = examples(&cases, &[Run { series: "5.10".into(), verdicts, ..Run::default() }]);
        assert_eq!(table, "| example | 5.10 |\n|---|---|\n| `net/b` | yes |\n| `lsm/c` | no hooks |\n");
    }

    #[test]
    fn second_tries() {
        let run = |verdicts: &[Verdict]| Run { verdicts: verdicts.to_vec(), ..Run::default() };
        let (pass, fail) = (Verdict::Passed(1.0), |why: &str| Verdict::Failed(why.into()));
        let mut first = run(&[pass.clone(), fail("x"), fail("y"), Verdict::Missing, Verdict::Missing]);
        first.died = Some("log".into());
        first.again(run(&[Verdict::Missing, pass.clone(), fail("z"), pass.clone(), Verdict::Missing]));
        let second = |why: &str| Verdict::Second(why.into());
        assert_eq!(first.verdicts, [pass.clone(), second("x"), fail("z"), second("the guest ended before"), Verdict::Missing]);
        assert_eq!(first.died, None);
        let case = |name: &str| Case { name: name.into(), script: String::new(), expected: String::new(), beside: None };
        let good = |last: Verdict| print(&[case("a"), case("b")], &[run(&[second("x"), last])], Duration::ZERO);
        assert!(good(pass.clone()) && !good(fail("y")) && !good(Verdict::Missing));
    }

    #[test]
    fn probes_by_kernel() {
        let case = |script: &str| Case { name: "c".into(), script: script.into(), expected: String::new(), beside: None };
        let cases =
            [case("kprobe:f, kretprobe:g { }"), case("// exit: 1\nfentry:f { }"), case("// needs: lsm\nlsm:h { }"), case("xdp:lo { }")];
        let run = |series: &str, last: Verdict| Run {
            series: series.into(),
            verdicts: vec![Verdict::Passed(1.0), Verdict::Passed(1.0), Verdict::Skipped("no hooks".into()), last],
            ..Run::default()
        };
        let table = support(&cases, &[run("5.10", Verdict::Passed(0.1)), run("7.3", Verdict::Failed("x".into()))]);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(
            rows,
            [
                "| probe | 5.10 | 7.3 |",
                "|---|---|---|",
                "| `kprobe` | yes | yes |",
                "| `kretprobe` | yes | yes |",
                "| `lsm` | no hooks | no hooks |",
                "| `xdp` | yes | **fails** |"
            ]
        );
    }
}
