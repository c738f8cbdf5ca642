//! Network interfaces in attach points.

use super::{Expanded, Request};
use crate::artifact::{AttachTo, Interface, ProgramKind};
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::hir::Context;
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
    let d = Diagnostic::error(
        "unknown-interface",
        part.span,
        match part.text.contains('*') {
            true => format!("no network interface matches `{}`", part.text),
            false => format!("there is no network interface `{}` here", part.text),
        },
    );
    let d = match nearest(&part.text, names.iter().copied()) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => d.label("no such interface"),
    };
    Err(Box::new(d.help(match names.len() {
        0 => "this network namespace has none; `ip netns exec NAME awl ...` runs awl in another one".to_string(),
        _ => format!("the interfaces are {}", names.join(", ")),
    })))
}

/// One program for all of the interfaces, or one for each where the body asks where it runs: programs for packets aren't told.
pub(super) fn programs(r: &Request, kind: ProgramKind, context: Context, points: Vec<(String, AttachTo)>) -> Vec<Expanded> {
    let points = points.into_iter().map(|(name, to)| (name, Some(to)));
    if r.uses.point() {
        return points.map(|p| Expanded { kind, context: context.clone(), points: vec![p] }).collect();
    }
    vec![Expanded { kind, context, points: points.collect() }]
}
