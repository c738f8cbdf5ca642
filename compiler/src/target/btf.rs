//! BTF: the kernel's types.

/// An index over the bytes of a `.BTF` section.
pub struct Btf {}
