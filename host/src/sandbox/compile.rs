//! Compiling a component, which takes time and memory in proportion to it at best.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;
use wasmtime::component::Component;
use wasmtime::{Engine, Error, format_err};

/// Compiles a component, on a thread of its own.
///
/// # Errors
/// Where it is no valid component, or takes longer than it may. The thread cannot be stopped then: it goes on until it is done, or the
/// process ends. What can be told from the component's sizes is refused before, so that it is not a matter of time as a rule.
pub(super) fn compile(engine: &Engine, bytes: &Arc<[u8]>, most: Duration) -> Result<Component, Error> {
    let (engine, bytes) = (engine.clone(), Arc::clone(bytes));
    let (done, compiled) = sync_channel(1);
    let compiling = move || {
        // Nobody waits any more where the receiver is gone.
        let _ = done.send(Component::from_binary(&engine, &bytes));
    };
    std::thread::Builder::new().name("compile".to_owned()).spawn(compiling)?;
    match compiled.recv_timeout(most) {
        Ok(compiled) => compiled,
        Err(RecvTimeoutError::Timeout) => {
            Err(format_err!("compiling it takes longer than the {} s that it may take", most.as_secs_f64()))
        }
        Err(RecvTimeoutError::Disconnected) => Err(format_err!("the compiler gave up")),
    }
}
