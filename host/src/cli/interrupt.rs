//! Ctrl-C and SIGTERM: the run stops at the next batch, and leaves what it can go on from, or nothing.

use super::print::readable;
use std::sync::Arc;
use wafermill::Stop;
use wafermill::source::Context;

/// What sources are given: they end when the user asks for it, and their warnings are printed.
pub(super) fn context() -> Context {
    Context { stop: stop(), warn: Arc::new(|message| eprintln!("warning: {}", readable(message))) }
}

/// Is set once the user asks to stop.
fn stop() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    // Where no handler can be set the signal ends the program at once, as it would without one.
    let _ = ctrlc::set_handler(move || {
        if asked.set() {
            // Asked for twice: what is being finished is not waited for, and the run's folder stays.
            std::process::exit(i32::from(super::INTERRUPTED));
        }
    });
    stop
}
