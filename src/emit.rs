//! `--emit STAGE`: what the compiler made, as text.

use crate::Failure;
use awl_compiler::compile::Compiled;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::source::SourceMap;
use std::io::Write;

/// The text of a stage; `None`: the compiler didn't come that far.
pub fn text(stage: &str, c: &Compiled, sources: &SourceMap) -> Option<Vec<u8>> {
    match stage {
        "ast" => {
            let text = sources.files().first().map_or("", |s| s.text.as_str());
            Some(awl_grammar::dump_spans(&c.script, text).into_bytes())
        }
        "hir" => c.program.as_ref().map(|p| format!("{p:#?}\n").into_bytes()),
        "clif" => c
            .lowered
            .as_ref()
            .map(|l| l.module.functions.iter().map(|f| format!("; {}\n{}\n", f.name, f.clif.display())).collect::<String>().into_bytes()),
        "vcode" => c.output.as_ref().map(|o| o.functions.iter().map(|f| format!("{}\n", f.vcode)).collect::<String>().into_bytes()),
        "bpf" => c.output.as_ref().zip(c.lowered.as_ref()).map(|(o, l)| {
            o.functions.iter().map(|f| format!("{}\n", awl_compiler::bpf::disassemble(f, &l.module))).collect::<String>().into_bytes()
        }),
        "plan" => c.artifact.as_ref().map(|a| format!("{:#?}\n{:#?}\n", a.plan, a.programs).into_bytes()),
        // For other loaders too, libbpf's among them.
        _ => c.lowered.as_ref().and_then(|l| {
            let options = awl_compiler::bpf::Options { portable: true, ..Default::default() };
            awl_compiler::bpf::compile(&l.module, &options).ok().map(|o| o.object)
        }),
    }
}

pub fn emit(stage: &str, c: &Compiled, sources: &SourceMap, to: Option<&str>) -> Result<u8, Failure> {
    if c.failed() && stage != "ast" {
        return Ok(crate::report::exit_code(&c.diagnostics));
    }
    let bytes = text(stage, c, sources).unwrap_or_default();
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
