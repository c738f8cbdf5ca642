//! What awl has in the kernel, whichever awl it was.

use crate::sys::bpf::{self, ProgramId};

/// Is it a program that awl made? Its data sections have names that no other tool gives.
pub fn is_ours(id: ProgramId) -> bool {
    let maps = bpf::program_details(id).map(|d| d.maps).unwrap_or_default();
    maps.iter().any(|m| bpf::map_name(*m).is_ok_and(|n| n == crate::load::GLOBALS))
}
