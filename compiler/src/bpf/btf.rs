//! Writing BTF: types of maps, functions and data sections, and the line table
//! (Linux: `include/uapi/linux/btf.h`, `Documentation/bpf/btf.rst`).

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;

mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const TYPEDEF: u32 = 8;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Linkage {
    Static = 0,
    Global = 1,
    /// of functions: defined by the kernel
    Extern = 2,
}

/// Longest text of a source line in the line table, bytes. The verifier's log cuts its lines at about 1 KB, perhaps
/// within a character, which a reader of UTF-8 would stumble over.
const MAX_LINE_TEXT: usize = 200;

#[derive(Default)]
pub struct Builder {
    types: Vec<u8>,
    count: u32,
    strings: Strings,
    ints: HashMap<u32, u32>,
    arrays: HashMap<(u32, u32), u32>,
    pointers: HashMap<u32, u32>,
}

#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    known: HashMap<String, u32>,
}

impl Strings {
    fn add(&mut self, s: &str) -> u32 {
        if self.bytes.is_empty() {
            self.bytes.push(0);
        }
        if s.is_empty() {
            return 0;
        }
        if let Some(o) = self.known.get(s) {
            return *o;
        }
        let at = self.bytes.len() as u32;
        // NUL ends a string
        self.bytes.extend(s.bytes().map(|b| if b == 0 { b' ' } else { b }));
        self.bytes.push(0);
        self.known.insert(s.to_owned(), at);
        at
    }
}

/// A source line's text as the table holds it.
fn line_text(text: &str) -> &str {
    let text = text.trim();
    let mut end = text.len().min(MAX_LINE_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Builder {
    fn word(&mut self, w: u32) {
        self.types.extend(w.to_le_bytes());
    }

    /// Starts a type; `third` is its size or the type that it refers to.
    fn start(&mut self, name: &str, kind: u32, vlen: u32, third: u32) -> u32 {
        let name = self.strings.add(name);
        self.word(name);
        self.word((kind << 24) | (vlen & 0xffff));
        self.word(third);
        self.count += 1;
        self.count
    }

    pub fn string(&mut self, s: &str) -> u32 {
        self.strings.add(s)
    }

    /// Unsigned, `bytes` of 1, 2, 4 or 8.
    pub fn uint(&mut self, bytes: u32) -> u32 {
        if let Some(id) = self.ints.get(&bytes) {
            return *id;
        }
        let id = self.start(&format!("__u{}", bytes * 8), kind::INT, 0, bytes);
        self.word(bytes * 8);
        self.ints.insert(bytes, id);
        id
    }

    /// 0 is `void`.
    pub fn pointer(&mut self, to: u32) -> u32 {
        if let Some(id) = self.pointers.get(&to) {
            return *id;
        }
        let id = self.start("", kind::PTR, 0, to);
        self.pointers.insert(to, id);
        id
    }

    pub fn array(&mut self, of: u32, len: u32) -> u32 {
        if let Some(id) = self.arrays.get(&(of, len)) {
            return *id;
        }
        let index = self.uint(4);
        let id = self.start("", kind::ARRAY, 0, 0);
        self.word(of);
        self.word(index);
        self.word(len);
        self.arrays.insert((of, len), id);
        id
    }

    /// Some type of that size: an integer, or bytes.
    pub fn blob(&mut self, bytes: u32) -> u32 {
        if matches!(bytes, 1 | 2 | 4 | 8) {
            self.uint(bytes)
        } else {
            let byte = self.uint(1);
            self.array(byte, bytes)
        }
    }

    /// Members that are pointers: name and type.
    pub fn pointer_struct(&mut self, members: &[(&str, u32)]) -> u32 {
        let id = self.start("", kind::STRUCT, members.len() as u32, 8 * members.len() as u32);
        for (i, (name, ty)) in members.iter().enumerate() {
            let name = self.strings.add(name);
            self.word(name);
            self.word(*ty);
            self.word(64 * i as u32);
        }
        id
    }

    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.start(name, kind::TYPEDEF, 0, of)
    }

    /// Members: name, type, offset in bytes.
    pub fn record(&mut self, name: &str, bytes: u32, members: &[(String, u32, u32)]) -> u32 {
        let id = self.start(name, kind::STRUCT, members.len() as u32, bytes);
        for (name, ty, offset) in members {
            let name = self.strings.add(name);
            self.word(name);
            self.word(*ty);
            self.word(8 * offset);
        }
        id
    }

    pub fn proto(&mut self, result: u32, params: &[(&str, u32)]) -> u32 {
        let id = self.start("", kind::FUNC_PROTO, params.len() as u32, result);
        for (name, ty) in params {
            let name = self.strings.add(name);
            self.word(name);
            self.word(*ty);
        }
        id
    }

    pub fn func(&mut self, name: &str, proto: u32, linkage: Linkage) -> u32 {
        self.start(name, kind::FUNC, linkage as u32, proto)
    }

    pub fn var(&mut self, name: &str, ty: u32, linkage: Linkage) -> u32 {
        let id = self.start(name, kind::VAR, 0, ty);
        self.word(linkage as u32);
        id
    }

    /// Variables of a section: type, offset, size.
    pub fn datasec(&mut self, name: &str, size: u32, vars: &[(u32, u32, u32)]) -> u32 {
        let id = self.start(name, kind::DATASEC, vars.len() as u32, size);
        for (ty, offset, size) in vars {
            self.word(*ty);
            self.word(*offset);
            self.word(*size);
        }
        id
    }

    /// The bytes of `.BTF`.
    pub fn finish(mut self) -> Vec<u8> {
        self.strings.add("");
        if self.strings.bytes.is_empty() {
            self.strings.bytes.push(0);
        }
        let mut out = Vec::with_capacity(24 + self.types.len() + self.strings.bytes.len());
        out.extend(MAGIC.to_le_bytes());
        out.extend([1, 0]);
        let types = self.types.len() as u32;
        for w in [24, 0, types, types, self.strings.bytes.len() as u32] {
            out.extend(w.to_le_bytes());
        }
        out.extend(&self.types);
        out.extend(&self.strings.bytes);
        out
    }
}

/// What `.BTF.ext` says about one section of code.
pub struct ExtSection {
    pub name: String,
    /// byte offset of a function, its FUNC type
    pub funcs: Vec<(u32, u32)>,
    pub lines: Vec<LineInfo>,
}

pub struct LineInfo {
    /// bytes from the section's start
    pub offset: u32,
    /// offsets of strings
    pub file: u32,
    pub text: u32,
    /// from 1
    pub line: u32,
    pub column: u32,
}

impl LineInfo {
    pub fn new(btf: &mut Builder, offset: u32, line: Option<&crate::lowered::Line>) -> LineInfo {
        match line {
            Some(l) => LineInfo { offset, file: btf.string(&l.file), text: btf.string(line_text(&l.text)), line: l.line, column: l.column },
            None => LineInfo { offset, file: 0, text: 0, line: 0, column: 0 },
        }
    }
}

/// The bytes of `.BTF.ext`; section names go into the strings of `btf`.
pub fn ext(btf: &mut Builder, sections: &[ExtSection]) -> Vec<u8> {
    let mut funcs: Vec<u8> = 8u32.to_le_bytes().to_vec();
    let mut lines: Vec<u8> = 16u32.to_le_bytes().to_vec();
    for s in sections {
        let name = btf.string(&s.name);
        if !s.funcs.is_empty() {
            for w in [name, s.funcs.len() as u32] {
                funcs.extend(w.to_le_bytes());
            }
            for (offset, ty) in &s.funcs {
                funcs.extend(offset.to_le_bytes());
                funcs.extend(ty.to_le_bytes());
            }
        }
        if !s.lines.is_empty() {
            for w in [name, s.lines.len() as u32] {
                lines.extend(w.to_le_bytes());
            }
            for l in &s.lines {
                // the line's number has 22 bits, the column 10
                let place = (l.line.min(0x3f_ffff) << 10) | l.column.min(0x3ff);
                for w in [l.offset, l.file, l.text, place] {
                    lines.extend(w.to_le_bytes());
                }
            }
        }
    }
    // a table without records is left out altogether
    if funcs.len() == 4 {
        funcs.clear();
    }
    if lines.len() == 4 {
        lines.clear();
    }
    let mut out = Vec::with_capacity(24 + funcs.len() + lines.len());
    out.extend(MAGIC.to_le_bytes());
    out.extend([1, 0]);
    let (f, l) = (funcs.len() as u32, lines.len() as u32);
    for w in [24, 0, f, f, l] {
        out.extend(w.to_le_bytes());
    }
    out.extend(funcs);
    out.extend(lines);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_texts_are_cut_between_characters() {
        assert_eq!(line_text("  short "), "short");
        let long = "x".repeat(199) + "é";
        assert_eq!(line_text(&long).len(), 199);
        assert_eq!(line_text(&"y".repeat(300)).len(), 200);
    }
}
