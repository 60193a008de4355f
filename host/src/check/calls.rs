//! How often a plugin was called.

use std::cell::Cell;

/// A counter of one thread.
#[derive(Debug, Default)]
pub(super) struct Calls(Cell<u64>);

impl Calls {
    pub(super) fn add(&self, calls: u64) {
        self.0.set(self.0.get() + calls);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.get()
    }
}
