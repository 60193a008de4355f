//! How far a check is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is done; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Tables that the plugin was taken through.
    pub fn tables(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn table(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
