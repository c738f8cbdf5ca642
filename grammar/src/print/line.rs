//! One logical line, which may need several lines of the page.

/// Lines are broken to stay within this width where they can be.
const WIDTH: usize = 100;
/// Blanks that a continued line is indented by, on top of its own.
const CONTINUED: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    /// a blank, or a new line when there's no room
    Soft,
    /// a new line
    Hard,
    /// a new line that begins at the left edge with the blanks that it has
    Raw,
}

#[derive(Default)]
pub struct Line {
    /// what stands between two places where the line may break
    parts: Vec<(Break, String)>,
    pending: Option<Break>,
}

impl Line {
    pub fn push(&mut self, text: &str) {
        let fresh = self.pending.take().or(if self.parts.is_empty() { Some(Break::Soft) } else { None });
        if let Some(kind) = fresh {
            self.parts.push((kind, String::new()));
        }
        if let Some((_, part)) = self.parts.last_mut() {
            // what begins a line begins without blanks
            part.push_str(if part.is_empty() { text.trim_start() } else { text });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A blank, unless there is one or the line has only begun.
    pub fn space(&mut self) {
        let open = [' ', '(', '[', '!', '~'];
        if self.pending.is_none() && self.parts.last().is_some_and(|(_, p)| !p.is_empty() && !p.ends_with(open)) {
            self.push(" ");
        }
    }

    /// A blank at which the line may break.
    pub fn soft(&mut self) {
        if let Some((_, part)) = self.parts.last_mut() {
            part.truncate(part.trim_end().len());
            self.pending = self.pending.or(Some(Break::Soft));
        }
    }

    /// The line breaks here.
    pub fn hard(&mut self) {
        if let Some((_, part)) = self.parts.last_mut() {
            part.truncate(part.trim_end().len());
            self.pending = Some(Break::Hard);
        }
    }

    /// A further line that stays as it is.
    pub fn raw(&mut self, text: &str) {
        self.parts.push((Break::Raw, text.to_string()));
    }

    /// Writes the line and begins a new one.
    pub fn write(&mut self, out: &mut String, indent: usize) {
        self.pending = None;
        if self.parts.iter().all(|(_, p)| p.is_empty()) {
            self.parts.clear();
            return;
        }
        let mut column = 0;
        for (n, (kind, part)) in self.parts.drain(..).enumerate() {
            let first_line = part.split('\n').next().unwrap_or("");
            let width = first_line.trim_end().chars().count();
            if n == 0 {
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if kind == Break::Raw {
                out.push('\n');
                column = 0;
            } else if kind == Break::Hard || column + 1 + width > WIDTH {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent + CONTINUED));
                column = indent + CONTINUED;
            } else {
                out.push(' ');
                column += 1;
            }
            out.push_str(&part);
            column = match part.rsplit_once('\n') {
                Some((_, last)) => last.chars().count(),
                None => column + width,
            };
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
}
