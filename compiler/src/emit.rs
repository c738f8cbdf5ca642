//! A stage of the compiler as text, the same on every machine for the same target.

use crate::compile::Compiled;
use crate::source::SourceMap;
use crate::{artifact, bpf, hir};

/// `None`: the compiler didn't come that far. Of `obj`, which is no text, the object for other loaders, libbpf's among them.
pub fn text(stage: &str, c: &Compiled, sources: &SourceMap) -> Option<Vec<u8>> {
    let lowered = c.lowered.as_ref();
    let output = c.output.as_ref();
    let text: String = match stage {
        "ast" => awl_grammar::dump_spans(&c.script, sources.files().first().map_or("", |s| s.text.as_str())),
        "hir" => hir::print(c.program.as_ref()?),
        "clif" => lowered?.module.functions.iter().map(|f| format!("; {}\n{}\n", f.name, f.clif.display())).collect(),
        "vcode" => output?.functions.iter().map(|f| format!("{}\n", f.vcode)).collect(),
        "bpf" => {
            let module = &lowered?.module;
            output?.functions.iter().map(|f| format!("{}\n", bpf::disassemble(f, module))).collect()
        }
        "plan" => artifact::print(c.artifact.as_ref()?),
        _ => {
            let options = bpf::Options { portable: true, license: c.config.license, ..Default::default() };
            return bpf::compile(&lowered?.module, &options).ok().map(|o| o.object);
        }
    };
    Some(text.into_bytes())
}
