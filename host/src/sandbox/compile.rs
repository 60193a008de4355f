//! Compiling a component, which takes time and memory in proportion to it at best.

use super::limits::Limits;
use crate::memory::{MemoryGauge, format_size};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use wasmtime::component::Component;
use wasmtime::{Engine, Error, format_err};

/// How often it is looked at how much memory the process has. The compiler takes up to some 100 MB in a second.
const LOOK: Duration = Duration::from_millis(20);

/// Why a component is not compiled to its end.
#[derive(Debug)]
pub(super) enum GivenUp {
    /// It takes more than it may.
    TooCostly {
        what: String,
        /// The key of the limit.
        limit: &'static str,
    },
    /// Another one was given up before.
    Another,
}

impl std::fmt::Display for GivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooCostly { what, .. } => write!(f, "compiling it takes {what} that it may take"),
            Self::Another => {
                write!(f, "compiling another one was given up, which takes memory and time until the program ends")
            }
        }
    }
}

impl std::error::Error for GivenUp {}

/// Compiles components, until it has to give one up.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    gave_up: AtomicBool,
}

impl Compiler {
    /// Compiles a component, on a thread of its own.
    ///
    /// # Errors
    /// Where it is no valid component, or takes longer or more memory than it may. The thread cannot be stopped then: it goes on until it is
    /// done, or the process ends, which a program should have do soon; what else needs compiling is refused. What can be told from the
    /// component's sizes is refused before; but a function of a few kilobytes, in which many branches meet with many locals, can take
    /// gigabytes.
    pub(super) fn compile(&self, engine: &Engine, bytes: &Arc<[u8]>, limits: &Limits) -> Result<Component, Error> {
        if self.gave_up.load(Ordering::Relaxed) {
            return Err(Error::new(GivenUp::Another));
        }
        let compiled = compile(engine, bytes, limits);
        if compiled.as_ref().is_err_and(|error| error.is::<GivenUp>()) {
            self.gave_up.store(true, Ordering::Relaxed);
        }
        compiled
    }
}

fn compile(engine: &Engine, bytes: &Arc<[u8]>, limits: &Limits) -> Result<Component, Error> {
    let (engine, bytes) = (engine.clone(), Arc::clone(bytes));
    let (done, compiled) = sync_channel(1);
    let compiling = move || {
        // Nobody waits any more where the receiver is gone.
        let _ = done.send(Component::from_binary(&engine, &bytes));
    };
    let mut gauge = MemoryGauge::default();
    let (start, before) = (Instant::now(), gauge.resident());
    std::thread::Builder::new().name("compile".to_owned()).spawn(compiling)?;
    loop {
        let left = limits.compile.saturating_sub(start.elapsed());
        match compiled.recv_timeout(LOOK.min(left)) {
            Ok(compiled) => return compiled,
            Err(RecvTimeoutError::Disconnected) => return Err(format_err!("the compiler gave up")),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                let seconds = limits.compile.as_secs_f64();
                let what = format!("longer than the {seconds} s");
                return Err(Error::new(GivenUp::TooCostly { what, limit: "compile_seconds" }));
            }
            // Others may take memory meanwhile; no honest component comes near.
            Err(RecvTimeoutError::Timeout) if gauge.resident().saturating_sub(before) > limits.compile_memory => {
                let most = format_size(limits.compile_memory);
                let what = format!("more than the {most} of memory");
                return Err(Error::new(GivenUp::TooCostly { what, limit: "compile_memory" }));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
