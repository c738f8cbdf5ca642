//! A compiled script in the kernel: events and maps go to the output as they come.

use awl_compiler::Span;
use awl_compiler::artifact::Artifact;
use awl_compiler::config::Config;
use awl_compiler::diagnostic::Diagnostic;
use awl_compiler::source::SourceMap;
use awl_runtime::events::Header;
use awl_runtime::load::Loaded;
use awl_runtime::mappings::Change;
use awl_runtime::maps::View;
use awl_runtime::output::{self, Entries, Output};
use awl_runtime::session::{Handler, Outcome, Session};
use awl_runtime::symbols::Symbols;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

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
}

/// What the prompt asks of a session in the background, and the pipe that says that it asks.
pub struct Orders {
    pub todo: Receiver<Order>,
    pub bell: Arc<OwnedFd>,
}

pub enum Order {
    /// show this map, or all of them; sends back whether there was one
    Show(Option<String>, Sender<bool>),
    Stop,
}

impl<'a> Printer<'a> {
    pub fn new(output: Output, artifact: &'a Artifact, sources: &'a SourceMap, quiet: bool, demangle: bool) -> Printer<'a> {
        Printer {
            output,
            symbols: Symbols::new(awl_runtime::symbols::Options { demangle, ..Default::default() }),
            artifact,
            sources,
            quiet,
            troubles: Vec::new(),
            orders: None,
        }
    }

    pub fn maps_at_exit(&mut self, view: View) {
        let mut ctx = Glue { view, symbols: &mut self.symbols, sources: self.sources };
        self.output.maps_at_exit(&self.artifact.plan, &mut ctx);
        self.output.flush();
    }
}

impl Printer<'_> {
    /// Shows maps as they are now; false when there is none of that name.
    fn show(&mut self, view: View, name: Option<&str>) -> bool {
        let plan = &self.artifact.plan;
        let mut found = false;
        for (i, _) in plan.maps.iter().enumerate().filter(|(_, m)| name.is_none_or(|n| n == m.name)) {
            found = true;
            let mut ctx = Glue { view, symbols: &mut self.symbols, sources: self.sources };
            if let Ok(entries) = output::Context::read_map(&mut ctx, i) {
                self.output.map(plan, i, &entries, Default::default(), &mut ctx);
            }
        }
        self.output.flush();
        found
    }
}

/// Runs a line of the prompt until it is told to stop, and prints its maps. Gives what went wrong on the way.
pub fn in_background(
    artifact: &Artifact,
    loaded: Loaded,
    sources: &SourceMap,
    orders: Orders,
    to: Box<dyn Write + Send>,
    config: &Config,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let cut = output::Cut { capacity: config.max_strlen as usize, trailer: config.str_trunc_trailer.clone() };
    let options = output::Options { cut, cat_bytes: u64::from(config.max_cat_bytes), ..output::Options::default() };
    let mut printer = Printer::new(Output::new(to, Box::new(io::stderr()), options), artifact, sources, true, true);
    printer.orders = Some(orders);
    let mut session = Session::new(artifact, loaded, None);
    let outcome = session.run(&mut printer)?;
    if config.print_maps_on_exit {
        printer.show(session.view(), None);
    }
    let mut said = printer.troubles;
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

    fn stack(&mut self, _user: bool, limit: u16, id: i64) -> Option<Vec<u64>> {
        self.view.stack(limit, id)
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
    fn attached(&mut self, _links: usize) {
        if !self.quiet {
            // What the user wrote, after expansion: one link may serve many of them.
            self.output.attached(self.artifact.plan.points.len());
        }
        crate::bpftrace::notify_attached();
    }

    fn event(&mut self, view: View, _header: Header, record: &[u8]) {
        let mut ctx = Glue { view, symbols: &mut self.symbols, sources: self.sources };
        // The session looks at the exit flag itself.
        let _ = self.output.event(&self.artifact.plan, record, &mut ctx);
    }

    fn orders(&self) -> Option<Arc<OwnedFd>> {
        self.orders.as_ref().map(|o| o.bell.clone())
    }

    fn ordered(&mut self, view: View) -> bool {
        let Some(orders) = self.orders.take() else { return false };
        let mut rung = [0; 64];
        // One byte rang for each order; the orders themselves are in the queue.
        let closed = orders.bell.try_clone().map(std::fs::File::from).and_then(|mut f| f.read(&mut rung)).unwrap_or(0) == 0;
        let mut stop = closed;
        while let Ok(order) = orders.todo.try_recv() {
            match order {
                Order::Show(name, answer) => {
                    // The prompt may have given up waiting.
                    let _ = answer.send(self.show(view, name.as_deref()));
                }
                Order::Stop => stop = true,
            }
        }
        self.orders = Some(orders);
        stop
    }

    fn lost(&mut self, count: u64) {
        self.output.lost(count);
    }

    fn trouble(&mut self, what: Diagnostic) {
        self.troubles.push(what);
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
