//! `--emit STAGE`: what the compiler made, as text.

use crate::Failure;
use awl_compiler::compile::Compiled;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::source::SourceMap;
use std::io::Write;

pub fn emit(stage: &str, c: &Compiled, sources: &SourceMap, to: Option<&str>) -> Result<u8, Failure> {
    if c.failed() && stage != "ast" {
        return Ok(crate::report::exit_code(&c.diagnostics));
    }
    let bytes = awl_compiler::emit::text(stage, c, sources).unwrap_or_default();
    let done = match to {
        Some(path) => std::fs::write(path, &bytes),
        None => std::io::stdout().write_all(&bytes),
    };
    match done {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            let d = Diagnostic::environment("output-file", format!("the output could not be written: {e}"));
            Err(Box::new(d))
        }
        _ => Ok(crate::report::exit_code(&c.diagnostics)),
    }
}
