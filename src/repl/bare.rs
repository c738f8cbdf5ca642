//! Lines from a terminal that edits them itself, since it can do nothing else (`TERM=dumb`).

use super::helper;
use super::screen::{PROMPT, Screen};
use awl_runtime::sys::poll;
use awl_runtime::sys::signal::Signals;
use rustyline::error::ReadlineError;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;

pub struct Bare {
    input: BufReader<File>,
    interrupts: Signals,
}

impl Bare {
    /// Made before any thread is, so that Ctrl-C comes here and nowhere else.
    pub fn new() -> std::io::Result<Bare> {
        let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Bare { input: BufReader::new(input), interrupts: Signals::take(&[libc::SIGINT])? })
    }

    /// A line, or as many as it takes to close what they open.
    pub fn read(&mut self, screen: &Screen) -> Result<String, ReadlineError> {
        write!(std::io::stdout(), "{PROMPT}").and_then(|()| std::io::stdout().flush())?;
        let mut all = String::new();
        loop {
            if self.input.buffer().is_empty() {
                poll::readable(&[self.input.get_ref().as_fd(), self.interrupts.as_fd()], None)?;
            }
            if self.interrupts.next().is_some() {
                // The terminal has dropped the line that was begun.
                println!();
                return Err(ReadlineError::Interrupted);
            }
            if self.input.read_line(&mut all)? == 0 {
                return Err(ReadlineError::Eof);
            }
            let line = all.trim_end_matches(['\n', '\r']);
            if !helper::is_open(line) {
                return Ok(line.to_owned());
            }
            screen.shows(line, line, line.len());
        }
    }
}
