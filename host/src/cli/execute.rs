//! The work of `run`, `fit` and `resume`, once everything is open; and how rows are written, which `apply` shares.

use super::arguments::Resources;
use super::complete::complete;
use super::console::Console;
use super::prepare::{MODEL, check_output};
use super::summary::{REPORT, Shown, print_report, write_report};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use wafermill::aggregate::{
    AGGREGATES, Concat, ConcatOptions, FileSummary, List, SEGMENTS, Shuffle, ShuffleOptions, TableFiles, forget,
};
use wafermill::memory::{Pressure, Shares, default_budget, parse_size};
use wafermill::model::{Manifest, ModelStore};
use wafermill::pipeline::{AggregateKind, Document, Order, OutputSection, Plan, SpoolMode, Step};
use wafermill::run::{
    Aggregated, Aggregates, Applied, BATCH_ROWS, Fit, Goal, Minimum, Report, Run, RunOptions, Timing, Watcher,
    columns_of_run,
};
use wafermill::source::Source;
use wafermill::spool::{INDEX, Spool, SpoolOptions};
use wafermill::store::Remote;
use wafermill::{Error, Result, RunDirectory, Stop};

/// The part of a table without a split.
const ALL: &str = "all";

/// What is to be done.
pub(super) struct Execution<'a> {
    pub(super) document: &'a Document,
    pub(super) source: Box<dyn Source>,
    pub(super) plan: Plan,
    pub(super) stop: Stop,
    pub(super) goal: Goal,
    /// Whether only the first rows of the source are read.
    pub(super) is_limited: bool,
    pub(super) earlier: Earlier,
    /// Where the dataset is to be, if that is a store.
    pub(super) remote: Option<Remote>,
    pub(super) resources: &'a Resources,
    pub(super) shares: Shares,
    pub(super) console: &'a Console,
}

/// How far an earlier run has come.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) fit: Option<Fit>,
    pub(super) aggregated: Option<Aggregated>,
}

impl Earlier {
    pub(super) fn is_nothing(&self) -> bool {
        self.fit.is_none() && self.aggregated.is_none()
    }
}

/// Does the work, publishes what came of it, and tells that.
pub(super) fn execute(directory: RunDirectory, mut execution: Execution<'_>) -> Result<()> {
    let Execution { document, goal, resources, console, .. } = execution;
    let remote = execution.remote.take();
    let (report, destination) = complete(directory, remote.as_ref(), console, |directory| execution.work(directory))?;
    let (model, to_stderr) = match goal {
        Goal::Run => (MODEL, is_list(&document.pipeline.output)),
        Goal::Fit => ("", false),
    };
    // models are read from folders
    let model = remote.is_none().then_some(model);
    print_report(&report, &Shown { destination: &destination, model, json: resources.json, to_stderr }, console)
}

/// Takes the time of a plan's steps, which the console tells.
pub(super) fn timing(plan: &Plan, console: &Console) -> Arc<Timing> {
    let names: Vec<String> = plan.definitions().iter().map(|definition| definition.name.clone()).collect();
    let timing = Arc::new(Timing::new(names.len()));
    console.watch_steps(&timing, names);
    timing
}

impl Execution<'_> {
    fn work(self, directory: &RunDirectory) -> Result<Report> {
        let Self { document, source, mut plan, stop, goal, is_limited, earlier, resources, shares, console, .. } = self;
        let start = Instant::now();
        source.use_folder(directory.path());
        let source = spooled(document, source, &plan, goal, is_limited, directory)?;
        if !source.keeps_order() {
            // What was written of rows in another order is of no use, now and once they are all on disk in this one.
            forget(&directory.path().join(SEGMENTS))?;
        }
        let model = if goal == Goal::Run { directory.data().join(MODEL) } else { directory.data() };
        let store = ModelStore::new(make(model)?);
        let options = options(resources, shares, document.pipeline.folds, directory, stop, console);
        let (timing, watcher) = (timing(&plan, console), console.watcher());
        let source = source.as_ref();
        let run = Run { source, store: &store, options: &options, timing: &timing, progress: &*watcher };
        let fit = run.fit(&mut plan, earlier.fit, |fit| {
            directory.sync()?;
            fit.save(directory.path())
        })?;
        let pipeline = &document.pipeline;
        Manifest::of(&plan, pipeline.folds, &pipeline.source.csv, &fit.steps).write(&store)?;
        if goal == Goal::Fit {
            return Ok(Report::of(source, &plan, &timing, Some(fit), None, start.elapsed()));
        }
        // Some columns and aggregates are known only now.
        check_output(document, &plan)?;
        let tables = ModelStore::new(make(directory.tables())?);
        let mut aggregates = Aggregates::of(&run, &plan, tables, earlier.aggregated, |aggregated| {
            directory.sync()?;
            aggregated.save(directory.path())
        })?;
        let output = &document.pipeline.output;
        let applied = match writes_rows(output) {
            true => Some(apply(&run, output, directory, &plan, &mut aggregates, &watcher)?),
            false => None,
        };
        run.aggregate(&mut aggregates)?;
        let applied = applied.or_else(|| aggregates.counted());
        let files = write_tables(document, &plan, &aggregates, directory, &options.stop)?;
        let report = Report::of(source, &plan, &timing, Some(fit), applied, start.elapsed());
        let report = report.with_aggregates(&plan, &aggregates, files);
        write_report(directory, &report)?;
        Ok(report)
    }
}

/// Writes the tables of aggregates, which are complete, to the dataset.
fn write_tables(
    document: &Document,
    plan: &Plan,
    aggregates: &Aggregates<'_>,
    directory: &RunDirectory,
    stop: &Stop,
) -> Result<Vec<Vec<FileSummary>>> {
    if plan.aggregates().is_empty() {
        return Ok(Vec::new());
    }
    let (data, parts) = (directory.data(), part_names(plan)?);
    let format = document.pipeline.output.aggregate_format();
    let files = TableFiles::create(&data, &parts, &format, directory.path(), stop)?;
    let write = |step: &Step| {
        let table = |(position, table)| {
            let rows = aggregates.store().read_table(step, position)?;
            files.write(&step.name, position, table, rows)
        };
        step.plan.model.iter().enumerate().map(table).collect::<Result<Vec<_>>>().map_err(|error| step.place(error))
    };
    plan.aggregates().iter().map(write).collect()
}

/// The source, or its rows on disk.
fn spooled(
    document: &Document,
    source: Box<dyn Source>,
    plan: &Plan,
    goal: Goal,
    is_limited: bool,
    directory: &RunDirectory,
) -> Result<Box<dyn Source>> {
    let section = &document.pipeline.source;
    let folder = directory.spool();
    let writes_rows = goal == Goal::Run && writes_rows(&document.pipeline.output);
    // An aggregate sees the rows in the pass that applies the steps, so that the first pass of one is no other.
    let learns = plan.waits()
        || plan.steps().iter().any(|step| step.plan.passes.any())
        || plan.aggregates().iter().any(|step| step.plan.passes.most > 1);
    let wanted = match section.spool {
        SpoolMode::Auto => learns && source.price().is_some(),
        SpoolMode::Always => learns,
        // The first rows must be the same ones in each pass.
        SpoolMode::Never => learns && is_limited && !source.keeps_order(),
    };
    if !wanted && !folder.join(INDEX).exists() {
        return Ok(source);
    }
    let options = SpoolOptions { folder, compression: section.spool_compression.into() };
    Ok(Box::new(Spool::open(source, columns_of_run(plan, writes_rows), options)?))
}

/// Applies a complete plan and writes the rows that come out.
pub(super) fn apply(
    run: &Run<'_>,
    output: &OutputSection,
    directory: &RunDirectory,
    plan: &Plan,
    aggregates: &mut Aggregates<'_>,
    watcher: &Watcher,
) -> Result<Applied> {
    let (schema, parts) = (plan.layout().schema(), part_names(plan)?);
    if is_list(output) {
        let split = plan.steps().first().is_some_and(|step| step.is_split());
        return run.apply(plan, List::start(std::io::stdout(), &schema, &parts, split)?, aggregates);
    }
    let mut concat = concat_options(run.options, output, aggregates.are_to_begin(), watcher)?;
    if output.order == Order::Hash {
        let shuffle = ShuffleOptions::within(concat.memory, schema.fields().len(), &run.options.scratch);
        let concat = Concat::create(&directory.data(), &schema, &parts, &concat)?;
        return run.apply(plan, Shuffle::new(concat, shuffle, run.options.stop.clone()), aggregates);
    }
    if run.source.keeps_order() {
        concat.log = Some(directory.path().join(SEGMENTS));
    }
    run.apply(plan, Concat::resume(&directory.data(), &schema, &parts, &concat, run.progress)?, aggregates)
}

/// Whether rows come out at all.
fn writes_rows(output: &OutputSection) -> bool {
    output.aggregate != AggregateKind::Custom
}

fn is_list(output: &OutputSection) -> bool {
    output.aggregate == AggregateKind::List
}

pub(super) fn options(
    resources: &Resources,
    shares: Shares,
    folds: u8,
    directory: &RunDirectory,
    stop: Stop,
    console: &Console,
) -> RunOptions {
    let console = console.clone();
    RunOptions {
        workers: resources.workers.map_or_else(cores, usize::from),
        batch_rows: resources.batch_rows.map_or(BATCH_ROWS, |rows| rows as usize),
        shares,
        pressure: Pressure::of(memory(resources), move |message| console.warn(message)),
        scratch: directory.path().to_owned(),
        folds,
        stop,
    }
}

/// What running a pipeline takes at least.
pub(super) fn minimum(document: &Document, source: &dyn Source, plan: &Plan, goal: Goal) -> Minimum {
    let output = &document.pipeline.output;
    let writes_rows = goal == Goal::Run && writes_rows(output);
    let format = (writes_rows && !is_list(output)).then(|| output.aggregate_format());
    Minimum::of(source, plan, writes_rows, format.as_ref())
}

/// How the memory that a run may use is divided.
///
/// # Errors
/// Where it is less than the run takes.
pub(super) fn shares(minimum: &Minimum, resources: &Resources) -> Result<Shares> {
    let shares = minimum.shares(memory(resources))?;
    Ok(Shares { results: resources.spill_past.unwrap_or(shares.results), ..shares })
}

/// Bytes that a run may use.
pub(super) fn memory(resources: &Resources) -> usize {
    resources.memory.unwrap_or_else(default_budget)
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How a dataset is written; beside aggregates that learn it takes half of the memory for results.
fn concat_options(
    options: &RunOptions,
    output: &OutputSection,
    beside_aggregates: bool,
    watcher: &Watcher,
) -> Result<ConcatOptions> {
    let mut concat = ConcatOptions::new(&options.scratch);
    concat.format = output.aggregate_format();
    concat.file_rows = output.file_rows;
    concat.file_bytes = parse_size(&output.file_bytes).map_err(|error| error.at("/output/file_bytes"))? as u64;
    concat.memory = options.shares.results / if beside_aggregates { 2 } else { 1 };
    concat.stop = options.stop.clone();
    concat.watcher = watcher.clone();
    Ok(concat)
}

/// The names of a plan's parts, in the order of their ids.
pub(super) fn part_names(plan: &Plan) -> Result<Vec<String>> {
    let Some(split) = plan.steps().first().filter(|step| step.is_split()) else { return Ok(vec![ALL.to_owned()]) };
    let names = wafermill::contract::parts(&split.plan.writes[0].field)?;
    match names.iter().find(|name| [MODEL, REPORT, AGGREGATES].contains(&name.as_str())) {
        None => Ok(names),
        Some(name) => {
            let error = Error::usage(format!("no part can have the name `{name}`")).step(&split.name);
            Err(error
                .at("/split/params/parts")
                .hint("it is wafermill's own in the folder of a dataset; choose another name"))
        }
    }
}

fn make(folder: PathBuf) -> Result<PathBuf> {
    let made = std::fs::create_dir_all(&folder);
    made.map_err(|error| Error::output("a folder cannot be made").file(&folder).because(error))?;
    Ok(folder)
}
