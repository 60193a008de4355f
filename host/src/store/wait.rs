//! Waiting for a store from threads that are not asynchronous.

use crate::{Error, Result, Stop};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};

/// How often it is asked whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Threads that move bytes. More are of no use: what is slow is the network.
const THREADS: usize = 2;

/// The threads on which answers are waited for.
#[derive(Debug)]
pub(super) struct Threads {
    runtime: Option<Runtime>,
    pub(super) handle: Handle,
    stop: Stop,
}

impl Threads {
    pub(super) fn new(stop: Stop) -> Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(THREADS).thread_name("object-store").enable_all().build();
        let runtime = built.map_err(|error| Error::internal("no threads for an object store").because(error))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), stop })
    }

    /// Waits until the work is done, unless the user asks to stop.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.handle.block_on(async {
            tokio::pin!(work);
            loop {
                match tokio::time::timeout(TICK, work.as_mut()).await {
                    Ok(done) => return Ok(done),
                    Err(_) => self.stop.check()?,
                }
            }
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A look-up of a name cannot be interrupted, and nobody waits for it any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
