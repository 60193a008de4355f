//! The clock by which calls are late.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::Engine;

/// How often calls are checked against their deadline.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Moves the epoch of engines on, so that calls past their deadline are interrupted. Every plugin holds on to it.
pub(super) struct Clock {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    pub(super) fn start(engines: Vec<Engine>) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                engines.iter().for_each(Engine::increment_epoch);
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has nothing to panic on, and nothing would follow from it.
            let _ = thread.join();
        }
    }
}
