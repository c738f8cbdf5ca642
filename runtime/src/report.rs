//! What went missing in a session: counted by its programs, and by the kernel where it didn't run them.

use crate::attach::Link;
use crate::maps::View;
use crate::sys::bpf;
use awl_compiler::artifact::percpu;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// What went missing, in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// events that found the ring buffer full, those told to `Handler::lost` included
    pub lost_events: u64,
    pub truncated_strings: u64,
    pub helper_failed: u64,
    pub stack_failed: u64,
    /// stacks that were unwound to a frame of which nothing is known, and no further
    pub stack_cut: u64,
    /// stacks that were to be unwound, of processes without tables
    pub stack_other: u64,
    /// what of the tables found no room, in words
    pub no_room: Vec<&'static str>,
    /// runs left out for want of scratch memory
    pub scratch_busy: u64,
    /// loops ended after as many turns as the kernel allows
    pub loop_cut: u64,
    /// index into `Plan::maps`, and updates that found it full
    pub map_failed: Vec<(usize, u64)>,
    /// index into `Plan::watched`: how often each of its verdicts was given
    pub watched: Vec<Vec<u64>>,
    /// index into `Artifact::programs`, and runs that the kernel left out because a program ran on that CPU already
    pub missed: Vec<(usize, u64)>,
    /// likewise, and hits of kprobes and kretprobes that the kernel did not hand on (6.7): a probe was being served on that CPU,
    /// or too many calls were under way to catch all their returns
    pub unseen: Vec<(usize, u64)>,
}

/// How long a session's beginning and end took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    pub attaching: Duration,
    pub detaching: Duration,
}

impl Report {
    pub(crate) fn of(view: View, unseen: &Unseen) -> Report {
        let some = |pairs: &mut dyn Iterator<Item = (usize, u64)>| pairs.filter(|(_, n)| *n > 0).collect();
        let plan = &view.artifact().plan;
        Report {
            lost_events: view.counter(percpu::LOST),
            truncated_strings: view.counter(percpu::TRUNCATED),
            helper_failed: view.counter(percpu::HELPER_FAILED),
            stack_failed: view.counter(percpu::STACK_FAILED),
            stack_cut: view.counter(percpu::UNWIND_CUT),
            stack_other: view.counter(percpu::NO_TABLES),
            no_room: Vec::new(),
            scratch_busy: view.counter(percpu::SCRATCH_BUSY),
            loop_cut: view.counter(percpu::LOOP_CUT),
            map_failed: some(&mut (0..plan.maps.len()).map(|i| (i, view.map_failed(i)))),
            watched: plan.watched.iter().map(|w| (0..w.words.len() as u32).map(|i| view.counter(w.offset + 8 * i)).collect()).collect(),
            missed: some(&mut view.recursion_misses()),
            unseen: unseen.counts(),
        }
    }
}

impl Report {
    /// With what is wrong with programs that came later, on the same maps and counters: numbers of programs begin at `base`.
    pub(crate) fn add(&mut self, later: &Report, base: usize) {
        let moved = |pairs: &[(usize, u64)]| pairs.iter().map(|(p, n)| (p + base, *n)).collect::<Vec<_>>();
        self.missed.extend(moved(&later.missed));
        self.unseen.extend(moved(&later.unseen));
        // The last one knows all maps.
        self.map_failed.clone_from(&later.map_failed);
    }
}

/// Hits that links didn't hand on to their programs. The kernel tells as long as a link is attached.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    /// by program, while they are attached
    links: Vec<(usize, OwnedFd)>,
    /// what they said before they were detached
    last: Vec<(usize, u64)>,
}

impl Unseen {
    /// What these links say before they are detached.
    pub fn of(links: &[Link]) -> Unseen {
        let mut unseen = Unseen::default();
        unseen.end(links);
        unseen
    }

    /// For a script that asks before the end.
    pub fn begin(&mut self, links: &[Link]) {
        let all = links.iter().flat_map(|l| l.fds().map(|fd| (l.program, fd)));
        self.links =
            all.filter(|(_, fd)| bpf::link_missed(*fd).is_some()).filter_map(|(p, fd)| Some((p, fd.try_clone_to_owned().ok()?))).collect();
    }

    /// Nothing holds the links any longer.
    pub fn end(&mut self, links: &[Link]) {
        self.links.clear();
        self.last = by_program(links.iter().flat_map(|l| l.fds().map(|fd| (l.program, bpf::link_missed(fd).unwrap_or(0)))));
    }

    fn counts(&self) -> Vec<(usize, u64)> {
        if self.links.is_empty() {
            return self.last.clone();
        }
        by_program(self.links.iter().map(|(p, fd)| (*p, bpf::link_missed(fd.as_fd()).unwrap_or(0))))
    }
}

/// Sums above zero; what belongs to one program stands together.
fn by_program(counts: impl Iterator<Item = (usize, u64)>) -> Vec<(usize, u64)> {
    let mut out: Vec<(usize, u64)> = Vec::new();
    for (program, n) in counts.filter(|(_, n)| *n > 0) {
        match out.last_mut().filter(|(p, _)| *p == program) {
            Some((_, sum)) => *sum += n,
            None => out.push((program, n)),
        }
    }
    out
}
