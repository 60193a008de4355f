//! One instance of a plugin, and what becomes of calls that fail.

use super::backtrace::backtrace;
use super::bindings::{self, PluginPre, wafermill::plugin::types};
use super::clock::TICK;
use super::guests::GuestMemory;
use super::limits::{HANDLES, Limits, MESSAGE, ROWS};
use super::meter::Meter;
use super::store::{Denied, State};
use super::wasi::Exited;
use crate::{Error, ErrorKind, Result, memory::format_size};
use std::sync::Arc;
use wasmtime::{Store, Trap};

/// An instance with a memory of its own.
pub(super) struct Instance {
    store: Store<State>,
    guest: bindings::Plugin,
    name: String,
    digest: Arc<str>,
    limits: Limits,
    dead: bool,
    meter: Option<Arc<Meter>>,
}

/// What a call into the guest gives: a trap, the plugin's own error, or a value.
pub(super) type Called<T> = wasmtime::Result<Result<T, types::Error>>;

impl Instance {
    pub(super) fn new(
        ready: &PluginPre<State>,
        (name, digest): (&str, &Arc<str>),
        limits: &Limits,
        all: &GuestMemory,
    ) -> Result<Self> {
        let mut store = Store::new(ready.engine(), State::new(limits, all.clone()));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.returned);
        store.set_max_component_handles(HANDLES);
        let explained = |trap: &wasmtime::Error, store: &Store<State>| {
            let error = explain(trap, "its start", store.data(), limits).in_plugin(name).digest(&**digest);
            with_log(error, store.data())
        };
        arm(&mut store, limits).map_err(|trap| explained(&trap, &store))?;
        match ready.instantiate(&mut store) {
            Ok(guest) => {
                let (name, digest) = (name.to_owned(), digest.clone());
                Ok(Self { store, guest, name, digest, limits: limits.clone(), dead: false, meter: None })
            }
            Err(trap) => Err(explained(&trap, &store)),
        }
    }

    /// Counted by a meter from now on, where there is one.
    pub(super) fn metered(self, meter: Option<Arc<Meter>>) -> Self {
        Self { meter, ..self }
    }

    /// Bytes of linear memory.
    pub(super) fn memory(&self) -> usize {
        self.store.data().memory.bytes
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An error of this plugin.
    pub(super) fn error(&self, error: Error) -> Error {
        with_log(error.in_plugin(&self.name).digest(&*self.digest), self.store.data())
    }

    /// Where the plugin returned what the contract forbids.
    pub(super) fn broken(&self, export: &str, reason: impl std::fmt::Display) -> Error {
        let error = Error::sandbox(format!("`{export}` returned what the contract forbids: {reason}"));
        self.error(error.call(export).hint("this is a fault of the plugin; report it to its author"))
    }

    /// Calls an export under the call's deadline.
    pub(super) fn call<T>(
        &mut self,
        export: &str,
        call: impl FnOnce(&mut Store<State>, &bindings::exports::wafermill::plugin::guest::Guest) -> Called<T>,
    ) -> Result<T> {
        if self.dead {
            return Err(self.error(Error::internal("an instance that trapped was called again")));
        }
        let armed = arm(&mut self.store, &self.limits);
        let called = armed.and_then(|()| call(&mut self.store, self.guest.wafermill_plugin_guest()));
        if let Some(meter) = &self.meter {
            let left = |given: u64| given.saturating_sub(self.store.get_fuel().unwrap_or_default());
            meter.count(export, self.limits.fuel.map_or(0, left), self.memory());
        }
        match called {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.error(refused(error)).call(export)),
            Err(trap) => {
                self.dead = true;
                Err(self.error(explain(&trap, export, self.store.data(), &self.limits)).call(export))
            }
        }
    }
}

/// Sets the deadline of the next call, and gives it its fuel.
fn arm(store: &mut Store<State>, limits: &Limits) -> wasmtime::Result<()> {
    let ticks = limits.call.as_millis().div_ceil(TICK.as_millis()).max(1);
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2));
    store.data_mut().memory.denied = None;
    store.data_mut().wasi.begin_call();
    limits.fuel.map_or(Ok(()), |fuel| store.set_fuel(fuel))
}

/// The plugin's own error. Its text is for people, and is kept to what a terminal can be shown.
fn refused(error: types::Error) -> Error {
    let clean =
        |text: String| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE).collect() };
    // A plugin that finds itself wrong is no less wrong than one that traps.
    let wrong = error.code == types::ErrorCode::Internal;
    let kind = if wrong { ErrorKind::Sandbox } else { ErrorKind::Plugin };
    let message = clean(error.message);
    let message = if message.trim().is_empty() { "it gives no reason".to_owned() } else { message };
    let mut refused = Error::new(kind, message).rows(error.rows.into_iter().take(ROWS));
    if let Some(column) = error.column {
        refused = refused.column(clean(column));
    }
    match error.hint {
        Some(hint) => refused.hint(clean(hint)),
        None => refused,
    }
}

/// With the last lines of the instance's log.
fn with_log(error: Error, state: &State) -> Error {
    match state.log.text() {
        Some(log) => error.log(log),
        None => error,
    }
}

fn explain(trap: &wasmtime::Error, export: &str, state: &State, limits: &Limits) -> Error {
    let error = explain_trap(trap, export, state, limits);
    match backtrace(trap) {
        Some(functions) => error.backtrace(functions),
        None => error,
    }
}

fn explain_trap(trap: &wasmtime::Error, export: &str, state: &State, limits: &Limits) -> Error {
    // A program that ends since it got no memory says nothing of that.
    if let Some(exited) = trap.downcast_ref::<Exited>().filter(|_| state.memory.denied.is_none()) {
        return Error::sandbox(format!("`{export}` ended the plugin's program: {exited}"));
    }
    match trap.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            let seconds = limits.call.as_secs_f64();
            Error::sandbox(format!("`{export}` took longer than the {seconds} s that a call may take"))
                .hint("raise the limit: `call_seconds` in `[limits]` of the pipeline file, `--call-seconds` of `apply`")
        }
        Some(Trap::StackOverflow) => Error::sandbox(format!("`{export}` ran out of stack")),
        Some(Trap::OutOfFuel) => {
            let fuel = limits.fuel.unwrap_or_default();
            Error::sandbox(format!("`{export}` took more than the {fuel} instructions that a call may take"))
                .hint("raise the limit: `fuel` in `[limits]` of the pipeline file, or of the step")
        }
        // What traps after a growth was denied is an allocator that gave up.
        _ if state.memory.denied == Some(Denied::Table) => {
            let most = limits.table_elements;
            Error::sandbox(format!("`{export}` needs more than the {most} elements that a table may have"))
                .hint("raise the limit: `table_elements` in `[limits]` of the pipeline file, or of the step")
        }
        _ if state.memory.denied == Some(Denied::Memory) => {
            let memory = format_size(limits.memory as u64);
            Error::sandbox(format!("`{export}` needs more than the {memory} of memory that the plugin may have"))
                .hint("raise the limit: `memory` in `[limits]` of the pipeline file, `--guest-memory` of `apply`")
        }
        Some(trap) => Error::sandbox(format!("`{export}` trapped: {trap}")),
        // wasmtime has no type for it; the message is that of `Store::set_hostcall_fuel`.
        None if trap.root_cause().to_string().contains("hostcall") => {
            let returned = format_size(limits.returned as u64);
            // What it logs and writes counts too.
            Error::sandbox(format!("`{export}` gave the host more than the {returned} that a call may give"))
                .hint("raise the limit: `returned` in `[limits]` of the pipeline file, or of the step")
        }
        None => Error::sandbox(format!("`{export}` failed")).because(trap.root_cause().to_string()),
    }
}
