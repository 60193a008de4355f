//! Ctrl-C and SIGTERM: the run stops at the next batch, and leaves what it can go on from, or nothing. Asked for twice, it ends at once.

use super::console::Console;
use std::sync::{Arc, Mutex, PoisonError};
use wafermill::Stop;
use wafermill::source::Context;

/// What people can do about what is there, should the program end at once.
static LEFT: Mutex<Option<String>> = Mutex::new(None);

/// What sources are given: they end when the user asks for it, and their warnings are printed.
pub(super) fn context(console: &Console) -> Context {
    let warned = console.clone();
    Context { stop: stop(console.clone()), warn: Arc::new(move |message| warned.warn(message)) }
}

/// Has people told what they can do about what is there from now on, should the program end at once.
pub(super) fn leave(left: Option<String>) {
    *LEFT.lock().unwrap_or_else(PoisonError::into_inner) = left;
}

/// Is set once the user asks to stop.
fn stop(console: Console) -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    // Where no handler can be set the signal ends the program at once, as it would without one.
    let _ = ctrlc::set_handler(move || {
        if asked.set() {
            // What is being finished is not waited for, and the run's folder stays.
            let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner).take();
            console.abandon(left.as_deref());
            std::process::exit(i32::from(super::INTERRUPTED));
        }
    });
    stop
}
