//! Every diagnostic of the compiler and the grammar has a case `err.CODE.bt` or `err.CODE.WHAT.bt`.

use super::{cases, codes};
use std::path::Path;

/// Codes that no small text on the fixture brings about, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("backend", "a defect of awl, which no known script shows"),
    ("packet", "a defect of awl: its own library lacks a header"),
    ("frame-too-large", "locals move to scratch first; the tests of the backend reach it"),
    ("program-too-large", "a million instructions take long to make; the tests of the backend reach it"),
    ("import-config", "needs a second file; tests/texts.rs has it"),
    ("too-long", "a text of 2 GiB"),
    ("unheard", "only with `--pin`; tests/packets/pin.rs has it"),
];

#[test]
fn every_code_has_a_case() {
    let mut missing = codes::of(Path::new(env!("CARGO_MANIFEST_DIR")), &["compiler/src", "grammar/src"]);
    assert!(missing.len() > 80, "codes are no longer found: {missing:?}");
    for (code, _) in WITHOUT {
        assert!(missing.remove(*code), "`{code}` is no longer a code");
    }
    for case in cases::all() {
        let Some(code) = case.name.strip_prefix("err.").and_then(|n| n.split('.').next()) else { continue };
        assert!(case.compiled.diagnostics.iter().any(|d| d.code == code), "{} is not about `{code}`", case.name);
        missing.remove(code);
    }
    assert!(missing.is_empty(), "no case of tests/golden is refused with {missing:?}");
}
