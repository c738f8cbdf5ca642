//! Artifact to running kernel: load, attach, read events and maps, end.

// A diagnostic is built once, at the end of a run: its size costs nothing.
#![allow(clippy::result_large_err)]

pub mod attach;
pub mod events;
pub mod follow;
mod interfaces;
pub mod living;
pub mod load;
pub mod mappings;
pub mod maps;
pub mod output;
mod packets;
pub mod pinned;
pub mod process;
pub mod report;
pub mod rights;
pub mod session;
pub mod symbols;
pub mod sys;
pub mod target;
pub mod trial;
mod unwind;
