//! What went missing, said at the end with what to change.

use awl_compiler::artifact::{Artifact, Storage};
use awl_compiler::config::Config;
use awl_compiler::diagnostic::{Diagnostic, counted};
use awl_compiler::packet::verdict::CHANGE;
use awl_compiler::target::KEY_BEFORE_LONG_KEYS;
use awl_runtime::load;
use awl_runtime::session::{Pace, Report};

/// A warning for each kind of loss.
pub fn report(r: &Report, artifact: &Artifact, config: &Config) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut add = |code: &'static str, message: String, help: String| {
        let mut d = Diagnostic::usage(code, message).help(help);
        d.severity = awl_compiler::diagnostic::Severity::Warning;
        out.push(d);
    };
    for (map, n) in &r.map_failed {
        let name = artifact.plan.maps.get(*map).map_or("", |m| m.name.as_str());
        let room = match artifact.plan.maps.get(*map).map(|m| m.storage) {
            Some(Storage::Kernel(k)) => artifact.plan.kernel_maps.get(k).map_or(0, |m| m.max_entries),
            _ => 0,
        };
        add(
            "map-full",
            format!("map `@{name}` was full: {} lost", counted(*n, "update")),
            if room == config.max_map_keys {
                format!("give it more room: `config = {{ max_map_keys = {} }}`", config.max_map_keys.saturating_mul(4))
            } else {
                format!("its declaration gives it room for {room}: allow more there")
            },
        );
    }
    if r.stack_failed > 0 {
        add(
            "stack-failed",
            format!("{} could not be taken", counted(r.stack_failed, "stack")),
            "take fewer frames: `kstack(10)`, or sample less often".into(),
        );
    }
    if r.stack_cut > 0 {
        add(
            "stack-cut",
            format!("{} early: nothing says who called there", counted_ends(r.stack_cut)),
            "their last addresses say where: `print(dw_ustack(raw))`".into(),
        );
    }
    if r.stack_other > 0 {
        add(
            "stack-other",
            format!("{} followed along frame pointers: there were no tables of the process", counted(r.stack_other, "stack")),
            "name it: `--dwarf-pid PID`; or leave it out: `/pid == cpid/`".into(),
        );
    }
    for what in &r.no_room {
        add("stack-tables", format!("some stacks of `dw_ustack` end early: {what}"), "name fewer processes with `--dwarf-pid`".into());
    }
    if r.helper_failed > 0 {
        add(
            "helper-failed",
            format!("{} of memory failed and gave zeros", counted(r.helper_failed, "read")),
            "the address was not mapped, or not in memory at that moment".into(),
        );
    }
    if r.truncated_strings > 0 {
        add(
            "string-truncated",
            format!("{} cut at {} bytes", counted(r.truncated_strings, "string"), config.strlen()),
            match config.short_strlen {
                None => format!("allow longer ones: `config = {{ max_strlen = {} }}`", config.max_strlen.saturating_mul(4)),
                Some(_) => format!(
                    "give those that are no keys a length, `str(p, {})`: this kernel's keys have {KEY_BEFORE_LONG_KEYS} bytes at most",
                    config.max_strlen
                ),
            },
        );
    }
    if r.scratch_busy > 0 {
        add(
            "scratch-busy",
            format!("{} left out: too many at once on one CPU", counted(r.scratch_busy, "run")),
            "use smaller strings: `str(p, 64)`".into(),
        );
    }
    if r.loop_cut > 0 {
        add(
            "loop-cut",
            format!("{} ended after 8,388,608 turns, the most that the kernel allows", counted(r.loop_cut, "loop")),
            "end them earlier: `break` when the work is done".into(),
        );
    }
    for (program, n) in &r.missed {
        if let Some(p) = artifact.programs.get(*program) {
            let mut d = Diagnostic::warning(
                "missed-runs",
                p.span,
                format!("{} missed: a probe was already running on that CPU", counted(*n, "event")),
            );
            d.help = Some("the kernel doesn't let a program interrupt itself, nor a kprobe another".into());
            out.push(d);
        }
    }
    for (program, n) in &r.unseen {
        if let Some(p) = artifact.programs.get(*program) {
            let what = format!(
                "{} not handed on: the kernel was busy with a probe on that CPU, or with too many calls at once",
                counted(*n, "hit")
            );
            let mut d = Diagnostic::warning("missed-runs", p.span, what);
            d.help = Some("the kernel serves one kprobe at a time on a CPU: `fentry` is not bound by that".into());
            out.push(d);
        }
    }
    out
}

/// `1 stack ends`, `2 stacks end`
fn counted_ends(n: u64) -> String {
    format!("{} {}", counted(n, "stack"), if n == 1 { "ends" } else { "end" })
}

/// How long attaching and detaching took, in a line.
pub fn pace(p: &Pace, artifact: &Artifact) -> String {
    let ms = |d: std::time::Duration| format!("{:.1} ms", d.as_secs_f64() * 1000.0);
    let points = artifact.plan.points.len();
    format!("{points} attach points: attached in {}, detached in {}\n", ms(p.attaching), ms(p.detaching))
}

/// Of more programs than these only those that ran have a line.
const EACH: usize = 8;

/// What the verdicts that were only watched would have done, a line for each program.
pub fn watched(r: &Report, artifact: &Artifact) -> String {
    let mut lines: Vec<(String, bool)> = Vec::new();
    for (w, counts) in artifact.plan.watched.iter().zip(&r.watched) {
        let (Some((changes, counts)), Some((_, words))) = (counts.split_last(), w.words.split_last()) else { continue };
        let mut done: Vec<(&str, u64)> = Vec::new();
        for (word, n) in words.iter().zip(counts).filter(|(word, n)| !word.is_empty() && **n > 0) {
            match done.iter_mut().find(|(d, _)| d == word) {
                Some((_, sum)) => *sum += n,
                None => done.push((word, *n)),
            }
        }
        if done.is_empty() && *changes == 0 {
            if w.may.is_empty() {
                continue;
            }
            done.extend(w.may.iter().filter(|word| **word != CHANGE).map(|word| (*word, 0)));
        }
        let done: Vec<String> = done.iter().map(|(word, n)| format!("{word} {}", grouped(*n))).collect();
        let name = artifact.programs.get(w.program).map_or(String::new(), |p| load::program_title(p, &artifact.plan.points));
        let all: u64 = counts.iter().sum();
        let (ran, all) = (all > 0, grouped(all));
        let changed = format!("make {} change{}", grouped(*changes), if *changes == 1 { "" } else { "s" });
        let what = match (done.as_slice(), *changes) {
            ([], _) => format!("{changed} in {all} runs"),
            (_, 0) => format!("{} of {all}", done.join(", ")),
            _ => format!("{} of {all} and {changed}", done.join(", ")),
        };
        lines.push((format!("{name}: would {what} (`--enforce` does it)\n"), ran));
    }
    let before = lines.len();
    if before > EACH && lines.iter().any(|(_, ran)| *ran) {
        lines.retain(|(_, ran)| *ran);
    }
    let idle = before - lines.len();
    let mut out: String = lines.into_iter().map(|(line, _)| line).collect();
    if idle > 0 {
        out += &format!("{idle} more places: nothing came by\n");
    }
    out
}

/// `10,441`
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_in_groups() {
        assert_eq!([grouped(0), grouped(812), grouped(10_441), grouped(1_000_000)], ["0", "812", "10,441", "1,000,000"]);
    }
}
