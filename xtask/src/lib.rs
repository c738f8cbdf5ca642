//! Test cases that are scripts: how they are written, what they need, and what they should print.

pub mod case;
pub mod need;
