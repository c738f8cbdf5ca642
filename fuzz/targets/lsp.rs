//! What an editor asks the language server while such a text is typed. The first two bytes are where the cursor is.

#![no_main]

use awl_cli::Editor;
use std::cell::RefCell;

thread_local! {
    static EDITOR: RefCell<Editor> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(|input: (u16, &str)| {
    let (cursor, text) = input;
    EDITOR.with_borrow_mut(|editor| editor.types(text, usize::from(cursor) % (text.len() + 1)));
});
