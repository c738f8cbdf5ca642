//! Artifact to running kernel: load, attach, read events and maps, end.

pub mod attach;
pub mod events;
pub mod load;
pub mod maps;
pub mod output;
pub mod process;
pub mod session;
pub mod symbols;
pub mod sys;
