//! How a fuzz target calls its body in the host, which may catch panics of arrow-rs itself: libfuzzer-sys would abort at those already.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

thread_local! {
    /// What the last panic said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what panics say, instead of printing and aborting. Called once before the first input.
pub fn keep_panics() {
    set_hook(Box::new(|panic| PANIC.with_borrow_mut(|kept| *kept = panic.to_string())));
}

/// Runs the body of a target, and aborts where a panic leaves it.
pub fn run(body: fn(&[u8]), input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        PANIC.with_borrow(|panic| eprintln!("finding: {panic}"));
        std::process::abort();
    }
}

/// Defines the target with a name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(
            init: $crate::keep_panics(),
            |input: &[u8]| {
                static BODY: std::sync::LazyLock<fn(&[u8])> = std::sync::LazyLock::new(|| {
                    let target = wafermill::fuzzing::TARGETS.iter().find(|(name, _)| *name == $name);
                    target.expect("the host has a body for this target").1
                });
                $crate::run(*BODY, input);
            }
        );
    };
}
