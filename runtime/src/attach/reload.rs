//! Programs in the place of those that were left under a name before: the kernel exchanges the program of a link, so that each
//! packet meets the old one or the new one.

use super::{Link, Slow};
use crate::sys::bpf::{self, LinkPlace};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Links that were left before, whose programs can be exchanged.
#[derive(Default)]
pub struct Earlier {
    links: RefCell<Vec<(OwnedFd, LinkPlace)>>,
    /// links that have new programs, with their old ones
    updated: RefCell<Vec<(OwnedFd, OwnedFd)>>,
}

impl Earlier {
    pub(crate) fn new(links: impl Iterator<Item = OwnedFd>) -> Earlier {
        let known = links.filter_map(|fd| bpf::link_place(fd.as_fd()).map(|place| (fd, place)));
        Earlier { links: RefCell::new(known.collect()), updated: RefCell::default() }
    }

    /// Gives the program to the link that is at that place; `None`: there is none.
    pub(super) fn take(&self, place: LinkPlace, prog: BorrowedFd) -> Option<io::Result<Link>> {
        let mut links = self.links.borrow_mut();
        let at = links.iter().position(|(_, p)| *p == place)?;
        let update = |link: BorrowedFd| {
            let old = bpf::program(bpf::link_program(link)?)?;
            bpf::link_update(link, prog)?;
            Ok((link.try_clone_to_owned()?, old))
        };
        match update(links[at].0.as_fd()) {
            Ok(done) => self.updated.borrow_mut().push(done),
            Err(e) => return Some(Err(e)),
        }
        Some(Ok(Link::new(vec![links.swap_remove(at).0], Slow::No)))
    }

    /// Gives all of them their old programs again.
    pub(crate) fn restore(&self) {
        for (link, old) in self.updated.borrow_mut().drain(..) {
            // The link was updated a moment ago; where its interface is gone meanwhile nothing is left to restore.
            let _ = bpf::link_update(link.as_fd(), old.as_fd());
        }
    }
}
