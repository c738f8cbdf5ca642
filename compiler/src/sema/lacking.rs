//! Arguments that only some places of a probe have: which lack them, and which don't.

use super::points::Instances;
use crate::diagnostic::Diagnostic;
use awl_grammar::ast::Ident;
use std::collections::HashSet;

/// So many places are named one by one.
const NAMED: usize = 8;

/// Says of each `args.NAME` that a place of a probe lacks which places those are; `lacking` are the places of the text, with the instances that
/// complained.
pub(crate) fn say(diagnostics: &mut [Diagnostic], lacking: &[(Ident, usize)], instances: &Instances) {
    for d in diagnostics.iter_mut().filter(|d| d.code == "unknown-field") {
        let Some(at) = d.primary.as_ref().map(|l| l.span) else { continue };
        let here = || lacking.iter().filter(|(name, _)| name.span == at);
        let Some((field, first)) = here().next() else { continue };
        let Some(source) = instances.list.get(*first).map(|i| i.source) else { continue };
        let without: HashSet<usize> = here().map(|(_, i)| *i).collect();
        let all = || instances.list.iter().enumerate().filter(|(_, i)| std::ptr::eq(i.source, source));
        if all().count() < 2 {
            continue;
        }
        let names = |lacks: bool| -> Vec<&str> {
            let chosen = all().filter(|(n, _)| without.contains(n) == lacks);
            chosen.flat_map(|(_, i)| &i.points).filter_map(|p| instances.points.get(*p)).map(String::as_str).collect()
        };
        let (lack, have) = (names(true), names(false));
        let (Some(first), false) = (lack.first(), have.is_empty()) else {
            // The fields of one place aren't those of the others.
            d.notes.clear();
            continue;
        };
        let field = &field.name;
        d.message = match lack.len() {
            1 => format!("`{first}` has no `args.{field}`"),
            n => format!("{n} of the {} places here have no `args.{field}`", n + have.len()),
        };
        let more = lack.len().saturating_sub(NAMED);
        let shown: Vec<String> = lack.iter().take(NAMED).map(|n| format!("`{n}`")).collect();
        let label = format!("not in {}{}", shown.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() });
        if let Some(p) = &mut d.primary {
            p.text = label;
        }
        d.notes.clear();
        d.help = Some(match have.len() {
            0..=NAMED => format!("probe those that have it: `{}`", have.join(", ")),
            n => format!("{n} have it, `{}` is one: `awl -lv '{}:*'` shows the arguments of each", have[0], provider(have[0])),
        });
    }
}

fn provider(point: &str) -> &str {
    point.split(':').next().unwrap_or(point)
}
