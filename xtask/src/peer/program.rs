//! Programs that are run twice. A line of `tests/peer/NAME.txt` is the body of a `BEGIN` probe that then exits, or, with
//! `-c COMMAND ;;` in front (other options too), a whole script; the command prints nothing, since nobody knows when. `differs: WHY` on the next line, indented, says that the two
//! print different things, and why; it is a fault where they don't. `#` begins a comment. The programs of files whose names begin with
//! `json` run with `-f json`, and what they print is compared as values.

use super::{Failed, Output};
use std::path::Path;

#[derive(Clone, Debug, Default)]
pub struct Program {
    /// `maps:12`
    pub name: String,
    options: Vec<String>,
    script: String,
    json: bool,
    pub differs: Option<String>,
}

/// Positional parameters of every program.
const PARAMETERS: [&str; 2] = ["7", "seven"];

/// All programs of a folder.
pub fn all(dir: &Path) -> Result<Vec<Program>, Failed> {
    let mut files = std::fs::read_dir(dir)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>, Failed>>()?;
    files.retain(|p| p.extension().is_some_and(|e| e == "txt"));
    files.sort();
    let mut programs = Vec::new();
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        read(&stem, &std::fs::read_to_string(&file)?, &mut programs)?;
    }
    Ok(programs)
}

fn read(stem: &str, text: &str, programs: &mut Vec<Program>) -> Result<(), Failed> {
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
        let name = format!("{stem}:{}", n + 1);
        if let Some(why) = line.trim_start().strip_prefix("differs: ") {
            match programs.last_mut() {
                Some(p) => p.differs = Some(why.into()),
                None => return Err(Failed(format!("{name}: no program before this"))),
            }
            continue;
        }
        let (options, script) = match line.split_once(" ;; ") {
            Some((options, script)) if line.starts_with('-') => (words(options), script.to_string()),
            // `return` leaves the probe, so that another one has to end it.
            _ if line.contains("return") => (Vec::new(), format!("BEGIN {{ {line} }} interval:ms:1 {{ exit(); }}")),
            _ => (Vec::new(), format!("BEGIN {{ {line} exit(); }}")),
        };
        programs.push(Program { name, options, script, json: stem.starts_with("json"), differs: None });
    }
    Ok(())
}

/// Words of a line; quotes, single or double, hold a word together.
fn words(line: &str) -> Vec<String> {
    let (mut out, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => (quote, any) = (Some(c), true),
            (' ', None) => {
                if any || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (c, _) => word.push(c),
        }
    }
    if any || !word.is_empty() {
        out.push(word);
    }
    out
}

impl Program {
    pub fn arguments(&self) -> Vec<&str> {
        let mut args = if self.json { vec!["-q", "-f", "json"] } else { vec!["-q"] };
        args.extend(self.options.iter().map(String::as_str));
        args.extend(["-e", self.script.as_str()]);
        args.extend(PARAMETERS);
        args
    }

    /// What is wrong, if anything is.
    pub fn fault(&self, ours: &Output, theirs: &Output) -> Option<String> {
        let printed = if self.json { values(&ours.stdout) == values(&theirs.stdout) } else { lines(&ours.stdout) == lines(&theirs.stdout) };
        let same = ours.ok == theirs.ok && printed;
        let what = match (&self.differs, same) {
            (None, true) | (Some(_), false) => return None,
            (None, false) => "they differ".to_string(),
            (Some(why), true) => format!("they no longer differ because {why}"),
        };
        let side = |name: &str, o: &Output| {
            let warned = o.stderr.lines().filter(|l| !l.contains("RLIMIT_MEMLOCK")).take(6).collect::<Vec<_>>().join("\n");
            format!("--- {name}{}\n{}\n{warned}", if o.ok { "" } else { " (failed)" }, o.stdout.trim())
        };
        Some(format!("{}: {what}\n{}\n{}\n{}", self.name, self.script, side("awl", ours), side("bpftrace", theirs)))
    }
}

/// Lines that count, in an order that counts: elements of a map with equal values come in any order.
fn lines(text: &str) -> Vec<&str> {
    let counts = |l: &&str| !(l.starts_with("Attaching ") || l.starts_with("Attached ") || l.is_empty());
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).filter(counts).collect();
    let value = |l: &str| l.starts_with('@').then(|| l.rsplit_once("]: ").map(|(_, v)| v.to_string())).flatten();
    for group in lines.chunk_by_mut(|a, b| value(a).is_some() && value(a) == value(b)) {
        group.sort_unstable();
    }
    lines
}

/// A value a line; what is none stays text.
fn values(text: &str) -> Vec<serde_json::Value> {
    let lines = text.lines().filter(|l| !l.trim().is_empty());
    lines.map(|l| serde_json::from_str(l).unwrap_or_else(|_| l.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(ok: bool, stdout: &str) -> Output {
        Output { ok, stdout: stdout.into(), stderr: String::new() }
    }

    #[test]
    fn a_file_is_read() {
        let mut all = Vec::new();
        let text = "# comment\n@ = 1;\n  differs: reasons\n\n-c 'a b' ;; BEGIN { }\nreturn;\n";
        assert!(read("f", text, &mut all).is_ok());
        assert_eq!(all.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["f:2", "f:5", "f:6"]);
        assert_eq!(all[0].differs.as_deref(), Some("reasons"));
        assert_eq!(all[1].arguments(), ["-q", "-c", "a b", "-e", "BEGIN { }", "7", "seven"]);
        assert!(all[2].script.contains("interval"));
        assert!(read("f", "  differs: x", &mut Vec::new()).is_err());
    }

    #[test]
    fn faults() {
        let plain = Program::default();
        assert!(plain.fault(&output(true, "Attached 1 probe\nx\n"), &output(true, "Attaching 1 probe...\nx\n\n")).is_none());
        assert!(plain.fault(&output(true, "x"), &output(true, "y")).is_some());
        assert!(plain.fault(&output(true, "x"), &output(false, "x")).is_some());
        assert!(plain.fault(&output(true, "@[1]: 5\n@[2]: 5\n@[3]: 6"), &output(true, "@[2]: 5\n@[1]: 5\n@[3]: 6")).is_none());
        assert!(plain.fault(&output(true, "@[1]: 5\n@[3]: 6"), &output(true, "@[3]: 6\n@[1]: 5")).is_some());
        let json = Program { json: true, ..plain.clone() };
        assert!(json.fault(&output(true, "{\"a\": 1, \"b\": [1,2]}\n"), &output(true, "\n{\"b\": [1, 2],\"a\":1}")).is_none());
        assert!(json.fault(&output(true, "{\"a\": 1}"), &output(true, "{\"a\": \"1\"}")).is_some());
        let known = Program { differs: Some("reasons".into()), ..plain };
        assert!(known.fault(&output(true, "x"), &output(true, "x")).is_some());
        assert!(known.fault(&output(true, "x"), &output(true, "y")).is_none());
    }
}
