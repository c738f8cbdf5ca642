//! Every beginning of every script is parsed or refused.

use super::{on_a_small_stack, scripts};
use awl_compiler::FileId;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn every_beginning_is_read_or_refused() {
    let failed = on_a_small_stack("beginnings", || {
        let mut tried = 0usize;
        for script in scripts() {
            // Of a long text the time of all grows with the square: some of them will do there.
            let step = if script.len() > 800 { script.len() / 200 } else { 1 };
            for end in (0..script.len()).step_by(step).filter(|e| script.is_char_boundary(*e)) {
                let part = &script[..end];
                tried += 1;
                if catch_unwind(AssertUnwindSafe(|| awl_grammar::parse(part, FileId(0)))).is_err() {
                    return Err(part.to_owned());
                }
            }
        }
        Ok(tried)
    });
    match failed {
        Ok(tried) => assert!(tried > 20_000, "only {tried} beginnings"),
        Err(part) => panic!("the parser panics on\n{part}"),
    }
}
