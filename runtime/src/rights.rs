//! What a session that is attached still needs to be allowed, and nothing else: whatever finds a hole in awl then finds little
//! behind it.

use crate::sys::rights;
use awl_compiler::artifact::{Artifact, AttachTo, EventKind, Plan};
use awl_compiler::types::Ty;
use awl_compiler::unwind::PROCESSES_MAP;
use std::io;

const DAC_READ_SEARCH: u64 = 1 << 2;
const KILL: u64 = 1 << 5;
const NET_ADMIN: u64 = 1 << 12;
const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;
const SYSLOG: u64 = 1 << 34;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;
const CHECKPOINT_RESTORE: u64 = 1 << 40;

/// Gives up what a script needs no more once it is attached. `child`: a command of ours is running, which may have become
/// somebody else and is ended with the session. `follows`: places that appear are attached, too.
///
/// # Errors
/// Where the kernel doesn't let a thread give up rights.
pub fn drop_after_attaching(artifact: &Artifact, child: bool, follows: bool) -> io::Result<()> {
    match needed(artifact, child, follows) {
        Some(bits) => {
            rights::keep(bits)?;
            rights::no_new()
        }
        None => Ok(()),
    }
}

/// `None`: all of them.
fn needed(artifact: &Artifact, child: bool, follows: bool) -> Option<u64> {
    let plan = &artifact.plan;
    // The user's commands and files are the user's own affair.
    if plan.events.iter().any(|e| matches!(e.kind, EventKind::System(_) | EventKind::Cat(_))) {
        return None;
    }
    // Reading maps (before 5.19, where the sysctl `unprivileged_bpf_disabled` is set), running `end`; names of kernel functions.
    let mut bits = BPF | PERFMON | SYSLOG;
    if names_user_addresses(plan) {
        // /proc/PID/maps and the files that are named there, of anybody; /proc/PID/map_files, where those of other mount
        // namespaces are (5.9)
        bits |= SYS_PTRACE | DAC_READ_SEARCH | CHECKPOINT_RESTORE;
    }
    if follows {
        // What processes map, files of anybody; the types of a module are found by their number.
        bits |= SYS_PTRACE | DAC_READ_SEARCH | SYS_ADMIN;
    }
    let places = || artifact.programs.iter().flat_map(|p| &p.attach);
    if places().any(|a| matches!(a.to, AttachTo::Tc { .. } | AttachTo::Xdp { .. })) {
        // Before 6.6 a filter goes by a message to the kernel.
        bits |= NET_ADMIN;
    }
    if child {
        bits |= KILL;
    }
    Some(bits)
}

/// Does anything that is printed hold addresses of processes, or walk their stacks?
pub(crate) fn names_user_addresses(plan: &Plan) -> bool {
    fn holds(ty: &Ty) -> bool {
        match ty {
            Ty::Stack { kind, .. } => kind.is_user(),
            Ty::Usym => true,
            Ty::Array(of, _) => holds(of),
            Ty::Tuple(tys) => tys.iter().any(holds),
            Ty::NamedTuple(tys) => tys.iter().any(|(_, ty)| holds(ty)),
            _ => false,
        }
    }
    // Tables for unwinding are made of the same files.
    let unwinds = plan.kernel_maps.iter().any(|m| m.name == PROCESSES_MAP);
    unwinds
        || plan.maps.iter().any(|m| holds(&m.value) || m.keys.iter().any(holds))
        || plan.events.iter().flat_map(|e| &e.args).any(|a| holds(&a.ty))
}
