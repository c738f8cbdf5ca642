//! The prompt: a probe typed here is attached and streams, an expression prints, `@name` shows a map.
//!
//! Each probe line is a session of its own in a thread: a mistake in one ends no other, and leaving ends them all.

use crate::run::{Order, Orders};
use crate::{Failure, report};
use awl_compiler::compile::compile;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_grammar::ReplLine;
use awl_runtime::target::HostTarget;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PROMPT: &str = "awl> ";

/// One probe line that runs.
struct Running {
    number: usize,
    text: String,
    orders: Sender<Order>,
    bell: PipeWriter,
    thread: JoinHandle<()>,
}

/// Output of a session in the background, above the line that is being typed. rustyline has a printer for this, but with
/// it the editor sleeps on input that it has read already, so a line that is pasted stays invisible until the next key.
struct Above {
    /// a line is being typed meanwhile
    typing: bool,
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The terminal may be raw while a line is edited: a line ends with both.
        let text = String::from_utf8_lossy(bytes).replace('\n', "\r\n");
        let mut out = std::io::stdout().lock();
        if self.typing {
            write!(out, "\r\x1b[K{text}{PROMPT}")?
        } else {
            write!(out, "{text}")?
        }
        out.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn run() -> Result<u8, Failure> {
    let failed = |e: ReadlineError| {
        Box::new(Diagnostic::environment("terminal", format!("the terminal can't be used: {e}")).help("run a script: `awl -e 'PROGRAM'`"))
    };
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let history = history_file();
    if let Some(h) = &history {
        // The first session has none.
        let _ = editor.load_history(h);
    }
    println!("awl {}: type a probe, an expression, or :help", env!("CARGO_PKG_VERSION"));
    let mut prompt = Prompt::default();
    let mut text = String::new();
    loop {
        match editor.readline(if text.is_empty() { PROMPT } else { "...> " }) {
            Ok(line) => {
                text.push_str(&line);
                if !line.is_empty() && awl_grammar::is_incomplete(&text) {
                    text.push('\n');
                    continue;
                }
                let entered = std::mem::take(&mut text);
                if entered.trim().is_empty() {
                    continue;
                }
                // A history that can't grow is no reason to stop.
                let _ = editor.add_history_entry(&entered);
                if prompt.enter(entered.trim()) {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) if !text.is_empty() => text.clear(),
            Err(ReadlineError::Interrupted) => prompt.stop_newest(),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(failed(e)),
        }
    }
    prompt.stop_all();
    if let Some(h) = &history {
        if let Some(dir) = h.parent() {
            let _ = std::fs::create_dir_all(dir);
        }
        let _ = editor.save_history(h);
    }
    Ok(0)
}

/// Is it something to print? `print(1)` and `clear(@x)` are done for what they do.
fn has_value(expression: &str) -> bool {
    let mut sources = SourceMap::default();
    let file = sources.add("<repl>", format!("begin {{ print({expression}); }}"));
    let compiled = compile(&sources, file, &HostTarget::new(), &Options::default(), false);
    !compiled.diagnostics.iter().any(|d| d.code == "no-value")
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/state")))?;
    Some(state.join("awl/history"))
}

#[derive(Default)]
struct Prompt {
    running: Vec<Running>,
    lines: usize,
}

impl Prompt {
    /// Does what a line says; true when it says goodbye.
    fn enter(&mut self, line: &str) -> bool {
        self.running.retain(|r| !r.thread.is_finished());
        if let Some(command) = line.strip_prefix(':') {
            return self.command(command);
        }
        if ["exit", "exit()", "quit", "quit()"].contains(&line.trim_end_matches(';').trim_end()) {
            return true;
        }
        if let Some(name) = line.strip_prefix('@')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            self.show(name);
            return false;
        }
        self.lines += 1;
        let mut sources = SourceMap::default();
        let name = format!("<repl:{}>", self.lines);
        let text = match awl_grammar::parse_line(line, awl_compiler::FileId(0)) {
            Ok(ReplLine::Script(_)) => line.to_string(),
            // On lines of their own, messages show what was typed and nothing else.
            Ok(ReplLine::Expr(_)) if has_value(line) => format!("begin {{ print(\n{line}\n); }}"),
            Ok(ReplLine::Expr(_) | ReplLine::Stmts(_)) => format!("begin {{\n{line}\n}}"),
            Err(errors) => {
                sources.add(name, line);
                let said: Vec<Diagnostic> = errors.into_iter().map(awl_compiler::compile::syntax).collect();
                report::show(&sources, &said, true);
                return false;
            }
        };
        self.start(name, text, sources);
        false
    }

    fn start(&mut self, name: String, text: String, mut sources: SourceMap) {
        let file = sources.add(name, text.clone());
        let (target, options) = (HostTarget::new(), Options::default());
        let mut compiled = compile(&sources, file, &target, &options, false);
        report::show(&sources, &compiled.diagnostics, true);
        if compiled.artifact.is_none() {
            return;
        }
        let loaded = match crate::build::load(&mut compiled, &sources, file, &target, &options, false) {
            Ok(l) => l,
            Err(d) => return report::show(&sources, &[d], true),
        };
        let config = compiled.config;
        let Some(artifact) = compiled.artifact else { return };
        let lasting = artifact.programs.iter().flat_map(|p| &p.attach).any(|a| {
            use awl_compiler::artifact::AttachTo;
            !matches!(a.to, AttachTo::Begin | AttachTo::End)
        });
        let (orders, todo) = channel();
        let Ok((bell, rings)) = std::io::pipe().map(|(r, w)| (w, OwnedFd::from(r))) else {
            eprintln!("no more files can be opened: stop a probe first");
            return;
        };
        let number = self.lines;
        let thread = std::thread::spawn(move || {
            let orders = Orders { todo, bell: rings.into() };
            let said = crate::run::in_background(&artifact, loaded, &sources, orders, Box::new(Above { typing: lasting }), &config);
            report::show(&sources, &said.unwrap_or_else(|d| vec![d]), true);
        });
        if lasting {
            println!("[{number}] runs; :stop {number} ends it, Ctrl-C the newest");
            self.running.push(Running { number, text, orders, bell, thread });
        } else {
            // It ends by itself; its output belongs above the next prompt.
            let _ = thread.join();
        }
    }

    fn show(&mut self, name: &str) {
        let map = (!name.is_empty()).then(|| name.to_string());
        for r in self.running.iter().rev() {
            let (done, answer) = channel();
            let asked = r.orders.send(Order::Show(map.clone(), done)).is_ok() && (&r.bell).write_all(b"!").is_ok();
            if asked && answer.recv_timeout(Duration::from_secs(2)) == Ok(true) && map.is_some() {
                return;
            }
        }
        if let Some(name) = map {
            eprintln!("no running probe has a map `@{name}`");
        }
    }

    fn command(&mut self, command: &str) -> bool {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            "quit" | "q" => return true,
            "probes" => {
                for r in &self.running {
                    println!("[{}] {}", r.number, r.text);
                }
            }
            "stop" => match rest.trim().parse::<usize>() {
                Ok(n) => {
                    let at = self.running.iter().position(|r| r.number == n);
                    match at {
                        Some(i) => stop(self.running.remove(i)),
                        None => eprintln!("no probe [{n}] runs; :probes lists them"),
                    }
                }
                Err(_) => self.stop_newest(),
            },
            "help" => println!(
                "PROBE {{ ... }}   attach it; its output appears as it comes\nEXPRESSION      print its value\n@NAME, @        show a map, all maps\n:probes         what runs\n:stop N         end one\n:quit, exit     leave, as Ctrl-D does; everything is detached"
            ),
            other => eprintln!("unknown command `:{other}`; :help lists them"),
        }
        false
    }

    fn stop_newest(&mut self) {
        if let Some(r) = self.running.pop() {
            stop(r);
        }
    }

    fn stop_all(&mut self) {
        for r in self.running.drain(..) {
            stop(r);
        }
    }
}

fn stop(r: Running) {
    // It may have ended by itself.
    let _ = r.orders.send(Order::Stop);
    let _ = (&r.bell).write_all(b"!");
    let _ = r.thread.join();
}
