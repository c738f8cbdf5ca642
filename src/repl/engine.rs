//! What the prompt does with a line. All lines together are one script: a new probe means that the script is compiled anew and
//! takes the place of the old one, with the contents of its maps. So probes see each other's maps, and what was gathered
//! survives every edit. Expressions run in a load of their own, on a copy of the maps; what they change is put back.

use super::compilation::Compilation;
use super::kept::Kept;
use super::pieces::{self, Piece};
use super::screen::Screen;
use super::worker::{self, Start, Worker};
use crate::report;
use crate::run::{Order, in_background};
use awl_compiler::artifact::{Artifact, AttachTo};
use awl_compiler::compile::Compiled;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::hir;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_grammar::ReplLine;
use awl_runtime::load::{Loaded, Stacks};
use awl_runtime::maps::{Cost, Saved};
use awl_runtime::session::Session;
use awl_runtime::target::HostTarget;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

/// Entries of a map that a line changed and that are shown behind it.
const FEW: usize = 10;

/// A line that belongs to the session.
#[derive(Clone, Debug)]
pub struct Unit {
    pub piece: Piece,
    /// its probes are attached
    pub live: bool,
    /// what it holds beside probes
    pub(super) definitions: Rc<str>,
    /// one of its probes is an `end`
    ends: bool,
}

impl Unit {
    fn new(piece: Piece, live: bool) -> Unit {
        // Around statements and expressions it is ours, and no definition.
        let (definitions, ends) = if piece.before.is_empty() { pieces::definitions(&piece.text) } else { Default::default() };
        Unit { piece, live, definitions: definitions.into(), ends }
    }
}

pub struct Engine {
    pub target: Rc<HostTarget>,
    pub(super) options: Options,
    pub screen: Screen,
    pub units: Vec<Unit>,
    /// the maps of these lines with their types, where they were compiled as they are now
    pub(super) known: Option<Vec<hir::Map>>,
    /// the lists of lines before each change
    earlier: Vec<Vec<Unit>>,
    worker: Option<Worker>,
    kept: Vec<Kept>,
    /// what all loads of the session have their stacks in
    stacks: Stacks,
    lines: usize,
    /// files that `:save` has written
    pub written: Vec<String>,
    /// rows and columns of the terminal
    pub size: (usize, usize),
    /// while it is open the kernel counts what programs cost
    _counting: Option<std::os::fd::OwnedFd>,
}

impl Engine {
    pub fn new(target: Rc<HostTarget>, options: Options, screen: Screen) -> Engine {
        Engine {
            target,
            options,
            screen,
            units: Vec::new(),
            known: None,
            earlier: Vec::new(),
            worker: None,
            kept: Vec::new(),
            stacks: Stacks::default(),
            lines: 0,
            written: Vec::new(),
            size: (24, 80),
            _counting: awl_runtime::maps::count_costs().ok(),
        }
    }

    /// Does what a line says that is no command. False: it was refused, and nothing has changed.
    pub fn enter(&mut self, line: &str) -> bool {
        self.reap();
        if let Some(name) = line.strip_prefix('@')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            match self.show((!name.is_empty()).then_some(name)) {
                Some(text) => self.say(text.trim_start_matches('\n')),
                None if name.is_empty() => self.say("no maps yet\n"),
                None => self.say(&format!("there is no map `@{name}`\n")),
            }
            return true;
        }
        self.lines += 1;
        let piece = |before: &'static str, after| Piece::in_between(self.lines, before, line, after);
        match awl_grammar::parse_line(line, awl_compiler::FileId(0)) {
            Ok(ReplLine::Script(_)) => self.add(piece("", "")),
            Ok(ReplLine::Stmts(_)) => self.add(piece("begin { ", " }")),
            Ok(ReplLine::Expr(_)) => self.add(piece("begin { print(", "); }")),
            Err(errors) => {
                let said: Vec<Diagnostic> = errors.into_iter().map(awl_compiler::compile::syntax).collect();
                self.complain(&[piece("", "")], &said);
                false
            }
        }
    }

    /// Compiles the session with one more line, and runs it if that works. False: it was refused.
    pub fn add(&mut self, new: Piece) -> bool {
        let Compilation { all, mut compiled, sources, options } = self.alone(&new).unwrap_or_else(|| self.with_all(new));
        let new = all.len() - 1;
        let fresh = |d: &&Diagnostic| d.is_error() || d.primary.as_ref().is_some_and(|l| pieces::index_of(&all, l.span) == Some(new));
        let said: Vec<Diagnostic> = compiled.diagnostics.iter().filter(fresh).cloned().collect();
        self.complain(&all, &said);
        if compiled.artifact.is_none() {
            return false;
        }
        let maps = self.settled(&compiled, &all);
        let known = |pushed: bool| maps.iter().filter(|m| pushed || !m.1).map(|m| m.0.clone()).collect::<Vec<_>>();
        let runs = |a: &Artifact| attached(a).any(|(span, _)| pieces::index_of(&all, span) == Some(new));
        if compiled.artifact.as_ref().is_some_and(|a| !runs(a)) {
            self.push(&all[new], false, known(true));
            return true;
        }
        let loaded = self.load(&all, &mut compiled, &sources, &options);
        let Some(artifact) = compiled.artifact else { return false };
        let lasts = attached(&artifact).any(|(span, to)| pieces::index_of(&all, span) == Some(new) && lasting(to));
        let number = all[new].number;
        let Some(loaded) = loaded else {
            let belongs = lasts || all[new].before.is_empty();
            if belongs {
                self.push(&all[new], false, known(true));
            }
            return belongs;
        };
        if !lasts {
            let definitions = all[new].before.is_empty();
            let waits = attached(&artifact).any(|(s, to)| pieces::index_of(&all, s) == Some(new) && *to == AttachTo::End);
            let made = self.run_once(&all, artifact, loaded, sources, |i, to| i == new && *to == AttachTo::Begin);
            if definitions || made {
                self.push(&all[new], false, known(true));
            } else {
                self.known = Some(known(false));
            }
            if waits {
                self.say(&format!("[{number}] runs at the end of the session\n"));
            }
            return true;
        }
        let places = attached(&artifact).filter(|(s, to)| pieces::index_of(&all, *s) == Some(new) && lasting(to)).count();
        // Those that have ended meanwhile are not begun again.
        self.take_over();
        self.push(&all[new], true, known(true));
        self.replace(&all, artifact, loaded, sources, |i, to, live| live && (*to != AttachTo::Begin || i == new));
        if self.worker.as_ref().is_none_or(|w| !w.attached) {
            let exits = self.stop_worker();
            // The others go on without it.
            self.units[new].live = false;
            self.rebuild();
            if exits {
                self.finish(|i, _| i == new);
                self.say(&format!("[{number}] ended\n"));
            }
            return true;
        }
        let what = if places == 1 { "one attachment".to_owned() } else { format!("{places} attachments") };
        self.say(&format!("[{number}] runs, {what}; Ctrl-C or `:stop {number}` ends it\n"));
        true
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        self.units.iter().map(|u| u.piece.clone()).collect()
    }

    fn push(&mut self, piece: &Piece, live: bool, known: Vec<hir::Map>) {
        self.change(|units| units.push(Unit::new(piece.clone(), live)));
        self.known = Some(known);
    }

    fn load(&mut self, all: &[Piece], compiled: &mut Compiled, sources: &SourceMap, options: &Options) -> Option<Loaded> {
        let common = awl_runtime::load::Common { stacks: Some(&self.stacks), earlier: None };
        let done = crate::build::load(compiled, sources, awl_compiler::FileId(0), &*self.target, options, false, &common);
        let loaded = done.map_err(|d| self.complain(all, &[d])).ok()?;
        if let Some(Err(e)) = compiled.artifact.as_ref().map(|a| self.stacks.add(a, &loaded)) {
            self.say(&format!("stacks will not outlast the next change: {e}\n"));
        }
        Some(loaded)
    }

    /// Runs some programs of a script and nothing else, on a copy of the maps; what they change is put back. True when there
    /// is a map that wasn't there before.
    fn run_once(
        &mut self,
        all: &[Piece],
        mut artifact: Artifact,
        loaded: Loaded,
        sources: SourceMap,
        which: impl Fn(usize, &AttachTo) -> bool,
    ) -> bool {
        keep_attached(all, &mut artifact, which);
        let before = self.contents();
        let mut session = Session::new(&artifact, loaded, None);
        if let Err(e) = session.view().restore(&before) {
            self.say(&format!("maps could not be taken over: {e}\n"));
        }
        let run = in_background(&artifact, &mut session, &sources, None, Box::new(self.screen.clone()), &self.options.config);
        let said = run.unwrap_or_else(|d| vec![d]);
        self.complain(all, &said);
        let now = session.view().save();
        drop(session);
        let known = |s: &Saved| before.iter().find(|b| b.name == s.name);
        let changed: Vec<Saved> = now.into_iter().filter(|s| known(s).map_or(!s.rows.is_empty(), |b| !b.same(s))).collect();
        let made = changed.iter().any(|s| known(s).is_none());
        if let (Some(w), false) = (&self.worker, changed.is_empty()) {
            w.ask(|done| Order::Restore(changed.clone(), done));
        }
        let small: Vec<String> = changed.iter().filter(|s| s.rows.len() <= FEW).map(|s| s.name.clone()).collect();
        self.keep(&Arc::new(artifact), changed);
        // What a line has done is seen, unless it would fill the screen.
        for name in small.iter().filter(|_| self.options.config.print_maps_on_exit) {
            self.say(self.show(Some(name)).unwrap_or_default().trim_start_matches('\n'));
        }
        made
    }

    /// Puts a new load of the script in the place of the old one. `which` is told of each place whether its line runs.
    fn replace(
        &mut self,
        all: &[Piece],
        mut artifact: Artifact,
        loaded: Loaded,
        sources: SourceMap,
        which: impl Fn(usize, &AttachTo, bool) -> bool,
    ) {
        let live: Vec<bool> = self.units.iter().map(|u| u.live).collect();
        keep_attached(all, &mut artifact, |i, to| which(i, to, live[i]));
        self.stop_worker();
        let lines = self.units.iter().filter(|u| u.live).map(|u| (u.piece.number, u.piece.text.to_string())).collect();
        let config = self.options.config.clone();
        let start = Start { sources, maps: self.contents(), stacks: self.stacks.clone(), config, lines };
        match Worker::start(artifact, loaded, start, self.screen.clone()) {
            Ok(w) => self.worker = Some(w),
            Err(e) => self.say(&format!("no thread could be started: {e}\n")),
        }
    }

    /// Compiles and runs the lines as they are now, after a change of the list. False when that can't be: what ran goes on.
    fn rebuild(&mut self) -> bool {
        let all = self.pieces();
        if self.live().is_empty() {
            self.stop_worker();
            return true;
        }
        self.announce(&all);
        let options = self.options.clone();
        let (mut compiled, sources) = self.compile(&all, &options);
        let errors: Vec<Diagnostic> = compiled.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
        self.complain(&all, &errors);
        if compiled.artifact.is_none() {
            return false;
        }
        self.known = compiled.program.as_ref().map(|p| p.maps.clone());
        let Some(loaded) = self.load(&all, &mut compiled, &sources, &options) else { return false };
        let Some(artifact) = compiled.artifact else { return false };
        self.take_over();
        if self.live().is_empty() {
            return true;
        }
        self.replace(&all, artifact, loaded, sources, |_, to, live| live && *to != AttachTo::Begin);
        true
    }

    /// True where it ended, and nothing went wrong.
    fn stop_worker(&mut self) -> bool {
        self.worker.take().is_some_and(|w| {
            let artifact = Arc::clone(&w.artifact);
            let left = w.stop();
            self.keep(&artifact, left.maps);
            left.whole
        })
    }

    /// Notes that probes have ended by themselves, as by `exit()`: they have said so.
    pub fn reap(&mut self) {
        let Some(w) = self.worker.as_ref().filter(|w| w.ended()) else { return };
        // Where something went wrong nothing was said, and no `end` probe ran.
        let untold = w.take();
        let live = self.live();
        self.stop_worker();
        self.units.iter_mut().for_each(|u| u.live = false);
        if untold {
            self.finish(|i, _| live.contains(&i));
            live.iter().for_each(|i| self.say(&format!("[{}] ended\n", self.units[*i].piece.number)));
        }
    }

    /// What runs will be stopped here, and doesn't end by itself any more.
    fn take_over(&mut self) {
        if self.worker.as_ref().is_some_and(|w| !w.take()) {
            self.reap();
        }
    }

    /// Places in the list of lines whose probes run.
    fn live(&self) -> Vec<usize> {
        (0..self.units.len()).filter(|i| self.units[*i].live).collect()
    }

    fn keep(&mut self, artifact: &Arc<Artifact>, saved: Vec<Saved>) {
        for s in saved {
            self.kept.retain(|k| k.saved.name != s.name);
            self.kept.push(Kept { artifact: Arc::clone(artifact), saved: s, stacks: self.stacks.clone() });
        }
    }

    /// What all maps hold now, those of running probes first.
    pub fn contents(&self) -> Vec<Saved> {
        let mut all = self.worker.as_ref().and_then(|w| w.ask(Order::Save)).unwrap_or_default();
        let kept = self.kept.iter().map(|k| &k.saved);
        let others: Vec<Saved> = kept.filter(|k| all.iter().all(|a| a.name != k.name)).cloned().collect();
        all.extend(others);
        all
    }

    /// The text of a map, or of all; `None`: there is none.
    pub fn show(&self, name: Option<&str>) -> Option<String> {
        let running = self.worker.as_ref().and_then(|w| w.ask(|done| Order::Show(name.map(str::to_owned), done))).flatten();
        if name.is_some() && running.is_some() {
            return running;
        }
        let has = |n: &str| self.worker.as_ref().is_some_and(|w| w.artifact.plan.maps.iter().any(|m| m.name == n));
        let mut text = running.unwrap_or_default();
        for k in self.kept.iter().filter(|k| name.map_or(!has(&k.saved.name), |n| n == k.saved.name)) {
            text += &k.show();
        }
        (!text.is_empty()).then_some(text)
    }

    /// Of each program that runs: the line it belongs to, its name and what it cost.
    pub fn costs(&self) -> Vec<(usize, String, u32, Cost)> {
        let Some(w) = &self.worker else { return Vec::new() };
        let (all, costs) = (self.pieces(), w.ask(Order::Costs).unwrap_or_default());
        let row = |(p, c): (&awl_compiler::artifact::Program, Cost)| {
            let a = p.attach.first()?;
            let number = all.get(pieces::index_of(&all, a.span)?)?.number;
            let name = w.artifact.plan.points.get(a.point).cloned().unwrap_or_default();
            let more = p.attach.len() - 1;
            let name = if more > 0 { format!("{name} and {more} more") } else { name };
            Some((number, name, p.insns, c))
        };
        w.artifact.programs.iter().zip(costs).filter_map(row).collect()
    }

    /// Changes the list of lines in a way that `:undo` takes back.
    fn change(&mut self, how: impl FnOnce(&mut Vec<Unit>)) {
        self.earlier.push(self.units.clone());
        how(&mut self.units);
    }

    /// Ends the probes of a line, or of the newest that runs; its `end` probes run. False: none of that number runs.
    pub fn stop(&mut self, number: Option<usize>) -> bool {
        self.reap();
        let found = self.units.iter().rposition(|u| u.live && number.is_none_or(|n| n == u.piece.number));
        let Some(i) = found else { return false };
        self.take_over();
        if !self.units[i].live {
            return true;
        }
        self.change(|units| units[i].live = false);
        let mut ending = vec![i];
        if !self.rebuild() {
            // The others can't go on without it: this one is to end in any case.
            ending.extend(self.live());
            self.units.iter_mut().for_each(|u| u.live = false);
            self.stop_worker();
        }
        self.finish(|n, _| ending.contains(&n));
        let maps = self.contents();
        for i in ending {
            let piece = &self.units[i].piece;
            self.say(&worker::ended(piece.number, &piece.text, maps.iter(), |m| self.show(Some(&m.name)).unwrap_or_default()));
        }
        true
    }

    /// Runs `end` probes of those lines of which `which` is true; it is told whether a line has other probes that last.
    fn finish(&mut self, which: impl Fn(usize, bool) -> bool) {
        if !self.units.iter().enumerate().any(|(i, u)| u.ends && (which(i, true) || which(i, false))) {
            return;
        }
        let all = self.pieces();
        self.announce(&all);
        let options = self.options.clone();
        let (mut compiled, sources) = self.compile(&all, &options);
        let Some(artifact) = &compiled.artifact else { return };
        let places = |wanted: fn(&AttachTo) -> bool| {
            let found = attached(artifact).filter(move |(_, to)| wanted(to));
            found.filter_map(|(span, _)| pieces::index_of(&all, span)).collect::<Vec<usize>>()
        };
        let (mut ending, last) = (places(|to| *to == AttachTo::End), places(lasting));
        ending.retain(|i| which(*i, last.contains(i)));
        if ending.is_empty() {
            return;
        }
        if let (Some(loaded), Some(artifact)) = (self.load(&all, &mut compiled, &sources, &options), compiled.artifact) {
            self.run_once(&all, artifact, loaded, sources, |i, to| *to == AttachTo::End && ending.contains(&i));
        }
    }

    /// Ends everything.
    pub fn leave(&mut self) {
        self.reap();
        self.take_over();
        let live = self.live();
        self.stop_worker();
        if !self.units.is_empty() {
            // A line of `end` alone has waited for this.
            self.finish(|i, lasts| live.contains(&i) || !lasts);
        }
    }

    /// Takes back the last change of the list of lines; false when there was none.
    pub fn undo(&mut self) -> bool {
        self.reap();
        let Some(before) = self.earlier.pop() else { return false };
        self.units = before;
        self.known = None;
        self.rebuild();
        true
    }

    /// Puts a line back that was taken out to be changed, and was not.
    pub fn put_back(&mut self) {
        let before: Vec<usize> = self.units.iter().map(|u| u.piece.number).collect();
        self.undo();
        for u in self.units.iter().filter(|u| !before.contains(&u.piece.number)) {
            self.say(&format!("[{}] is as it was\n", u.piece.number));
        }
    }

    /// Takes a line out, to be typed anew; gives its text.
    pub fn take(&mut self, number: usize) -> Option<String> {
        let i = self.units.iter().position(|u| u.piece.number == number)?;
        let text = self.units[i].piece.text.to_string();
        let was_live = self.units[i].live;
        self.change(|units| drop(units.remove(i)));
        self.known = None;
        if was_live {
            self.rebuild();
        }
        Some(text)
    }

    /// Adds a whole script as one line. False: nothing of it is there.
    pub fn load_script(&mut self, text: &str) -> bool {
        // A shebang means nothing but at the start of a file.
        let text = if text.starts_with("#!") { text.split_once('\n').map_or("", |t| t.1) } else { text };
        if text.trim().is_empty() {
            return false;
        }
        self.lines += 1;
        self.add(Piece::whole(self.lines, text.trim_end()))
    }

    /// What a line may name: the lines so far, or their definitions where the types of their maps are known, and the names of all maps.
    pub fn seen_so_far(&self) -> (String, &[hir::Map], Vec<&str>) {
        let running = self.worker.iter().flat_map(|w| &w.artifact.plan.maps).map(|m| m.name.as_str());
        let names = running.chain(self.kept.iter().map(|k| k.saved.name.as_str())).collect();
        match &self.known {
            Some(maps) => (self.units.iter().map(|u| format!("{}\n", u.definitions)).collect(), maps, names),
            None => (pieces::join(&self.pieces()), &[], names),
        }
    }

    /// The session as a script.
    pub fn script(&self) -> String {
        let text = pieces::join(&self.pieces());
        let (script, errors) = awl_grammar::parse(&text, awl_compiler::FileId(0));
        if errors.is_empty() { awl_grammar::print(&script, &text) } else { text }
    }

    pub fn say(&self, text: &str) {
        // The terminal's end is noticed by the editor.
        let _ = self.screen.clone().write_all(text.as_bytes());
    }

    /// Shows diagnostics of the joined lines at the lines.
    pub fn complain(&self, all: &[Piece], said: &[Diagnostic]) {
        if !said.is_empty() {
            let (sources, shown) = pieces::seen(all, said);
            self.say(&report::text(&sources, &shown, true));
        }
    }
}

/// Every place of a program, by its span in the script.
fn attached(artifact: &Artifact) -> impl Iterator<Item = (awl_compiler::Span, &AttachTo)> {
    artifact.programs.iter().flat_map(|p| &p.attach).map(|a| (a.span, &a.to))
}

fn lasting(to: &AttachTo) -> bool {
    to.lasts()
}

/// Leaves only those places that `which` wants, by the number of their piece.
fn keep_attached(all: &[Piece], artifact: &mut Artifact, which: impl Fn(usize, &AttachTo) -> bool) {
    for p in &mut artifact.programs {
        p.attach.retain(|a| pieces::index_of(all, a.span).is_some_and(|i| which(i, &a.to)));
    }
}
