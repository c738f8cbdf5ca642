//! Every way into the parser, with any text.

#![no_main]

#[allow(dead_code)]
#[path = "../../grammar/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|text: &str| common::read_anyhow(text));
