//! How much of a scan is under way.

use crate::memory::Pressure;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The bytes of the batches that were handed out, and whose results were not taken.
pub(super) struct UnderWay {
    most: usize,
    pressure: Pressure,
    /// Nothing once nobody takes results any more.
    bytes: Mutex<Option<usize>>,
    freed: Condvar,
}

impl UnderWay {
    pub(super) fn new(most: usize, pressure: Pressure) -> Self {
        Self { most, pressure, bytes: Mutex::new(Some(0)), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room. One batch is under way at any rate, however large.
    pub(super) fn wait(&self) {
        let full = |bytes: &mut Option<usize>| {
            bytes.is_some_and(|bytes| bytes > 0 && (bytes >= self.most || self.pressure.is_high()))
        };
        drop(self.freed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn add(&self, bytes: usize) {
        self.lock().iter_mut().for_each(|sum| *sum += bytes);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.replace(bytes, 0);
    }

    /// What had so many bytes has become what has others.
    pub(super) fn replace(&self, before: usize, after: usize) {
        self.lock().iter_mut().for_each(|sum| *sum = *sum + after - before);
        if after < before {
            self.freed.notify_all();
        }
    }

    pub(super) fn close(&self) {
        *self.lock() = None;
        self.freed.notify_all();
    }
}

/// Releases those who wait, whatever happens to who takes the results.
pub(super) struct Closing<'a>(pub(super) &'a UnderWay);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
