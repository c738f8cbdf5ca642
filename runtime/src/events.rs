//! Events from programs to the handler, and when to look for them.
//!
//! While events come, the ring is emptied each millisecond without being woken for it: programs then don't pay for wake-ups,
//! and a burst costs one system call for thousands of records. When none came, we sleep until the kernel wakes us.

use crate::sys::poll;
use crate::sys::ring::Ring;
use awl_compiler::artifact::{EVENT_HEADER, MapKind, Plan};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Between two looks at a ring that was not empty at the first one.
const PAUSE: Duration = Duration::from_millis(1);
/// Records taken before signals, counters and the exit flag are looked at again: some tens of milliseconds at most.
const TURN: usize = 1 << 16;

/// What starts every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// index into `Plan::events`
    pub event: usize,
    /// index into `Plan::points`
    pub point: usize,
}

impl Header {
    /// `None`: too short to be a record of ours.
    pub fn read(record: &[u8]) -> Option<Header> {
        let head: [u8; EVENT_HEADER as usize] = record.get(..EVENT_HEADER as usize)?.try_into().ok()?;
        let word = |i: usize| u32::from_ne_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        Some(Header { event: word(0) as usize, point: word(4) as usize })
    }
}

/// The script's ring buffer, where it has one.
#[derive(Debug, Default)]
pub struct Events {
    ring: Option<(Ring, OwnedFd)>,
}

impl Events {
    pub fn open(plan: &Plan, maps: &[crate::sys::bpf::Map]) -> io::Result<Events> {
        let index = plan.kernel_maps.iter().position(|m| m.kind == MapKind::Ringbuf);
        let ring = match index.and_then(|i| maps.get(i)) {
            Some(map) => Some((Ring::new(map.as_fd(), map.max_entries)?, map.as_fd().try_clone_to_owned()?)),
            None => None,
        };
        Ok(Events { ring })
    }

    /// Gives the records that are there to `take`; stops after many, to be called again. Gives their number.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let Some((ring, _)) = &mut self.ring else {
            return 0;
        };
        let mut left = TURN;
        ring.drain(|record| {
            take(record);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// Waits for `others` or for what `taken` (of the last `drain`) makes likely. Gives a bit for each of `others` that can be
    /// read. A full turn is followed by the next one at once. `patience`: it lasts no longer.
    pub fn wait(&self, taken: usize, others: &[BorrowedFd], patience: Option<Duration>) -> io::Result<u64> {
        match &self.ring {
            Some(_) if taken >= TURN => poll::readable(others, Some(Duration::ZERO)),
            _ if taken > 0 => poll::readable(others, Some(PAUSE)),
            Some((_, fd)) => {
                let mut all = others.to_vec();
                all.push(fd.as_fd());
                Ok(poll::readable(&all, patience)? & !(1 << others.len()))
            }
            None => poll::readable(others, patience),
        }
    }

    /// Can be read while there are records.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.ring.as_ref().map(|(_, fd)| fd.as_fd())
    }
}
