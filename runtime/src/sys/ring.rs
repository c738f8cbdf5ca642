//! Reader of a BPF ring buffer (kernel/bpf/ringbuf.c, 5.8).
//!
//! The position that we publish is what producers compare theirs with: when they are equal at a commit, the kernel raises an
//! interrupt to wake us. So it is published once per stretch and not per record: a reader that keeps up doesn't make every
//! event pay for a wake-up.

use super::memory::{Mapping, page_size};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;

#[derive(Debug)]
pub struct Ring {
    /// a page with our position, writable
    consumer: Mapping,
    /// a page with the producers' position, then the data twice in a row, so that no record is cut in two
    producer: Mapping,
    data: usize,
    mask: u64,
    at: u64,
    /// bytes read before the position is published
    stretch: u64,
}

impl Ring {
    /// `size` is that of the map: a power of two and a multiple of the page size.
    pub fn new(map: BorrowedFd, size: u32) -> io::Result<Ring> {
        let page = page_size();
        if !size.is_power_of_two() || !(size as usize).is_multiple_of(page) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let consumer = Mapping::new(map, page, 0, true)?;
        let producer = Mapping::new(map, page + 2 * size as usize, page, false)?;
        Ok(Ring {
            at: consumer.load(0),
            consumer,
            producer,
            data: page,
            mask: u64::from(size) - 1,
            stretch: (u64::from(size) / 4).min(256 << 10),
        })
    }

    /// Gives every record that is there to `take`, oldest first, until there are none or `take` has enough. Gives the number
    /// of records taken.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> ControlFlow<()>) -> usize {
        let (mut records, mut published) = (0, self.at);
        'all: loop {
            let end = self.producer.load(0);
            if self.at >= end {
                break;
            }
            while self.at < end {
                let offset = self.data + (self.at & self.mask) as usize;
                let Some(header) = self.producer.half_word(offset) else {
                    break 'all;
                };
                let header = header.load(Ordering::Acquire);
                if header & BUSY != 0 {
                    break 'all;
                }
                let len = (header & !(BUSY | DISCARD)) as usize;
                let mut more = ControlFlow::Continue(());
                if header & DISCARD == 0 {
                    // SAFETY: a record without the busy bit is finished, and the kernel writes there again only after we
                    // publish a position behind it.
                    let Some(record) = (unsafe { self.producer.bytes(offset + HEADER, len) }) else {
                        break 'all;
                    };
                    more = take(record);
                    records += 1;
                }
                self.at += (HEADER + len).next_multiple_of(8) as u64;
                if self.at - published >= self.stretch {
                    published = self.at;
                    self.consumer.store(0, published);
                }
                if more.is_break() {
                    break 'all;
                }
            }
        }
        if published != self.at {
            self.consumer.store(0, self.at);
        }
        records
    }
}
