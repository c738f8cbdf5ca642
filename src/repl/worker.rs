//! The probes of a session, running in a thread.

use super::screen::Screen;
use crate::report;
use crate::run::{Order, Orders, in_background};
use awl_compiler::artifact::Artifact;
use awl_compiler::config::Config;
use awl_compiler::source::SourceMap;
use awl_runtime::load::Loaded;
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
    thread: JoinHandle<Vec<Saved>>,
    /// everything was attached
    pub attached: bool,
}

impl Worker {
    /// Runs what was loaded, with these contents of maps to begin with.
    pub fn start(
        artifact: Artifact,
        loaded: Loaded,
        sources: SourceMap,
        maps: Vec<Saved>,
        mut screen: Screen,
        config: Config,
    ) -> std::io::Result<Worker> {
        let artifact = Arc::new(artifact);
        let (orders, todo) = channel();
        let (rings, bell) = std::io::pipe()?;
        let (ready, attached) = channel();
        let rings = Orders { todo, bell: Arc::new(OwnedFd::from(rings)), ready };
        let its = Arc::clone(&artifact);
        let thread = std::thread::Builder::new().name("session".into()).spawn(move || {
            let mut session = Session::new(&its, loaded, None);
            let restored = session.view().restore(&maps).map(drop);
            let run = in_background(&its, &mut session, &sources, Some(rings), Box::new(screen.clone()), &config);
            let said = match (run, restored) {
                (Ok(said), Ok(())) => said,
                (Err(d), _) => vec![d],
                (Ok(mut said), Err(e)) => {
                    said.push(awl_compiler::diagnostic::Diagnostic::environment("session", format!("maps could not be taken over: {e}")));
                    said
                }
            };
            if !said.is_empty() {
                // The terminal's end is noticed by the editor.
                let _ = screen.write_all(report::text(&sources, &said, true).as_bytes());
            }
            session.view().save()
        })?;
        // What is typed next should find it at work. A session that ends before gives up its end of the channel.
        let attached = attached.recv().is_ok();
        Ok(Worker { artifact, orders, bell, thread, attached })
    }

    pub fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Gives an order that is answered.
    pub fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Option<T> {
        let (done, answer) = channel();
        self.orders.send(order(done)).ok()?;
        (&self.bell).write_all(b"!").ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }

    /// Detaches everything; gives what the maps held at the end.
    pub fn stop(self) -> Vec<Saved> {
        // It may have ended by itself.
        let _ = self.orders.send(Order::Stop);
        let _ = (&self.bell).write_all(b"!");
        self.thread.join().unwrap_or_default()
    }
}
