//! Ctrl-C and SIGTERM: the run stops at the next batch, and leaves what it can go on from, or nothing.

use super::console::Console;
use std::sync::Arc;
use wafermill::Stop;
use wafermill::source::Context;

/// What sources are given: they end when the user asks for it, and their warnings are printed.
pub(super) fn context(console: &Console) -> Context {
    let warned = console.clone();
    Context { stop: stop(console.clone()), warn: Arc::new(move |message| warned.warn(message)) }
}

/// Is set once the user asks to stop.
fn stop(console: Console) -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    // Where no handler can be set the signal ends the program at once, as it would without one.
    let _ = ctrlc::set_handler(move || {
        if asked.set() {
            // Asked for twice: what is being finished is not waited for, and the run's folder stays.
            console.abandon();
            std::process::exit(i32::from(super::INTERRUPTED));
        }
    });
    stop
}
