//! The arguments of `fit`: a pipeline, or a model and the rows to add to it.

use super::arguments::{
    Arguments, BigQueryArguments, LimitsArguments, PluginFolder, Resources, RowsArguments, RunArguments, SAMPLE,
    SAMPLE_SEED, SourceArguments, WorkFolder,
};
use super::console::ConsoleArguments;
use clap::{Arg, Args, Command, CommandFactory, Error, FromArgMatches};
use std::path::{Path, PathBuf};

/// What the arguments that only go with `--add` are called together.
const HEADING: &str = "Only with --add";

/// What `--add` does, for those who ask for help.
const ADDING: &str = "\
Adding rows:
  `--add` adds the rows of a table, such as those of a new day, to what a model learned, and writes the model that fitting all rows at \
once would have written, byte for byte. The old rows are not read again: the model keeps what is needed of them, in its folders \
`partials`. Its split and its filters go for the new rows too, so only training rows are learned from.

  That takes steps that learn in one pass over the rows, from columns that no step before them has learned to make. A model with other \
steps is refused before a row is read, and they are named.

  The model that is added to stays as it is. Nothing tells whether a table was added before: added twice, its rows count twice.";

/// Those of [`BigQueryArguments`] that go before a pipeline file too.
const OF_PIPELINES: [&str; 2] = ["max_bytes", "no_storage_api"];

/// `fit`.
#[derive(Debug, Args)]
#[command(
    override_usage = "wafermill fit [OPTIONS] <PIPELINE>\n       wafermill fit [OPTIONS] --add <MODEL> --out <OUT> <SOURCE>",
    after_help = ADDING
)]
pub(crate) struct FitArguments {
    /// The pipeline file; with `--add` the table whose rows are added: a file, a folder, a glob, one of `s3://…` or `gs://…`, or
    /// PROJECT.DATASET.TABLE of BigQuery
    #[arg(value_name = "PIPELINE|SOURCE")]
    pub(crate) input: PathBuf,
    /// Add rows to this model, as `run` and `fit` write it, instead of fitting a pipeline
    #[arg(long, value_name = "MODEL", requires = "out")]
    pub(crate) add: Option<PathBuf>,
    /// The folder to write, or `s3://…` or `gs://…`; it appears when it is complete [default of a pipeline: `path` in `[output]`, or the file's
    /// name with `-out`]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
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
    #[command(flatten)]
    pub(crate) table: SourceArguments,
    #[command(flatten)]
    pub(crate) limits: LimitsArguments,
    #[command(flatten)]
    pub(crate) bigquery: BigQueryArguments,
}

impl FitArguments {
    /// The model that rows are added to, and where the new one is to be.
    pub(crate) fn addition(&self) -> Option<(&Path, &Path)> {
        self.add.as_deref().zip(self.out.as_deref())
    }

    /// As those of `run`, of a pipeline.
    pub(crate) fn into_run(self) -> RunArguments {
        let Self { input, out, rows, overwrite, work, console, resources, plugins, bigquery, .. } = self;
        let BigQueryArguments { max_bytes, no_storage_api, .. } = bigquery;
        RunArguments {
            pipeline: input,
            out,
            max_bytes,
            no_storage_api,
            rows,
            overwrite,
            work,
            console,
            resources,
            plugins,
        }
    }
}

/// Parses the command line.
///
/// # Errors
/// Where it is wrong, or asks for help.
pub(crate) fn parse() -> Result<Arguments, Error> {
    let mut command = Arguments::command().mut_subcommand("fit", |fit| fit.mut_args(with_add));
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// What a pipeline file states itself goes with a model only.
fn with_add(argument: Arg) -> Arg {
    let of_tables = LimitsArguments::augment_args(SourceArguments::augment_args(Command::new("")));
    let all = BigQueryArguments::augment_args(of_tables);
    match argument.get_id().as_str() {
        id if OF_PIPELINES.contains(&id) => argument,
        "sample" => argument.help(format!("{SAMPLE} [default: `sample` in `[source]` of a pipeline, or all]")),
        "sample_seed" => {
            argument.help(format!("{SAMPLE_SEED} [default: `sample_seed` in `[source]` of a pipeline, or 0]"))
        }
        id if all.get_arguments().any(|other| other.get_id() == id) => argument.requires("add").help_heading(HEADING),
        _ => argument,
    }
}
