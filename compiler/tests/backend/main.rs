//! The backend against itself, against the kernel, and against other readers of its objects.

mod build;
mod diff;
mod golden;
mod host;
#[allow(dead_code)] // the tests of whole scripts use the rest
mod kernel;
mod limits;
mod object;
mod random;
mod rng;
