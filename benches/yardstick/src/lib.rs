//! Batches as those of the benchmark's table, and the benchmark's plugins in the sandbox: what the yardstick and the micro-benchmarks share.

pub mod batches;
pub mod sandboxed;
