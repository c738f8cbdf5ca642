//! From a text to programs in the kernel.

use awl_compiler::FileId;
use awl_compiler::artifact::Artifact;
use awl_compiler::compile::{Compiled, compile};
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::sema::{Loops, Options};
use awl_compiler::source::SourceMap;
use awl_compiler::target::Target;
use awl_runtime::load::{self, Common, Loaded, Place, TOO_COMPLEX};

/// Loads what was compiled. What the verifier finds too complex is compiled once more, with callbacks for loops, and what it refuses
/// for the types of arguments with arguments that have none for it. The new programs replace the first; where that doesn't help, the first
/// refusal counts.
pub fn load(
    compiled: &mut Compiled,
    sources: &SourceMap,
    file: FileId,
    target: &dyn Target,
    options: &Options,
    whole_log: bool,
    common: &Common,
) -> Result<Loaded, Diagnostic> {
    let first = match attempt(compiled, whole_log, common) {
        Err(d) => d,
        done => return done,
    };
    let mut options = options.clone();
    let mut refusal = first.clone();
    // Each change is made once.
    while otherwise(&mut options, &refusal) {
        let mut next = compile(sources, file, target, &options, false);
        if next.artifact.is_none() {
            break;
        }
        match attempt(&next, false, common) {
            Ok(loaded) => {
                // Warnings are the same and have been shown.
                next.diagnostics.clear();
                *compiled = next;
                return Ok(loaded);
            }
            Err(d) => refusal = d,
        }
    }
    Err(first)
}

/// What may help against a refusal and wasn't tried: `false` where nothing is.
fn otherwise(options: &mut Options, refusal: &Diagnostic) -> bool {
    if refusal.code == TOO_COMPLEX && options.loops == Loops::Walked {
        // What the verifier sees to be a constant it follows turn by turn; it knows nothing of what lies in scratch memory.
        options.loops = Loops::Called;
        options.scratch_locals = true;
        return true;
    }
    load::of_arguments(refusal) && !std::mem::replace(&mut options.plain_arguments, true)
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
