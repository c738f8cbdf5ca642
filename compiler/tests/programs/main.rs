//! Random scripts, through all passes, in the kernel and on the host: the same maps, the same records, and those that the
//! language's description asks for (`evaluate`).
//!
//! `AWL_PROGRAMS` says how many (10,000 when it is not set), `AWL_SEED` from which seed on.

#[allow(dead_code)] // the backend's tests use the rest
#[path = "../backend/kernel.rs"]
mod kernel;
#[path = "../backend/rng.rs"]
mod rng;

mod evaluate;
mod generate;
mod run;
mod tree;
