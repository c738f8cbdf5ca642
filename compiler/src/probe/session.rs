//! Sessions of kprobes (Linux 6.10): a `kprobe` and a `kretprobe` of the same functions are one program with one link, in which the
//! kernel tells entry from return. Each call is hooked once instead of twice. Nothing else is
//! different to see: what the kernel hands on at the return is what it handed on at the entry.

use crate::artifact::{AttachTo, KprobeSite, ProgramKind};
use crate::hir::{Probe, Program, Session};
use crate::target::btf::Kind;
use crate::target::{Feature, Target};

/// It says whether a program runs at the return. Its parameter, the context, came with Linux 7.0; older ones take no notice of it.
pub const IS_RETURN: &str = "bpf_session_is_return";

/// The same program with its pairs joined; `None`: there are none, or this kernel has no sessions.
pub fn joined(program: &Program, target: &dyn Target) -> Option<Program> {
    let mut all = program.clone();
    let mut is_return = None;
    let mut at = 0;
    while at < all.probes.len() {
        let pair = sites(&all.probes[at], false).and_then(|entry| {
            let (back, shift) = all.probes.iter().enumerate().find_map(|(i, p)| Some((i, shift(entry, sites(p, true)?)?)))?;
            Some((back, shift))
        });
        if let Some((back, shift)) = pair {
            let id = match is_return {
                Some(id) => id,
                None if target.has(Feature::KprobeSession) => *is_return.insert(target.btf().ok()?.find(Kind::Func, IS_RETURN)?),
                None => return None,
            };
            let returns = Box::new(all.probes.remove(back));
            at -= usize::from(back < at);
            let entry = &mut all.probes[at];
            entry.kind = ProgramKind::KprobeSession;
            entry.attach.extend(returns.attach.iter().cloned());
            entry.session = Some(Session { returns, shift, is_return: id });
        }
        at += 1;
    }
    is_return.map(|_| all)
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
