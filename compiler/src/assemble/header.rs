//! The part of a C header that the language understands: directives and definitions of types. Functions, variables and what
//! is for C++ are blanked, so that every place in the text stays where it is.

/// The header with blanks for what is no definition.
pub(super) fn definitions(text: &str) -> String {
    let mut h = Header { bytes: text.as_bytes().to_vec(), pos: 0 };
    while h.pos < h.bytes.len() {
        h.piece();
    }
    String::from_utf8(h.bytes).unwrap_or_default()
}

struct Header {
    bytes: Vec<u8>,
    pos: usize,
}

impl Header {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.pos..]
    }

    fn blank(&mut self, from: usize, to: usize) {
        for b in self.bytes[from..to].iter_mut().filter(|b| **b != b'\n') {
            *b = b' ';
        }
    }

    /// One directive, declaration or bracket at the outermost level.
    fn piece(&mut self) {
        let start = self.pos;
        match self.rest().first().copied() {
            Some(b'#') => {
                self.line();
                if is_for_cpp(&self.bytes[start..self.pos]) {
                    self.to_endif();
                    self.blank(start, self.pos);
                }
            }
            Some(b) if b.is_ascii_alphabetic() || b == b'_' => self.declaration(),
            Some(_) if self.comment() => {}
            Some(b'}' | b';') => {
                self.pos += 1;
                self.blank(start, self.pos);
            }
            _ => self.pos += 1,
        }
    }

    /// To the end of a line, or of several that are joined by `\`.
    fn line(&mut self) {
        while let Some(b) = self.rest().first().copied() {
            let joined = b == b'\\';
            self.pos += 1;
            match b {
                b'\n' => return,
                _ if joined => self.pos = (self.pos + 1).min(self.bytes.len()),
                _ => {}
            }
        }
    }

    /// Behind the `#endif` of the condition that was begun.
    fn to_endif(&mut self) {
        let mut open = 1;
        while open > 0 && self.pos < self.bytes.len() {
            let start = self.pos;
            self.line();
            match directive(&self.bytes[start..self.pos]) {
                Some(d) if d.starts_with("if") => open += 1,
                Some(d) if d.starts_with("endif") => open -= 1,
                _ => {}
            }
        }
    }

    fn comment(&mut self) -> bool {
        let length = match self.rest() {
            [b'/', b'/', ..] => self.rest().iter().position(|b| *b == b'\n'),
            [b'/', b'*', ..] => self.rest().windows(2).skip(2).position(|w| w == b"*/").map(|n| n + 4),
            _ => return false,
        };
        self.pos = length.map_or(self.bytes.len(), |n| self.pos + n);
        true
    }

    /// To the end of a declaration; it is blanked unless it defines a type.
    fn declaration(&mut self) {
        let start = self.pos;
        let word: Vec<u8> = self.rest().iter().copied().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').collect();
        let (mut depth, mut braces, mut function) = (0usize, false, false);
        while let Some(b) = self.rest().first().copied() {
            if self.comment() {
                continue;
            }
            self.pos += 1;
            match b {
                b'"' => {
                    let end = self.rest().iter().position(|b| matches!(b, b'"' | b'\n')).map_or(0, |n| n + 1);
                    self.pos += end;
                }
                b'{' if depth == 0 && word == b"extern" => break,
                b'{' => {
                    braces |= depth == 0;
                    depth += 1;
                }
                b'(' | b'[' => {
                    function |= b == b'(' && depth == 0 && !braces && !self.is_attribute(start);
                    depth += 1;
                }
                b'}' | b')' | b']' => {
                    depth = depth.saturating_sub(1);
                    if b == b'}' && depth == 0 && function {
                        break;
                    }
                }
                b';' if depth == 0 => break,
                _ => {}
            }
        }
        let keep = match word.as_slice() {
            b"typedef" => true,
            b"struct" | b"union" | b"enum" => braces && !function,
            _ => false,
        };
        if !keep {
            self.blank(start, self.pos);
        }
    }

    /// Is the bracket in front of the place that of `__attribute__((...))`?
    fn is_attribute(&self, start: usize) -> bool {
        let before = &self.bytes[start..self.pos - 1];
        let before = before.trim_ascii_end();
        before.ends_with(b"__attribute__") || before.ends_with(b"__aligned") || before.ends_with(b"__packed")
    }
}

/// The word of a directive's line.
fn directive(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?.trim_start().strip_prefix('#')?;
    Some(line.trim_start())
}

fn is_for_cpp(line: &[u8]) -> bool {
    directive(line)
        .is_some_and(|d| d.strip_prefix("ifdef").is_some_and(|n| n.trim() == "__cplusplus") || d.trim_end() == "if defined(__cplusplus)")
}

#[cfg(test)]
mod tests {
    use super::definitions;

    #[test]
    fn only_definitions_stay() {
        let text = "#ifdef __cplusplus\nextern \"C\" {\n#endif\n#define N 2 /* two */\nstruct a { int x; };\nint f(struct a *);\n\
                    static inline int g(void) { return 1; }\nstruct a *h(int (*)(void));\ntypedef int (*fn)(int);\n\
                    struct __attribute__((packed)) b { char c; };\nextern int v; /* { */\nenum e { P, Q };\n#ifdef __cplusplus\n}\n#endif\n";
        let kept = definitions(text);
        assert_eq!(kept.len(), text.len());
        let lines: Vec<&str> = kept.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "#define N 2 /* two */",
                "struct a { int x; };",
                "typedef int (*fn)(int);",
                "struct __attribute__((packed)) b { char c; };",
                "/* { */",
                "enum e { P, Q };"
            ]
        );
    }

    #[test]
    fn any_text_ends() {
        for text in ["", "\\", "#", "#ifdef __cplusplus", "extern \"C", "int f(", "/*", "struct {", "}}};;"] {
            assert_eq!(definitions(text).len(), text.len());
        }
    }
}
