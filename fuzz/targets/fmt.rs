//! What `awl fmt` prints reads back as the same tree with the same comments, and printing it again changes nothing.

#![no_main]

#[allow(dead_code)]
#[path = "../../grammar/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if awl_grammar::parse(text, awl_grammar::span::FileId(0)).1.is_empty() {
        common::round_trip("fuzz", text);
    }
});
