//! One run of a script: load, begin, attach, events, detach, end.

mod live;

use crate::attach::{self, Context, Link};
use crate::events::{Events, Header};
use crate::follow::Later;
use crate::load::{self, Loaded, Spans};
use crate::mappings::{self, Change};
use crate::maps::View;
use crate::packets::Packets;
use crate::process::Watched;
use crate::report::Unseen;
pub use crate::report::{Pace, Report};
use crate::rights;
use crate::sys::process::Ended;
use crate::sys::signal::{self, Signals};
use crate::sys::{bpf, clock};
use crate::trial::{Kind, Trial};
use crate::unwind::Unwinder;
use awl_compiler::artifact::{Artifact, AttachTo, EventKind, global};
use awl_compiler::config::Missing;
use awl_compiler::diagnostic::Diagnostic;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use live::Live;
use live::{cannot, fill};

/// How a script is run.
pub struct Options<'a> {
    /// `-c` or `-p`: its end ends the session, and uprobes see nothing but it
    pub watched: Option<Watched>,
    /// a refusal by the verifier ends with its whole log (`-v`)
    pub whole_log: bool,
    /// from instructions back to the script
    pub spans: Spans<'a>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { watched: None, whole_log: false, spans: &|_| None }
    }
}

/// Who is told what happens.
pub trait Handler {
    /// `done` of `all` places are attached; told before each attachment, which may be to many, and with all of them once none
    /// follows, whatever the reason.
    fn attaching(&mut self, _done: usize, _all: usize) {}
    /// All attach points are live; `count` programs were attached. Called once, also when there are none.
    fn attached(&mut self, _count: usize) {}
    /// An iterator was left in the kernel, where it is read through this file.
    fn pinned(&mut self, _file: &Path) {}
    /// A record of the ring buffer: `{ u32 event; u32 point; }`, then arguments (`Plan::events`). `exit`, `clear` and `zero`
    /// are done by the session and don't arrive here.
    fn event(&mut self, view: View, header: Header, record: &[u8]);
    /// The script asks for what went missing so far.
    fn losses(&mut self, _report: &Report) {}
    /// So many events found the ring buffer full since the last call.
    fn lost(&mut self, count: u64);
    /// Something that the script asked for could not be done; the session goes on.
    fn trouble(&mut self, what: Diagnostic);
    /// What the watched process and its children mapped: they may end before their addresses get names.
    fn mapped(&mut self, _change: Change) {}
    /// No more events for now: show what is buffered.
    fn flush(&mut self) {}
    /// Something to wait for beside the kernel: `ordered` is called when it can be read.
    fn orders(&self) -> Option<Arc<OwnedFd>> {
        None
    }
    /// SIGUSR1 came, and the script has no probe for it: it asks for the maps as they are now.
    fn asked(&mut self, _view: View) {}
    /// Do signals end the session? Not where the handler has other ways to be told.
    fn ends_by_signals(&self) -> bool {
        true
    }
    /// It is over: do `end` programs run? Not where the handler ended it to go on elsewhere.
    fn ends(&mut self) -> bool {
        true
    }
    /// Tests or benchmarks are about to run.
    fn trials(&mut self, _names: Vec<String>) {}
    /// One of them begins.
    fn trying(&mut self) {}
    /// A test or a benchmark ran.
    fn tried(&mut self, _trial: Trial) {}
    /// True ends the session.
    fn ordered(&mut self, _view: View) -> bool {
        false
    }
    /// Nobody listens any more (standard output is closed): the session ends.
    fn closed(&self) -> bool {
        false
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `exit()`
    Exit,
    /// the script has nothing but begin and end
    NothingToWaitFor,
    Signal(i32),
    /// the process of `-c` or `-p` ended
    Process,
    /// the handler's output was closed
    Closed,
}

/// How a session ended, and what it could not do.
#[derive(Debug)]
pub struct Outcome {
    pub reason: Reason,
    /// what `exit(n)` asked for; 0 without it
    pub exit_code: i32,
    /// how the command of `-c` ended; `None` when it still ran or there was none
    pub command: Option<Ended>,
    /// the command never began
    pub command_failed: Option<Diagnostic>,
    pub report: Report,
    pub pace: Pace,
}

/// A loaded script. Dropped, everything is detached and freed.
pub struct Session<'a> {
    artifact: &'a Artifact,
    loaded: Loaded,
    links: Vec<Link>,
    cx: Context,
    watched: Option<Watched>,
    /// tests or benchmarks are run, and nothing is attached
    pub trials: Option<Kind>,
    /// what to do where a place can't be probed
    pub missing: Missing,
    /// programs for places that appear while it runs
    later: Later<'a>,
    /// processes whose stacks are unwound beside the watched one's
    pub unwound: Vec<u32>,
    /// from `run` on. Last, so that a second signal is still waited for while the rest is dropped.
    signals: Option<Signals>,
}

impl<'a> Session<'a> {
    /// # Errors
    /// As `load::load`.
    pub fn load(artifact: &'a Artifact, options: Options) -> Result<Session<'a>, Diagnostic> {
        let loaded = load::load(artifact, options.spans, options.whole_log, &load::Common::default())?;
        Ok(Session::new(artifact, loaded, options.watched))
    }

    /// `loaded` is what the kernel made of `artifact`.
    pub fn new(artifact: &'a Artifact, loaded: Loaded, watched: Option<Watched>) -> Session<'a> {
        let cx = Context::new(watched.as_ref().map(Watched::pid));
        Session {
            artifact,
            loaded,
            links: Vec::new(),
            cx,
            watched,
            trials: None,
            missing: Missing::Error,
            later: Later::default(),
            unwound: Vec::new(),
            signals: None,
        }
    }

    /// From now on places that appear while it runs are attached, too. Of a watched process the programs themselves tell then
    /// whether they are meant (`sema::follow`).
    pub fn follow(&mut self, later: Later<'a>) {
        self.later = later;
        self.cx.follow();
    }

    /// The script's maps, those of programs that came later included.
    pub fn view(&self) -> View<'_> {
        self.later.layers.last().map_or_else(|| View::new(self.artifact, &self.loaded), |l| l.view())
    }

    /// What the report of `run` counts: the programs, those that came later behind the first, and all maps.
    pub fn whole(&self) -> Artifact {
        let mut whole = Artifact { plan: self.view().artifact().plan.clone(), ..self.artifact.clone() };
        whole.plan.watched.clone_from(&self.artifact.plan.watched);
        whole.programs.extend(self.later.layers.iter().flat_map(|l| l.artifact.programs.iter().cloned()));
        whole
    }

    /// What the kernel made of the script.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Attaches everything. `run` does it at the right moment; alone it serves those who want no events (a dry run).
    ///
    /// # Errors
    /// As `attach::attach`.
    pub fn attach(&mut self) -> Result<(), Diagnostic> {
        if self.links.is_empty() {
            self.links = attach::attach(self.artifact, &self.loaded, &self.cx, None, &mut || false)?;
        }
        Ok(())
    }

    /// Runs begin programs, attaches everything and leaves it in the kernel under a name, in the place of what was left there before.
    ///
    /// # Errors
    /// As `attach` and `living::pin`. Nothing stays attached then.
    pub fn leave(&mut self, name: &str) -> Result<(), Diagnostic> {
        if let Some(g) = self.loaded.globals(self.artifact) {
            g.store(global::START_NS as usize, clock::monotonic_ns());
            g.store(global::BOOT_TO_REAL_NS as usize, clock::boot_to_real_ns());
        }
        for (p, fd) in self.artifact.programs.iter().zip(&self.loaded.programs) {
            for _ in p.attach.iter().filter(|a| a.to == AttachTo::Begin) {
                bpf::test_run(fd.as_fd()).map_err(|e| failed("run `begin`", &e))?;
            }
        }
        // Nobody will be there for later orders.
        let (view, plan) = (self.view(), &self.artifact.plan);
        let mut failure = None;
        let mut events = Events::open(plan, &self.loaded.maps).map_err(|e| failed("read events", &e))?;
        events.drain(|r| {
            if let Some(e) = Header::read(r).and_then(|h| plan.events.get(h.event))
                && let EventKind::Fill(map) = e.kind
                && let Err(why) = fill(view, map, e, r)
            {
                failure.get_or_insert_with(|| cannot("fill", &why).at(e.span, "by this"));
            }
        });
        if let Some(d) = failure {
            return Err(d);
        }
        if let Some(mut u) = Unwinder::of(&self.artifact.plan, &self.loaded.maps) {
            // Of what is loaded later there will be no tables: nobody stays to make them.
            self.unwound_now().for_each(|pid| u.refresh(pid));
        }
        self.cx.earlier = crate::living::earlier(name)?;
        self.attach()?;
        crate::living::pin(name, self.artifact, &self.loaded, &self.links).inspect_err(|_| {
            self.cx.earlier.restore();
            crate::pinned::take_back(&self.loaded.kept);
        })
    }

    /// Processes that run by now whose stacks are unwound: what `-c` starts is still a copy of awl.
    fn unwound_now(&self) -> impl Iterator<Item = u32> {
        let watched = self.watched.as_ref().filter(|w| w.program().is_none()).map(|w| w.pid() as u32);
        self.unwound.iter().copied().chain(watched)
    }

    /// Detaches everything.
    pub fn detach(&mut self) {
        attach::detach(std::mem::take(&mut self.links));
    }

    /// Runs the script to its end. Afterwards nothing is attached, and the maps can still be read.
    ///
    /// The first SIGINT, SIGTERM or SIGHUP ends it in order; a second one ends the process at once, also after `run` for as
    /// long as the session lives: printing maps can take a while.
    ///
    /// # Errors
    /// Where a program can't be run or attached, or the kernel's events can't be read. Nothing stays attached.
    pub fn run(&mut self, handler: &mut impl Handler) -> Result<Outcome, Diagnostic> {
        let artifact = self.artifact;
        let places = || artifact.programs.iter().flat_map(|p| &p.attach);
        let own = places().filter_map(|a| match a.to {
            AttachTo::SelfSignal(s) => Some(s),
            _ => None,
        });
        let ending: Vec<i32> = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP]
            .into_iter()
            // `nohup` asks to be left alone by it. SIGINT is taken even so: a shell makes its background jobs ignore it.
            .filter(|s| handler.ends_by_signals() && (*s != libc::SIGHUP || !signal::is_ignored(*s)))
            .collect();
        let unwound: Vec<u32> = self.unwound_now().collect();
        // Who sends it wants to see the maps, as in bpftrace until 0.21, and would end the session otherwise.
        let asking = handler.ends_by_signals().then_some(libc::SIGUSR1);
        let taken: Vec<i32> = ending.iter().copied().chain(own).chain(asking).collect();
        // Those of an earlier run first, or their end would undo what is set up here.
        self.signals = None;
        let signals = Signals::take(&taken).map_err(|e| failed("take signals", &e))?;
        let signals = self.signals.insert(signals);

        let loaded = &self.loaded;
        let globals = loaded.globals(artifact);
        if let Some(g) = globals {
            g.store(global::START_NS as usize, clock::monotonic_ns());
            g.store(global::BOOT_TO_REAL_NS as usize, clock::boot_to_real_ns());
        }
        let packets = Packets::open(&artifact.plan, &loaded.maps)?;
        let mut live = Live {
            view: View::new(artifact, loaded),
            artifact,
            loaded,
            events: Events::open(&artifact.plan, &loaded.maps).map_err(|e| failed("read events", &e))?,
            handler,
            lost: 0,
            errors: 0,
            trials: self.trials,
            missing: self.missing,
            mappings: Vec::new(),
            unwinder: Unwinder::of(&artifact.plan, &loaded.maps),
            other_before: 0,
            unwatched: Vec::new(),
            packets,
            lost_packets: 0,
            attaching: Duration::ZERO,
            unseen: Unseen::default(),
        };
        if let Some(w) = self.watched.as_ref().filter(|_| rights::names_user_addresses(&artifact.plan)) {
            // Without it names are looked up while the process lives.
            live.mappings.extend(mappings::Watch::open(w.pid()));
            mappings::of_process(w.pid() as u32).into_iter().for_each(|c| live.handler.mapped(c));
        }
        if let Some(u) = &mut live.unwinder {
            for pid in &self.unwound {
                live.mappings.extend(mappings::Watch::open(*pid as i32));
                mappings::of_process(*pid).into_iter().for_each(|c| live.handler.mapped(c));
            }
            unwound.into_iter().for_each(|pid| u.refresh(pid));
        }
        let later = &mut self.later;
        let reason = live.begin_to_end(&mut self.links, &self.cx, &mut self.watched, signals, &ending, later);
        signals.end_at_once(&ending);
        // Programs return at once from here on, so that slow detaching doesn't go on counting.
        if let Some(g) = globals {
            g.store(global::EXIT as usize, 1);
        }
        live.unseen.end(&self.links);
        let unseen: Vec<Unseen> = later.layers.iter().map(|l| Unseen::of(&l.links)).collect();
        let begin = Instant::now();
        self.links.extend(later.take_links());
        attach::detach(std::mem::take(&mut self.links));
        let pace = Pace { attaching: live.attaching, detaching: begin.elapsed() };
        let reason = reason?;
        let command = self.watched.as_mut().and_then(Watched::ended);
        if let Some(w) = &mut self.watched {
            w.stop();
        }
        live.end(later)?;
        let mut report = live.report();
        let mut base = artifact.programs.len();
        for (layer, unseen) in later.layers.iter().zip(&unseen) {
            report.add(&Report::of(layer.view(), unseen), base);
            base += layer.artifact.programs.len();
        }
        Ok(Outcome {
            reason,
            exit_code: globals.map_or(0, |g| g.load(global::EXIT_CODE as usize) as i32),
            report,
            pace,
            command,
            command_failed: match command {
                Some(_) => self.watched.as_mut().and_then(Watched::failed_to_start),
                None => None,
            },
        })
    }
}

pub(crate) fn failed(what: &str, e: &io::Error) -> Diagnostic {
    Diagnostic::environment("session", format!("can't {what}: {e}"))
}
