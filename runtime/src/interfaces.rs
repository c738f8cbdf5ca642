//! Interfaces that vanish while programs are attached to them. The kernel has detached those by then: what is left is to say so.

use crate::sys::{net, netlink::Changes};
use awl_compiler::Span;
use awl_compiler::artifact::{Artifact, AttachTo};
use awl_compiler::diagnostic::Diagnostic;
use std::os::fd::{AsFd, BorrowedFd};

pub(crate) struct Interfaces {
    /// `None`: no program is at an interface
    changes: Option<Changes>,
    /// what the programs are attached to: number, name, attach point
    there: Vec<(u32, String, Span)>,
    /// places that last, whatever they are
    lasting: usize,
}

impl Interfaces {
    pub(crate) fn of(artifact: &Artifact) -> Interfaces {
        let places = || artifact.programs.iter().flat_map(|p| &p.attach);
        let at = places().filter_map(|a| match &a.to {
            AttachTo::Xdp { interface, .. } | AttachTo::Tc { interface, .. } | AttachTo::Socket { interface } => {
                Some((interface.index, artifact.plan.points.get(a.point).cloned().unwrap_or_default(), a.span))
            }
            _ => None,
        });
        let there: Vec<_> = at.collect();
        // Without it a probe's end goes unnoticed, as it would in any other tool.
        let changes = (!there.is_empty()).then(Changes::open).and_then(Result::ok);
        Interfaces { changes, there, lasting: places().filter(|a| a.to.lasts()).count() }
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(AsFd::as_fd)
    }

    /// What ended since the last time.
    pub(crate) fn gone(&mut self) -> Vec<Diagnostic> {
        if let Some(c) = &self.changes {
            c.drain();
        }
        let Ok(now) = net::interfaces() else { return Vec::new() };
        let gone = |(index, ..): &mut (u32, String, Span)| now.iter().all(|(i, _)| i != index);
        let gone: Vec<_> = self.there.extract_if(.., gone).collect();
        self.lasting -= gone.len();
        let said = |(_, point, span): (u32, String, Span)| {
            let d = Diagnostic::warning("interface-gone", span, format!("{point} ended: the interface is gone"));
            d.label("from then on no packet was seen here")
        };
        gone.into_iter().map(said).collect()
    }

    /// Nothing is left that could still happen.
    pub(crate) fn nothing_left(&self) -> bool {
        self.lasting == 0
    }
}
