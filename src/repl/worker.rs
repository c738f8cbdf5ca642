//! The probes of a session, running in a thread.

use super::kept::Kept;
use super::screen::Screen;
use crate::report;
use crate::run::{Fate, Order, Orders, in_background};
use awl_compiler::artifact::Artifact;
use awl_compiler::config::Config;
use awl_compiler::source::SourceMap;
use awl_runtime::load::{Loaded, Stacks};
use awl_runtime::maps::Saved;
use awl_runtime::session::Session;
use std::io::{PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What may be asked for is there at once, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(2);

pub struct Worker {
    pub artifact: Arc<Artifact>,
    orders: Sender<Order>,
    bell: PipeWriter,
    thread: JoinHandle<Left>,
    fate: Arc<Fate>,
    /// everything was attached
    pub attached: bool,
}

/// What is left of a session.
#[derive(Default)]
pub struct Left {
    pub maps: Vec<Saved>,
    /// nothing went wrong
    pub whole: bool,
}

/// What a session is told when it begins.
pub struct Start {
    pub sources: SourceMap,
    /// contents of maps to begin with
    pub maps: Vec<Saved>,
    pub stacks: Stacks,
    pub config: Config,
    /// number and text of each line whose probes run
    pub lines: Vec<(usize, String)>,
}

impl Worker {
    /// Runs what was loaded. Where it ends by itself its `end` programs run, and it says so.
    pub fn start(artifact: Artifact, loaded: Loaded, start: Start, mut screen: Screen) -> std::io::Result<Worker> {
        let artifact = Arc::new(artifact);
        let (orders, todo) = channel();
        let (rings, bell) = std::io::pipe()?;
        let (ready, attached) = channel();
        let fate = Arc::new(Fate::default());
        let rings = Orders { todo, bell: Arc::new(OwnedFd::from(rings)), ready, fate: Arc::clone(&fate) };
        let (its, ends) = (Arc::clone(&artifact), Arc::clone(&fate));
        let thread = std::thread::Builder::new().name("session".into()).spawn(move || {
            let mut session = Session::new(&its, loaded, None);
            let restored = session.view().restore(&start.maps).map(drop);
            let run = in_background(&its, &mut session, &start.sources, Some(rings), Box::new(screen.clone()), &start.config);
            let whole = run.is_ok();
            let mut said = run.unwrap_or_else(|d| vec![d]);
            if let (true, Err(e)) = (whole, restored) {
                said.push(awl_compiler::diagnostic::Diagnostic::environment("session", format!("maps could not be taken over: {e}")));
            }
            let mut text = if said.is_empty() { String::new() } else { report::text(&start.sources, &said, true) };
            let maps = session.view().save();
            if ends.ended() {
                let show = |s: &Saved| Kept { artifact: Arc::clone(&its), saved: s.clone(), stacks: start.stacks.clone() }.show();
                let shown = start.config.print_maps_on_exit;
                start.lines.iter().for_each(|(n, line)| text += &ended(*n, line, maps.iter().filter(|_| shown), show));
            }
            if !text.is_empty() {
                // The terminal's end is noticed by the editor.
                let _ = screen.write_all(text.as_bytes());
            }
            Left { maps, whole }
        })?;
        // What is typed next should find it at work. A session that ends before gives up its end of the channel.
        let attached = attached.recv().is_ok();
        Ok(Worker { artifact, orders, bell, thread, fate, attached })
    }

    /// It ended by itself.
    pub fn ended(&self) -> bool {
        self.fate.ended() || self.thread.is_finished()
    }

    /// From now on it doesn't end by itself; false when it has.
    pub fn take(&self) -> bool {
        self.fate.take()
    }

    /// Gives an order that is answered.
    pub fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Option<T> {
        let (done, answer) = channel();
        self.orders.send(order(done)).ok()?;
        (&self.bell).write_all(b"!").ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }

    /// Detaches everything.
    pub fn stop(self) -> Left {
        // It may have ended by itself.
        let _ = self.take();
        let _ = self.orders.send(Order::Stop);
        let _ = (&self.bell).write_all(b"!");
        self.thread.join().unwrap_or_default()
    }
}

/// What is said of a line whose probes have ended, and the maps that it names.
pub fn ended<'m>(number: usize, line: &str, maps: impl Iterator<Item = &'m Saved>, show: impl Fn(&Saved) -> String) -> String {
    let own = |name: &str| line.match_indices('@').any(|(at, _)| names_map(&line[at + 1..], name));
    let shown = maps.filter(|m| own(&m.name)).map(|m| show(m).trim_start_matches('\n').to_owned());
    std::iter::once(format!("[{number}] ended\n")).chain(shown).collect()
}

/// Does a text begin with the name of this map, and not a longer one?
fn names_map(text: &str, name: &str) -> bool {
    text.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}
