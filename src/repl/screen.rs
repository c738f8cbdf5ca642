//! The terminal that two write to: the editor draws the line that is being typed, sessions print above it.

use awl_runtime::sys::terminal;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use unicode_width::UnicodeWidthChar;

pub const PROMPT: &str = "awl> ";

/// What the editor shows now.
#[derive(Default)]
struct Edited {
    /// nothing is edited while a line is worked on
    open: bool,
    line: String,
    /// byte in the line where the cursor is
    pos: usize,
    columns: usize,
    /// what was printed last ended within a line
    ragged: bool,
    /// lines of a map that is drawn in place, above the cursor
    drawn: usize,
}

/// Output of a session in the background, above the line that is being typed. rustyline has a printer for this, but with
/// it the editor sleeps on input that it has read already, so a line that is pasted stays invisible until the next key.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<Edited>>);

impl Screen {
    pub fn open(&self, columns: usize) {
        self.change(|e| {
            if e.ragged {
                // The editor begins by clearing the line that the cursor is in.
                println!();
            }
            *e = Edited { open: true, columns: columns.max(1), ..Edited::default() };
        });
    }

    pub fn close(&self) {
        self.change(|e| e.open = false);
    }

    /// Draws lines in the place of those drawn before; with `None` they stay, and what follows goes below. `cleared`: on a
    /// screen that is empty but for this line, as where the terminal has another size now and has broken the lines anew.
    pub fn draw(&self, lines: Option<&[String]>, cleared: Option<&str>) {
        self.change(|e| {
            let Some(lines) = lines else {
                e.drawn = 0;
                return;
            };
            let from = cleared.map_or_else(|| back(e.drawn), |l| format!("\x1b[H\x1b[J{PROMPT}{l}\n"));
            let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
            let mut out = std::io::stdout().lock();
            // The terminal's end is noticed by the editor.
            let _ = write!(out, "{from}{text}").and_then(|()| out.flush());
            e.drawn = lines.len();
        });
    }

    /// The editor is about to show this.
    pub fn typed(&self, line: &str, pos: usize) {
        self.change(|e| {
            if e.line != line {
                line.clone_into(&mut e.line);
            }
            e.pos = pos;
        });
    }

    /// What was typed last.
    pub fn line(&self) -> String {
        self.0.lock().map(|e| e.line.clone()).unwrap_or_default()
    }

    fn change(&self, how: impl FnOnce(&mut Edited)) {
        if let Ok(mut e) = self.0.lock() {
            how(&mut e);
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // Held while we write, so that the editor doesn't open a line in between.
        let Ok(mut edited) = self.0.lock() else { return Ok(bytes.len()) };
        let mut out = std::io::stdout().lock();
        if edited.open {
            // It may have another width by now, and has broken the line anew.
            edited.columns = terminal::size(out.as_fd()).map_or(edited.columns, |(_, columns)| columns);
            out.write_all(above(&edited, &text).as_bytes())?;
        } else {
            // In the place of what is drawn: that comes again, below.
            let newline = if edited.drawn > 0 && !text.ends_with('\n') { "\n" } else { "" };
            let from = if edited.drawn > 0 { back(edited.drawn) } else { String::new() };
            write!(out, "{from}{text}{newline}")?;
            edited.drawn = 0;
            edited.ragged = newline.is_empty() && !text.ends_with('\n');
        }
        out.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// To the beginning of the line so many above, and everything from there on cleared.
fn back(lines: usize) -> String {
    let up = if lines > 0 { format!("\x1b[{lines}A") } else { String::new() };
    format!("{up}\r\x1b[J")
}

/// Bytes that put `text` above the edited line, and the line and the cursor back. The terminal is raw: a line ends with both
/// a carriage return and a line feed.
fn above(edited: &Edited, text: &str) -> String {
    let shown = format!("{PROMPT}{}", edited.line);
    let cursor = place(&shown[..(PROMPT.len() + edited.pos).min(shown.len())], edited.columns);
    let end = place(&shown, edited.columns);
    let up = |rows: usize| if rows > 0 { format!("\x1b[{rows}A") } else { String::new() };
    let right = if cursor.1 > 0 { format!("\x1b[{}C", cursor.1) } else { String::new() };
    let crlf = |t: &str| t.replace('\n', "\r\n");
    let newline = if text.ends_with('\n') { "" } else { "\r\n" };
    format!("{}\r\x1b[J{}{newline}{}{}\r{right}", up(cursor.0), crlf(text), crlf(&shown), up(end.0 - cursor.0))
}

/// Row and column behind a text that begins at the left edge.
fn place(text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for c in text.chars() {
        if c == '\n' {
            (row, column) = (row + 1, 0);
            continue;
        }
        let width = c.width().unwrap_or(0);
        if column + width > columns {
            (row, column) = (row + 1, 0);
        }
        column += width;
    }
    if column == columns { (row + 1, 0) } else { (row, column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns() {
        assert_eq!(place("awl> abc", 20), (0, 8));
        assert_eq!(place("awl> abc", 5), (1, 3));
        assert_eq!(place("awl> ", 5), (1, 0));
        assert_eq!(place("a\nbc", 20), (1, 2));
        assert_eq!(place("äöü漢", 20), (0, 5));
    }

    #[test]
    fn what_is_drawn_is_gone_over() {
        assert_eq!(back(0), "\r\x1b[J");
        assert_eq!(back(3), "\x1b[3A\r\x1b[J");
    }

    #[test]
    fn text_goes_above_and_the_cursor_back() {
        let edited = Edited { open: true, line: "print(1)".into(), pos: 5, columns: 80, ..Edited::default() };
        assert_eq!(above(&edited, "x\n"), "\r\x1b[Jx\r\nawl> print(1)\r\x1b[10C");
        let two = Edited { open: true, line: "a {\nb".into(), pos: 5, columns: 80, ..Edited::default() };
        assert_eq!(above(&two, "x\n"), "\x1b[1A\r\x1b[Jx\r\nawl> a {\r\nb\r\x1b[1C");
    }
}
