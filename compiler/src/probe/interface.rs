//! Network interfaces in attach points.

use super::Request;
use crate::artifact::Interface;
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use awl_grammar::ast::ProbePart;

/// The interfaces that a name or a pattern means, at least one.
pub(super) fn interfaces(r: &Request, part: &ProbePart) -> Result<Vec<Interface>, Box<Diagnostic>> {
    let all = r.target.interfaces().map_err(|why| r.unavailable(why))?;
    let glob = Glob::new(&part.text);
    let found: Vec<Interface> = all.iter().filter(|i| glob.matches(&i.name)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = all.iter().map(|i| i.name.as_str()).collect();
    let d = Diagnostic::error("unknown-interface", part.span, format!("there is no network interface `{}` here", part.text));
    let d = match nearest(&part.text, names.iter().copied()) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => d.label("no such interface"),
    };
    Err(Box::new(d.help(match names.len() {
        0 => "this network namespace has none; `ip netns exec NAME awl ...` runs awl in another one".to_string(),
        _ => format!("the interfaces are {}", names.join(", ")),
    })))
}
