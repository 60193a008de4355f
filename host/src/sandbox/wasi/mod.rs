//! WASI 0.2 with nothing behind it, for the components of languages that cannot do without: no files, no network, no environment and
//! no arguments. Clock and random numbers begin anew with each call, so that what a plugin returns cannot depend on the time, on the machine,
//! or on how many calls an instance had before.
//!
//! Nothing here waits, and what one call takes or gives is bounded: the deadline of a call is looked at in the guest's code only.

mod cli;
mod clocks;
mod io;
mod nothing;
mod random;

pub(super) use cli::Exited;

use super::limits::HANDLES;
use super::store::State;
use clocks::VirtualTime;
use random::Random;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, ResourceTable};

/// The version whose functions are here. Components may ask for any 0.2: what they know of it is a part of this, or is missed by name.
const VERSION: &str = "0.2.12";

/// All interfaces that are here.
const INTERFACES: [&str; 27] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

/// What an instance has of it.
#[derive(Debug)]
pub(super) struct Wasi {
    time: VirtualTime,
    random: Random,
    pollables: ResourceTable,
}

impl Wasi {
    pub(super) fn new() -> Self {
        let mut pollables = ResourceTable::new();
        pollables.set_max_capacity(HANDLES);
        Self { time: VirtualTime::default(), random: Random::default(), pollables }
    }

    /// At the start of a call.
    pub(super) fn begin_call(&mut self) {
        self.time = VirtualTime::default();
        self.random = Random::default();
    }
}

/// Whether an import is one of WASI 0.2 that is provided here.
pub(super) fn is_provided(import: &str) -> bool {
    let Some((name, version)) = import.strip_prefix("wasi:").and_then(|name| name.split_once('@')) else {
        return false;
    };
    let patch = version.strip_prefix("0.2.").unwrap_or_default();
    !patch.is_empty() && patch.bytes().all(|digit| digit.is_ascii_digit()) && INTERFACES.contains(&name)
}

/// Defines all of it.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    cli::add_to_linker(linker)?;
    clocks::add_to_linker(linker)?;
    io::add_to_linker(linker)?;
    nothing::add_to_linker(linker)?;
    random::add_to_linker(linker)
}

/// Takes fuel for bytes that the guest need not work on itself, where instructions are counted.
pub(super) fn charge(store: &mut StoreContextMut<'_, State>, bytes: usize) -> wasmtime::Result<()> {
    match store.get_fuel() {
        Ok(fuel) => store.set_fuel(fuel.saturating_sub(bytes as u64)),
        Err(_) => Ok(()),
    }
}

fn interface<'a>(linker: &'a mut Linker<State>, name: &str) -> wasmtime::Result<LinkerInstance<'a, State>> {
    debug_assert!(INTERFACES.contains(&name), "{name}");
    linker.instance(&format!("wasi:{name}@{VERSION}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_of_0_2_is_provided_and_nothing_else() {
        let provided = ["wasi:cli/exit@0.2.0", "wasi:io/poll@0.2.12", "wasi:sockets/tcp@0.2.99"];
        assert!(provided.iter().all(|import| is_provided(import)));
        let refused = [
            "wasi:cli/exit",
            "wasi:cli/exit@0.2",
            "wasi:cli/exit@0.2.",
            "wasi:cli/exit@0.2.0-rc-2023-11-10",
            "wasi:cli/exit@0.3.0",
            "wasi:cli/exit@0.20.0",
            "wasi:cli/run@0.2.0",
            "wasi:http/types@0.2.0",
            "cli/exit@0.2.0",
        ];
        assert_eq!(refused.iter().find(|import| is_provided(import)), None);
    }
}
