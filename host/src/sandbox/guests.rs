//! How much memory all instances of a sandbox have together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the linear memories and tables of all living instances of one sandbox.
#[derive(Clone, Debug, Default)]
pub struct GuestMemory(Arc<AtomicUsize>);

impl GuestMemory {
    /// How many there are now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}
