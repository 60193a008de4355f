//! What a plugin may take: every number with its reason.

use std::time::Duration;

/// Limits of one instance of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory. Enough for a million categories.
    pub memory: usize,
    /// How long a call may take. A batch takes milliseconds, a model of a million rows seconds.
    pub call: Duration,
    /// Bytes that one call may return. A batch of 8,192 rows with 1,000 columns of 8 bytes is 64 MiB.
    pub returned: usize,
    /// Bytes of a batch that is passed in one call; larger ones are cut. An eighth of the memory, so that what comes of
    /// it fits too, and at most 64 MiB.
    pub passed: usize,
    /// Bytes of linear memory from which on a fitter is drained and replaced.
    pub drain: usize,
    /// Bytes of a carry.
    pub carry: usize,
    /// Columns of any schema.
    pub columns: usize,
    /// Bytes of a column's name and of its metadata.
    pub text: usize,
    /// Bytes of a component. Python ones are about 40 MiB.
    pub component: u64,
}

impl Limits {
    /// Bytes that one fitter may give away: what its memory can have held, laid out for Arrow.
    pub(crate) fn drained(&self) -> usize {
        self.memory.saturating_mul(16)
    }
}

/// Passes over the rows that a plan may ask for, since each of them costs the user a reading of the table.
pub(crate) const PASSES: u32 = 64;

/// Bytes of stack, the same for all plugins since it belongs to the engine. Twice what wasmtime gives by default.
pub(crate) const STACK: usize = 1 << 20;

/// Elements of a table, the one that holds pointers to functions. Large programs have some ten thousand.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;

/// Core instances, memories and tables of one component. Adapters need a few each.
pub(crate) const CORE_ITEMS: usize = 64;

impl Default for Limits {
    fn default() -> Self {
        Self::with_memory(256 << 20)
    }
}

impl Limits {
    /// The default limits with another limit on memory, and those that depend on it.
    pub fn with_memory(memory: usize) -> Self {
        Self {
            memory,
            call: Duration::from_secs(30),
            returned: 256 << 20,
            passed: (memory / 8).clamp(1 << 20, 64 << 20),
            drain: memory / 2,
            carry: 16 << 20,
            columns: 100_000,
            text: 64 << 10,
            component: 128 << 20,
        }
    }
}
