//! `run` and `fit`: a pipeline over its source.

use super::arguments::{Resources, RunArguments};
use super::prepare::{MODEL, Ready, check_output, prepare};
use super::progress::Bar;
use super::summary::{REPORT, Shown, print_report, write_report};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wafermill::aggregate::{Concat, ConcatOptions, Format, List, Shuffle, ShuffleOptions, Staging};
use wafermill::memory::default_budget;
use wafermill::model::{MANIFEST, Manifest, ModelStore};
use wafermill::pipeline::{AggregateKind, Document, Order, Plan};
use wafermill::run::{BATCH_ROWS, Report, Run, RunOptions, Timing};
use wafermill::source::Source;
use wafermill::{Error, Result, Stop};

/// The part of a table without a split.
pub(super) const ALL: &str = "all";

pub(super) fn options(resources: &Resources, folds: u8, staging: &Staging, stop: Stop) -> RunOptions {
    RunOptions {
        workers: resources.workers.map_or_else(cores, usize::from),
        batch_rows: resources.batch_rows.map_or(BATCH_ROWS, |rows| rows as usize),
        memory: resources.memory.unwrap_or_else(default_budget),
        scratch: staging.scratch().to_owned(),
        folds,
        stop,
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Fits a pipeline and writes its model and a dataset.
pub(super) fn run(arguments: &RunArguments) -> Result<()> {
    let Ready { document, source, plan, stop } = prepared(arguments)?;
    run_prepared(arguments, &document, source.as_ref(), plan, stop).map_err(|error| document.locate(error))
}

fn prepared(arguments: &RunArguments) -> Result<Ready> {
    prepare(&arguments.pipeline, &arguments.plugins, arguments.max_bytes.as_deref())
}

fn run_prepared(
    arguments: &RunArguments,
    document: &Document,
    source: &dyn Source,
    mut plan: Plan,
    stop: Stop,
) -> Result<()> {
    let start = Instant::now();
    let parts = part_names(&plan)?;
    check_output(document, &plan)?;
    let destination = destination(document, arguments.out.as_deref());
    spare(&destination, source, &[document.path()])?;
    let staging = Staging::create(&destination, REPORT, arguments.resources.overwrite)?;
    let store = ModelStore::new(make(&staging.path().join(MODEL))?);
    let options = options(&arguments.resources, document.pipeline.folds, &staging, stop);
    let timing = Timing::new(plan.definitions().len());
    let run = Run { source, store: &store, options: &options, timing: &timing, progress: &Bar::default() };
    let fit = run.fit(&mut plan)?;
    Manifest::of(&plan, &document.pipeline, &fit.steps).write(&store)?;
    let output = &document.pipeline.output;
    let schema = plan.layout().schema();
    let list = output.aggregate == AggregateKind::List;
    let applied = if list {
        let split = plan.steps().first().is_some_and(|step| step.is_split());
        run.apply(&plan, List::start(std::io::stdout(), &schema, &parts, split)?)?
    } else {
        let mut concat = concat_options(&options, output.aggregate_format());
        concat.file_rows = output.file_rows;
        let shuffle = ShuffleOptions::within(concat.memory, schema.fields().len(), &options.scratch);
        let concat = Concat::create(&staging.path(), &schema, &parts, &concat)?;
        match output.order {
            Order::Stream => run.apply(&plan, concat)?,
            Order::Hash => run.apply(&plan, Shuffle::new(concat, shuffle, options.stop.clone()))?,
        }
    };
    let report = Report::of(source, &plan, &timing, Some(fit), Some(applied), start.elapsed());
    write_report(&staging, &report)?;
    staging.publish()?;
    let json = arguments.resources.json;
    print_report(&report, &Shown { destination: &destination, model: Some(MODEL), json, to_stderr: list })
}

/// Fits a pipeline and writes its model.
pub(super) fn fit(arguments: &RunArguments) -> Result<()> {
    let Ready { document, source, plan, stop } = prepared(arguments)?;
    fit_prepared(arguments, &document, source.as_ref(), plan, stop).map_err(|error| document.locate(error))
}

fn fit_prepared(
    arguments: &RunArguments,
    document: &Document,
    source: &dyn Source,
    mut plan: Plan,
    stop: Stop,
) -> Result<()> {
    let start = Instant::now();
    let destination = destination(document, arguments.out.as_deref());
    spare(&destination, source, &[document.path()])?;
    let staging = Staging::create(&destination, MANIFEST, arguments.resources.overwrite)?;
    let store = ModelStore::new(staging.path());
    let options = options(&arguments.resources, document.pipeline.folds, &staging, stop);
    let timing = Timing::new(plan.definitions().len());
    let run = Run { source, store: &store, options: &options, timing: &timing, progress: &Bar::default() };
    let fit = run.fit(&mut plan)?;
    Manifest::of(&plan, &document.pipeline, &fit.steps).write(&store)?;
    let report = Report::of(source, &plan, &timing, Some(fit), None, start.elapsed());
    staging.publish()?;
    let json = arguments.resources.json;
    print_report(&report, &Shown { destination: &destination, model: Some(""), json, to_stderr: false })
}

pub(super) fn concat_options(options: &RunOptions, format: Format) -> ConcatOptions {
    let mut concat = ConcatOptions::new(&options.scratch);
    concat.format = format;
    concat.memory = options.memory / 2;
    concat
}

fn part_names(plan: &Plan) -> Result<Vec<String>> {
    let Some(split) = plan.steps().first().filter(|step| step.is_split()) else { return Ok(vec![ALL.to_owned()]) };
    let names = wafermill::contract::parts(&split.plan.writes[0].field)?;
    match names.iter().find(|name| [MODEL, REPORT].contains(&name.as_str())) {
        None => Ok(names),
        Some(name) => {
            let error = Error::usage(format!("no part can have the name `{name}`")).step(&split.name);
            Err(error
                .at("/split/params/parts")
                .hint("it is wafermill's own in the folder of a dataset; choose another name"))
        }
    }
}

fn destination(document: &Document, out: Option<&Path>) -> PathBuf {
    match (out, &document.pipeline.output.path) {
        (Some(out), _) => out.to_owned(),
        (None, Some(path)) => document.folder().join(path),
        (None, None) => {
            let stem = document.path().file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            PathBuf::from(format!("{stem}-out"))
        }
    }
}

/// Refuses to replace what is read: the files of a source, and others.
pub(super) fn spare(destination: &Path, source: &dyn Source, others: &[&Path]) -> Result<()> {
    // Where there is nothing yet, nothing is replaced.
    let Ok(destination) = destination.canonicalize() else { return Ok(()) };
    let files = source.files();
    let mut inputs = files.iter().chain(others);
    let inside = |input: &&&Path| input.canonicalize().is_ok_and(|input| input.starts_with(&destination));
    match inputs.find(inside) {
        None => Ok(()),
        Some(input) => {
            let error = Error::usage(format!("the destination holds `{}`, which is read", input.display()));
            Err(error.file(&destination).hint("choose another destination"))
        }
    }
}

fn make(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::output("a folder cannot be made").file(folder).because(error))?;
    Ok(folder.to_owned())
}
