//! `DIR/NAME.bt` prints `NAME.out`. Lines `// KEY: VALUE` of the script say how it is run:
//!
//! * `cmd: COMMAND` is given to `-c`, `args: ...` are positional parameters, `flags: ...` are options of awl;
//! * `beside: NAME` is a folder that the script takes files from;
//! * `exit: N` is the status expected, `err: TEXT` must be on standard error;
//! * `output: any`: what it prints isn't known beforehand;
//! * `lacks: CODE ...`: errors that say what the kernel lacks: with one of them the case is skipped;
//! * `boot: PARAMETER ...` is what its kernel is told when it is booted, `last: WHY` that it runs after all others of its boot;
//! * `needs: WORD ...` are rows of `need`, or kernel versions: without them the case is skipped.
//!
//! In `.out` a line that starts with `~` is a pattern in which `*` stands for anything.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub struct Case {
    /// `kernel/exec`
    pub name: String,
    pub script: String,
    pub expected: String,
    /// a folder that the script takes files from
    pub beside: Option<PathBuf>,
}

/// What a run of awl gave.
#[derive(Clone, Debug, Default)]
pub struct Got {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Case {
    /// All cases of a folder, by name.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn all(dir: &Path) -> io::Result<Vec<Case>> {
        let folder = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut cases = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "bt") {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let mut case = Case {
                    name: format!("{folder}/{stem}"),
                    script: std::fs::read_to_string(&path)?,
                    expected: std::fs::read_to_string(path.with_extension("out")).unwrap_or_default(),
                    beside: None,
                };
                case.beside = case.directive("beside").map(|name| dir.join(name));
                cases.push(case);
            }
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    pub fn directive(&self, name: &str) -> Option<&str> {
        let of = |l: &'_ str| l.strip_prefix("// ")?.strip_prefix(name)?.strip_prefix(':').map(str::len);
        self.script.lines().find_map(|l| of(l).map(|n| l[l.len() - n..].trim()))
    }

    /// Arguments of awl when the script is the file `script`.
    pub fn arguments(&self, script: &str) -> Vec<String> {
        let words = |d: &str| self.directive(d).unwrap_or_default().split_whitespace().map(str::to_string).collect::<Vec<_>>();
        let mut args = vec!["-q".to_string()];
        args.extend(words("flags"));
        if let Some(c) = self.directive("cmd") {
            args.extend(["-c".to_string(), c.to_string()]);
        }
        args.push(script.to_string());
        args.extend(words("args"));
        args
    }

    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.directive("needs").unwrap_or_default().split_whitespace()
    }

    /// The error that says what the kernel lacks, where it is one of those expected.
    pub fn lack(&self, got: &Got) -> Option<String> {
        let said = got.stderr.lines().find(|l| l.starts_with("error["))?;
        let expected = self.directive("lacks").unwrap_or_default();
        expected.split_whitespace().any(|code| said.starts_with(&format!("error[{code}]"))).then(|| said.to_string())
    }

    /// What is wrong with a run, if anything is.
    pub fn fault(&self, got: &Got) -> Option<String> {
        let status = self.directive("exit").map_or(Some(0), |n| n.parse().ok());
        let told = self.directive("err").is_none_or(|e| got.stderr.contains(e));
        let any = self.directive("output") == Some("any");
        let difference = if any { None } else { difference(&self.expected, &got.stdout) };
        if got.status == status && difference.is_none() && told {
            return None;
        }
        Some(format!(
            "{}: status {:?}\n--- expected\n{}--- got\n{}--- stderr\n{}{}",
            self.name,
            got.status,
            self.expected,
            got.stdout,
            got.stderr,
            difference.unwrap_or_default()
        ))
    }
}

/// Where what was printed leaves what was expected.
fn difference(expected: &str, got: &str) -> Option<String> {
    let (mut expected, mut got) = (expected.lines(), got.lines());
    let mut n = 0;
    loop {
        n += 1;
        match (expected.next(), got.next()) {
            (None, None) => return None,
            (Some(e), Some(g)) if e.strip_prefix('~').map_or(e == g, |pattern| matches(pattern, g)) => {}
            (e, g) => return Some(format!("--- line {n}: expected {e:?}, got {g:?}\n")),
        }
    }
}

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut rest = rest;
    while let Some((part, more)) = rest.split_once('*') {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
        rest = more;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("a*c", "abc") && matches("a*", "a") && matches("*b*", "abc"));
        assert!(!matches("a*c", "abd") && !matches("a", "ab") && !matches("ab*b", "ab"));
    }

    #[test]
    fn directives() {
        let case = Case {
            name: "x".into(),
            script: "// cmd: a b\n// needs: kprobe 6.1\nbegin { }".into(),
            expected: "~*x\n".into(),
            beside: None,
        };
        assert_eq!(case.arguments("f"), ["-q", "-c", "a b", "f"]);
        assert_eq!(case.needs().collect::<Vec<_>>(), ["kprobe", "6.1"]);
        let lacking = Case { script: "// lacks: a b".into(), ..case.clone() };
        let said = |stderr: &str| lacking.lack(&Got { status: Some(1), stderr: stderr.into(), stdout: String::new() });
        assert_eq!(said("error[b]: x\nerror[c]: y").as_deref(), Some("error[b]: x"));
        assert_eq!(said("error[c]: x"), None);
        assert!(case.fault(&Got { status: Some(0), stdout: "1x\n".into(), stderr: String::new() }).is_none());
        assert!(case.fault(&Got { status: Some(1), stdout: "1x\n".into(), stderr: String::new() }).is_some());
        assert!(case.fault(&Got { status: Some(0), stdout: String::new(), stderr: String::new() }).is_some());
        assert_eq!(difference("~*x\nb\n", "1x\n").as_deref(), Some("--- line 2: expected Some(\"b\"), got None\n"));
    }
}
