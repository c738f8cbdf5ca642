//! The backend against itself, against the kernel, and against other readers of its objects.

mod build;
mod kernel;
mod object;
