//! The arguments: one table that drives parsing and help.

use super::console::ConsoleArguments;
use super::fit_arguments::FitArguments;
use super::plugin_arguments::PluginCommand;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use wafermill::memory::parse_size;
use wafermill::pipeline::{BigQuerySection, LimitsSection, Order, OutputFormat, OutputSection};
use wafermill::source::Fraction;
use wafermill::source::bigquery::MOST_STREAMS;
use wafermill::{Error, Result, source};

/// Turn a table of any size into training sets, through sandboxed transforms, in a fixed amount of memory.
///
/// Start with `wafermill run examples/penguins/pipeline.toml --out out`; `wafermill plan` shows what a pipeline will do.
#[derive(Debug, Parser)]
#[command(name = "wafermill", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fit a pipeline and write a dataset for each part, with the model
    Run(RunArguments),
    /// Fit a pipeline and write the model only, or add rows to a model
    Fit(Box<FitArguments>),
    /// Go on with a run that was interrupted
    Resume(ResumeArguments),
    /// Remove what an interrupted run left
    Clean(CleanArguments),
    /// Run a fitted model over another table
    Apply(Box<ApplyArguments>),
    /// Show what a pipeline will do: its steps, passes and columns
    Plan(PlanArguments),
    /// Show the columns and fragments of a table
    Inspect(InspectArguments),
    /// Find out what stands in the way of reading BigQuery, without reading anything
    Doctor(DoctorArguments),
    /// Look at fitted models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The pipeline file
    pub(crate) pipeline: PathBuf,
    /// The folder to write, or `s3://…` or `gs://…`; it appears when it is complete [default: `path` in `[output]`, or the file's name with `-out`]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Bytes that reading BigQuery may be billed for, such as `10GiB`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<String>,
    /// Read BigQuery over REST, which is slow
    #[arg(long)]
    pub(crate) no_storage_api: bool,
    #[command(flatten)]
    pub(crate) rows: RowsArguments,
    /// Replace the folder, if wafermill wrote it, and what an interrupted run left
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) work: WorkFolder,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
    #[command(flatten)]
    pub(crate) resources: Resources,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
}

/// What `--sample` and `--sample-seed` do; where their defaults come from is another thing for pipelines and for models.
pub(crate) const SAMPLE: &str = "Read this fraction of the rows, above 0 and at most 1: the same rows every time";
pub(crate) const SAMPLE_SEED: &str = "Another seed samples other rows";

/// Which rows are read.
#[derive(Debug, Args)]
pub(crate) struct RowsArguments {
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    #[arg(help = format!("{SAMPLE} [default: `sample` in `[source]`, or all]"))]
    pub(crate) sample: Option<Fraction>,
    #[arg(long, value_name = "SEED", help = format!("{SAMPLE_SEED} [default: `sample_seed` in `[source]`, or 0]"))]
    pub(crate) sample_seed: Option<u64>,
    /// Read the first ROWS rows only, of the sample where there is one, for a try
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// What plugins may take, where no pipeline file says it.
#[derive(Debug, Args)]
pub(crate) struct LimitsArguments {
    /// Memory of each plugin instance, such as `1GiB` [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) guest_memory: Option<String>,
    /// Seconds that one call of a plugin may take [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) call_seconds: Option<u64>,
}

impl LimitsArguments {
    /// As a pipeline file would state it.
    pub(crate) fn section(&self) -> LimitsSection {
        LimitsSection { memory: self.guest_memory.clone(), call_seconds: self.call_seconds, ..LimitsSection::default() }
    }
}

/// `resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// The folder that the interrupted run was to write
    pub(crate) destination: PathBuf,
    #[command(flatten)]
    pub(crate) work: WorkFolder,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
    #[command(flatten)]
    pub(crate) resources: Resources,
    #[command(flatten)]
    pub(crate) plugins: ResumedPluginFolder,
}

/// `clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanArguments {
    /// The folder that the interrupted run was to write
    pub(crate) destination: PathBuf,
    #[command(flatten)]
    pub(crate) work: WorkFolder,
}

/// `apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    /// The folder of the model, as `run` and `fit` write it
    pub(crate) model: PathBuf,
    /// The table: a file, a folder, a glob, one of `s3://…` or `gs://…`, or PROJECT.DATASET.TABLE of BigQuery
    pub(crate) source: String,
    /// The folder to write, or `s3://…` or `gs://…`; it appears when it is complete
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Replace the folder, if wafermill wrote it
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) work: WorkFolder,
    #[command(flatten)]
    pub(crate) table: SourceArguments,
    /// The format of the files to write: parquet or arrow
    #[arg(long, value_name = "FORMAT", default_value = "parquet", value_parser = output_format)]
    pub(crate) format: OutputFormat,
    /// The order of the rows: stream, that of the table, or hash, shuffled, whatever that is
    #[arg(long, value_name = "ORDER", default_value = "stream", value_parser = order)]
    pub(crate) order: Order,
    /// Rows of the table after which another file begins [default: 8388608]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) file_rows: Option<u64>,
    #[command(flatten)]
    pub(crate) limits: LimitsArguments,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
    #[command(flatten)]
    pub(crate) resources: Resources,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
    #[command(flatten)]
    pub(crate) bigquery: BigQueryArguments,
}

impl ApplyArguments {
    /// How the dataset is written, as a pipeline file would state it.
    pub(crate) fn output(&self) -> OutputSection {
        let defaults = OutputSection::default();
        let (format, order) = (self.format, self.order);
        OutputSection { format, order, file_rows: self.file_rows.unwrap_or(defaults.file_rows), ..defaults }
    }
}

/// How a table is read, as far as it does not tell itself.
#[derive(Debug, Args)]
pub(crate) struct SourceArguments {
    /// The format of the table: parquet, csv or arrow [default: told by the extension]
    #[arg(long, value_name = "FORMAT", value_parser = source_format)]
    pub(crate) source_format: Option<source::Format>,
    /// The byte between the fields of a CSV file, such as `;` or `\t` [default: a comma, or as the model was fitted]
    #[arg(long, value_name = "BYTE")]
    pub(crate) delimiter: Option<String>,
    /// Whether the first row of a CSV file names the columns [default: true, or as the model was fitted]
    #[arg(long, value_name = "BOOL")]
    pub(crate) header: Option<bool>,
    /// What stands for null in a CSV file; may be given several times [default: the empty field, or as the model was fitted]
    #[arg(long = "null", value_name = "TEXT")]
    pub(crate) nulls: Vec<String>,
}

/// How a table of BigQuery is read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "BigQuery")]
pub(crate) struct BigQueryArguments {
    /// The columns to read, with commas between them; a field of a struct is `column.field` [default: all]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// A condition on rows, as after WHERE in SQL
    #[arg(long, value_name = "SQL")]
    pub(crate) filter: Option<String>,
    /// The table's state at this time, such as `2026-11-01T08:30:00Z` [default: as it is now]
    #[arg(long, value_name = "TIME")]
    pub(crate) snapshot: Option<String>,
    /// The project that pays [default: that of the environment, of the credentials, or of the table]
    #[arg(long, value_name = "PROJECT")]
    pub(crate) billing_project: Option<String>,
    /// Bytes that may be billed, such as `10GiB`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<String>,
    /// Streams to read at once at most; the order of rows depends on it [default: 16]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=MOST_STREAMS as i64))]
    pub(crate) max_streams: Option<u16>,
    /// `adc` (Application Default Credentials), `anonymous`, or a file such as a service account's key [default: adc]
    #[arg(long, value_name = "FROM")]
    pub(crate) credentials: Option<String>,
    /// A service account in whose name to ask
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) impersonate: Option<String>,
    /// Where queries run, such as `EU` [default: where their tables are]
    #[arg(long, value_name = "LOCATION")]
    pub(crate) location: Option<String>,
    /// Read over REST, which is slow
    #[arg(long)]
    pub(crate) no_storage_api: bool,
    /// Another address of the Storage API
    #[arg(long, value_name = "URL")]
    pub(crate) storage_endpoint: Option<String>,
    /// Another address of the REST API
    #[arg(long, value_name = "URL")]
    pub(crate) rest_endpoint: Option<String>,
}

impl BigQueryArguments {
    /// As a pipeline file would state it.
    pub(crate) fn section(&self) -> BigQuerySection {
        BigQuerySection {
            columns: self.columns.clone(),
            filter: self.filter.clone(),
            snapshot: self.snapshot.clone(),
            billing_project: self.billing_project.clone(),
            max_bytes: self.max_bytes.clone(),
            max_streams: self.max_streams,
            location: self.location.clone(),
            storage_api: Some(!self.no_storage_api),
            credentials: self.credentials.clone(),
            impersonate: self.impersonate.clone(),
            storage_endpoint: self.storage_endpoint.clone(),
            rest_endpoint: self.rest_endpoint.clone(),
            ..BigQuerySection::default()
        }
    }
}

fn source_format(name: &str) -> Result<source::Format> {
    match name {
        "parquet" => Ok(source::Format::Parquet),
        "csv" => Ok(source::Format::Csv),
        "arrow" => Ok(source::Format::Arrow),
        _ => Err(Error::usage("the formats are parquet, csv and arrow")),
    }
}

fn order(name: &str) -> Result<Order> {
    match name {
        "stream" => Ok(Order::Stream),
        "hash" => Ok(Order::Hash),
        _ => Err(Error::usage("the orders are stream and hash")),
    }
}

fn output_format(name: &str) -> Result<OutputFormat> {
    match name {
        "parquet" => Ok(OutputFormat::Parquet),
        "arrow" => Ok(OutputFormat::Arrow),
        _ => Err(Error::usage("the formats are parquet and arrow")),
    }
}

/// What a run may use. None of it changes a byte of what is written.
#[derive(Debug, Args)]
pub(crate) struct Resources {
    /// Memory that the run may take, such as `2GiB`; rows spill to disk beyond [default: 70 % of what the machine or its cgroup has]
    #[arg(long, value_parser = parse_size)]
    pub(crate) memory: Option<usize>,
    /// Bytes past which results spill, whatever the memory, so that tests spill what is small
    #[arg(long, value_parser = parse_size, hide = true)]
    pub(crate) spill_past: Option<usize>,
    /// Threads that run plugins [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Rows that a plugin sees at once [default: 8192]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(crate) batch_rows: Option<u32>,
    /// Where to write the batch that a plugin was given when its call fails, with what it takes to make the call again: rows of the table
    #[arg(long, value_name = "DIR")]
    pub(crate) dump_batch: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a run works.
#[derive(Debug, Args)]
pub(crate) struct WorkFolder {
    /// Where a run works whose folder is in an object store [default: `wafermill` in $XDG_STATE_HOME, or in ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
}

/// Where plugins are.
#[derive(Debug, Args)]
pub(crate) struct PluginFolder {
    /// The folder of plugins [default: $WAFERMILL_PLUGINS, or `plugins` beside the program]
    #[arg(long)]
    pub(crate) plugins: Option<PathBuf>,
}

impl PluginFolder {
    /// The folder that is named, wherever the program is started; nothing where it cannot be written down as text.
    pub(crate) fn absolute(&self) -> Option<PathBuf> {
        absolute_plugins(self.plugins.as_deref())
    }
}

/// As [`PluginFolder::absolute`].
pub(crate) fn absolute_plugins(folder: Option<&Path>) -> Option<PathBuf> {
    let folder = std::path::absolute(folder?).ok()?;
    folder.to_str().is_some().then_some(folder)
}

/// Where the plugins of a run are that is gone on with.
#[derive(Debug, Args)]
pub(crate) struct ResumedPluginFolder {
    /// The folder of plugins [default: that of the run]
    #[arg(long)]
    pub(crate) plugins: Option<PathBuf>,
}

/// `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// The pipeline file
    pub(crate) pipeline: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginFolder,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The table: a file, a folder, a glob, one of `s3://…` or `gs://…`, or PROJECT.DATASET.TABLE of BigQuery
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) table: SourceArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bigquery: BigQueryArguments,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// A table to look at: PROJECT.DATASET.TABLE [default: one that everybody may read]
    pub(crate) table: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bigquery: BigQueryArguments,
}

/// `model …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Print a model: its steps and what they learned
    Show(ModelShowArguments),
}

/// `model show`.
#[derive(Debug, Args)]
pub(crate) struct ModelShowArguments {
    /// The folder of the model
    pub(crate) model: PathBuf,
    /// Rows of each table to print
    #[arg(long, default_value_t = 20)]
    pub(crate) rows: usize,
    /// Print the manifest as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
