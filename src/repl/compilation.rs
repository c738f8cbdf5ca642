//! How much of a session is compiled for a line: all of it, or no more than the line needs.

use super::engine::Engine;
use super::pieces::{self, Piece};
use awl_compiler::compile::{Compiled, compile};
use awl_compiler::hir;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::types::Ty;

/// Bytes of a session whose compilation may take long enough to be announced.
const LONG: usize = 256 << 10;

/// Lines that were compiled together, the new one last.
pub struct Compilation {
    pub all: Vec<Piece>,
    pub compiled: Compiled,
    pub sources: SourceMap,
    pub options: Options,
}

impl Engine {
    /// Says what somebody may wait for.
    pub(super) fn announce(&self, all: &[Piece]) {
        if all.iter().map(|p| p.text.len()).sum::<usize>() > LONG {
            self.say(&format!("compiling {} lines ...\n", all.iter().map(|p| p.text.lines().count()).sum::<usize>()));
        }
    }

    pub(super) fn compile(&self, all: &[Piece], options: &Options) -> (Compiled, SourceMap) {
        let of = |text: String| {
            let mut sources = SourceMap::default();
            let file = sources.add("<session>", text);
            // What isn't found is said where it is asked for.
            let _ = crate::sources::gather(&mut sources, file, &[], &[]);
            (compile(&sources, file, &*self.target, options, false), sources)
        };
        let text = pieces::join(all);
        let (compiled, sources) = of(text.clone());
        // Definitions alone are no script yet.
        if compiled.diagnostics.iter().any(|d| d.code == "no-probes") { of(text + "begin { }\n") } else { (compiled, sources) }
    }

    /// The whole session with one more line.
    pub(super) fn with_all(&self, new: Piece) -> Compilation {
        let mut all = self.pieces();
        all.push(new);
        self.compilation(all, self.options.clone())
    }

    /// The line with the definitions of the session and the types of its maps: that is enough for what runs once, and takes no longer in
    /// a long session than in a short one. `None` where it isn't: types of maps would change, or something is wrong, which is
    /// shown in all of the session.
    pub(super) fn alone(&self, new: &Piece) -> Option<Compilation> {
        let maps = self.known.clone().filter(|_| !new.before.is_empty())?;
        let mut all: Vec<Piece> = self.units.iter().map(|u| Piece::whole(u.piece.number, &u.definitions)).collect();
        all.push(new.clone());
        let done = self.compilation(all, Options { maps: maps.clone(), ..self.options.clone() });
        let now = done.compiled.program.as_ref().filter(|_| done.compiled.artifact.is_some())?;
        let same = |m: &hir::Map| maps.iter().find(|k| k.name == m.name).is_none_or(|k| k.keys == m.keys && k.value == m.value);
        // Stacks are known by the places that take them.
        let same = |m: &hir::Map| same(m) && !m.keys.iter().chain([&m.value]).any(has_stack);
        now.maps.iter().all(same).then_some(done)
    }

    fn compilation(&self, mut all: Vec<Piece>, options: Options) -> Compilation {
        self.announce(&all);
        let (mut compiled, mut sources) = self.compile(&all, &options);
        if let Some(new) = all.last_mut().filter(|p| p.after == "); }" && compiled.diagnostics.iter().any(|d| d.code == "no-value")) {
            // a call such as `clear(@)` is a statement
            (new.before, new.after) = ("begin { ".into(), "; }");
            (compiled, sources) = self.compile(&all, &options);
        }
        Compilation { all, compiled, sources, options }
    }

    /// The maps of a compilation and of those that it was told of, and whether the last line alone has them.
    pub(super) fn settled(&self, compiled: &Compiled, all: &[Piece]) -> Vec<(hir::Map, bool)> {
        let now = compiled.program.iter().flat_map(|p| &p.maps);
        let known = |name: &str| self.known.iter().flatten().any(|k| k.name == name);
        let new = |m: &hir::Map| !known(&m.name) && pieces::index_of(all, m.span) == Some(all.len() - 1);
        let others = self.known.iter().flatten().filter(|k| now.clone().all(|m| m.name != k.name));
        now.clone().map(|m| (m.clone(), new(m))).chain(others.map(|k| (k.clone(), false))).collect()
    }

    /// The session's script with another line behind it, for those who only look.
    pub fn look(&self, line: Piece) -> (Vec<Piece>, Compiled, SourceMap) {
        // Alone, where it needs nothing of the others.
        let alone = [line];
        let (compiled, sources) = self.compile(&alone, &self.options);
        if compiled.artifact.is_some() || self.units.is_empty() {
            return (alone.to_vec(), compiled, sources);
        }
        let mut all = self.pieces();
        all.extend(alone);
        let (compiled, sources) = self.compile(&all, &self.options);
        (all, compiled, sources)
    }
}

fn has_stack(ty: &Ty) -> bool {
    match ty {
        Ty::Stack { .. } => true,
        Ty::Tuple(fields) => fields.iter().any(has_stack),
        Ty::NamedTuple(fields) => fields.iter().any(|(_, f)| has_stack(f)),
        _ => false,
    }
}
