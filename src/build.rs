//! From a text to programs in the kernel.

use awl_compiler::FileId;
use awl_compiler::artifact::Artifact;
use awl_compiler::compile::{Compiled, compile};
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::{Loops, Options};
use awl_compiler::source::SourceMap;
use awl_compiler::target::Target;
use awl_runtime::load::{self, Common, Loaded, Place, TOO_COMPLEX};

/// Loads what was compiled. What the verifier finds too complex is compiled once more, with callbacks for loops, and
/// replaces the first; where that doesn't help, the first refusal counts.
pub fn load(
    compiled: &mut Compiled,
    sources: &SourceMap,
    file: FileId,
    target: &dyn Target,
    options: &Options,
    whole_log: bool,
    common: &Common,
) -> Result<Loaded, Diagnostic> {
    let refusal = match attempt(compiled, whole_log, common) {
        Err(d) if d.code == TOO_COMPLEX && options.loops == Loops::Walked => d,
        done => return done,
    };
    // What the verifier sees to be a constant it follows turn by turn; it knows nothing of what lies in scratch memory.
    let called = Options { loops: Loops::Called, scratch_locals: true, ..options.clone() };
    let mut second = compile(sources, file, target, &called, false);
    let loaded = attempt(&second, false, common).map_err(|_| refusal)?;
    // Warnings are the same and have been shown.
    second.diagnostics.clear();
    *compiled = second;
    Ok(loaded)
}

fn attempt(compiled: &Compiled, whole_log: bool, common: &Common) -> Result<Loaded, Diagnostic> {
    let nothing = Artifact::default();
    let artifact = compiled.artifact.as_ref().unwrap_or(&nothing);
    let lines = compiled.lowered.as_ref().map_or(&[][..], |l| &l.module.lines);
    let spans = |p: &Place| {
        let here = |l: &&awl_compiler::lowered::Line| l.file == p.file && l.line == p.line;
        let exact = lines.iter().filter(here).find(|l| l.column == p.column);
        exact.or_else(|| lines.iter().find(here)).map(|l| l.span)
    };
    load::load(artifact, &spans, whole_log, common)
}
