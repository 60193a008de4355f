//! Write wafermill plugins in Rust.

mod allocator;
mod batch;
#[doc(hidden)]
pub mod bindings;
mod column;
mod error;
mod exact;
mod export;
mod flatbuffer;
mod float;
#[cfg(not(target_family = "wasm"))]
pub mod harness;
mod log;
mod message;
mod native;
mod natural;
mod output;
mod plan;
mod plugin;
mod schema;
pub mod stats;
#[cfg(test)]
mod tests;

pub use allocator::AlignedAllocator;
pub use arrow_buffer::{BooleanBuffer, NullBuffer};
pub use arrow_schema::{DataType, Field, Schema, TimeUnit};
pub use batch::{Batch, Input};
pub use column::{Bytes, Column, Dictionary, Values};
pub use error::{Error, ErrorCode, Result};
pub use exact::ExactSum;
pub use export::Component;
pub use float::Float;
pub use log::{Level, log};
pub use native::Native;
pub use output::Output;
pub use plan::{ColumnRole, ContextColumn, Operator, Passes, Plan, PluginRole, Selection, Table};
pub use plugin::{Finisher, Fit, Fitter, Never, Outcome, Pass, Rows, Task, Transform};
pub use schemars::JsonSchema;
pub use {schemars, serde, serde_json};
