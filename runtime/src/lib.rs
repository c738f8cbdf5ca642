//! Artifact to running kernel: load, attach, read events and maps, end.

pub mod output;
pub mod symbols;
