//! The pipeline file as it is written.

use super::aggregate::{AggregateSection, plugin_name};
use super::bigquery::BigQuerySection;
use super::ipc_compression::IpcCompression;
use super::limits::LimitsSection;
use super::select::Columns;
use crate::aggregate::{Compression, Format};
use crate::{Error, Result, source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pipeline: where rows come from, how they are divided, what is done to them, and where they go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// Where rows come from.
    pub source: SourceSection,
    /// How rows are divided into parts; without it all rows are one part, `all`.
    pub split: Option<SplitSection>,
    /// What is done to the rows, in this order.
    #[serde(default)]
    #[schemars(length(max = 1_000))]
    pub steps: Vec<StepSection>,
    /// What is learned of the rows that come out.
    #[serde(default)]
    #[schemars(length(max = 1_000))]
    pub aggregate: Vec<AggregateSection>,
    /// Where they go.
    #[serde(default)]
    pub output: OutputSection,
    /// What plugins may take, where a step does not say otherwise.
    #[serde(default)]
    pub limits: LimitsSection,
    /// How many folds there are for plugins that ask for them.
    #[serde(default = "default_folds")]
    #[schemars(range(min = 2, max = 255))]
    pub folds: u8,
}

fn default_folds() -> u8 {
    5
}

impl PipelineFile {
    /// The JSON pointer of the step or the aggregate with a name.
    pub(super) fn pointer_of(&self, name: &str) -> Option<String> {
        let aggregate = || self.aggregate.iter().position(|section| section.name() == name);
        self.pointer_of_step(name).or_else(|| aggregate().map(|index| format!("/aggregate/{index}")))
    }

    /// The JSON pointer of the step with a name.
    pub(super) fn pointer_of_step(&self, step: &str) -> Option<String> {
        if step == SPLIT {
            return Some("/split".to_owned());
        }
        self.steps.iter().position(|section| section.name() == step).map(|index| format!("/steps/{index}"))
    }
}

/// The name of the split among the steps.
pub(super) const SPLIT: &str = "split";

/// Where rows come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// A file, a folder or a glob, relative to the pipeline file.
    pub path: Option<String>,
    /// A table of BigQuery, `project.dataset.table`, instead of `path`.
    pub table: Option<String>,
    /// A query of BigQuery, instead of `path`.
    pub query: Option<String>,
    /// How the table or query is read.
    #[serde(default)]
    pub bigquery: BigQuerySection,
    /// `parquet`, `csv` or `arrow`; told by the extension where it is not given.
    #[schemars(with = "Option<FormatName>")]
    pub format: Option<FormatName>,
    /// How CSV files are written.
    #[serde(default)]
    pub csv: CsvSection,
    /// The fraction of rows to read, above 0 and at most 1: the same ones every time.
    pub sample: Option<f64>,
    /// Another seed samples other rows.
    #[serde(default)]
    pub sample_seed: u64,
    /// Whether the rows are kept on disk for the passes behind the first.
    #[serde(default)]
    pub spool: SpoolMode,
    /// How they are compressed there.
    #[serde(default)]
    pub spool_compression: IpcCompression,
}

/// Whether the rows of a source are kept on disk for the passes behind the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpoolMode {
    /// Where reading is billed, and there is more than one pass.
    #[default]
    Auto,
    /// Of files too.
    Always,
    /// Each pass reads the source anew.
    Never,
}

/// The format of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FormatName {
    /// Parquet files.
    Parquet,
    /// CSV files.
    Csv,
    /// Arrow IPC files or streams.
    Arrow,
}

impl From<FormatName> for source::Format {
    fn from(format: FormatName) -> Self {
        match format {
            FormatName::Parquet => Self::Parquet,
            FormatName::Csv => Self::Csv,
            FormatName::Arrow => Self::Arrow,
        }
    }
}

/// How CSV files are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSection {
    /// The byte between fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Whether the first row names the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// What stands for null; the empty field by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nulls: Option<Vec<String>>,
    /// Types by column, such as `string` or `timestamp[us]`; the others are guessed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// From how many rows types are guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_rows: Option<usize>,
}

impl CsvSection {
    /// With the defaults filled in.
    ///
    /// # Errors
    /// Where the delimiter is not one byte.
    pub fn options(&self) -> Result<source::CsvOptions> {
        let defaults = source::CsvOptions::default();
        Ok(source::CsvOptions {
            delimiter: self.delimiter.as_deref().map(delimiter).transpose()?,
            header: self.header.unwrap_or(defaults.header),
            nulls: self.nulls.clone().unwrap_or(defaults.nulls),
            types: self.types.clone(),
            assumed: defaults.assumed,
            infer_rows: self.infer_rows.unwrap_or(defaults.infer_rows),
        })
    }
}

fn delimiter(text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::usage(format!("`delimiter` must be one byte, and `{text}` has {}", text.len()))
            .at("/source/csv/delimiter")
            .hint("use `,`, `;`, `|` or `\\t`")),
    }
}

/// How rows are divided.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitSection {
    /// A plugin with the role `split`.
    #[serde(default = "default_split")]
    pub plugin: String,
    /// The columns that belong together: equal keys are in one part. Without them each row stands for itself.
    #[serde(default)]
    pub key: Columns,
    /// Columns that the plugin looks at beside the key, such as what to stratify by.
    #[serde(default)]
    pub columns: Columns,
    /// The plugin's parameters.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// What the plugin may take, where it is not as for all.
    #[serde(default)]
    pub limits: LimitsSection,
}

fn default_split() -> String {
    SPLIT.to_owned()
}

/// One step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSection {
    /// Unique in the file; the plugin's name where it is not given.
    pub name: Option<String>,
    /// The name of a plugin, or the path of a component.
    pub plugin: String,
    /// The columns that it transforms.
    #[serde(default)]
    pub columns: Columns,
    /// What a model is to predict.
    #[serde(default)]
    pub target: Columns,
    /// What identifies rows.
    #[serde(default)]
    pub key: Columns,
    /// How much rows count.
    #[serde(default)]
    pub weight: Columns,
    /// Of a filter: the parts whose rows it looks at; without it, all of them.
    #[schemars(length(min = 1))]
    pub parts: Option<Vec<String>>,
    /// The plugin's parameters.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// What the plugin may take, where it is not as for all.
    #[serde(default)]
    pub limits: LimitsSection,
}

impl StepSection {
    /// Its name, or else that of its plugin.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| plugin_name(&self.plugin))
    }
}

/// How the aggregator collects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AggregateKind {
    /// A dataset of files for each part.
    #[default]
    Concat,
    /// An Arrow IPC stream on standard output, with the part as its last column.
    List,
    /// No rows: the tables of the aggregates only.
    Custom,
}

/// The order of the rows that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// That of the source.
    #[default]
    Stream,
    /// That of their hashes, whatever the order of the source.
    Hash,
}

/// Where rows go.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSection {
    /// The folder, relative to the pipeline file; `--out` goes before it.
    pub path: Option<String>,
    /// `parquet` or `arrow`.
    pub format: OutputFormat,
    /// `snappy`, `zstd` or `none`; of Parquet files.
    pub compression: OutputCompression,
    /// Rows of a Parquet row group.
    #[schemars(range(min = 1))]
    pub row_group_rows: usize,
    /// Rows of the table after which each part begins a new file.
    #[schemars(range(min = 1))]
    pub file_rows: u64,
    /// Bytes of their values after which it does so too, such as `1GiB`.
    pub file_bytes: String,
    /// `concat`, `list` or `custom`.
    pub aggregate: AggregateKind,
    /// `stream` or `hash`.
    pub order: Order,
}

impl Default for OutputSection {
    fn default() -> Self {
        Self {
            path: None,
            format: OutputFormat::default(),
            compression: OutputCompression::default(),
            row_group_rows: 131_072,
            file_rows: 8_388_608,
            file_bytes: "1GiB".to_owned(),
            aggregate: AggregateKind::default(),
            order: Order::default(),
        }
    }
}

/// The format of the files that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Parquet.
    #[default]
    Parquet,
    /// Arrow IPC.
    Arrow,
}

/// The compression of Parquet files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputCompression {
    /// Fast.
    #[default]
    Snappy,
    /// Small.
    Zstd,
    /// None.
    None,
}

impl OutputSection {
    /// Checks that what is asked for goes together, in a pipeline with so many aggregates.
    ///
    /// # Errors
    /// Where rows are to be shuffled that are not collected, or nothing would be written at all.
    pub fn check(&self, aggregates: usize) -> Result<()> {
        match (self.aggregate, self.order) {
            (AggregateKind::Custom, _) if aggregates == 0 => {
                let error = Error::usage("`custom` keeps what aggregates learn, and there is none");
                let error = error.at("/output/aggregate");
                Err(error.hint("add a section `[[aggregate]]`, or write the rows, with `aggregate = \"concat\"`"))
            }
            (AggregateKind::Custom, Order::Hash) => {
                let error = Error::usage("`custom` keeps no rows that could be shuffled").at("/output/order");
                Err(error.hint("leave `order` out: what aggregates learn depends on no order"))
            }
            (AggregateKind::List, Order::Hash) => {
                let error = Error::usage("the rows of a `list` come in the order of the source").at("/output/order");
                Err(error.hint(
                    "write a dataset, with `aggregate = \"concat\"`, to have its rows in the order of their hashes",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The format with its options.
    pub fn aggregate_format(&self) -> Format {
        match self.format {
            OutputFormat::Arrow => Format::Arrow,
            OutputFormat::Parquet => Format::Parquet(crate::aggregate::ParquetOptions {
                compression: match self.compression {
                    OutputCompression::Snappy => Compression::Snappy,
                    OutputCompression::Zstd => Compression::Zstd,
                    OutputCompression::None => Compression::None,
                },
                row_group_rows: self.row_group_rows,
                ..Default::default()
            }),
        }
    }
}
