//! Every stage of the compiler for small scripts of `tests/golden`, and what it says of faulty ones: for a machine made up
//! of text, so the same everywhere. `NAME.bt` has siblings `NAME.STAGE`; `UPDATE_GOLDENS=1` rewrites those that are there.

#[path = "golden/cases.rs"]
mod cases;
#[path = "common/codes.rs"]
mod codes;
#[path = "golden/coverage.rs"]
mod coverage;
#[path = "golden/refusals.rs"]
mod refusals;
#[path = "golden/wrong.rs"]
mod wrong;
