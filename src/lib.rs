//! The `awl` command, as a library: `src/main.rs` calls it, and so do the fuzzers.

mod bpftrace;
mod build;
mod cli;
mod command;
mod complete;
mod emit;
mod ending;
mod estimate;
mod follow;
mod list;
mod lsp;
mod params;
mod repl;
mod report;
mod run;
mod script;
mod sources;

#[doc(hidden)]
pub use lsp::trial::Editor;

use awl_compiler::artifact::AttachTo;
use awl_compiler::compile::compile;
use awl_compiler::config::{self, Config};
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::{self, Options};
use awl_compiler::source::SourceMap;
use awl_runtime::follow::Later;
use awl_runtime::output::{self, Buffering, Output, Style};
use awl_runtime::process::Watched;
use awl_runtime::session::Session;
use cli::Cli;
use script::Script;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// The command line's.
pub fn main() -> ExitCode {
    if let Err(why) = awl_compiler::target::Arch::here() {
        let d =
            Diagnostic::environment("unknown-processor", why).help("docs/errors/unknown-processor.md says what another processor takes");
        return failed(&SourceMap::default(), d);
    }
    let mut words = std::env::args_os().skip(1);
    // bpftrace has no subcommands: there such a word is a script.
    if let Some(row) = words.next().filter(|_| !bpftrace::is_name()).and_then(|w| command::find(w.to_str()?)) {
        let args: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
        return command::run(row, &args).map_or_else(|d| failed(&SourceMap::default(), *d), ExitCode::from);
    }
    let cli = match cli::parse() {
        Ok(c) => c,
        Err(status) => return ExitCode::from(status),
    };
    if cli.version {
        // Nobody to tell when the stream is closed.
        let _ = write!(std::io::stdout(), "{}", bpftrace::version());
        return ExitCode::SUCCESS;
    }
    if cli.info {
        return match cli.target() {
            Ok(target) => {
                // As above.
                let _ = write!(std::io::stdout(), "{}", bpftrace::info(&target));
                ExitCode::SUCCESS
            }
            Err(d) => failed(&SourceMap::default(), *d),
        };
    }
    let mut sources = SourceMap::default();
    match start(&cli, &mut sources) {
        Ok(status) => ExitCode::from(status),
        Err(d) => failed(&sources, *d),
    }
}

/// Says why, and what the exit status is for it.
fn failed(sources: &SourceMap, why: Diagnostic) -> ExitCode {
    let why = [why];
    report::show(sources, &why, true);
    ExitCode::from(report::exit_code(&why))
}

type Failure = Box<Diagnostic>;

fn start(cli: &Cli, sources: &mut SourceMap) -> Result<u8, Failure> {
    let names_script = cli.rest.first().is_some_and(|f| std::path::Path::new(f).is_file());
    if cli.list && cli.program.is_none() && !names_script {
        return list::list(cli);
    }
    if let (None, Some(option)) = (&cli.program, cli.rest.first().filter(|r| r.len() > 1 && r.starts_with('-'))) {
        let d = Diagnostic::usage("unknown-option", format!("there is no option `{option}`"));
        return Err(Box::new(d.help("`awl -h` lists them; a file of that name is `./NAME`")));
    }
    let (name, script, params) = match (&cli.program, cli.rest.split_first()) {
        (Some(p), _) => ("<-e>".to_string(), Script::from(p.clone()), cli.rest.clone()),
        (None, Some((file, params))) => (if file == "-" { "<stdin>".into() } else { file.clone() }, Script::read(file)?, params.to_vec()),
        (None, None) if std::io::stdin().is_terminal() => {
            if let Some(option) = [("-c", cli.command.is_some()), ("-p", cli.pid.is_some())].iter().find(|o| o.1).map(|o| o.0) {
                let d = Diagnostic::usage("unknown-option", format!("the prompt has no option `{option}`"));
                return Err(Box::new(d.help(format!(
                    "give a program as well, as in `awl {option} ... -e 'PROGRAM'`; at the prompt a filter does it: `/pid == 1234/`"
                ))));
            }
            let allowed = Options { allow_unsafe: cli.allow_unsafe, enforce: cli.enforce, config: environment()?, ..Options::default() };
            return repl::run(allowed, cli.target()?);
        }
        (None, None) => {
            cli::usage();
            return Ok(1);
        }
    };
    if cli.format_script {
        return match command::canonical(&name, &script) {
            Some(made) => list::say(&made).map(|_| 0),
            None => Ok(1),
        };
    }
    let mut file = sources.add(name, script.text.clone());
    if let Some(d) = script.refusal(file) {
        return Err(d);
    }
    let counts = sources.get(file).filter(|_| cli.estimate).and_then(|s| estimate::script(&s.text, file));
    if let Some(counts) = counts {
        file = sources.add("<estimate>".to_owned(), counts);
    }
    sources::gather(sources, file, &cli.directories, &cli.headers)?;
    let mut watched = match (&cli.command, cli.pid) {
        _ if cli.dry_run || cli.emit.is_some() => None,
        (Some(c), _) => Some(Watched::command(c).map_err(Box::new)?),
        (None, Some(pid)) => Some(Watched::process(pid as i32).map_err(Box::new)?),
        (None, None) => None,
    };
    let family = watched.as_ref().map(|w| w.pid() as u32);
    let follow = cli.follow.then(|| sema::follow::Follow {
        family: family.map(|pid| sources.add("<children>".to_owned(), sema::follow::family(pid))),
        ..Default::default()
    });
    for pid in &cli.unwound {
        Watched::process(*pid as i32).map_err(Box::new)?;
    }
    let target = cli.target()?;
    let target = match watched.as_ref().and_then(|w| Some((w.pid() as u32, w.program()?.to_owned()))) {
        Some((pid, program)) => target.about_to_run(pid, program),
        None => target,
    };
    let (named, params): (Vec<String>, Vec<String>) = params.into_iter().partition(|p| p.starts_with("--") && p.len() > 2);
    let named: Vec<(String, Option<String>)> = named
        .iter()
        .map(|p| {
            let p = &p[2..];
            p.split_once('=').map_or((p.to_string(), None), |(n, v)| (n.to_string(), Some(v.to_string())))
        })
        .collect();
    let options = Options {
        params,
        named,
        allow_unsafe: cli.allow_unsafe,
        enforce: cli.enforce,
        config: environment()?,
        pid: cli.pid,
        unwound: cli.unwound.clone(),
        dry_run: cli.dry_run,
        child: cli.command.as_ref().map(|_| watched.as_ref().map_or(0, |w| w.pid() as u32)),
        helper_errors: cli.helper_errors,
        name_points: cli.json_tags,
        filter: cli.filter.clone(),
        follow,
        ..Default::default()
    };
    let mut compiled = compile(sources, file, &target, &options, cli.emit.as_deref() == Some("vcode"));
    if let Some(stage) = &cli.emit {
        report::show(sources, &compiled.diagnostics, cli.warnings);
        return emit::emit(stage, &compiled, sources, cli.obj.as_deref().or(cli.output.as_deref()));
    }
    if cli.estimate {
        // It is asked for already.
        compiled.diagnostics.retain(|d| d.code != "busy-probe");
    }
    report::show(sources, &compiled.diagnostics, cli.warnings);
    if let Some(program) = &compiled.program {
        match params::check(&program.options, &options.named) {
            Ok(None) => {}
            Ok(Some(help)) => {
                list::say(&help)?;
                return Ok(0);
            }
            Err(d) => return Err(d),
        }
    }
    let Some(artifact) = &compiled.artifact else {
        return Ok(report::exit_code(&compiled.diagnostics).max(1));
    };
    if cli.list {
        for p in &artifact.plan.points {
            if !list::say(&format!("{p}\n"))? {
                break;
            }
        }
        return Ok(0);
    }
    if cli.dry_run {
        return Ok(0);
    }
    let mut places = artifact.programs.iter().flat_map(|p| &p.attach);
    let pinned = places.find(|a| matches!(a.to, AttachTo::Iter { pin: Some(_), .. })).map(|a| a.span);
    let given = [(cli.pin.is_some(), "--pin"), (cli.command.is_some(), "-c"), (cli.follow, "--follow")];
    if let (Some(place), Some((_, option))) = (pinned, given.iter().find(|(is, _)| *is)) {
        let d = Diagnostic::error("pinned-iterator", place, format!("`{option}` says nothing of a pinned iterator"));
        return Err(Box::new(d.label("it stays in its file, and awl ends at once").help(format!("leave `{option}` out"))));
    }
    let to = match &cli.output {
        Some(path) => output::file(path.as_ref()).map_err(|e| {
            let d = Diagnostic::usage("output-file", format!("`{path}` can't be written: {e}"))
                .help("name a file in a folder that you may write to with `-o`");
            Box::new(d)
        })?,
        None => output::stdout().map_err(|e| Box::new(Diagnostic::usage("output-file", format!("standard output is closed: {e}"))))?,
    };
    let loaded = build::load(&mut compiled, sources, file, &target, &options, cli.verbose, &Default::default()).map_err(Box::new)?;
    let Some(artifact) = &compiled.artifact else { return Ok(3) };
    let config = &compiled.config;
    let compiler_options = options;
    let options = output::Options {
        style: if cli.json { Style::Json } else { Style::Text },
        tagged: cli.json_tags,
        buffering: match cli.buffering.as_deref() {
            Some("none") => Buffering::None,
            Some("full") => Buffering::Full,
            _ => Buffering::Line,
        },
        cat_bytes: u64::from(config.max_cat_bytes),
        warnings: cli.warnings,
        human: cli.human,
        colour: report::colour(std::io::stdout().is_terminal()),
        cut: output::Cut { capacity: config.strlen() as usize, trailer: config.str_trunc_trailer.clone() },
    };
    let mut output = Output::new(to, Box::new(std::io::stderr()), options);
    output.schema(&artifact.plan);
    let mut printer = run::Printer::new(output, artifact, sources, cli.quiet, config, cli.debuginfo.clone());
    printer.hints = std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && !bpftrace::is_name();
    printer.shows_progress = printer.hints && report::draws(&std::io::stderr());
    printer.until_stopped = cli.command.is_none();
    printer.follows = cli.follow;
    let family_file = compiler_options.follow.as_ref().and_then(|f| f.family);
    printer.own_points = artifact.programs.iter().filter(|p| Some(p.span.file) == family_file).map(|p| p.attach.len()).sum();
    let mut session = Session::new(artifact, loaded, watched.take());
    session.trials = cli.trials;
    session.unwound = cli.unwound.clone();
    session.missing = config.missing_probes;
    if let Some(name) = &cli.pin {
        session.leave(name).map_err(Box::new)?;
        let unheard = compiled.program.as_ref().and_then(sema::unheard::warning);
        report::show(sources, unheard.as_slice(), true);
        eprintln!("left under `{name}`: `awl ps` lists it, `awl stop {name}` ends it");
        return Ok(0);
    }
    let mut follower = cli.follow.then(|| {
        let machine: follow::Machine = Box::new(|pids| Ok(cli.target()?.with_family(pids)));
        follow::Follower::new(sources, file, machine, compiler_options, &compiled, cli.verbose)
    });
    if let Some(f) = &mut follower {
        if let Some(line) = f.awaited().filter(|_| !cli.quiet) {
            eprint!("{line}");
        }
        session.follow(Later::new(f));
    }
    let outcome = run::run(&mut session, &mut printer, config.print_maps_on_exit && pinned.is_none()).map_err(Box::new)?;
    if let Some(e) = printer.output.take_error() {
        let d = Diagnostic::environment("output-file", format!("the output could not be written: {e}"));
        printer.troubles.push(d.help("make room, or name another file with `-o`"));
    }
    let mut said = std::mem::take(&mut printer.troubles);
    let whole = session.whole();
    drop(session);
    said.extend(ending::report(&outcome.report, &whole, config));
    said.extend(follower.and_then(|f| f.missed()));
    said.extend(outcome.command_failed);
    report::show(sources, &said, true);
    eprint!("{}", ending::watched(&outcome.report, artifact));
    if cli.verbose {
        eprint!("{}", ending::pace(&outcome.pace, artifact));
    }
    // What `exit(n)` says counts, unless awl could not do what it was asked to.
    Ok(match report::exit_code(&said) {
        0 if printer.failed_tests > 0 => 1,
        0 => outcome.exit_code as u8,
        worst => worst,
    })
}

/// Settings from the environment: `AWL_MAX_STRLEN`, `BPFTRACE_MAX_STRLEN`.
fn environment() -> Result<Config, Failure> {
    let mut c = Config::default();
    for (name, value) in std::env::vars() {
        let Some(key) = name.strip_prefix("BPFTRACE_").or_else(|| name.strip_prefix("AWL_")) else { continue };
        let Some(row) = config::find(key) else { continue };
        if let Err(expected) = (row.set)(&mut c, &value) {
            let d = Diagnostic::usage("config-value", format!("`{name}={value}` in the environment: expected {expected}"));
            return Err(Box::new(d.help(format!("unset it: `unset {name}`"))));
        }
        c.from_environment.push(row.name);
    }
    Ok(c)
}
