//! A compiled script in the kernel: events and maps go to the output as they come.

use crate::report;
use awl_compiler::Span;
use awl_compiler::artifact::{Artifact, AttachTo, StackStore};
use awl_compiler::config::Config;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::source::SourceMap;
use awl_runtime::events::Header;
use awl_runtime::load::program_title;
use awl_runtime::mappings::Change;
use awl_runtime::maps::{Cost, Saved, View};
use awl_runtime::output::{self, Entries, Output};
use awl_runtime::session::{Handler, Outcome, Report, Session};
use awl_runtime::symbols::Symbols;
use awl_runtime::sys::terminal;
use awl_runtime::trial::Trial;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Takes what a session tells and hands it to the output.
pub struct Printer<'a> {
    pub output: Output,
    pub symbols: Symbols,
    artifact: &'a Artifact,
    sources: &'a SourceMap,
    quiet: bool,
    /// what could not be done while it ran
    pub troubles: Vec<Diagnostic>,
    /// from the prompt
    orders: Option<Orders>,
    /// Ctrl-C is the prompt's
    at_prompt: bool,
    /// Somebody sits at a terminal: how to stop is said.
    pub hints: bool,
    /// attaching shows how far it is
    pub shows_progress: bool,
    /// nothing but the user ends it, as far as is known
    pub until_stopped: bool,
    /// places that appear later are attached, too
    pub follows: bool,
    /// attach points of awl itself, which nobody wrote
    pub own_points: usize,
    progress: Progress,
    attached: bool,
    pub failed_tests: usize,
}

fn say(text: &str) {
    // Nobody to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// How far attaching is, on one line of the terminal.
struct Progress {
    begin: Instant,
    /// columns of what is shown
    shown: usize,
}

impl Progress {
    /// Nobody needs to be told about less.
    const PATIENCE: Duration = Duration::from_millis(300);

    fn show(&mut self, done: usize, all: usize) {
        if done < all && self.begin.elapsed() > Progress::PATIENCE {
            let columns = terminal::size(io::stderr().as_fd()).map_or(80, |(_, columns)| columns);
            let line = Progress::line(done, all, columns);
            // Without the marks by which terminals clear a line: not all know them.
            let rest = self.shown.saturating_sub(line.len());
            say(&format!("\r{line}{}{}", " ".repeat(rest), "\x08".repeat(rest)));
            self.shown = line.len();
        }
    }

    /// The longest that fits into a line and leaves its last column free, where some terminals begin a new one.
    fn line(done: usize, all: usize, columns: usize) -> String {
        let count = format!("{done} of {all} places attached");
        let lines = [format!("[{:30}] {count}", "#".repeat(done * 30 / all)), count];
        lines.into_iter().find(|l| l.len() < columns).unwrap_or_else(|| format!("{}%", done * 100 / all))
    }

    fn clear(&mut self) {
        let shown = std::mem::take(&mut self.shown);
        if shown > 0 {
            say(&format!("\r{}\r", " ".repeat(shown)));
        }
    }
}

/// What the prompt asks of a session in the background, and the pipe that says that it asks.
pub struct Orders {
    pub todo: Receiver<Order>,
    pub bell: Arc<OwnedFd>,
    /// told when everything is attached
    pub ready: Sender<()>,
    pub fate: Arc<Fate>,
}

/// Who ended a session in the background: `exit()` and the prompt may both want to, and only the first has its way.
#[derive(Default)]
pub struct Fate(AtomicU8);

impl Fate {
    const RUNS: u8 = 0;
    const ENDED: u8 = 1;
    const TAKEN: u8 = 2;

    fn become_one(&self, of: u8) -> bool {
        let was = self.0.compare_exchange(Fate::RUNS, of, Ordering::AcqRel, Ordering::Acquire);
        was.is_ok() || was == Err(of)
    }

    /// From now on it doesn't end by itself; false when it has.
    pub fn take(&self) -> bool {
        self.become_one(Fate::TAKEN)
    }

    /// It ends by itself; false when the prompt will go on with it elsewhere.
    fn end(&self) -> bool {
        self.become_one(Fate::ENDED)
    }

    pub fn ended(&self) -> bool {
        self.0.load(Ordering::Acquire) == Fate::ENDED
    }
}

/// Each is answered, but for `Stop`.
pub enum Order {
    /// the text of this map, or of all of them; `None` where there is none
    Show(Option<String>, Sender<Option<String>>),
    /// contents of all maps
    Save(Sender<Vec<Saved>>),
    /// other contents for some maps
    Restore(Vec<Saved>, Sender<()>),
    /// of each program
    Costs(Sender<Vec<Cost>>),
    Stop,
}

impl<'a> Printer<'a> {
    pub fn new(
        output: Output,
        artifact: &'a Artifact,
        sources: &'a SourceMap,
        quiet: bool,
        config: &Config,
        debug_dirs: Vec<PathBuf>,
    ) -> Printer<'a> {
        let (demangle, cache) = (config.cpp_demangle, config.cache_user_symbols);
        let symbols = awl_runtime::symbols::Options { demangle, cache, debug_dirs, debug_info: config.show_debug_info };
        Printer {
            output,
            symbols: Symbols::new(symbols),
            artifact,
            sources,
            quiet,
            troubles: Vec::new(),
            orders: None,
            at_prompt: false,
            hints: false,
            shows_progress: false,
            until_stopped: false,
            follows: false,
            own_points: 0,
            progress: Progress { begin: Instant::now(), shown: 0 },
            attached: false,
            failed_tests: 0,
        }
    }

    pub fn maps_at_exit(&mut self, view: View) {
        let mut ctx = Glue { view, symbols: &mut self.symbols, sources: self.sources };
        self.output.maps_at_exit(&view.artifact().plan, &mut ctx);
        self.output.flush();
    }
}

impl Printer<'_> {
    /// A map, or all of them, as they are now; `None` when there is none of that name.
    fn show(&mut self, view: View, name: Option<&str>) -> Option<String> {
        let plan = &self.artifact.plan;
        let text = Text::default();
        let mut output = Output::new(Box::new(text.clone()), Box::new(io::sink()), output::Options::default());
        let mut found = false;
        for (i, _) in plan.maps.iter().enumerate().filter(|(_, m)| name.is_none_or(|n| n == m.name)) {
            found = true;
            let mut ctx = Glue { view, symbols: &mut self.symbols, sources: self.sources };
            if let Ok(entries) = output::Context::read_map(&mut ctx, i) {
                output.map(plan, i, &entries, Default::default(), &mut ctx);
            }
        }
        output.flush();
        found.then(|| text.take())
    }

    fn obey(&mut self, view: View, order: Order) -> bool {
        // The prompt may have given up waiting for an answer.
        match order {
            Order::Show(name, answer) => drop(answer.send(self.show(view, name.as_deref()))),
            Order::Save(answer) => drop(answer.send(view.save())),
            Order::Restore(maps, answer) => {
                if let Err(e) = view.restore(&maps) {
                    self.troubles.push(Diagnostic::environment("session", format!("a map could not be changed: {e}")));
                }
                let _ = answer.send(());
            }
            Order::Costs(answer) => drop(answer.send(view.costs())),
            Order::Stop => return true,
        }
        false
    }
}

/// Where output is gathered as text.
#[derive(Clone, Default)]
pub struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    pub fn take(&self) -> String {
        let bytes = self.0.lock().map(|mut b| std::mem::take(&mut *b)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(mut all) = self.0.lock() {
            all.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the session of a prompt until it is told to stop, or ends by itself.
pub fn in_background(
    artifact: &Artifact,
    session: &mut Session,
    sources: &SourceMap,
    orders: Option<Orders>,
    to: Box<dyn Write + Send>,
    config: &Config,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let cut = output::Cut { capacity: config.strlen() as usize, trailer: config.str_trunc_trailer.clone() };
    let options = output::Options { cut, cat_bytes: u64::from(config.max_cat_bytes), ..output::Options::default() };
    let mut printer = Printer::new(Output::new(to, Box::new(io::stderr()), options), artifact, sources, true, config, Vec::new());
    printer.shows_progress = orders.is_some() && report::draws(&io::stderr());
    printer.orders = orders;
    printer.at_prompt = true;
    let outcome = session.run(&mut printer)?;
    printer.output.flush();
    let mut said = std::mem::take(&mut printer.troubles);
    said.extend(crate::ending::report(&outcome.report, artifact, config));
    Ok(said)
}

/// What the output may ask while it prints.
struct Glue<'g, 'v> {
    view: View<'v>,
    symbols: &'g mut Symbols,
    sources: &'g SourceMap,
}

impl output::Context for Glue<'_, '_> {
    fn read_map(&mut self, map: usize) -> io::Result<Entries> {
        self.view.read(map)
    }

    fn take_map(&mut self, map: usize) -> io::Result<Entries> {
        self.view.take(map)
    }

    fn clear(&mut self, map: usize) -> io::Result<()> {
        self.view.clear(map)
    }

    fn zero(&mut self, map: usize) -> io::Result<()> {
        self.view.zero(map)
    }

    fn stack(&mut self, store: StackStore, id: i64) -> Option<Vec<u64>> {
        self.view.stack(store, id)
    }

    fn symbols(&mut self) -> &mut Symbols {
        self.symbols
    }

    fn place(&mut self, span: Span) -> Option<output::Place> {
        let source = self.sources.get(span.file)?;
        let (line, column) = source.position(span.start);
        let end = column + span.end.saturating_sub(span.start);
        Some(output::Place { file: source.name.clone(), line, columns: (column, end) })
    }
}

impl Handler for Printer<'_> {
    fn attaching(&mut self, done: usize, all: usize) {
        if done == 0 {
            self.progress.begin = Instant::now();
        }
        if done == all {
            self.progress.clear();
        } else if self.shows_progress {
            self.progress.show(done, all);
        }
    }

    fn attached(&mut self, _links: usize) {
        self.attached = true;
        if let Some(o) = &self.orders {
            // The prompt may have given up waiting.
            let _ = o.ready.send(());
        }
        if !self.quiet {
            // What the user wrote, after expansion: one link may serve many of them.
            let trials = self.artifact.programs.iter().flat_map(|p| &p.attach).filter(|a| matches!(a.to, AttachTo::Test | AttachTo::Bench));
            self.output.attached(self.artifact.plan.points.len() - trials.count() - self.own_points);
            if self.hints && self.until_stopped {
                say("Ctrl-C ends it\n");
            }
        }
        // Before anything that comes from traced processes is read. The prompt attaches again and again.
        if !self.at_prompt {
            // A kernel that doesn't let us is no worse than before.
            let _ = awl_runtime::rights::drop_after_attaching(self.artifact, !self.until_stopped, self.follows);
        }
        crate::bpftrace::notify_attached();
    }

    fn pinned(&mut self, file: &Path) {
        if !self.quiet {
            self.output.pinned(file);
        }
    }

    fn event(&mut self, view: View, _header: Header, record: &[u8]) {
        let mut ctx = Glue { view, symbols: &mut self.symbols, sources: self.sources };
        // The session looks at the exit flag itself.
        let _ = self.output.event(&view.artifact().plan, record, &mut ctx);
    }

    fn orders(&self) -> Option<Arc<OwnedFd>> {
        self.orders.as_ref().map(|o| o.bell.clone())
    }

    fn ends_by_signals(&self) -> bool {
        !self.at_prompt
    }

    fn ordered(&mut self, view: View) -> bool {
        let Some(orders) = self.orders.take() else { return false };
        let mut rung = [0; 64];
        // One byte rang for each order; the orders themselves are in the queue.
        let closed = orders.bell.try_clone().map(std::fs::File::from).and_then(|mut f| f.read(&mut rung)).unwrap_or(0) == 0;
        let mut stop = closed;
        while let Ok(order) = orders.todo.try_recv() {
            stop |= self.obey(view, order);
        }
        self.orders = Some(orders);
        stop
    }

    fn losses(&mut self, report: &Report) {
        let plan = &self.artifact.plan;
        let maps: Vec<String> = plan.maps.iter().map(|m| m.name.clone()).collect();
        let programs: Vec<String> = self.artifact.programs.iter().map(|p| program_title(p, &plan.points)).collect();
        self.output.losses(report, &maps, &programs);
    }

    fn lost(&mut self, count: u64) {
        self.output.lost(count);
    }

    fn ends(&mut self) -> bool {
        // Of several lines that run together, one that ended before it began must not end the others.
        self.orders.as_ref().is_none_or(|o| self.attached && o.fate.end())
    }

    fn trials(&mut self, names: Vec<String>) {
        self.output.trials(names);
    }

    fn trying(&mut self) {
        self.output.trying();
    }

    fn tried(&mut self, trial: Trial) {
        self.output.tried(&trial);
        if let Trial::Test { name, failure: Some(why), .. } = &trial {
            self.failed_tests += 1;
            say(&format!("test {name}: failed: {why}\n"));
        }
    }

    fn trouble(&mut self, what: Diagnostic) {
        self.troubles.push(what);
    }

    fn asked(&mut self, view: View) {
        self.maps_at_exit(view);
    }

    fn mapped(&mut self, change: Change) {
        self.symbols.mapped(change);
    }

    fn flush(&mut self) {
        self.output.pause();
    }

    fn closed(&self) -> bool {
        self.output.closed()
    }
}

/// Runs a script to its end; prints its maps.
pub fn run(session: &mut Session, printer: &mut Printer, print_maps: bool) -> Result<Outcome, Diagnostic> {
    let outcome = session.run(printer)?;
    if print_maps {
        printer.maps_at_exit(session.view());
    }
    printer.output.flush();
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn the_bar_grows() {
        let line = |done, all| Progress::line(done, all, 80);
        assert_eq!(line(0, 4), format!("[{}] 0 of 4 places attached", " ".repeat(30)));
        assert_eq!(line(1, 2), format!("[{}{}] 1 of 2 places attached", "#".repeat(15), " ".repeat(15)));
        assert_eq!(line(4, 4), format!("[{}] 4 of 4 places attached", "#".repeat(30)));
        assert_eq!(Progress::line(1, 2, 56), line(1, 2));
        assert_eq!(Progress::line(1, 2, 55), "1 of 2 places attached");
        assert_eq!(Progress::line(1, 2, 22), "50%");
    }
}
