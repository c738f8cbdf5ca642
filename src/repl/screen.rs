//! The terminal that two write to: the editor draws the line that is being typed, sessions print above it.

use awl_runtime::sys::terminal;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthChar;

pub const PROMPT: &str = "awl> ";

/// Between telling us what it is about to draw and having drawn it, the editor needs less.
const DRAWING: Duration = Duration::from_millis(4);

/// Output that waits for a line that is taller than the screen; with more the screen is drawn over.
const HELD: usize = 64 << 10;

/// What the editor shows now.
#[derive(Default)]
struct Edited {
    /// nothing is edited while a line is worked on
    open: bool,
    /// the terminal itself edits the line, and we don't know what stands there
    bare: bool,
    /// what stands in front of the line: ours, or that of a search
    prompt: String,
    line: String,
    /// the line with colours
    painted: String,
    /// byte in the line where the cursor is
    pos: usize,
    /// what is suggested behind the line, and the same with colours
    hint: String,
    painted_hint: String,
    /// when the editor drew last
    drawn_at: Option<Instant>,
    rows: usize,
    columns: usize,
    /// output that comes when the line is done
    held: String,
    /// what was printed last ended within a line
    ragged: bool,
    /// lines of a map that is drawn in place, above the cursor
    drawn: usize,
}

impl Edited {
    /// The terminal may have another size by now, and has broken the line anew.
    fn measure(&mut self, out: BorrowedFd) {
        (self.rows, self.columns) = terminal::size(out).unwrap_or((self.rows, self.columns));
    }

    fn is_taller_than_the_screen(&self) -> bool {
        place(&format!("{}{}{}", self.prompt, self.line, self.hint), self.columns).0 + 1 >= self.rows
    }
}

/// Output of a session in the background, above the line that is being typed. rustyline has a printer for this, but with
/// it the editor sleeps on input that it has read already, so a line that is pasted stays invisible until the next key.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<Edited>>);

impl Screen {
    /// A line begins to be edited: by the editor, or, where that leaves it alone, by the terminal.
    pub fn open(&self, (rows, columns): (usize, usize), bare: bool) {
        self.change(|e| {
            if e.ragged {
                // The editor begins by clearing the line that the cursor is in.
                println!();
            }
            let (rows, columns) = (rows.max(1), columns.max(1));
            *e = Edited { open: true, bare, prompt: PROMPT.into(), rows, columns, ..Edited::default() };
        });
    }

    /// The line is done, and the cursor below it.
    pub fn close(&self) {
        self.change(|e| {
            e.open = false;
            let held = std::mem::take(&mut e.held);
            let mut out = std::io::stdout().lock();
            // The terminal's end is noticed by the editor.
            let _ = out.write_all(held.as_bytes()).and_then(|()| out.flush());
        });
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

    /// The editor is about to draw something.
    pub fn draws(&self) {
        self.change(|e| e.drawn_at = Some(Instant::now()));
    }

    /// It begins with this, the line follows.
    pub fn prompts(&self, prompt: &str) {
        self.change(|e| {
            prompt.clone_into(&mut e.prompt);
            e.drawn_at = Some(Instant::now());
        });
    }

    /// The line as the editor is about to draw it, without and with colours, and the byte where the cursor will be.
    pub fn shows(&self, line: &str, painted: &str, pos: usize) {
        self.change(|e| {
            line.clone_into(&mut e.line);
            painted.clone_into(&mut e.painted);
            e.pos = pos;
            e.hint.clear();
            e.painted_hint.clear();
            e.drawn_at = Some(Instant::now());
        });
    }

    /// What follows the line.
    pub fn suggests(&self, hint: &str, painted: &str) {
        self.change(|e| {
            hint.clone_into(&mut e.hint);
            painted.clone_into(&mut e.painted_hint);
            e.drawn_at = Some(Instant::now());
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

    /// What is edited, at a moment at which it is what the terminal shows. Held, it stays so, since the editor waits for it.
    fn settled(&self) -> Option<MutexGuard<'_, Edited>> {
        loop {
            let edited = self.0.lock().ok()?;
            let left = edited.drawn_at.filter(|_| edited.open).and_then(|at| DRAWING.checked_sub(at.elapsed()));
            let Some(left) = left else { return Some(edited) };
            drop(edited);
            std::thread::sleep(left);
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let Some(mut edited) = self.settled() else { return Ok(bytes.len()) };
        let mut out = std::io::stdout().lock();
        if edited.open && edited.bare {
            // Below the prompt, which the terminal's user still types at.
            let begin = if std::mem::take(&mut edited.prompt).is_empty() { "" } else { "\n" };
            write!(out, "{begin}{text}")?;
            edited.ragged = !text.ends_with('\n');
        } else if edited.open {
            edited.measure(out.as_fd());
            edited.held += &text;
            if edited.held.len() > HELD || !edited.is_taller_than_the_screen() {
                let all = std::mem::take(&mut edited.held);
                out.write_all(above(&edited, &all).as_bytes())?;
            }
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
    let before = format!("{}{}", edited.prompt, edited.line.get(..edited.pos).unwrap_or(&edited.line));
    let shown = format!("{}{}{}", edited.prompt, edited.line, edited.hint);
    let (cursor, end) = (place(&before, edited.columns), place(&shown, edited.columns));
    let painted = format!("{}{}{}", edited.prompt, edited.painted, edited.painted_hint);
    // A line that fills its row ends in that row, until something follows.
    let full = if end.1 == 0 && end.0 > 0 && !shown.ends_with('\n') { "\r\n" } else { "" };
    let up = |rows: usize| if rows > 0 { format!("\x1b[{rows}A") } else { String::new() };
    let right = if cursor.1 > 0 { format!("\x1b[{}C", cursor.1) } else { String::new() };
    let crlf = |t: &str| t.replace('\n', "\r\n");
    let newline = if text.ends_with('\n') { "" } else { "\r\n" };
    format!("{}\r\x1b[J{}{newline}{}{full}{}\r{right}", up(cursor.0), crlf(text), crlf(&painted), up(end.0 - cursor.0))
}

/// Columns from one stop of a tab to the next.
const TAB: usize = 8;

/// Row and column behind a text that begins at the left edge.
fn place(text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for c in text.chars() {
        if c == '\n' {
            (row, column) = (row + 1, 0);
            continue;
        }
        let width = if c == '\t' { TAB - column % TAB } else { c.width().unwrap_or(0) };
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

    fn edited(prompt: &str, line: &str, pos: usize, hint: &str, columns: usize) -> Edited {
        let (prompt, line, hint) = (prompt.to_owned(), line.to_owned(), hint.to_owned());
        let (painted, painted_hint) = (line.clone(), hint.clone());
        Edited { open: true, prompt, line, painted, pos, hint, painted_hint, columns, ..Edited::default() }
    }

    #[test]
    fn rows_and_columns() {
        assert_eq!(place("awl> abc", 20), (0, 8));
        assert_eq!(place("awl> abc", 5), (1, 3));
        assert_eq!(place("awl> ", 5), (1, 0));
        assert_eq!(place("a\nbc", 20), (1, 2));
        assert_eq!(place("äöü漢", 20), (0, 5));
        assert_eq!(place("awl> a\tb\tc", 20), (0, 17));
    }

    #[test]
    fn what_is_drawn_is_gone_over() {
        assert_eq!(back(0), "\r\x1b[J");
        assert_eq!(back(3), "\x1b[3A\r\x1b[J");
    }

    #[test]
    fn text_goes_above_and_the_cursor_back() {
        assert_eq!(above(&edited(PROMPT, "print(1)", 5, "", 80), "x\n"), "\r\x1b[Jx\r\nawl> print(1)\r\x1b[10C");
        assert_eq!(above(&edited(PROMPT, "a {\nb", 5, "", 80), "x\n"), "\x1b[1A\r\x1b[Jx\r\nawl> a {\r\nb\r\x1b[1C");
        // the prompt of a search, a hint that takes another row, a row that is full
        assert_eq!(above(&edited("(search)`p': ", "print", 0, "", 80), "x\n"), "\r\x1b[Jx\r\n(search)`p': print\r\x1b[13C");
        assert_eq!(above(&edited(PROMPT, "pri", 3, "nt(1)", 10), "x"), "\r\x1b[Jx\r\nawl> print(1)\x1b[1A\r\x1b[8C");
        assert_eq!(above(&edited(PROMPT, "pri", 3, "", 8), "x"), "\x1b[1A\r\x1b[Jx\r\nawl> pri\r\n\r");
        let painted = Edited { painted: "\x1b[35mbegin\x1b[0m".into(), ..edited(PROMPT, "begin", 5, "", 80) };
        assert_eq!(above(&painted, "x\n"), "\r\x1b[Jx\r\nawl> \x1b[35mbegin\x1b[0m\r\x1b[10C");
    }
}
