//! The host's side of an instance: its limits and its log.

use super::bindings::wafermill::plugin::{logging, types};
use super::guests::GuestMemory;
use super::limits::{CORE_ITEMS, Limits, TABLE_ELEMENTS};
use super::log::Log;
use wasmtime::ResourceLimiter;

/// What belongs to one instance.
#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) memory: Memory,
}

/// How much memory an instance has and may have: its linear memories and its tables.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    /// Of all instances.
    all: GuestMemory,
    pub(super) bytes: usize,
    /// What the last growth added, to be taken back should it fail.
    growth: usize,
    /// Whether more was asked for than the limit.
    pub(super) denied: bool,
}

/// Bytes of an element of a table.
const ELEMENT: usize = size_of::<usize>();

impl State {
    pub(super) fn new(limits: &Limits, all: GuestMemory) -> Self {
        let memory = Memory { limit: limits.memory, all, bytes: 0, growth: 0, denied: false };
        Self { log: Log::default(), memory }
    }
}

impl Memory {
    fn grow(&mut self, bytes: usize) -> bool {
        self.denied = self.bytes.saturating_add(bytes) > self.limit;
        self.growth = if self.denied { 0 } else { bytes };
        self.bytes += self.growth;
        self.all.add(self.growth);
        !self.denied
    }

    fn shrink(&mut self) {
        let growth = std::mem::take(&mut self.growth);
        self.bytes -= growth;
        self.all.remove(growth);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.all.remove(self.bytes);
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.shrink();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT)))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.shrink();
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_ITEMS
    }

    fn tables(&self) -> usize {
        CORE_ITEMS
    }

    fn memories(&self) -> usize {
        CORE_ITEMS
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
