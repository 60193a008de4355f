//! Calls into arrow-rs and parquet that panic where they should report an error.

use arrow_schema::ArrowError;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a decoder on bytes that nobody vouches for, or an encoder on types that it may not know. What it works on must not be used
/// again after an error.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        ArrowError::InvalidArgumentError(format!("arrow gave up: {}", message.unwrap_or("unknown reason")))
    })
}
