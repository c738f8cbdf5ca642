//! `-l`: what can be probed here.

use crate::Failure;
use crate::cli::Cli;
use awl_compiler::diagnostic::{Diagnostic, nearest};
use awl_compiler::probe;
use awl_compiler::target::Unavailable;
use awl_runtime::target;
use std::io::Write;

pub fn list(cli: &Cli) -> Result<u8, Failure> {
    let target = cli.target()?;
    let pattern = cli.rest.first().map_or("*", String::as_str);
    let unavailable = |why: Unavailable| Box::new(Diagnostic::environment(why.code, why.message).help(why.help));
    let places = target::list(&target, pattern).map_err(unavailable)?;
    if places.is_empty() {
        return Err(Box::new(nothing(pattern)));
    }
    for place in places {
        let text = if cli.verbose { target::show(&target, &place).map_err(unavailable)? } else { format!("{place}\n") };
        if !say(&text)? {
            break;
        }
    }
    Ok(0)
}

/// Why a pattern has no place.
fn nothing(pattern: &str) -> Diagnostic {
    let provider = pattern.split(':').next().unwrap_or(pattern);
    match probe::find(provider) {
        None if pattern.contains(':') && !provider.contains('*') => {
            let d = Diagnostic::usage("unknown-probe", format!("unknown probe type `{provider}`"));
            match nearest(provider, probe::all().map(|p| p.name)) {
                Some(n) => d.help(format!("did you mean `{n}`?")),
                None => d.help("`awl -l` lists what there is"),
            }
        }
        _ => Diagnostic::usage("no-match", format!("nothing here matches `{pattern}`")).help("`*` stands for anything: `awl -l '*exec*'`"),
    }
}

/// Prints; false when nobody listens any more.
pub fn say(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Box::new(Diagnostic::environment("output-file", format!("the output could not be written: {e}")))),
    }
}
