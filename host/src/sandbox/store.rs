//! The host's side of an instance: its limits and its log.

use super::bindings::wafermill::plugin::{logging, types};
use super::limits::{Limits, PARTS, TABLE_ELEMENTS};
use super::log::Log;
use wasmtime::ResourceLimiter;

/// What belongs to one instance.
#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) memory: Memory,
}

/// How much linear memory an instance has and may have.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    /// Bytes of all linear memories.
    pub(super) bytes: usize,
    /// Whether more was asked for than the limit.
    pub(super) denied: bool,
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { log: Log::default(), memory: Memory { limit: limits.memory, bytes: 0, denied: false } }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        self.denied = total > self.limit;
        if !self.denied {
            self.bytes = total;
        }
        Ok(!self.denied)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

impl logging::Host for State {
    fn log(&mut self, level: logging::Level, message: String) {
        let level = match level {
            logging::Level::Debug => "debug",
            logging::Level::Info => "info",
            logging::Level::Warn => "warn",
            logging::Level::Error => "error",
        };
        self.log.push(level, &message);
    }
}

impl types::Host for State {}
