//! What the instances of a plugin took, for those who want to know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Is shared by all instances of a plugin that is metered. What it says is the same for the same calls, whatever the machine does beside them.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Taken>);

/// What was taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Bytes of linear memory and tables of the instance that had most.
    pub memory: usize,
    /// By the name of an export.
    pub exports: BTreeMap<String, Spent>,
}

/// What calls of one export took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// How many there were.
    pub calls: u64,
    /// Instructions of all of them; none where they are not counted.
    pub instructions: u64,
    /// Instructions of the one that took most.
    pub most: u64,
}

impl Meter {
    /// All of it until now.
    pub fn taken(&self) -> Taken {
        self.lock().clone()
    }

    pub(super) fn count(&self, export: &str, instructions: u64, memory: usize) {
        let mut taken = self.lock();
        taken.memory = taken.memory.max(memory);
        let spent = taken.exports.entry(export.to_owned()).or_default();
        spent.calls += 1;
        spent.instructions = spent.instructions.saturating_add(instructions);
        spent.most = spent.most.max(instructions);
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Calls of all exports.
    pub fn calls(&self) -> u64 {
        self.exports.values().map(|spent| spent.calls).sum()
    }
}
