//! `run`, `fit` and `apply`.

use super::arguments::{ApplyArguments, PluginFolder, Resources, RunArguments};
use super::interrupt;
use super::print::{columns, print, print_json, readable, thousands};
use super::progress::Bar;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use wafermill::aggregate::{Concat, ConcatOptions, Format, List, ParquetOptions, Staging, Summary};
use wafermill::memory::{default_budget, format_size, parse_size};
use wafermill::model::{Fitted, MANIFEST, Manifest, ModelStore};
use wafermill::pipeline::{AggregateKind, Document, LimitsSection, Plan, Plugins, StepDefinition, load};
use wafermill::run::{self, Report, RunOptions, StepReport, Timing};
use wafermill::sandbox::{Limits, Sandbox};
use wafermill::source::{self, Source};
use wafermill::{Error, ErrorKind, Result};

/// The file that tells that wafermill wrote a dataset's folder.
const REPORT: &str = "report.json";

/// The model's folder within that of a dataset.
const MODEL: &str = "model";

/// The part of a table without a split.
const ALL: &str = "all";

/// A pipeline that is ready to run.
pub(super) struct Ready {
    pub(super) document: Document,
    pub(super) source: Box<dyn Source>,
    pub(super) plan: Plan,
}

/// Loads a pipeline file, opens its source and plans its steps.
pub(super) fn prepare(pipeline: &Path, folder: &PluginFolder) -> Result<Ready> {
    let document = load(pipeline)?;
    let locate = |error: Error| document.locate(error);
    let plugins = plugins(folder, &document.pipeline.limits).map_err(locate)?;
    let source = open_source(&document).map_err(locate)?;
    let definitions = StepDefinition::of(&document, &plugins)?;
    let plan = Plan::new(source.schema().clone(), definitions).map_err(locate)?;
    Ok(Ready { document, source, plan })
}

fn open_source(document: &Document) -> Result<Box<dyn Source>> {
    let section = &document.pipeline.source;
    let path = source_path(document);
    let path = path.to_str().ok_or_else(|| Error::usage("the source's path is no Unicode").at("/source/path"))?;
    let opened = source::open(path, section.format.map(Into::into), &section.csv.options()?);
    // What is wrong with the data has its own place; the rest is what the section states, of a column or of all.
    opened.map_err(|error| match &error.place().column {
        _ if error.kind() != ErrorKind::Usage => error,
        Some(column) => {
            let key = column.replace('~', "~0").replace('/', "~1");
            error.at(format!("/source/csv/types/{key}"))
        }
        None => error.at("/source"),
    })
}

fn source_path(document: &Document) -> PathBuf {
    document.folder().join(&document.pipeline.source.path)
}

/// The plugins that can be loaded, with what they may take.
pub(super) fn plugins(folder: &PluginFolder, limits: &LimitsSection) -> Result<Plugins> {
    let mut allowed = match &limits.memory {
        Some(memory) => Limits::with_memory(parse_size(memory).map_err(|error| error.at("/limits/memory"))?),
        None => Limits::default(),
    };
    if let Some(seconds) = limits.call_seconds {
        allowed.call = Duration::from_secs(seconds);
    }
    Ok(Plugins::new(Sandbox::new()?, folder.plugins.as_deref(), allowed))
}

fn options(resources: &Resources, folds: u8, staging: &Staging, stop: Arc<AtomicBool>) -> RunOptions {
    RunOptions {
        workers: resources.workers.map_or_else(cores, usize::from),
        batch_rows: resources.batch_rows.map_or(run::BATCH_ROWS, |rows| rows as usize),
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
    let Ready { document, source, plan } = prepare(&arguments.pipeline, &arguments.plugins)?;
    run_prepared(arguments, &document, source.as_ref(), plan).map_err(|error| document.locate(error))
}

fn run_prepared(arguments: &RunArguments, document: &Document, source: &dyn Source, mut plan: Plan) -> Result<()> {
    let start = Instant::now();
    let parts = part_names(&plan)?;
    let destination = destination(document, arguments.out.as_deref());
    spare(&destination, &[&source_path(document), document.path()])?;
    let stop = interrupt::flag();
    let staging = Staging::create(&destination, REPORT, arguments.resources.overwrite)?;
    let store = ModelStore::new(make(&staging.path().join(MODEL))?);
    let options = options(&arguments.resources, document.pipeline.folds, &staging, stop);
    let timing = Timing::new(plan.definitions().len());
    let bar = Bar::default();
    let fit = run::fit(&mut plan, source, &store, &options, &timing, &bar)?;
    Manifest::of(&plan, options.folds, &fit.steps).write(&store)?;
    let output = &document.pipeline.output;
    let schema = plan.layout().schema();
    let list = output.aggregate == AggregateKind::List;
    let (rows, summary) = if list {
        let split = plan.steps().first().is_some_and(|step| step.is_split());
        let aggregate = List::start(std::io::stdout(), &schema, &parts, split)?;
        run::apply(&plan, source, &store, &options, &timing, &bar, aggregate)?
    } else {
        let mut concat = concat_options(&options, output.aggregate_format());
        concat.file_rows = output.file_rows;
        let aggregate = Concat::create(&staging.path(), &schema, &parts, &concat)?;
        run::apply(&plan, source, &store, &options, &timing, &bar, aggregate)?
    };
    let mut report = report(&plan, &timing, &fit.steps, rows, Some(summary), start);
    report.passes = fit.passes;
    report.spilled_partials = fit.spilled;
    write_report(&staging, &report)?;
    staging.publish()?;
    print_report(&report, &destination, Some(MODEL), arguments.resources.json, list)
}

/// Fits a pipeline and writes its model.
pub(super) fn fit(arguments: &RunArguments) -> Result<()> {
    let Ready { document, source, plan } = prepare(&arguments.pipeline, &arguments.plugins)?;
    fit_prepared(arguments, &document, source.as_ref(), plan).map_err(|error| document.locate(error))
}

fn fit_prepared(arguments: &RunArguments, document: &Document, source: &dyn Source, mut plan: Plan) -> Result<()> {
    let start = Instant::now();
    let destination = destination(document, arguments.out.as_deref());
    spare(&destination, &[&source_path(document), document.path()])?;
    let stop = interrupt::flag();
    let staging = Staging::create(&destination, MANIFEST, arguments.resources.overwrite)?;
    let store = ModelStore::new(staging.path());
    let options = options(&arguments.resources, document.pipeline.folds, &staging, stop);
    let timing = Timing::new(plan.definitions().len());
    let fit = run::fit(&mut plan, source, &store, &options, &timing, &Bar::default())?;
    Manifest::of(&plan, options.folds, &fit.steps).write(&store)?;
    let mut report = report(&plan, &timing, &fit.steps, 0, None, start);
    report.rows = run::known_rows(source).unwrap_or(0);
    report.passes = fit.passes;
    report.spilled_partials = fit.spilled;
    staging.publish()?;
    print_report(&report, &destination, Some(""), arguments.resources.json, false)
}

/// Runs a fitted model over another table.
pub(super) fn apply(arguments: &ApplyArguments) -> Result<()> {
    let start = Instant::now();
    let store = model_store(&arguments.model);
    let manifest = Manifest::read(&store)?;
    let plugins = plugins(&arguments.plugins, &LimitsSection::default())?;
    let csv = source::CsvOptions { assumed: manifest.source_types(), ..source::CsvOptions::default() };
    let source = source::open(&arguments.source, None, &csv)?;
    let definitions = manifest.definitions(&plugins)?;
    manifest.check_source(source.schema())?;
    let mut plan = Plan::new(source.schema().clone(), definitions)?;
    run::restore(&mut plan, &store, |step| manifest.check_columns(step))?;
    spare(&arguments.out, &[Path::new(&arguments.source), store.root()])?;
    let stop = interrupt::flag();
    let staging = Staging::create(&arguments.out, REPORT, arguments.resources.overwrite)?;
    let options = options(&arguments.resources, manifest.folds, &staging, stop);
    let timing = Timing::new(plan.definitions().len());
    let format = match arguments.format.as_str() {
        "arrow" => Format::Arrow,
        _ => Format::Parquet(ParquetOptions::default()),
    };
    let concat = concat_options(&options, format);
    let aggregate = Concat::create(&staging.path(), &plan.layout().schema(), &[ALL.to_owned()], &concat)?;
    let bar = Bar::default();
    let (rows, summary) = run::apply(&plan, source.as_ref(), &store, &options, &timing, &bar, aggregate)?;
    let report = report(&plan, &timing, &[], rows, Some(summary), start);
    write_report(&staging, &report)?;
    staging.publish()?;
    print_report(&report, &arguments.out, None, arguments.resources.json, false)
}

/// A model's folder, or that of a dataset which holds one.
pub(super) fn model_store(folder: &Path) -> ModelStore {
    let within = folder.join(MODEL);
    ModelStore::new(if !folder.join(MANIFEST).exists() && within.join(MANIFEST).exists() {
        within
    } else {
        folder.to_owned()
    })
}

fn concat_options(options: &RunOptions, format: Format) -> ConcatOptions {
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

/// Refuses to replace what is read.
fn spare(destination: &Path, inputs: &[&Path]) -> Result<()> {
    // Where there is nothing yet, nothing is replaced.
    let Ok(destination) = destination.canonicalize() else { return Ok(()) };
    // A glob has no place of its own, but the folder before its first sign has.
    let existing = |input: &Path| input.ancestors().find_map(|path| path.canonicalize().ok());
    match inputs.iter().find(|input| existing(input).is_some_and(|input| input.starts_with(&destination))) {
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

fn report(
    plan: &Plan,
    timing: &Timing,
    fitted: &[Fitted],
    rows: u64,
    output: Option<Summary>,
    start: Instant,
) -> Report {
    let passes = |index: usize| fitted.get(index).map_or(0, |fitted| fitted.passes);
    Report {
        rows,
        columns: (plan.source().fields().len(), plan.layout().columns().count()),
        passes: Vec::new(),
        steps: StepReport::of(plan, timing, passes),
        output,
        spilled_partials: 0,
        seconds: (start.elapsed().as_secs_f64() * 1e3).round() / 1e3,
    }
}

fn write_report(staging: &Staging, report: &Report) -> Result<()> {
    let path = staging.path().join(REPORT);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::output("the report cannot be written").file(&path).because(error)
    };
    let json = serde_json::to_string_pretty(report).map_err(|error| failed(error.into()))?;
    std::fs::write(&path, json + "\n").map_err(|error| failed(error.into()))
}

fn print_report(report: &Report, destination: &Path, model: Option<&str>, json: bool, to_stderr: bool) -> Result<()> {
    match (json, to_stderr) {
        (true, false) => print_json(report),
        (false, false) => print(&render(report, destination, model)),
        // The stream of `list` has standard output for itself.
        (true, true) => {
            let json =
                serde_json::to_string_pretty(report).map_err(|error| Error::internal("no report").because(error))?;
            eprintln!("{json}");
            Ok(())
        }
        (false, true) => {
            eprint!("{}", readable(&render(report, destination, model)));
            Ok(())
        }
    }
}

fn render(report: &Report, destination: &Path, model: Option<&str>) -> String {
    let (columns_in, columns_out) = report.columns;
    let mut text = format!(
        "{} rows, {columns_in} columns in, {columns_out} out, in {:.2} s\n\n",
        thousands(report.rows),
        report.seconds
    );
    if let Some(output) = &report.output {
        let mut rows = vec![["part", "rows", "files", "bytes"].map(str::to_owned).to_vec()];
        for part in &output.parts {
            let bytes: u64 = part.files.iter().map(|file| file.bytes).sum();
            rows.push(vec![part.name.clone(), thousands(part.rows), part.files.len().to_string(), format_size(bytes)]);
        }
        text += &columns(&rows);
        text.push('\n');
    }
    let mut rows = vec![["step", "plugin", "passes", "fit", "apply"].map(str::to_owned).to_vec()];
    for step in &report.steps {
        let (fit, apply) = (format!("{:.3} s", step.fit_seconds), format!("{:.3} s", step.apply_seconds));
        rows.push(vec![step.name.clone(), step.plugin.clone(), step.passes.to_string(), fit, apply]);
    }
    text += &columns(&rows);
    let spilled = report.spilled_partials + report.output.as_ref().map_or(0, |output| output.spilled_bytes);
    if spilled > 0 {
        text += &format!("\n{} were spilled to disk on the way\n", format_size(spilled));
    }
    text += &format!("\nwritten to {}\n", destination.display());
    if let Some(model) = model {
        text += &format!("look at the model with `wafermill model show {}`\n", destination.join(model).display());
    }
    text
}
