//! `--estimate`: how often a script's probes would run, before they run.

use awl_compiler::probe;
use awl_grammar::ast::{Item, Script};
use awl_grammar::span::{FileId, Span};

/// Probes that run by themselves, at their own rate.
const OWN_RATE: &[&str] = &["begin", "end", "self", "test", "bench", "interval", "profile", "iter"];

/// The script with nothing but a count in each probe, for one second; `None` where it can't be parsed, or nothing in it waits
/// for events.
pub fn script(text: &str, file: FileId) -> Option<String> {
    let (parsed, errors) = awl_grammar::parse(text, file);
    let at = |s: Span| text.get(s.start as usize..s.end as usize).unwrap_or_default();
    let points = waiting(&parsed).map(at).collect::<Vec<_>>().join(",\n");
    (errors.is_empty() && !points.is_empty())
        .then(|| format!("{points}\n{{ @per_second[probe] = count(); }}\ninterval:s:1 {{ exit(); }}\n"))
}

fn waiting(script: &Script) -> impl Iterator<Item = Span> + '_ {
    let probes = script.items.iter().filter_map(|i| if let Item::Probe(p) = i { Some(p) } else { None });
    let points = probes.flat_map(|p| &p.points);
    let own = |name: &str| probe::find(name).is_some_and(|p| OWN_RATE.contains(&p.name));
    points.filter(move |p| p.parts.first().is_some_and(|f| !own(&f.text))).map(|p| p.span)
}
