//! From a pipeline file to a plan: parsed, checked against its schema, resolved against the columns that there are.

mod aggregate;
mod bigquery;
mod document;
mod file;
mod filter_parts;
mod ipc_compression;
mod layout;
mod limits;
mod plan;
mod plugins;
mod select;
mod suggest;
mod violation;

pub use aggregate::AggregateSection;
pub use bigquery::BigQuerySection;
pub use document::{Document, load};
pub use file::{
    AggregateKind, CsvSection, Order, OutputFormat, OutputSection, PipelineFile, SourceSection, SplitSection,
    SpoolMode, StepSection,
};
pub use filter_parts::FilterParts;
pub use ipc_compression::IpcCompression;
pub use layout::{Column, Entry, Layout};
pub use limits::{LimitsMode, LimitsSection};
pub(crate) use plan::{OF_STEPS, is_step_name};
pub use plan::{Plan, Step, StepDefinition, TRAINING};
pub use plugins::Plugins;
pub use select::{Columns, Selector, TypeClass};
pub(crate) use violation::{Compiled, first_violation};
