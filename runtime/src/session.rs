//! One run of a script: load, begin, attach, events, detach, end.

use crate::attach::{self, Context, Link};
use crate::events::{Events, Header};
use crate::follow::Later;
use crate::interfaces::Interfaces;
use crate::load::{self, Loaded, Spans, exit_flag};
use crate::mappings::{self, Change};
use crate::maps::View;
use crate::output;
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
use awl_compiler::artifact::{Artifact, Attach, AttachTo, Event, EventKind, global, percpu};
use awl_compiler::config::Missing;
use awl_compiler::diagnostic::Diagnostic;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// `done` of `all` places are attached; told before each.
    fn attaching(&mut self, _done: usize, _all: usize) {}
    /// All attach points are live; `count` programs were attached. Called once, also when there are none.
    fn attached(&mut self, _count: usize) {}
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
    /// Do signals end the session? Not where the handler has other ways to be told.
    fn ends_by_signals(&self) -> bool {
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
        let taken: Vec<i32> = ending.iter().copied().chain(own).collect();
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

/// Between two looks at what processes have loaded, where stacks are unwound.
const LOADED: Duration = Duration::from_millis(20);
/// The same where they are only to be named.
const MAPPED: Duration = Duration::from_millis(100);

/// A session while it runs.
pub(crate) struct Live<'s, H> {
    pub(crate) artifact: &'s Artifact,
    pub(crate) loaded: &'s Loaded,
    view: View<'s>,
    events: Events,
    pub(crate) handler: &'s mut H,
    /// records of `errorf` so far
    pub(crate) errors: u64,
    trials: Option<Kind>,
    missing: Missing,
    /// events that the handler knows to be lost
    lost: u64,
    mappings: Vec<mappings::Watch>,
    unwinder: Option<Unwinder<'s>>,
    /// stacks without tables before the command began
    other_before: u64,
    /// addresses that programs want watched no longer
    unwatched: Vec<u64>,
    packets: Packets,
    lost_packets: u64,
    /// what attaching took
    attaching: Duration,
    unseen: Unseen,
}

impl<H: Handler> Live<'_, H> {
    /// From the begin programs to the reason for the end.
    fn begin_to_end(
        &mut self,
        links: &mut Vec<Link>,
        cx: &Context,
        watched: &mut Option<Watched>,
        signals: &Signals,
        ending: &[i32],
        later: &mut Later,
    ) -> Result<Reason, Diagnostic> {
        self.run_programs(|to| *to == AttachTo::Begin)?;
        if self.exits() {
            return Ok(Reason::Exit);
        }
        if let Some(kind) = self.trials {
            self.try_all(kind)?;
            return Ok(Reason::NothingToWaitFor);
        }
        let mut places = self.artifact.programs.iter().flat_map(|p| &p.attach);
        let lasting = places.any(|a| a.to.lasts());
        if !lasting && watched.is_none() && later.follow.is_none() {
            return Ok(Reason::NothingToWaitFor);
        }
        // What begin printed should not wait for slow attaching.
        self.take_events();
        let mut came = None;
        let all = self.artifact.programs.iter().map(|p| p.attach.len()).sum();
        let (mut done, handler) = (0, &mut *self.handler);
        let mut stop = || {
            handler.attaching(done, all);
            done += 1;
            came = came.or_else(|| signals.next().filter(|s| ending.contains(s)));
            came.is_some()
        };
        // Before attaching, so that none vanishes unseen.
        let mut interfaces = Interfaces::of(self.artifact);
        let mut missing = Vec::new();
        let tolerated = matches!(self.missing, Missing::Warn | Missing::Ignore).then_some(&mut missing);
        let begin = Instant::now();
        *links = attach::attach(self.artifact, self.loaded, cx, tolerated, &mut stop)?;
        self.attaching = begin.elapsed();
        if self.artifact.plan.events.iter().any(|e| e.kind == EventKind::Losses) {
            self.unseen.begin(links);
        }
        if self.missing == Missing::Warn {
            missing.into_iter().for_each(|d| self.handler.trouble(d));
        }
        if let Some(s) = came {
            return Ok(Reason::Signal(s));
        }
        self.handler.attached(links.len());
        if let Some(w) = watched {
            let released = match &mut self.unwinder {
                Some(u) => {
                    let (view, mut mapped) = (self.view, false);
                    w.release_at_start(|pid| {
                        if !std::mem::replace(&mut mapped, true) {
                            // Until then it was a copy of awl.
                            self.other_before = view.counter(percpu::NO_TABLES);
                        }
                        u.refresh(pid);
                    })
                }
                None => w.release(),
            };
            released.map_err(|e| failed("start the command", &e))?;
        }

        self.go_through(links)?;
        let mut places = self.artifact.programs.iter().flat_map(|p| &p.attach);
        let went = places.clone().any(|a| matches!(a.to, AttachTo::Iter { .. }));
        if went && later.follow.is_none() && places.all(|a| !a.to.lasts() || matches!(a.to, AttachTo::Iter { .. })) {
            return Ok(if self.exits() { Reason::Exit } else { Reason::NothingToWaitFor });
        }

        let orders = self.handler.orders();
        let mut others = vec![signals.as_fd()];
        others.extend(watched.as_ref().map(Watched::fd));
        let (ended, changed) = (u64::from(watched.is_some()) << 1, 1 << others.len());
        let changes = interfaces.fd().map(|fd| fd.try_clone_to_owned());
        let changes = changes.transpose().map_err(|e| failed("watch interfaces", &e))?;
        others.extend(changes.as_ref().map(|fd| fd.as_fd()));
        let ordered = 1 << others.len();
        // Tables of files that are loaded meanwhile are wanted soon, and the files of containers while these live; nothing wakes us
        // for them.
        let watch = (!self.mappings.is_empty()).then_some(MAPPED);
        let most = self.unwinder.as_ref().map(|_| LOADED).or(watch);
        others.extend(orders.as_ref().map(|o| o.as_fd()));
        loop {
            for said in later.look((self.artifact, self.loaded), cx, self.missing) {
                self.handler.trouble(said);
            }
            let taken = self.take_events() + self.take_later(later);
            self.unwatched.drain(..).for_each(|address| attach::unwatch(links, address));
            if self.exits() {
                return Ok(Reason::Exit);
            }
            if self.handler.closed() {
                return Ok(Reason::Closed);
            }
            // Behind the others, whose places are known.
            let more = later.layers.iter().filter_map(|l| l.events.fd()).chain(self.packets.ready());
            let patience = [most, later.patience()].into_iter().flatten().min();
            let ready = self.events.wait(taken, &others.iter().copied().chain(more).collect::<Vec<_>>(), patience);
            let ready = ready.map_err(|e| failed("wait for events", &e))?;
            while let Some(s) = signals.next() {
                if ending.contains(&s) {
                    return Ok(Reason::Signal(s));
                }
                self.run_programs(|to| *to == AttachTo::SelfSignal(s))?;
            }
            if ready & ended != 0 {
                return Ok(Reason::Process);
            }
            if changes.is_some() && ready & changed != 0 {
                interfaces.gone().into_iter().for_each(|d| self.handler.trouble(d));
                if interfaces.nothing_left() && watched.is_none() {
                    return Ok(Reason::NothingToWaitFor);
                }
            }
            if orders.is_some() && ready & ordered != 0 && self.handler.ordered(self.view) {
                return Ok(Reason::Closed);
            }
        }
    }

    /// Reads iterators to their ends, and takes meanwhile what they record.
    fn go_through(&mut self, links: &[Link]) -> Result<(), Diagnostic> {
        for mut file in links.iter().filter_map(Link::iterator) {
            let read = std::thread::scope(|s| {
                let reader = s.spawn(move || io::copy(&mut file, &mut io::sink()));
                while !reader.is_finished() {
                    if self.take_events() == 0 {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
                reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader ended early")))
            });
            read.map_err(|e| failed("go through the kernel's objects", &e))?;
        }
        Ok(())
    }

    /// End programs and the last events.
    fn end(&mut self, later: &mut Later) -> Result<(), Diagnostic> {
        // What was recorded before the end comes before what end programs print.
        while self.take_events() + self.take_later(later) > 0 {}
        self.run_programs(|to| *to == AttachTo::End)?;
        while self.take_events() > 0 {}
        Ok(())
    }

    fn report(&self) -> Report {
        report((self.view, &self.unseen, self.unwinder.as_ref(), self.other_before))
    }

    fn exits(&self) -> bool {
        self.loaded.globals(self.artifact).is_some_and(exit_flag)
    }

    /// Hands on the events of programs that came later.
    fn take_later(&mut self, later: &mut Later) -> usize {
        let mut taken = 0;
        for layer in &mut later.layers {
            let view = View::new(&layer.artifact, &layer.loaded);
            taken += self.hand_on(view, &mut layer.events);
        }
        if taken > 0 {
            self.handler.flush();
        }
        taken
    }

    /// Hands on the events that are there, or many of them, and tells what was lost. Gives the number of events.
    pub(crate) fn take_events(&mut self) -> usize {
        for m in &mut self.mappings {
            let changes = m.drain();
            if let Some(u) = &mut self.unwinder {
                u.note(&changes);
            }
            changes.into_iter().for_each(|c| self.handler.mapped(c));
        }
        if let Some(u) = &mut self.unwinder {
            u.look_again(self.view.counter(percpu::UNWIND_CUT));
        }
        let mut ring = std::mem::take(&mut self.events);
        let taken = self.hand_on(self.view, &mut ring);
        self.events = ring;
        let (handler, events) = (&mut *self.handler, &self.artifact.plan.events);
        let packets = self.packets.drain(events).unwrap_or_else(|e| {
            handler.trouble(failed("write packets", &e));
            (0, 0)
        });
        self.lost_packets += packets.1;
        let lost = self.view.counter(percpu::LOST) + self.lost_packets;
        if lost > self.lost {
            handler.lost(lost - self.lost);
            self.lost = lost;
        }
        if taken > 0 {
            handler.flush();
        }
        taken + packets.0
    }

    /// Hands on the events of one ring, of programs that `view` sees the maps of.
    fn hand_on(&mut self, view: View, ring: &mut Events) -> usize {
        let first = (self.view, &self.unseen, self.unwinder.as_ref(), self.other_before);
        let (handler, errors, unwatched) = (&mut *self.handler, &mut self.errors, &mut self.unwatched);
        let events = &view.artifact().plan.events;
        ring.drain(|r| {
            let Some((header, e)) = Header::read(r).and_then(|h| Some((h, events.get(h.event)?))) else { return };
            let (what, done) = match e.kind {
                EventKind::Exit => return,
                EventKind::Unwatch => return unwatched.push(output::argument(e, r, 0)),
                EventKind::Losses => return handler.losses(&report(first)),
                EventKind::Fill(map) => ("fill", fill(view, map, e, r)),
                EventKind::Clear(map) => ("clear", view.clear(map)),
                EventKind::Zero(map) => ("zero", view.zero(map)),
                _ => {
                    *errors += u64::from(matches!(e.kind, EventKind::Errorf(_)));
                    return handler.event(view, header, r);
                }
            };
            if let Err(why) = done {
                handler.trouble(cannot(what, &why).at(e.span, "by this"));
            }
        })
    }

    /// Runs, in source order, the programs that are for `which`: once for each such attach point.
    fn run_programs(&self, which: impl Fn(&AttachTo) -> bool) -> Result<(), Diagnostic> {
        for (i, p) in self.artifact.programs.iter().enumerate() {
            for a in p.attach.iter().filter(|a| which(&a.to)) {
                self.run_once(i, a)?;
            }
        }
        Ok(())
    }

    /// Runs a program for one of its attach points. Gives what it returned.
    pub(crate) fn run_once(&self, program: usize, place: &Attach) -> Result<u32, Diagnostic> {
        let Some(fd) = self.loaded.program(program) else { return Ok(0) };
        bpf::test_run(fd).map_err(|e| {
            let name = load::program_title(&self.artifact.programs[program], &self.artifact.plan.points);
            Diagnostic::environment("attach", format!("can't run {name}: {e}"))
                .at(place.span, "this one")
                .help("programs are run this way from Linux 5.10 on: `uname -r`")
        })
    }
}

/// An entry of a map that programs may not write, as a record orders it.
fn fill(view: View, map: usize, event: &Event, record: &[u8]) -> io::Result<()> {
    view.fill(map, output::argument(event, record, 0) as u32, output::argument(event, record, 1) as u32)
}

/// What the kernel would not do with a map.
fn cannot(what: &str, why: &io::Error) -> Diagnostic {
    let d = Diagnostic::environment("session", format!("can't {what} the map: {why}"));
    match (what, why.raw_os_error()) {
        ("fill", Some(libc::E2BIG)) => d.help("keys go from 0 to the size in its declaration, which is out"),
        ("fill", Some(libc::ENODEV | libc::EINVAL)) => d.help("there is no such interface, or no such CPU"),
        ("fill", Some(libc::EOVERFLOW)) => d.help("a CPU's queue holds up to 16384 packets"),
        _ => d,
    }
}

/// What went missing so far; of stacks without tables those that `before` doesn't count.
fn report((view, unseen, unwinder, before): (View, &Unseen, Option<&Unwinder>, u64)) -> Report {
    let all = Report::of(view, unseen);
    Report { stack_other: all.stack_other - before, no_room: unwinder.map_or(Vec::new(), |u| u.lacks().to_vec()), ..all }
}

pub(crate) fn failed(what: &str, e: &io::Error) -> Diagnostic {
    Diagnostic::environment("session", format!("can't {what}: {e}"))
}
