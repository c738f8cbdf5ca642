//! Probe types of the language that this version doesn't attach yet.

use super::{Provider, Request};
use crate::diagnostic::Diagnostic;

macro_rules! later {
    ($name:literal, $aliases:expr, $syntax:literal, $doc:literal) => {
        Provider { name: $name, aliases: $aliases, syntax: $syntax, doc: $doc, example: "", absent: None, expand: refuse }
    };
}

pub const ROWS: &[Provider] =
    &[later!("test", &[], "test:NAME", "a test of a script"), later!("bench", &[], "bench:NAME", "a benchmark of a script")];

fn refuse(r: &Request) -> Result<Vec<super::Expanded>, Box<Diagnostic>> {
    Err(Box::new(
        Diagnostic::error("not-yet", r.span, format!("`{}` probes: not in this version", r.provider.name))
            .label("parsed, but it has no meaning yet")
            .note("the language has it, and a later version of awl will"),
    ))
}
