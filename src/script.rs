//! The text of a script, from a file, standard input or the command line.

use crate::Failure;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::{FileId, Span};
use std::fs::File;
use std::io::Read;
use std::ops::Range;

pub struct Script {
    pub text: String,
    /// bytes that are no text, and where the text has a mark in their place
    strange: Vec<(u8, Range<usize>)>,
}

impl From<String> for Script {
    fn from(text: String) -> Script {
        Script { text, strange: Vec::new() }
    }
}

/// Bytes of one text: a device may have no end.
pub const LARGEST: u64 = 16 << 20;

impl Script {
    /// `-` is standard input. A pipe is waited for, as by other commands.
    pub fn read(file: &str) -> Result<Script, Failure> {
        let read = if file == "-" { text_of(std::io::stdin()) } else { File::open(file).and_then(text_of) };
        match read {
            Ok(bytes) if bytes.starts_with(b"\x7fELF") => {
                let d = Diagnostic::usage("no-file", format!("`{file}` is a program, and no script"));
                Err(Box::new(d.help(format!("to trace it: `awl -c {file} -e 'PROGRAM'`"))))
            }
            Ok(bytes) => Ok(Script::decode(&bytes)),
            Err(e) => Err(unread(file, &e.to_string())),
        }
    }

    /// As `read`, but of a file that is there as a whole: nobody waits for a pipe's other end.
    pub fn of_file(file: &str) -> Result<Script, Failure> {
        match std::fs::metadata(file) {
            Ok(m) if !m.is_file() && !m.is_dir() => Err(unread(file, "it is no file of text")),
            // What can't be looked at can't be read, either, and reading says why.
            _ => Script::read(file),
        }
    }

    pub fn decode(bytes: &[u8]) -> Script {
        // Some editors begin a text with a byte order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut script = Script::from(String::with_capacity(bytes.len()));
        for chunk in bytes.utf8_chunks() {
            script.text += chunk.valid();
            if let Some(first) = chunk.invalid().first() {
                let start = script.text.len();
                script.text.push(char::REPLACEMENT_CHARACTER);
                script.strange.push((*first, start..script.text.len()));
            }
        }
        script
    }

    /// What is wrong with a text that isn't the one that stands in the file. In comments nobody minds.
    pub fn refusal(&self, file: FileId) -> Option<Box<Diagnostic>> {
        if self.strange.is_empty() {
            return None;
        }
        let comments = awl_grammar::parse(&self.text, file).0.comments;
        let within = |r: &Range<usize>| comments.iter().any(|c| c.start as usize <= r.start && r.end <= c.end as usize);
        self.strange.iter().find(|(_, r)| !within(r)).map(|s| refused(s, file))
    }

    /// As `refusal`, for those who write the text back: then comments would be lost, too.
    pub fn refusal_to_write(&self, file: FileId) -> Option<Box<Diagnostic>> {
        self.strange.first().map(|s| refused(s, file))
    }
}

fn text_of(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!("it has more than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

fn unread(file: &str, why: &str) -> Failure {
    let d = Diagnostic::usage("no-file", format!("`{file}` can't be read: {why}"));
    Box::new(d.help("to run a text rather than a file: `awl -e 'PROGRAM'`"))
}

fn refused((byte, range): &(u8, Range<usize>), file: FileId) -> Box<Diagnostic> {
    let span = Span::new(file, range.start, range.end);
    let d = Diagnostic::error("encoding", span, "this text is not in UTF-8").label(format!("the byte 0x{byte:02x}"));
    Box::new(d.help(format!("in a string write `\\x{byte:02x}`; a whole text is converted by `iconv -f latin1 -t utf8 OLD > NEW`")))
}

#[cfg(test)]
mod tests {
    use super::Script;
    use awl_compiler::FileId;

    #[test]
    fn bytes_that_are_no_text() {
        let said = |bytes: &[u8]| {
            let s = Script::decode(bytes);
            let show = |d: Option<Box<awl_compiler::diagnostic::Diagnostic>>| {
                d.and_then(|d| d.primary).map(|l| (l.span.start, l.text.trim_start_matches("the byte ").to_owned()))
            };
            (show(s.refusal(FileId(0))), show(s.refusal_to_write(FileId(0))))
        };
        let at = |start, byte: &str| Some((start, byte.to_owned()));
        assert_eq!(said("begin { print(\"ü\"); }".as_bytes()), (None, None));
        assert_eq!(said(b"begin { print(\"\xff\"); }"), (at(15, "0xff"), at(15, "0xff")));
        assert_eq!(said(b"/* \xe9 */ begin { print(\"\xc3\"); }"), (at(25, "0xc3"), at(3, "0xe9")));
        assert_eq!(said(b"// \xe9\nbegin { }"), (None, at(3, "0xe9")));
    }
}
