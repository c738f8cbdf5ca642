//! Names of types and constants: see `ctypes`, which has all of it.

pub use crate::ctypes::Types;
