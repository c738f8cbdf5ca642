//! All passes, from a text to a program or a diagnostic, for a kernel that is always the same.

#![no_main]

use awl_compiler::compile::compile;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::target::fixture::FixtureTarget;
use std::sync::LazyLock;

static TARGET: LazyLock<FixtureTarget> = LazyLock::new(FixtureTarget::new);

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut sources = SourceMap::default();
    let file = sources.add("fuzz.bt", text);
    let options = Options { allow_unsafe: true, enforce: true, params: vec!["1".into(), "two".into()], ..Options::default() };
    compile(&sources, file, &*TARGET, &options, false);
});
