//! A text of the editor: its positions count lines and UTF-16 units, ours bytes.

use lsp_types::{Position, Range};

pub struct Document {
    pub text: String,
    /// columns count bytes
    bytes: bool,
    /// offsets of the lines' first bytes
    starts: Vec<usize>,
}

impl Document {
    pub fn new(text: String, bytes: bool) -> Document {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Document { text, bytes, starts }
    }

    /// The byte of a position; the nearest one where the position is none.
    pub fn offset(&self, p: Position) -> usize {
        let Some(start) = self.starts.get(p.line as usize) else { return self.text.len() };
        let end = self.starts.get(p.line as usize + 1).map_or(self.text.len(), |e| e - 1);
        let line = &self.text[*start..end];
        let mut column = 0;
        for (i, c) in line.char_indices() {
            if column >= p.character as usize {
                return start + i;
            }
            column += if self.bytes { c.len_utf8() } else { c.len_utf16() };
        }
        end
    }

    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|s| *s <= offset) - 1;
        let before = &self.text[self.starts[line]..offset];
        let character = if self.bytes { before.len() } else { before.encode_utf16().count() };
        Position::new(line as u32, character as u32)
    }

    pub fn range(&self, start: usize, end: usize) -> Range {
        Range::new(self.position(start), self.position(end.max(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_there_and_back() {
        let text = "a\nü𝄞b\n\nlast";
        for bytes in [false, true] {
            let d = Document::new(text.into(), bytes);
            for (i, _) in text.char_indices() {
                assert_eq!(d.offset(d.position(i)), i);
            }
        }
        let d = Document::new(text.into(), false);
        assert_eq!(d.position(text.find('b').unwrap()), Position::new(1, 3));
        assert_eq!(d.offset(Position::new(1, 99)), text.find("\n\nlast").unwrap());
        assert_eq!(d.offset(Position::new(99, 0)), text.len());
        assert_eq!(Document::new(String::new(), false).offset(Position::new(0, 5)), 0);
    }
}
