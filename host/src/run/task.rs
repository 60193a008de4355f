//! What a run is to do, as its record tells it to the process that goes on with it.

use crate::pipeline::{BigQuerySection, CsvSection, LimitsSection, OutputSection};
use crate::source::{Format, Fraction};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a run is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Run or fit a pipeline.
    Pipeline(Box<PipelineTask>),
    /// Apply a model to another table.
    Apply(Box<ApplyTask>),
    /// Add the rows of a table to a model.
    Add(Box<AddTask>),
}

/// What is to come of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// A model and a dataset.
    Run,
    /// A model.
    Fit,
}

/// A pipeline over its source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipelineTask {
    /// What is to come of it.
    pub goal: Goal,
    /// The pipeline file's path.
    pub path: PathBuf,
    /// Its text, whatever became of it since.
    pub text: String,
    /// What the command line said in its place.
    pub overrides: Overrides,
}

/// What goes before the pipeline file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Overrides {
    /// Bytes that BigQuery may bill for.
    pub max_bytes: Option<String>,
    /// Whether BigQuery is read over REST.
    pub no_storage_api: bool,
    /// Which fraction of the source's rows is read.
    #[serde(default)]
    pub sample: Option<Fraction>,
    /// Which rows these are.
    #[serde(default)]
    pub sample_seed: Option<u64>,
    /// How many rows of the source, or of the sample, are read.
    pub limit: Option<u64>,
    /// The folder of plugins.
    pub plugins: Option<PathBuf>,
}

/// A model over another table than it was fitted on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyTask {
    /// The model's folder.
    pub model: PathBuf,
    /// The digest of its manifest, which has those of its tables.
    pub manifest: String,
    /// The table.
    pub table: NamedTable,
    /// How the dataset is written.
    pub output: OutputSection,
    /// What plugins may take.
    pub limits: LimitsSection,
    /// The folder of plugins.
    pub plugins: Option<PathBuf>,
}

/// A table whose rows are added to what a model learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddTask {
    /// The model's folder.
    pub model: PathBuf,
    /// The digest of its manifest, which has those of its tables.
    pub manifest: String,
    /// The table.
    pub table: NamedTable,
    /// Which fraction of its rows is read.
    pub sample: Option<Fraction>,
    /// Which rows these are.
    pub sample_seed: Option<u64>,
    /// How many rows of the table, or of the sample, are read.
    pub limit: Option<u64>,
    /// What plugins may take.
    pub limits: LimitsSection,
    /// The folder of plugins.
    pub plugins: Option<PathBuf>,
}

/// A table that a command names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamedTable {
    /// A file, a folder, a glob, an address in a store, or a table of BigQuery.
    pub name: String,
    /// The format of files; told by the extension where it is not given.
    pub format: Option<Format>,
    /// How CSV files are written.
    pub csv: CsvSection,
    /// How a table of BigQuery is read.
    pub bigquery: BigQuerySection,
}
