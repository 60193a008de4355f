//! Keyed tables of partial results: combined by key, in parallel, spilling, and kept as files.
//!
//! Whatever the order and the cut of what is pushed, the combined table is the same: keys are unique and ascending, and every
//! operator is exact, associative and commutative.

mod ahead;
mod combined;
mod combiner;
mod cut;
mod file;
mod keys;
mod merge;
mod reduce;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub use combined::Combined;
pub use combiner::{Combiner, Statistics};
pub use file::write;
pub use table::{Operator, PartialTable};
