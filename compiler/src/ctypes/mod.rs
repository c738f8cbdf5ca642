//! C types of a script: definitions to `RecordDef` and `EnumDef`, and type names to `Ty`.

pub mod basic;
