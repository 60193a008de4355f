//! Ctrl-C and SIGTERM: the run stops at the next batch and leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is set once the user asks to stop.
pub(super) fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    // Where no handler can be set the signal ends the program at once, as it would without one.
    let _ = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            // Asked for twice: what is being finished is not waited for, and the staging folder stays.
            std::process::exit(i32::from(super::INTERRUPTED));
        }
    });
    flag
}
