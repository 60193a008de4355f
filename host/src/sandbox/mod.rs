//! The trust boundary: plugins run in here, and nothing that they return is believed before it was checked.
//!
//! Each fitter, finisher and transformer is an instance of its own. An instance that trapped is not called again.

mod bindings;
mod cache;
mod convert;
mod engine;
mod guests;
mod instance;
mod limits;
mod log;
mod plugin;
mod steps;
mod store;

pub(crate) use convert::crosses_flat;
pub use engine::{Sandbox, component_digest};
pub use guests::GuestMemory;
pub use limits::Limits;
pub(crate) use limits::PASSES;
pub use plugin::Plugin;
pub use steps::{Finisher, Fitter, Outcome, Pass, TableBatch, Task, Transformer};
