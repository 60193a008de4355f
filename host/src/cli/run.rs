//! `run` and `fit`: a pipeline over its source.

use super::arguments::RunArguments;
use super::console::Console;
use super::destination::{Begun, Target, spare_from_metrics};
use super::execute::{Earlier, Execution, execute, memory, minimum, part_names, shares};
use super::interrupt;
use super::prepare::{Ready, check_output, note_price, open_document_source, prepare, sample};
use super::summary::REPORT;
use std::path::{Path, PathBuf};
use wafermill::memory::parse_size;
use wafermill::model::MANIFEST;
use wafermill::pipeline::{Document, load};
use wafermill::run::{Goal, Overrides, PipelineTask, Record, Task};
use wafermill::store::Address;
use wafermill::{Error, Result};

/// Fits a pipeline and writes its model and a dataset.
pub(super) fn run(arguments: &RunArguments, console: &Console) -> Result<()> {
    begin(arguments, Goal::Run, REPORT, console)
}

/// Fits a pipeline and writes its model.
pub(super) fn fit(arguments: &RunArguments, console: &Console) -> Result<()> {
    begin(arguments, Goal::Fit, MANIFEST, console)
}

fn begin(arguments: &RunArguments, goal: Goal, marker: &str, console: &Console) -> Result<()> {
    let (metrics, document) = (arguments.console.metrics.as_deref(), load(&arguments.pipeline));
    if let Ok(document) = &document {
        spare_from_metrics(metrics, &destination(document, arguments.out.as_deref()), &arguments.work)?;
    }
    console.open(metrics)?;
    let overrides = Overrides {
        max_bytes: arguments.max_bytes.clone(),
        no_storage_api: arguments.no_storage_api,
        sample: arguments.rows.sample,
        sample_seed: arguments.rows.sample_seed,
        limit: arguments.rows.limit,
        plugins: arguments.plugins.absolute(),
    };
    let document = document?;
    let ready = prepare(&document, &arguments.plugins, goal, interrupt::context(console), |context| {
        open_document_source(&document, &overrides, None, memory(&arguments.resources), context)
    })?;
    note_price(sample(&document.pipeline.source, &overrides)?, ready.source.as_ref(), console);
    let begun = begin_prepared(arguments, &document, ready, goal, &overrides, marker, console);
    begun.map_err(|error| document.locate(error))
}

fn begin_prepared(
    arguments: &RunArguments,
    document: &Document,
    Ready { source, plan, stop }: Ready,
    goal: Goal,
    overrides: &Overrides,
    marker: &str,
    console: &Console,
) -> Result<()> {
    if goal == Goal::Run {
        part_names(&plan)?;
        parse_size(&document.pipeline.output.file_bytes).map_err(|error| error.at("/output/file_bytes"))?;
        check_output(document, &plan)?;
    }
    let target = Target::of(&destination(document, arguments.out.as_deref()), &arguments.work)?;
    target.spare(source.as_ref(), &[document.path()])?;
    let shares = shares(&minimum(document, source.as_ref(), &plan, goal), &arguments.resources)?;
    let Begun { directory, remote } = target.create(marker, arguments.overwrite, stop.clone())?;
    let overwrite = arguments.overwrite;
    let task = pipeline_task(goal, document, overrides)?;
    Record::new(task, &plan, source.as_ref(), marker, overwrite)?.write(directory.path(), source.schema())?;
    let (is_limited, resources) = (overrides.limit.is_some(), &arguments.resources);
    let earlier = Earlier::default();
    execute(
        directory,
        Execution { document, source, plan, stop, goal, is_limited, earlier, remote, resources, shares, console },
    )
}

fn pipeline_task(goal: Goal, document: &Document, overrides: &Overrides) -> Result<Task> {
    let path = std::path::absolute(document.path());
    let path = path.map_err(|error| Error::usage("the pipeline file has no path").because(error))?;
    let (text, overrides) = (document.text().to_owned(), overrides.clone());
    Ok(Task::Pipeline(Box::new(PipelineTask { goal, path, text, overrides })))
}

fn destination(document: &Document, out: Option<&Path>) -> PathBuf {
    match (out, &document.pipeline.output.path) {
        (Some(out), _) => out.to_owned(),
        (None, Some(path)) if Address::is_one(path) => PathBuf::from(path),
        (None, Some(path)) => document.folder().join(path),
        (None, None) => {
            let stem = document.path().file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            PathBuf::from(format!("{stem}-out"))
        }
    }
}
