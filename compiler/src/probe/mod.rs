//! Probe types: one file each with its syntax, its expansion into attach points and what its programs see.

mod absent;
pub(crate) mod busy;
mod cgroup;
pub mod convention;
pub mod fentry;
pub mod filter;
mod interface;
mod interval;
pub mod iter;
pub(crate) mod kprobe;
pub mod lsm;
pub mod mangled;
mod rawtracepoint;
pub mod session;
pub mod software;
mod special;
pub mod syscall;
mod tc;
mod tracepoint;
pub mod uprobe;
pub mod usdt;
mod watchpoint;
mod xdp;

use crate::artifact::{AttachTo, ProgramKind};
use crate::diagnostic::Diagnostic;
use crate::hir::Context;
use crate::sema::Options;
use crate::sema::uses::Uses;
use crate::target::{Target, Unavailable};
use crate::types::Space;
use awl_grammar::ast::{AttachPoint, ProbePart};
use awl_grammar::number;
use awl_grammar::span::Span;
use interface::interfaces;

pub struct Provider {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub syntax: &'static str,
    pub doc: &'static str,
    /// a whole script
    pub example: &'static str,
    pub process: Process,
    /// what its bodies see, for one whose place this machine lacks: such a body is checked, not attached
    pub absent: Option<(ProgramKind, Context)>,
    pub expand: fn(&Request) -> Result<Vec<Expanded>, Box<Diagnostic>>,
}

/// Whose code runs when a probe fires: what `-p`, `-c` and `--follow` ask of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// nobody's in particular: none of them asks
    Nobody,
    /// whichever process runs
    Any,
    /// that of a program which has the place: places are chosen for a process already
    Program,
    /// that of the process whose memory is watched
    Memory,
}

/// One attach point as written, and what its probe's body mentions.
pub struct Request<'a> {
    pub provider: &'static Provider,
    pub parts: &'a [ProbePart],
    pub span: Span,
    pub uses: &'a Uses,
    pub target: &'a dyn Target,
    pub options: &'a Options,
}

/// The modules of the kernel that attach points name.
pub(crate) fn modules<'a>(points: impl Iterator<Item = &'a AttachPoint>) -> Vec<String> {
    let of_kernel = ["kprobe", "kretprobe", "fentry", "fexit", "rawtracepoint"];
    let module = |p: &'a AttachPoint| match p.parts.as_slice() {
        [provider, module, _] if find(&provider.text).is_some_and(|p| of_kernel.contains(&p.name)) => Some(module.text.clone()),
        _ => None,
    };
    points.filter_map(module).filter(|m| !["vmlinux", "bpf"].contains(&m.as_str())).collect()
}

/// The functions of the kernel that attach points name without a module.
pub(crate) fn functions<'a>(points: impl Iterator<Item = &'a AttachPoint>) -> Vec<String> {
    let of_kernel = ["kprobe", "kretprobe", "fentry", "fexit"];
    let function = |p: &'a AttachPoint| match p.parts.as_slice() {
        [provider, function] if find(&provider.text).is_some_and(|p| of_kernel.contains(&p.name)) && !function.text.contains('*') => {
            Some(function.text.split('+').next().unwrap_or_default().to_owned())
        }
        _ => None,
    };
    points.filter_map(function).collect()
}

/// Attach points that one program serves. Numbers of points in `context` and `to` count from 0 within `points`.
pub struct Expanded {
    pub kind: ProgramKind,
    pub context: Context,
    /// full name, and what to attach for it; nothing where another point's attachment serves it too
    pub points: Vec<(String, Option<AttachTo>)>,
}

const PROVIDERS: &[&[Provider]] = &[
    special::ROWS,
    tracepoint::ROWS,
    syscall::ROWS,
    rawtracepoint::ROWS,
    interval::ROWS,
    software::ROWS,
    watchpoint::ROWS,
    kprobe::ROWS,
    fentry::ROWS,
    iter::ROWS,
    uprobe::ROWS,
    usdt::ROWS,
    xdp::ROWS,
    tc::ROWS,
    cgroup::ROWS,
    lsm::ROWS,
];

pub fn all() -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().copied().flatten()
}

pub fn find(name: &str) -> Option<&'static Provider> {
    // `u` and `U` are two of them.
    let exact = all().find(|p| p.aliases.contains(&name));
    exact.or_else(|| all().find(|p| p.name.eq_ignore_ascii_case(name) || p.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))))
}

impl Request<'_> {
    /// Where the pointers among typed arguments point.
    pub fn typed_space(&self) -> Space {
        if self.options.plain_arguments { Space::Kernel } else { Space::Btf }
    }

    /// The parts after the provider, when there are `least` to `most` of them.
    pub fn rest(&self, least: usize, most: usize) -> Result<&[ProbePart], Box<Diagnostic>> {
        let rest = &self.parts[1..];
        if (least..=most).contains(&rest.len()) && rest.iter().all(|p| !p.text.is_empty()) {
            return Ok(rest);
        }
        Err(Box::new(
            Diagnostic::error("probe-syntax", self.span, format!("a `{}` probe is written `{}`", self.provider.name, self.provider.syntax))
                .label(format!("expected `{}`", self.provider.syntax))
                .help(format!("for instance: {}", self.provider.example)),
        ))
    }

    /// The same where the last part may be left empty (`software:faults:`): then it is as if it weren't there.
    pub fn rest_or_default(&self, least: usize, most: usize) -> Result<&[ProbePart], Box<Diagnostic>> {
        match &self.parts[1..] {
            [given @ .., last] if last.text.is_empty() && given.len() >= least && given.iter().all(|p| !p.text.is_empty()) => Ok(given),
            _ => self.rest(least, most),
        }
    }

    /// The error for what this machine can't answer.
    pub fn unavailable(&self, why: Unavailable) -> Box<Diagnostic> {
        Box::new(Diagnostic::environment(why.code, why.message).at(self.span, "needed here").help(why.help))
    }
}

impl AttachTo {
    /// Does it wait for something to happen, after begin and before end?
    pub fn lasts(&self) -> bool {
        !matches!(self, AttachTo::Begin | AttachTo::End | AttachTo::Test | AttachTo::Bench)
    }

    /// With point numbers counted from `base`.
    pub(crate) fn numbered(mut self, base: usize) -> AttachTo {
        match &mut self {
            AttachTo::Uprobe { sites, .. } => sites.iter_mut().for_each(|s| s.point += base),
            AttachTo::Kprobe { sites, .. } => sites.iter_mut().for_each(|s| s.point += base),
            _ => {}
        }
        self
    }
}

impl Context {
    pub(crate) fn numbered(mut self, base: usize) -> Context {
        if let Context::Syscall { numbers, .. } = &mut self {
            numbers.iter_mut().for_each(|(_, p)| *p += base);
        }
        self
    }
}
