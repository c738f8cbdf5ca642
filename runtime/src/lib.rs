//! Artifact to running kernel: load, attach, read events and maps, end.

pub mod symbols;
