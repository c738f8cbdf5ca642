//! Programs of `tests/programs`, built for a test, and awl beside them.

use super::text;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A folder with the programs, removed in the end.
pub struct Built(PathBuf);

impl Built {
    /// `None`, and a word on it, where there is no compiler.
    pub fn new(name: &str) -> Option<Built> {
        let dir = std::env::temp_dir().join(format!("awl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let built = Built(dir);
        let done = built.gcc("moves.c", "moves", &["-lpthread", "-ldl"]);
        done.then_some(built)
    }

    fn gcc(&self, source: &str, to: &str, flags: &[&str]) -> bool {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
        let made = Command::new("gcc").args(["-O1", "-g", "-o", &self.path(to)]).arg(source).args(flags).output();
        let Ok(made) = made else {
            println!("skipped: no gcc here");
            return false;
        };
        assert!(made.status.success(), "{}", text(&made.stderr));
        true
    }

    /// A program with static probes; empty without a compiler.
    pub fn notes(&self) -> String {
        if self.gcc("notes.c", "notes", &[]) { self.path("notes") } else { String::new() }
    }

    /// A library with the function `later`, under that name.
    pub fn library(&self, name: &str) -> String {
        assert!(self.gcc("later.c", name, &["-shared", "-fPIC"]));
        self.path(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn moves(&self) -> String {
        self.path("moves")
    }

    /// `moves` with these words.
    pub fn start<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Beside {
        Beside(Command::new(self.moves()).args(words).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process of ours, ended with the test.
pub struct Beside(pub Child);

impl Beside {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An awl that has attached.
pub struct Awl {
    process: Beside,
    out: BufReader<std::process::ChildStdout>,
    said: BufReader<std::process::ChildStderr>,
    heard: String,
}

impl Awl {
    /// Starts it, and waits until it says that it is attached.
    pub fn attach(args: &[&str]) -> Awl {
        let mut command = Command::new(env!("CARGO_BIN_EXE_awl"));
        command.args(args).env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Beside(command.spawn().unwrap());
        let mut out = BufReader::new(process.0.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        if !line.starts_with("Attached") {
            let mut said = String::new();
            process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("awl did not attach: {line}{said}");
        }
        let said = BufReader::new(process.0.stderr.take().unwrap());
        Awl { process, out, said, heard: String::new() }
    }

    /// Waits until it says a line on standard error that has this in it.
    pub fn hear(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "awl never said `{text}` but:\n{}", self.heard);
            self.heard.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Waits until it, or its command, prints this line.
    pub fn read_until(&mut self, line: &str) {
        let mut got = String::new();
        while got.trim_end() != line {
            got.clear();
            assert!(self.out.read_line(&mut got).unwrap() > 0, "`{line}` was never printed");
        }
    }

    /// Tells it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        let done = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// What it prints until it ends by itself: output and errors.
    pub fn end(mut self) -> (String, String) {
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        self.said.read_to_string(&mut self.heard).unwrap();
        self.process.0.wait().unwrap();
        (out.trim().to_owned(), self.heard.clone())
    }
}
