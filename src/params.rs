//! A script's own parameters: `awl script.bt -- --name=value`, and the help that is made of what it asks for.

use crate::Failure;
use awl_compiler::diagnostic::{Diagnostic, nearest};
use awl_compiler::hir::ScriptOption;
use awl_runtime::output::padded;
use unicode_width::UnicodeWidthStr;

/// Are the parameters ones that the script asks for? With `--help` the text that lists them.
pub fn check(asked: &[ScriptOption], given: &[(String, Option<String>)]) -> Result<Option<String>, Failure> {
    if given.iter().any(|(n, _)| n == "help") && !asked.iter().any(|o| o.name == "help") {
        return Ok(Some(help(asked)));
    }
    match given.iter().find(|(n, _)| !asked.iter().any(|o| o.name == *n)) {
        None => Ok(None),
        Some((name, _)) => {
            let d = Diagnostic::usage("unknown-option", format!("the script has no parameter `--{name}`"));
            let known = nearest(name, asked.iter().map(|o| o.name.as_str()));
            Err(Box::new(match known {
                Some(n) => d.help(format!("did you mean `--{n}`? `-- --help` lists them")),
                None => d.help("`-- --help` lists those that it has"),
            }))
        }
    }
}

fn help(asked: &[ScriptOption]) -> String {
    if asked.is_empty() {
        return "The script has no named parameters.\n".into();
    }
    let left = |o: &ScriptOption| match o.kind {
        "bool" => format!("--{}", o.name),
        kind => format!("--{}={kind}", o.name),
    };
    let width = asked.iter().map(|o| left(o).width()).max().unwrap_or(0);
    let mut out = "Named parameters of the script:\n".to_string();
    for o in asked {
        let default = o.default.as_ref().map_or(String::new(), |d| format!("[default: {d}]"));
        let text = [o.description.as_str(), &default].iter().filter(|t| !t.is_empty()).copied().collect::<Vec<_>>().join(" ");
        out.push_str(format!("  {}  {text}", padded(&left(o), width)).trim_end());
        out.push('\n');
    }
    out
}
