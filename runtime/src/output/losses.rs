//! What `print_stats()` prints.

use super::{Output, Style, json};
use crate::report::Report;
use std::io::Write;

impl Output {
    /// What went missing so far: in text what there is of it, a line each, in JSON all of it. `maps` and `programs` are the names
    /// of those that the report numbers.
    pub fn losses(&mut self, report: &Report, maps: &[String], programs: &[String]) {
        let counters = [
            ("lost_events", report.lost_events, "events lost: the ring buffer was full"),
            ("truncated_strings", report.truncated_strings, "strings cut"),
            ("failed_reads", report.helper_failed, "reads of memory failed"),
            ("failed_stacks", report.stack_failed, "stacks not taken"),
            ("cut_stacks", report.stack_cut, "stacks that end early"),
            ("other_stacks", report.stack_other, "stacks walked along frame pointers"),
            ("scratch_busy", report.scratch_busy, "runs left out: too many at once on one CPU"),
            ("cut_loops", report.loop_cut, "loops ended early"),
        ];
        let name = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_default();
        let out = self.sink.buffer();
        // Writing to a vector can't fail.
        match self.options.style {
            Style::Text => {
                let before = out.len();
                for (_, n, what) in counters.iter().filter(|(_, n, _)| *n > 0) {
                    let _ = writeln!(out, "{n} {what}");
                }
                for (map, n) in &report.map_failed {
                    let _ = writeln!(out, "@{}: {n} updates lost: it was full", name(maps, *map));
                }
                for (program, n) in &report.missed {
                    let _ = writeln!(out, "{}: {n} runs left out: it was running on that CPU", name(programs, *program));
                }
                for (program, n) in &report.unseen {
                    let _ = writeln!(out, "{}: {n} hits not handed on by the kernel", name(programs, *program));
                }
                if out.len() == before {
                    out.extend_from_slice(b"nothing went missing\n");
                }
            }
            Style::Json => json::line(out, "stats", |out| {
                out.push(b'{');
                for (key, n, _) in counters {
                    json::string(out, key.as_bytes());
                    let _ = write!(out, ": {n}, ");
                }
                for (key, names, counts) in [
                    ("lost_updates", maps, &report.map_failed),
                    ("missed_runs", programs, &report.missed),
                    ("unseen_hits", programs, &report.unseen),
                ] {
                    json::string(out, key.as_bytes());
                    out.extend_from_slice(b": {");
                    for (i, (index, n)) in counts.iter().enumerate() {
                        if i > 0 {
                            out.extend_from_slice(b", ");
                        }
                        let sign = if key == "lost_updates" { "@" } else { "" };
                        json::string(out, format!("{sign}{}", name(names, *index)).as_bytes());
                        let _ = write!(out, ": {n}");
                    }
                    out.extend_from_slice(if key == "unseen_hits" { b"}" } else { b"}, " });
                }
                out.push(b'}');
            }),
        }
        self.sink.done();
    }
}
