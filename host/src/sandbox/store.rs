//! The host's side of an instance: its limits and its log.

use super::bindings::wafermill::plugin::logging;
use super::engine::LOGGING;
use super::guests::GuestMemory;
use super::limits::{CORE_ITEMS, Limits};
use super::log::Log;
use super::wasi::{Wasi, charge};
use wasmtime::component::Linker;
use wasmtime::{ResourceLimiter, StoreContextMut};

/// What belongs to one instance.
#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) memory: Memory,
    pub(super) wasi: Wasi,
}

/// How much memory an instance has and may have: its linear memories and its tables.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    table_elements: usize,
    /// Of all instances.
    all: GuestMemory,
    pub(super) bytes: usize,
    /// What the last growth added, to be taken back should it fail.
    growth: usize,
    /// What was asked for beyond the limits.
    pub(super) denied: Option<Denied>,
}

/// What an instance did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Memory,
    Table,
}

/// Bytes of an element of a table.
const ELEMENT: usize = size_of::<usize>();

impl State {
    pub(super) fn new(limits: &Limits, all: GuestMemory) -> Self {
        let Limits { memory: limit, table_elements, .. } = *limits;
        let memory = Memory { limit, table_elements, all, bytes: 0, growth: 0, denied: None };
        Self { log: Log::default(), memory, wasi: Wasi::new() }
    }
}

impl Memory {
    fn grow(&mut self, bytes: usize) -> bool {
        if self.bytes.saturating_add(bytes) > self.limit {
            return self.deny(Denied::Memory);
        }
        self.growth = bytes;
        self.bytes += bytes;
        self.all.add(bytes);
        true
    }

    fn deny(&mut self, what: Denied) -> bool {
        self.growth = 0;
        self.denied = Some(what);
        false
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
        if desired > self.table_elements {
            return Ok(self.deny(Denied::Table));
        }
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT)))
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

/// Defines `logging`. What a message has is taken from the fuel: the guest need not work on it.
pub(super) fn add_log_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let log = |mut store: StoreContextMut<'_, State>, (level, message): (logging::Level, String)| {
        charge(&mut store, message.len())?;
        let level = match level {
            logging::Level::Debug => "debug",
            logging::Level::Info => "info",
            logging::Level::Warn => "warn",
            logging::Level::Error => "error",
        };
        store.data_mut().log.push(level, &message);
        Ok(())
    };
    linker.instance(LOGGING)?.func_wrap("log", log)
}
