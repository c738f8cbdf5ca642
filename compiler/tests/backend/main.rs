//! The backend against itself, against the kernel, and against other readers of its objects.

mod build;
mod diff;
mod golden;
mod host;
mod kernel;
mod limits;
mod object;
mod random;
