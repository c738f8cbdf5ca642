//! Sessions of kprobes (Linux 6.10): a `kprobe` and a `kretprobe` of the same functions are one program with one link, in which the
//! kernel tells entry from return. Each call is hooked once instead of twice. Nothing else is different to see: what the kernel hands
//! on at the return is what it handed on at the entry.

use crate::artifact::{AttachTo, KprobeSite, ProgramKind};
use crate::hir::{Probe, Program, Session};
use crate::target::btf::Kind;
use crate::target::{Feature, Target};

/// It says whether a program runs at the return. Its parameter, the context, came with Linux 7.0; older ones take no notice of it.
pub const IS_RETURN: &str = "bpf_session_is_return";

/// The same program with its pairs joined; `None`: there are none, or this kernel has no sessions.
pub fn joined(program: &Program, target: &dyn Target) -> Option<Program> {
    // Most scripts have no pair, and are not copied.
    pair(&program.probes)?;
    if !target.has(Feature::KprobeSession) {
        return None;
    }
    let is_return = target.btf().ok()?.find(Kind::Func, IS_RETURN)?;
    let mut all = program.clone();
    while let Some((at, back, shift)) = pair(&all.probes) {
        let returns = Box::new(all.probes.remove(back));
        let entry = &mut all.probes[at - usize::from(back < at)];
        entry.kind = ProgramKind::KprobeSession;
        entry.attach.extend(returns.attach.iter().cloned());
        entry.session = Some(Session { returns, shift, is_return });
    }
    Some(all)
}

/// The first kprobe that has a kretprobe of its own: where the two are, and how far apart their attach points.
fn pair(probes: &[Probe]) -> Option<(usize, usize, i64)> {
    probes.iter().enumerate().find_map(|(at, entry)| {
        let entry = sites(entry, false)?;
        probes.iter().enumerate().find_map(|(back, p)| Some((at, back, shift(entry, sites(p, true)?)?)))
    })
}

/// The functions of a probe that one link serves.
fn sites(p: &Probe, wanted: bool) -> Option<&[KprobeSite]> {
    let [place] = p.attach.as_slice() else { return None };
    match &place.to {
        AttachTo::Kprobe { sites, ret } if *ret == wanted && p.kind == ProgramKind::KprobeMulti => Some(sites),
        _ => None,
    }
}

/// How much further the attach points of the returns are among all: a link has one cookie for both, the entry's.
fn shift(entry: &[KprobeSite], returns: &[KprobeSite]) -> Option<i64> {
    let distance = |(a, b): (&KprobeSite, &KprobeSite)| (a.symbol == b.symbol).then_some(b.point as i64 - a.point as i64);
    let mut all = entry.iter().zip(returns).map(distance);
    let first = all.next()??;
    (entry.len() == returns.len() && all.all(|d| d == Some(first))).then_some(first)
}
