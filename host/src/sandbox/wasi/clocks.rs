//! `wasi:clocks`: a time of its own for each call. It goes on by a step with each reading, and leaps where the guest waits, so that loops
//! that wait come to an end and nobody waits in fact.

use super::interface;
use super::io::Pollable;
use crate::sandbox::store::State;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower, Resource};

/// Nanoseconds by which it goes on with each reading.
const STEP: u64 = 1_000;

/// What the wall clock shows when a call begins, in seconds: 2000-01-01T00:00:00Z.
const START: u64 = 946_684_800;

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the call began.
#[derive(Debug, Default)]
pub(super) struct VirtualTime(u64);

impl VirtualTime {
    pub(super) fn read(&mut self) -> u64 {
        self.0 = self.0.saturating_add(STEP);
        self.0
    }

    /// Waits, which takes no time.
    pub(super) fn wait_until(&mut self, instant: u64) {
        self.0 = self.0.max(instant);
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl Datetime {
    fn of(nanoseconds: u64, seconds: u64) -> Self {
        // The rest of a division by a second fits.
        Self { seconds: seconds + nanoseconds / SECOND, nanoseconds: (nanoseconds % SECOND) as u32 }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut monotonic = interface(linker, "clocks/monotonic-clock")?;
    monotonic
        .func_wrap("now", |mut store: StoreContextMut<'_, State>, (): ()| Ok((store.data_mut().wasi.time.read(),)))?;
    monotonic.func_wrap("resolution", |_, (): ()| Ok((STEP,)))?;
    monotonic.func_wrap("subscribe-instant", |store: StoreContextMut<'_, State>, (when,): (u64,)| {
        Ok((Pollable::make(store, when)?,))
    })?;
    monotonic.func_wrap("subscribe-duration", |mut store: StoreContextMut<'_, State>, (time,): (u64,)| {
        let when = store.data_mut().wasi.time.read().saturating_add(time);
        let pollable: Resource<Pollable> = Pollable::make(store, when)?;
        Ok((pollable,))
    })?;

    let mut wall = interface(linker, "clocks/wall-clock")?;
    wall.func_wrap("now", |mut store: StoreContextMut<'_, State>, (): ()| {
        Ok((Datetime::of(store.data_mut().wasi.time.read(), START),))
    })?;
    wall.func_wrap("resolution", |_, (): ()| Ok((Datetime::of(STEP, 0),)))
}
