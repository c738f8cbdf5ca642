//! The prompt: a probe typed here is attached and streams, an expression prints, `@name` shows a map.

mod bare;
mod commands;
mod compilation;
mod engine;
mod helper;
mod highlight;
pub mod kept;
mod pieces;
mod screen;
mod watch;
mod worker;

use crate::Failure;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::Options;
use awl_runtime::sys::terminal::Plain;
use awl_runtime::target::HostTarget;
use bare::Bare;
use commands::Next;
use engine::Engine;
use helper::Helper;
use rustyline::error::ReadlineError;
use rustyline::{ColorMode, CompletionType, Config, Editor};
use screen::{PROMPT, Screen};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;

/// Bytes of a line that the history keeps. What is longer was pasted, from somewhere where it still is.
const LONGEST_KEPT: usize = 64 << 10;

/// `options`: what the command line allows.
pub fn run(options: Options, target: HostTarget) -> Result<u8, Failure> {
    let failed = |e: ReadlineError| {
        Box::new(Diagnostic::environment("terminal", format!("the terminal can't be used: {e}")).help("run a script: `awl -e 'PROGRAM'`"))
    };
    // Whether there are colours is our helper's to say.
    let config = Config::builder().completion_type(CompletionType::List).completion_prompt_limit(usize::MAX).color_mode(ColorMode::Forced);
    let config = config.build();
    let mut editor: Editor<Helper, _> = Editor::with_config(config).map_err(failed)?;
    let history = history_file();
    if let Some(h) = &history {
        // What can't be kept is said in the end, and the first session has none.
        let _ = h.parent().map(std::fs::create_dir_all);
        let _ = editor.load_history(h);
    }
    // Where the editor leaves the line to the terminal, the terminal must be as usual.
    let bare = std::env::var("TERM").is_ok_and(|t| ["dumb", "cons25", "emacs"].contains(&t.as_str()));
    let mut bare = if bare { Some(Bare::new().map_err(|e| failed(e.into()))?) } else { None };
    // A terminal that can't be set so is still good enough to type in.
    let _plain = if bare.is_some() { None } else { Plain::make(std::io::stdin().as_fd()).ok() };
    let (screen, target) = (Screen::default(), Rc::new(target));
    editor.set_helper(Some(Helper::new(Rc::clone(&target), screen.clone())));
    let mut engine = Engine::new(target, options, screen.clone());
    println!("awl {}: type a probe, an expression, or :help", env!("CARGO_PKG_VERSION"));
    if !crate::command::may_load() {
        println!("without CAP_BPF and CAP_PERFMON nothing can run here (`sudo awl`): checking, completing and :emit work");
    }
    let mut initial: Option<String> = None;
    loop {
        let size = editor.dimensions().map_or((80, 24), |(columns, rows)| (usize::from(columns), usize::from(rows)));
        engine.size = (size.1, size.0);
        if let (Some(text), true) = (&initial, bare.is_some()) {
            // The terminal can't be given a line to change.
            engine.say(&format!("{text}\ntype it anew; an empty line leaves it as it is\n"));
        }
        screen.open(engine.size, bare.is_some());
        let edited = initial.take();
        let read = match (&edited, &mut bare) {
            (_, Some(bare)) => bare.read(&screen),
            (Some(text), None) => editor.readline_with_initial(PROMPT, (text, "")),
            (None, None) => editor.readline(PROMPT),
        };
        let typed = screen.line();
        screen.close();
        match read {
            Ok(line) if line.trim().is_empty() => {
                if edited.is_some() {
                    engine.put_back();
                }
            }
            Ok(line) => {
                let line = line.trim();
                if line.len() <= LONGEST_KEPT {
                    // A history that can't grow is no reason to stop.
                    let _ = editor.add_history_entry(line);
                    // At once: a terminal that goes away, or whoever ends the process, takes only what is being typed.
                    let _ = history.as_ref().map(|h| editor.append_history(h));
                }
                let word = line.trim_end_matches(';').trim_end();
                let line = if ["exit", "exit()", "quit", "quit()"].contains(&word) { ":quit" } else { line };
                let line = if ["help", "help()", "?"].contains(&word) { ":help" } else { line };
                let next = match (line.strip_prefix(':'), commands::without_colon(line)) {
                    (Some(command), _) => commands::run(&mut engine, command),
                    (None, Some(name)) => {
                        engine.say(&format!("`:{name}` has a colon: `:{line}`\n"));
                        Next::Prompt
                    }
                    (None, None) => {
                        if !engine.enter(line) && edited.is_some() {
                            engine.put_back();
                        }
                        Next::Prompt
                    }
                };
                match next {
                    Next::Prompt => {}
                    Next::Edit(text) => initial = Some(text),
                    Next::Leave => break,
                }
                if let Some(h) = editor.helper_mut() {
                    let (lines, maps, names) = engine.seen_so_far();
                    h.session(lines, maps, &names);
                }
            }
            Err(ReadlineError::Interrupted) if edited.is_some() => engine.put_back(),
            Err(ReadlineError::Interrupted) if !typed.is_empty() => {}
            Err(ReadlineError::Interrupted) => {
                if !engine.stop(None) {
                    engine.say("nothing runs; Ctrl-D leaves\n");
                }
            }
            Err(ReadlineError::Eof) => break,
            // Bytes that are no text are no line.
            Err(ReadlineError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => engine.say("that was no UTF-8 text\n"),
            Err(e) => {
                engine.leave();
                return Err(failed(e));
            }
        }
    }
    engine.leave();
    if let Some(h) = &history
        && let Err(e) = editor.save_history(h)
    {
        engine.say(&format!("the history was not kept in {}: {e}\n", h.display()));
    }
    Ok(0)
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/state")))?;
    Some(state.join("awl/history"))
}

/// Painting adds colours and nothing else.
#[cfg(test)]
pub fn check_paint(line: &str) {
    highlight::check(line);
}
