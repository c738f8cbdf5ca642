//! Commands of the prompt: one row each.

use super::engine::Engine;
use super::pieces::Piece;
use super::watch;
use crate::command;
use crate::script::Script;
use awl_compiler::probe;
use awl_runtime::maps::Saved;
use awl_runtime::target;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What comes after a command.
pub enum Next {
    Prompt,
    /// a line to be changed and entered
    Edit(String),
    Leave,
}

pub struct Command {
    pub name: &'static str,
    pub argument: &'static str,
    pub doc: &'static str,
    run: fn(&mut Engine, &str) -> Next,
}

pub const ROWS: &[Command] = &[
    Command { name: "help", argument: "", doc: "these lines", run: help },
    Command { name: "list", argument: "[PATTERN]", doc: "places to probe, or types (`struct task*`)", run: list },
    Command { name: "args", argument: "[PROBE]", doc: "what a place hands over", run: args },
    Command { name: "type", argument: "EXPRESSION", doc: "type of an expression", run: type_of },
    Command { name: "doc", argument: "NAME", doc: "describe a function, variable, probe type or setting", run: doc },
    Command { name: "explain", argument: "CODE", doc: "explain a diagnostic", run: explain },
    Command { name: "emit", argument: "STAGE [EXPRESSION|PROBE]", doc: "what the compiler makes of the session, or of a line", run: emit },
    Command { name: "probes", argument: "", doc: "what runs: hits, ns for each, misses", run: probes },
    Command { name: "cost", argument: "", doc: "size of the programs, and what they cost the machine", run: cost },
    Command { name: "maps", argument: "", doc: "maps with their types and sizes", run: maps },
    Command { name: "watch", argument: "@MAP", doc: "show a map again and again in place; any key ends it", run: watch::run },
    Command { name: "stop", argument: "[N]", doc: "end the probes of line N, or the newest", run: stop },
    Command { name: "edit", argument: "N", doc: "change line N; maps stay", run: edit },
    Command { name: "undo", argument: "", doc: "take back the last change; maps stay", run: undo },
    Command { name: "save", argument: "FILE.bt", doc: "write the session as a script", run: save },
    Command { name: "save!", argument: "FILE.bt", doc: "the same, in the place of a file that is there", run: save_over },
    Command { name: "load", argument: "FILE.bt", doc: "add a script to the session", run: load },
    Command { name: "quit", argument: "", doc: "leave (Ctrl-D); everything is detached", run: |_, _| Next::Leave },
];

/// What a line says that is the name of a command and lacks the colon. `args` alone is a variable.
pub fn without_colon(line: &str) -> Option<&'static str> {
    let word = line.split(char::is_whitespace).next()?;
    ROWS.iter().map(|c| c.name).find(|n| *n == word && line != "args")
}

/// Runs the command that a line names, without its colon.
pub fn run(engine: &mut Engine, line: &str) -> Next {
    engine.reap();
    let line = line.trim_start();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let mut fitting = ROWS.iter().filter(|c| c.name.starts_with(word) && !word.is_empty());
    match (ROWS.iter().find(|c| c.name == word).or_else(|| fitting.next()), fitting.next()) {
        (Some(c), None) => (c.run)(engine, rest.trim()),
        (Some(c), Some(_)) if c.name == word => (c.run)(engine, rest.trim()),
        (Some(a), Some(b)) => {
            let all = [a, b].into_iter().chain(fitting).map(|c| format!(":{}", c.name)).collect::<Vec<_>>();
            say(engine, &format!("`:{word}` may be {}\n", all.join(" or ")))
        }
        (None, _) => {
            let near = awl_compiler::diagnostic::nearest(word, ROWS.iter().map(|c| c.name));
            let help = near.map_or(":help lists them".into(), |n| format!("did you mean `:{n}`?"));
            say(engine, &format!("unknown command `:{word}`: {help}\n"))
        }
    }
}

fn say(engine: &mut Engine, text: &str) -> Next {
    engine.say(text);
    Next::Prompt
}

const EXAMPLE: &str = "\
syscall:read /pid == 1234/ { @start[tid] = nsecs; }
syscall:read:return /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start, tid); }
:watch @ns
";

fn help(engine: &mut Engine, _: &str) -> Next {
    let mut text = String::from(
        "PROBE { ... }        attach it; its output appears as it comes\nEXPRESSION           print its value\n@NAME, @             show a map, all maps\n",
    );
    for c in ROWS {
        let form = format!(":{} {}", c.name, c.argument);
        // The longest has a line of its own.
        let gap = if form.len() > 20 { format!("\n{:20}", "") } else { String::new() };
        text += &format!("{:20}{gap} {}\n", form.trim_end(), c.doc);
    }
    text += "Tab completes, Ctrl-C ends the newest probe, Ctrl-D leaves.\n\nHow long reads of a process take, as it comes:\n";
    text += EXAMPLE;
    say(engine, &text)
}

const MOST: usize = 200;

fn list(engine: &mut Engine, pattern: &str) -> Next {
    if pattern.is_empty() {
        let mut text: String = probe::all().map(|p| format!("{:16} {}\n", p.name, p.doc)).collect();
        text += "\n:list tracepoint:sched:*   places of one type\n:list *open*               those of that name\n:list struct task*         types\n";
        return say(engine, &text);
    }
    match target::list(&*engine.target, pattern) {
        Ok(found) if found.is_empty() => {
            // Other words match wherever they stand in a name.
            let wider = pattern.strip_prefix("struct ").map(|name| format!("struct *{name}*"));
            let help = match wider.map(|w| (target::list(&*engine.target, &w).map_or(0, |f| f.len()), w)) {
                Some((more, wider)) if more > 0 => format!("`:list {wider}` has {more}"),
                _ => "a pattern is as in `tracepoint:sched:*` or `*open*`".into(),
            };
            say(engine, &format!("nothing matches `{pattern}`; {help}\n"))
        }
        Ok(found) => {
            let mut text: String = found.iter().take(MOST).map(|p| format!("{p}\n")).collect();
            if found.len() > MOST {
                text += &format!("... and {} more; a longer pattern shows fewer\n", found.len() - MOST);
            }
            say(engine, &text)
        }
        Err(why) => say(engine, &format!("{why}; {}\n", why.help)),
    }
}

/// Places whose arguments are shown at once.
const MANY: usize = 20;

fn args(engine: &mut Engine, probe: &str) -> Next {
    let target = engine.target.clone();
    // Without a place that of the newest probe is meant.
    let probe = if probe.is_empty() { newest_header(engine).unwrap_or_default() } else { probe.to_owned() };
    let found = match target::list(&*target, &probe) {
        _ if probe.is_empty() => Vec::new(),
        Ok(f) if f.is_empty() && probe.contains(':') => vec![probe],
        Ok(f) => f,
        Err(why) => return say(engine, &format!("{why}; {}\n", why.help)),
    };
    for place in found.iter().take(MANY) {
        match target::show(&*target, place) {
            Ok(text) => engine.say(&text),
            Err(why) => return say(engine, &format!("{why}; {}\n", why.help)),
        }
    }
    match found.len() {
        0 => say(engine, "give a whole probe, as in `:args tracepoint:sched:sched_switch`\n"),
        n if n > MANY => say(engine, &format!("... and {} more places; a longer pattern shows fewer\n", n - MANY)),
        _ => Next::Prompt,
    }
}

/// What stands in front of the body of the newest line that has a probe, without a condition.
fn newest_header(engine: &Engine) -> Option<String> {
    let text = engine.units.iter().rev().map(|u| u.piece.text.clone()).find(|t| t.contains('{'))?;
    let header = text.split('{').next().unwrap_or("");
    Some(header.split(" /").next().unwrap_or("").trim().to_owned())
}

fn type_of(engine: &mut Engine, expr: &str) -> Next {
    if expr.is_empty() {
        return say(engine, "give an expression, as in `:type curtask->comm`\n");
    }
    if let Some(m) = engine.contents().iter().find(|m| expr.strip_prefix('@') == Some(&m.name)) {
        return say(engine, &format!("{}\n", map_type(m)));
    }
    // What a probe hands over has a type only there: the newest line's probe is meant.
    let of_probe = expr.contains("arg") || expr.contains("retval");
    let header = newest_header(engine).filter(|_| of_probe).unwrap_or_else(|| "begin".to_owned());
    let (all, compiled, _) = engine.look(Piece::in_between(0, format!("{header} {{ $awl_it = ("), expr, "); print($awl_it); }"));
    let ty = compiled.program.as_ref().and_then(|p| {
        let mut locals = p.probes.iter().flat_map(|p| &p.locals);
        locals.rfind(|l| l.name.trim_start_matches('$') == "awl_it").map(|l| l.ty.to_string())
    });
    match ty {
        Some(t) => say(engine, &format!("{t}\n")),
        None => {
            let errors: Vec<_> = compiled.diagnostics.into_iter().filter(|d| d.is_error()).collect();
            engine.complain(&all, &errors);
            Next::Prompt
        }
    }
}

fn doc(engine: &mut Engine, name: &str) -> Next {
    let text = match command::describe(name) {
        Some(t) => t,
        None if name.is_empty() => "give a name, as in `:doc hist`; Tab after `:doc ` lists them\n".into(),
        None => {
            let near = awl_compiler::diagnostic::nearest(name, command::names());
            let help = near.map_or_else(|| "Tab after `:doc ` lists all names".into(), |n| format!("did you mean `:doc {n}`?"));
            format!("there is nothing called `{name}` in the language; {help}\n")
        }
    };
    say(engine, &text)
}

fn explain(engine: &mut Engine, code: &str) -> Next {
    match command::page(code) {
        Some(page) => say(engine, page),
        None if code.is_empty() => say(engine, "give the code of a diagnostic, as in `:explain arg-type`\n"),
        None => say(engine, &format!("no diagnostic has the code `{code}`; it stands in brackets: `error[arg-type]`\n")),
    }
}

fn emit(engine: &mut Engine, rest: &str) -> Next {
    let (stage, line) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if !crate::cli::STAGES.contains(&stage) || stage == "obj" {
        return say(engine, "give a stage: ast, hir, clif, vcode, bpf or plan\n");
    }
    if line.trim().is_empty() {
        let text = engine.script();
        return emit_piece(engine, stage, Piece::whole(0, &text));
    }
    let piece = match awl_grammar::parse_line(line, awl_compiler::FileId(0)) {
        Ok(awl_grammar::ReplLine::Expr(_)) => Piece::in_between(0, "begin { print(", line, "); }"),
        Ok(awl_grammar::ReplLine::Stmts(_)) => Piece::in_between(0, "begin { ", line, " }"),
        _ => Piece::whole(0, line),
    };
    emit_piece(engine, stage, piece)
}

fn emit_piece(engine: &mut Engine, stage: &str, piece: Piece) -> Next {
    let (all, compiled, sources) = engine.look(piece);
    engine.complain(&all, &compiled.diagnostics);
    match awl_compiler::emit::text(stage, &compiled, &sources) {
        Some(bytes) => say(engine, &String::from_utf8_lossy(&bytes)),
        None => Next::Prompt,
    }
}

fn probes(engine: &mut Engine, _: &str) -> Next {
    let costs = engine.costs();
    let mut text = String::new();
    for u in &engine.units {
        let state = if u.live { "runs " } else { "idle " };
        text += &format!("[{}] {state} {}\n", u.piece.number, in_short(&u.piece.text));
        let places = costs.iter().filter(|c| c.0 == u.piece.number && u.live);
        for (_, name, _, c) in places.clone().take(MOST) {
            let each = c.nanoseconds.checked_div(c.runs).map_or("-".into(), |n| n.to_string());
            text += &format!("      {} hits, {each} ns each, {} missed: {name}\n", c.runs, c.missed);
        }
        if places.clone().count() > MOST {
            text += &format!("      ... and {} more\n", places.count() - MOST);
        }
    }
    say(engine, if text.is_empty() { "no probes yet\n" } else { &text })
}

/// Characters of a line of the session that are shown in lists.
const SHORT: usize = 300;

/// A line of the session in one line, and not all of it where it is a whole script.
fn in_short(text: &str) -> String {
    let end = text.char_indices().nth(SHORT).map_or(text.len(), |(i, _)| i);
    let shown = text[..end].replace('\n', " ");
    if end < text.len() { format!("{shown} ... ({} lines)", text.lines().count()) } else { shown }
}

fn cost(engine: &mut Engine, _: &str) -> Next {
    let costs = engine.costs();
    let mut text = String::new();
    for (number, name, insns, c) in costs.iter().take(MOST) {
        let total = c.nanoseconds / 1_000_000;
        text += &format!(
            "[{number}] {insns} instructions, {} checked by the verifier, {} runs in {total} ms of CPU: {name}\n",
            c.verified, c.runs
        );
    }
    if costs.len() > MOST {
        text += &format!("... and {} more\n", costs.len() - MOST);
    }
    say(engine, if text.is_empty() { "nothing runs\n" } else { &text })
}

/// `@m[string, u64]: count`
fn map_type(m: &Saved) -> String {
    let keys = m.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let keys = if keys.is_empty() { String::new() } else { format!("[{keys}]") };
    format!("@{}{keys}: {}", m.name, m.value)
}

fn maps(engine: &mut Engine, _: &str) -> Next {
    let mut text = String::new();
    for m in engine.contents() {
        text += &format!("{}, {} {}\n", map_type(&m), m.rows.len(), if m.rows.len() == 1 { "entry" } else { "entries" });
    }
    say(engine, if text.is_empty() { "no maps yet\n" } else { &text })
}

fn stop(engine: &mut Engine, rest: &str) -> Next {
    let number = match rest.parse() {
        Ok(n) => Some(n),
        Err(_) if rest.is_empty() => None,
        Err(_) => return say(engine, "give the number of a line, as in `:stop 2`; :probes shows them\n"),
    };
    if engine.stop(number) { Next::Prompt } else { say(engine, "no such line runs; :probes shows what does\n") }
}

fn edit(engine: &mut Engine, rest: &str) -> Next {
    let Ok(number) = rest.parse() else { return say(engine, "give the number of a line, as in `:edit 2`; :probes shows them\n") };
    match engine.take(number) {
        Some(text) => Next::Edit(text),
        None => say(engine, &format!("there is no line {number}; :probes shows them\n")),
    }
}

fn undo(engine: &mut Engine, _: &str) -> Next {
    if engine.undo() { probes(engine, "") } else { say(engine, "nothing to take back\n") }
}

fn save(engine: &mut Engine, file: &str) -> Next {
    // What this session has written it may write again.
    if std::fs::metadata(file).is_ok_and(|m| m.is_file()) && !engine.written.iter().any(|w| w == file) {
        return say(engine, &format!("`{file}` is there already; `:save! {file}` replaces it\n"));
    }
    save_over(engine, file)
}

fn save_over(engine: &mut Engine, file: &str) -> Next {
    if file.is_empty() {
        return say(engine, "give a file, as in `:save mine.bt`\n");
    }
    if std::fs::metadata(file).is_ok_and(|m| m.file_type().is_fifo()) {
        // It would have us wait for its other end.
        return say(engine, &format!("`{file}` is no file that a script can be written to\n"));
    }
    if engine.units.is_empty() {
        return say(engine, "there is nothing to save: no line of the session would be in it\n");
    }
    let text = format!("#!/usr/bin/env awl\n{}", engine.script());
    match write_whole(Path::new(file), &text) {
        Ok(()) => {
            engine.written.push(file.to_owned());
            say(engine, &format!("written to {file}\n"))
        }
        Err(e) => say(engine, &format!("`{file}` can't be written: {e}\n")),
    }
}

/// Writes all of a file or leaves it as it is: a full disk must not take what was there.
fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    let Ok(before) = std::fs::metadata(file).and_then(|m| if m.is_file() { Ok(m) } else { Err(io::ErrorKind::NotFound.into()) }) else {
        return std::fs::write(file, text).inspect_err(|_| {
            // Half of a new file is of no use.
            if std::fs::metadata(file).is_ok_and(|m| m.is_file()) {
                let _ = std::fs::remove_file(file);
            }
        });
    };
    let file = file.canonicalize()?;
    let mut beside = file.clone().into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let done = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, before.permissions()))
        .and_then(|()| std::fs::rename(&beside, &file));
    done.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

fn load(engine: &mut Engine, file: &str) -> Next {
    if file.is_empty() || file == "-" {
        return say(engine, "give a file, as in `:load mine.bt`\n");
    }
    match Script::of_file(file) {
        Ok(script) => match script.refusal(awl_compiler::FileId(0)) {
            Some(d) => engine.complain(&[Piece::whole(0, &script.text)], &[*d]),
            None if !engine.load_script(&script.text) => engine.say(&format!("nothing of `{file}` is in the session\n")),
            None => {}
        },
        Err(d) => engine.say(&format!("{}\n", d.message)),
    }
    Next::Prompt
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_the_prompt_has_all_commands() {
        let page = include_str!("../../docs/prompt.md");
        for c in super::ROWS {
            let line = page.lines().find(|l| l.starts_with(&format!("| `:{}", c.name)));
            assert!(line.is_some(), "docs/prompt.md lacks :{}", c.name);
        }
        let described = page.lines().filter(|l| l.starts_with("| `:")).count();
        assert_eq!(described, super::ROWS.len(), "docs/prompt.md has commands that are gone");
    }
}
