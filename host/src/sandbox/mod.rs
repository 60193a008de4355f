//! The trust boundary: plugins run in here, and nothing that they return is believed before it was checked.
//!
//! Each fitter, finisher and transformer is an instance of its own. An instance that trapped is not called again.

mod backtrace;
mod bindings;
mod cache;
mod clock;
mod compile;
mod convert;
mod engine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guests;
mod instance;
mod limits;
mod log;
mod meter;
mod parameters;
mod plugin;
mod scan;
mod steps;
mod store;
mod wasi;

pub(crate) use convert::{crosses_flat, schema};
pub use engine::{Inspection, Sandbox, component_digest, inspect};
pub use guests::GuestMemory;
pub(crate) use limits::PASSES;
pub use limits::{CALL_WITH_FUEL, FUEL, Limits};
pub use meter::{Meter, Spent, Taken};
pub use plugin::Plugin;
pub use scan::Interface;
pub use steps::{Finisher, Fitter, Outcome, Pass, TableBatch, Task, Transformer};
