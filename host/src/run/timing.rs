//! The time that steps take, over all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time per step.
#[derive(Debug, Default)]
pub struct Timing {
    fit: Vec<AtomicU64>,
    apply: Vec<AtomicU64>,
}

/// Adds the time until it is dropped.
pub(super) struct Clock<'a> {
    total: &'a AtomicU64,
    start: Instant,
}

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.total.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Timing {
    /// For so many steps.
    pub fn new(steps: usize) -> Self {
        let zeros = || (0..steps).map(|_| AtomicU64::new(0)).collect();
        Self { fit: zeros(), apply: zeros() }
    }

    pub(super) fn fit(&self, step: usize) -> Clock<'_> {
        Clock { total: &self.fit[step], start: Instant::now() }
    }

    pub(super) fn apply(&self, step: usize) -> Clock<'_> {
        Clock { total: &self.apply[step], start: Instant::now() }
    }

    /// Time in which the step learned, and in which it was applied.
    pub fn of(&self, step: usize) -> (Duration, Duration) {
        let read = |times: &[AtomicU64]| Duration::from_nanos(times[step].load(Ordering::Relaxed));
        (read(&self.fit), read(&self.apply))
    }
}
