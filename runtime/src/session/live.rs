//! A session while it runs: from the begin programs over events and orders to the reason for its end.

use super::{Handler, Reason, failed};
use crate::attach::{self, Context, Link};
use crate::events::{Events, Header};
use crate::follow::Later;
use crate::interfaces::Interfaces;
use crate::load::{self, Loaded, exit_flag};
use crate::mappings;
use crate::maps::View;
use crate::output;
use crate::packets::Packets;
use crate::process::Watched;
use crate::report::{Report, Unseen};
use crate::sys::bpf;
use crate::sys::signal::Signals;
use crate::trial::Kind;
use crate::unwind::Unwinder;
use awl_compiler::artifact::{Artifact, Attach, AttachTo, Event, EventKind, percpu};
use awl_compiler::config::Missing;
use awl_compiler::diagnostic::Diagnostic;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Between two looks at what processes have loaded, where stacks are unwound.
const LOADED: Duration = Duration::from_millis(20);
/// The same where they are only to be named.
const MAPPED: Duration = Duration::from_millis(100);

/// A session while it runs.
pub(crate) struct Live<'s, H> {
    pub(crate) artifact: &'s Artifact,
    pub(crate) loaded: &'s Loaded,
    pub(super) view: View<'s>,
    pub(super) events: Events,
    pub(crate) handler: &'s mut H,
    /// records of `errorf` so far
    pub(crate) errors: u64,
    pub(super) trials: Option<Kind>,
    pub(super) missing: Missing,
    /// events that the handler knows to be lost
    pub(super) lost: u64,
    pub(super) mappings: Vec<mappings::Watch>,
    pub(super) unwinder: Option<Unwinder<'s>>,
    /// stacks without tables before the command began
    pub(super) other_before: u64,
    /// addresses that programs want watched no longer
    pub(super) unwatched: Vec<u64>,
    pub(super) packets: Packets,
    pub(super) lost_packets: u64,
    /// what attaching took
    pub(super) attaching: Duration,
    pub(super) unseen: Unseen,
}

impl<H: Handler> Live<'_, H> {
    /// From the begin programs to the reason for the end.
    pub(super) fn begin_to_end(
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
        let loaded = self.artifact.programs.iter().enumerate().filter(|(i, _)| self.loaded.program(*i).is_some());
        let places: Vec<usize> = loaded.flat_map(|(_, p)| p.attach.iter().map(Attach::places)).collect();
        let all = places.iter().sum();
        let (mut done, mut places, handler) = (0, places.into_iter(), &mut *self.handler);
        let mut stop = || {
            handler.attaching(done, all);
            done += places.next().unwrap_or(0);
            came = came.or_else(|| signals.next().filter(|s| ending.contains(s)));
            came.is_some()
        };
        // Before attaching, so that none vanishes unseen.
        let mut interfaces = Interfaces::of(self.artifact);
        let mut missing = Vec::new();
        let tolerated = matches!(self.missing, Missing::Warn | Missing::Ignore).then_some(&mut missing);
        let begin = Instant::now();
        let attached = attach::attach(self.artifact, self.loaded, cx, tolerated, &mut stop);
        self.handler.attaching(all, all);
        *links = attached?;
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
        links.iter().filter_map(Link::pinned).for_each(|file| self.handler.pinned(file));
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
                let mut places = self.artifact.programs.iter().flat_map(|p| &p.attach);
                if s == libc::SIGUSR1 && !places.any(|a| a.to == AttachTo::SelfSignal(s)) {
                    self.handler.asked(self.view);
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
    pub(super) fn end(&mut self, later: &mut Later) -> Result<(), Diagnostic> {
        // What was recorded before the end comes before what end programs print.
        while self.take_events() + self.take_later(later) > 0 {}
        if !self.handler.ends() {
            return Ok(());
        }
        self.run_programs(|to| *to == AttachTo::End)?;
        while self.take_events() > 0 {}
        Ok(())
    }

    pub(super) fn report(&self) -> Report {
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
pub(super) fn fill(view: View, map: usize, event: &Event, record: &[u8]) -> io::Result<()> {
    view.fill(map, output::argument(event, record, 0) as u32, output::argument(event, record, 1) as u32)
}

/// What the kernel would not do with a map.
pub(super) fn cannot(what: &str, why: &io::Error) -> Diagnostic {
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
