//! Results of `test` and `bench` probes, as bpftrace prints them.

use super::{Output, Style, json, padded};
use crate::trial::Trial;
use awl_compiler::diagnostic::counted;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// What is run, and which of it went well so far.
#[derive(Default)]
pub(super) struct Trials {
    names: Vec<String>,
    passed: Vec<bool>,
}

/// Columns of a benchmark's name, at least, and of its time.
const WIDE: (usize, usize) = (40, 15);

/// A mark of a test's line: green where things go well.
fn mark(colour: bool, good: bool, text: &str) -> String {
    if colour { format!("\x1b[{}m[{text}]\x1b[0m", if good { 32 } else { 31 }) } else { format!("[{text}]") }
}

impl Output {
    /// Before the first: the names of all.
    pub fn trials(&mut self, names: Vec<String>) {
        self.sink.flush();
        self.trials = Trials { names, passed: Vec::new() };
    }

    /// One begins: what a test prints is shown where it fails.
    pub fn trying(&mut self) {
        self.sink.hold();
    }

    /// One has ended.
    pub fn tried(&mut self, trial: &Trial) {
        let said = self.sink.release();
        match (trial, self.options.style) {
            (Trial::Test { name, failure, took }, Style::Json) => {
                self.result("test_result", name, |out| {
                    out.extend_from_slice(
                        format!("{{\"duration\": {}, \"passed\": {}, \"output\": ", took.as_nanos(), failure.is_none()).as_bytes(),
                    );
                    json::string(out, &said);
                });
            }
            (Trial::Test { name, failure, took }, Style::Text) => self.test(name, failure.is_none(), *took, &said),
            (Trial::Benchmark { name, ns, runs }, Style::Json) => {
                self.sink.buffer().extend_from_slice(&said);
                self.result("benchmark_result", name, |out| {
                    out.extend_from_slice(format!("{{\"average\": {ns}, \"iters\": {runs}").as_bytes())
                });
            }
            (Trial::Benchmark { name, ns, runs }, Style::Text) => {
                self.sink.buffer().extend_from_slice(&said);
                self.benchmark(name, *ns, *runs);
            }
        }
        self.sink.flush();
    }

    /// `members` opens an object, which is closed here.
    fn result(&mut self, kind: &str, name: &str, members: impl FnOnce(&mut Vec<u8>)) {
        json::line(self.sink.buffer(), kind, |out| {
            out.push(b'{');
            json::string(out, name.as_bytes());
            out.extend_from_slice(b": ");
            members(out);
            out.extend_from_slice(b"}}");
        });
    }

    fn test(&mut self, name: &str, good: bool, took: Duration, said: &[u8]) {
        let colour = self.options.colour;
        let mark = |good: bool, text: &str| mark(colour, good, text);
        let Trials { names, passed } = &mut self.trials;
        let mut text = String::new();
        if passed.is_empty() {
            text += &format!("{} Running {} tests.\n", mark(true, "=========="), names.len());
        }
        text += &format!("{} {name}\n", mark(true, " RUN      "));
        passed.push(good);
        let said = String::from_utf8_lossy(said);
        let lines = said.lines().filter(|l| !good && !l.is_empty());
        text.extend(lines.flat_map(|l| [l, "\n"]));
        let (n, unit) = in_unit(took);
        text += &format!("{} {name} ({n} {unit})\n", if good { mark(true, "       OK ") } else { mark(false, "  FAILED  ") });
        if passed.len() == names.len() {
            let bad: Vec<&String> = names.iter().zip(&*passed).filter(|(_, good)| !**good).map(|(name, _)| name).collect();
            text += &format!("{} {} ran.\n", mark(true, "=========="), counted(names.len() as u64, "test"));
            text += &format!("{} {}.\n", mark(true, "  PASSED  "), counted((names.len() - bad.len()) as u64, "test"));
            if !bad.is_empty() {
                text += &format!("{} {}, listed below:\n", mark(false, "  FAILED  "), counted(bad.len() as u64, "test"));
                text.extend(bad.iter().map(|name| format!("{} {name}\n", mark(false, "  FAILED  "))));
            }
        }
        self.sink.buffer().extend_from_slice(text.as_bytes());
    }

    fn benchmark(&mut self, name: &str, ns: u64, runs: u64) {
        const HEAD: [&str; 3] = ["Benchmark", "Time(ns)", "Iterations"];
        let Trials { names, passed } = &mut self.trials;
        let (wide, time) = (names.iter().map(|n| n.width()).fold(WIDE.0, usize::max) + 1, WIDE.1);
        let mut text = String::new();
        if passed.is_empty() {
            text += &format!("{}{:time$}{}\n{}\n", padded(HEAD[0], wide), HEAD[1], HEAD[2], "-".repeat(wide + time + HEAD[2].len()));
        }
        passed.push(true);
        text += &format!("{}{ns:<time$}{runs}\n", padded(name, wide));
        self.sink.buffer().extend_from_slice(text.as_bytes());
    }
}

/// In the largest unit that it has at least one of.
fn in_unit(took: Duration) -> (u128, &'static str) {
    match took.as_nanos() {
        ns @ 0..1_000 => (ns, "ns"),
        ns @ 1_000..1_000_000 => (ns / 1_000, "us"),
        ns @ 1_000_000..1_000_000_000 => (ns / 1_000_000, "ms"),
        ns => (ns / 1_000_000_000, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Options;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Text {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        let text = Text::default();
        let mut output = Output::new(Box::new(text.clone()), Box::new(std::io::sink()), Options::default());
        let names = ["漢字", "é", "e\u{301}", "one"];
        output.trials(names.map(str::to_owned).to_vec());
        for name in names {
            output.tried(&Trial::Benchmark { name: name.into(), ns: 5, runs: 7 });
        }
        let written = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        let rows: Vec<&str> = written.lines().skip(2).collect();
        let blanks = |n| " ".repeat(n);
        let row = |name: &str, n| format!("{name}{}5{}7", blanks(n), blanks(14));
        assert_eq!(rows, [row("漢字", 37), row("é", 40), row("e\u{301}", 40), row("one", 38)]);
        // a long one makes the column wider for all, by its own width
        let long = "漢".repeat(30);
        output.trials(vec![long.clone(), "one".into()]);
        output.tried(&Trial::Benchmark { name: long.clone(), ns: 5, runs: 7 });
        output.tried(&Trial::Benchmark { name: "one".into(), ns: 5, runs: 7 });
        let written = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        assert!(written.ends_with(&format!("{}\n{}\n", row(&long, 1), row("one", 58))), "{written}");
    }
}
