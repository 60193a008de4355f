//! The fitted model: a folder of Arrow IPC tables with a readable manifest.

mod manifest;
mod rebuild;
mod store;

pub use manifest::{ColumnEntry, Fitted, MANIFEST, Manifest, SelectEntry, SourceEntry, StepEntry, TableEntry};
pub use store::{ModelBatches, ModelStore, ModelWriter};
