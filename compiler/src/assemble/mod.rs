//! One script from several texts: what it imports and which headers it includes. The command finds the texts and links
//! them to the places that ask for them; here they are read and put together.

mod header;

use crate::compile::syntax;
use crate::diagnostic::Diagnostic;
use crate::source::{LIBRARY, Link, SourceMap};
use awl_grammar::ast::{CBranch, CItem, CItemKind, Import, Item, Script};
use awl_grammar::span::{FileId, Span};
use std::collections::HashSet;

/// What a text asks for: its imports, and its headers with whether they are in angle brackets.
#[derive(Default)]
pub struct Wanted {
    pub imports: Vec<Import>,
    pub headers: Vec<(String, bool, Span)>,
}

impl Wanted {
    pub fn of(text: &str, file: FileId, is_header: bool) -> Wanted {
        let mut out = Wanted::default();
        // Most scripts ask for nothing, and are read once less.
        if text.contains("import") || text.contains("include") {
            let (script, _) = if is_header { awl_grammar::parse(&header::definitions(text), file) } else { awl_grammar::parse(text, file) };
            headers(&script.preamble, &mut out.headers);
            out.imports = script.imports;
        }
        out
    }
}

fn headers(items: &[CItem], out: &mut Vec<(String, bool, Span)>) {
    for i in items {
        match &i.kind {
            CItemKind::Include { path, system } => out.push((path.clone(), *system, i.span)),
            CItemKind::If { branches } => branches.iter().for_each(|b| headers(&b.body, out)),
            _ => {}
        }
    }
}

/// What comes with awl: its functions are always there.
pub fn is_own(import: &str) -> bool {
    import == "stdlib" || import.starts_with("stdlib/")
}

/// The name that an item gives to code.
fn defined(item: &Item) -> Option<&str> {
    match item {
        Item::Macro(m) => Some(&m.name.name),
        Item::Function(f) => Some(&f.name.name),
        Item::Probe(_) | Item::MapDecl(_) => None,
    }
}

struct Assembler<'a> {
    sources: &'a SourceMap,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// texts that were read: each counts once
    read: HashSet<FileId>,
}

/// Puts into the script what it imports and includes.
pub(crate) fn assemble(script: &mut Script, file: FileId, sources: &SourceMap, diagnostics: &mut Vec<Diagnostic>) {
    let mut a = Assembler { sources, diagnostics, read: HashSet::from([file]) };
    let forced: Vec<CItem> = sources.forced().iter().flat_map(|f| a.header(*f)).collect();
    a.script(script);
    a.library(script, file);
    script.preamble.splice(0..0, forced);
}

impl Assembler<'_> {
    fn script(&mut self, script: &mut Script) {
        self.preamble(&mut script.preamble);
        let (mut preamble, mut items) = (Vec::new(), Vec::new());
        for i in std::mem::take(&mut script.imports) {
            self.import(&i, &mut preamble, &mut items);
        }
        // An imported script's `begin` runs before that of the one that imports it.
        script.preamble.splice(0..0, preamble);
        script.items.splice(0..0, items);
    }

    fn import(&mut self, import: &Import, preamble: &mut Vec<CItem>, items: &mut Vec<Item>) {
        let files = match self.sources.linked(import.span) {
            _ if is_own(&import.path) => return,
            Some(Link::Files(files)) => files.clone(),
            Some(Link::Refused(d)) => return self.diagnostics.push((**d).clone()),
            None => {
                let d = Diagnostic::error("no-import", import.span, format!("`{}` is not found", import.path));
                return self.diagnostics.push(d.label("no such file or directory"));
            }
        };
        for file in files {
            let Some(source) = self.sources.get(file) else { continue };
            if source.name.ends_with(".h") {
                preamble.extend(self.header(file));
                continue;
            }
            if !self.read.insert(file) {
                continue;
            }
            let (mut script, errors) = awl_grammar::parse(&source.text, file);
            self.diagnostics.extend(errors.into_iter().map(syntax));
            if let Some(c) = script.config.first() {
                self.diagnostics.push(
                    Diagnostic::error("import-config", c.span, "a script that is imported has no settings of its own")
                        .label("not here")
                        .because(import.span, "imported here")
                        .help("settings belong to the script that is run"),
                );
            }
            self.script(&mut script);
            preamble.append(&mut script.preamble);
            items.append(&mut script.items);
        }
    }

    /// Those definitions of the library whose names the texts have, unless the script has its own.
    fn library(&self, script: &mut Script, file: FileId) {
        let texts = || self.read.iter().filter_map(|f| self.sources.get(*f)).chain(self.sources.get(file));
        let named = |name: &str| texts().any(|s| s.text.contains(name));
        if !awl_stdlib::macros().any(|m| named(m.name)) {
            return;
        }
        let own: HashSet<String> = script.items.iter().filter_map(|i| defined(i).map(str::to_string)).collect();
        let (library, _) = awl_grammar::parse(awl_stdlib::NET, LIBRARY);
        script.items.extend(library.items.into_iter().filter(|i| defined(i).is_some_and(|n| named(n) && !own.contains(n))));
    }

    /// The definitions of a header. What is not a definition is left out: C code has no meaning here.
    fn header(&mut self, file: FileId) -> Vec<CItem> {
        let Some(source) = self.sources.get(file).filter(|_| self.read.insert(file)) else { return Vec::new() };
        let (mut script, _) = awl_grammar::parse(&header::definitions(&source.text), file);
        self.preamble(&mut script.preamble);
        script.preamble
    }

    fn preamble(&mut self, items: &mut [CItem]) {
        for i in items {
            match &mut i.kind {
                CItemKind::Include { .. } => {
                    let files = match self.sources.linked(i.span) {
                        Some(Link::Files(files)) => files.clone(),
                        Some(Link::Refused(d)) => {
                            self.diagnostics.push((**d).clone());
                            continue;
                        }
                        None => continue,
                    };
                    let body = files.into_iter().flat_map(|f| self.header(f)).collect();
                    i.kind = CItemKind::If { branches: vec![CBranch { cond: None, body }] };
                }
                CItemKind::If { branches } => branches.iter_mut().for_each(|b| self.preamble(&mut b.body)),
                _ => {}
            }
        }
    }
}
