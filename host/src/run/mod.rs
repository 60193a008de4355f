//! Running a plan: passes over the source that fit steps, and the last one that applies them all.

mod apply;
mod fit;
mod report;
mod scan;
mod steps;
mod table;
mod timing;

pub use apply::apply;
pub use fit::{Fit, fit, restore};
pub use report::{PassReport, Report, StepReport};
pub use timing::Timing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How a plan is run. None of it changes a byte of the model or the dataset.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Threads that run plugins.
    pub workers: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Bytes of memory for what can spill.
    pub memory: usize,
    /// A private folder for what spills.
    pub scratch: PathBuf,
    /// How many folds there are; this one does change results.
    pub folds: u8,
    /// Set where the user asks to stop.
    pub stop: Arc<AtomicBool>,
}

/// Rows of a batch where nothing else is asked for: ten columns of doubles fit into a second-level cache.
pub const BATCH_ROWS: usize = 8_192;

/// Is told how far a run has come.
pub trait Progress: Sync {
    /// A pass over so many rows begins, where it is known how many.
    fn begin(&self, stage: &str, rows: Option<u64>);

    /// So many more rows are done.
    fn advance(&self, rows: u64);

    /// The pass is over.
    fn end(&self);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _: &str, _: Option<u64>) {}

    fn advance(&self, _: u64) {}

    fn end(&self) {}
}

/// How many rows a source has, where all of its fragments tell.
pub fn known_rows(source: &dyn crate::source::Source) -> Option<u64> {
    source.fragments().iter().map(|fragment| fragment.rows).sum()
}
