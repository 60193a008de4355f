//! `wasi:cli`: no environment, no arguments, no terminal; standard output and error go to the log.

use super::interface;
use super::io::{InputStream, OutputStream};
use super::nothing::Nothing;
use crate::sandbox::log::Standard;
use crate::sandbox::store::State;
use std::fmt;
use wasmtime::component::{Linker, Resource, ResourceType};

/// The guest ended its program in the middle of a call.
#[derive(Debug)]
pub(in crate::sandbox) struct Exited(u8);

impl fmt::Display for Exited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit with status {}", self.0)
    }
}

impl std::error::Error for Exited {}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "cli/environment")?;
    environment.func_wrap("get-environment", |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_, (): ()| Ok((None::<String>,)))?;

    let mut exit = interface(linker, "cli/exit")?;
    exit.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Exited(status.is_err().into())))
    })?;
    exit.func_wrap("exit-with-code", |_, (status,): (u8,)| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Exited(status)))
    })?;

    interface(linker, "cli/stdin")?.func_wrap("get-stdin", |_, (): ()| Ok((Resource::<InputStream>::new_own(0),)))?;
    for (name, function, stream) in
        [("cli/stdout", "get-stdout", Standard::Output), ("cli/stderr", "get-stderr", Standard::Error)]
    {
        let make = move |_: wasmtime::StoreContextMut<'_, State>, (): ()| Ok((OutputStream::handle(stream),));
        interface(linker, name)?.func_wrap(function, make)?;
    }

    for end in ["input", "output"] {
        let name = format!("terminal-{end}");
        let mut terminal = interface(linker, &format!("cli/{name}"))?;
        terminal.resource(&name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
    }
    for stream in ["stdin", "stdout", "stderr"] {
        let mut terminal = interface(linker, &format!("cli/terminal-{stream}"))?;
        terminal.func_wrap(&format!("get-terminal-{stream}"), |_, (): ()| Ok((None::<Resource<Nothing>>,)))?;
    }
    Ok(())
}
