//! `fit --add`: the rows of a table are added to what a model learned.

use super::console::Console;
use super::destination::{Begun, Target, command, publish, spare_from_metrics};
use super::execute::{memory, options, shares, timing};
use super::fit_arguments::FitArguments;
use super::interrupt::{context, leave};
use super::prepare::{check_seed, model_store, named_table, note_price, open_table, plugins, some_rows};
use super::summary::{Shown, print_report};
use std::path::Path;
use std::time::Instant;
use wafermill::model::{MANIFEST, Manifest, ModelStore};
use wafermill::pipeline::Plan;
use wafermill::run::{Kept, Minimum, Report, Run};
use wafermill::{Error, Result};

/// Adds rows to a model, and writes the one that comes of it to `out`.
pub(super) fn add(arguments: &FitArguments, model: &Path, out: &Path, console: &Console) -> Result<()> {
    let metrics = arguments.console.metrics.as_deref();
    spare_from_metrics(metrics, out, &arguments.work)?;
    console.open(metrics)?;
    let start = Instant::now();
    let rows = &arguments.rows;
    check_seed(rows.sample, rows.sample_seed)?;
    let store = model_store(model)?;
    let manifest = Manifest::read(&store)?;
    let store = store.pinned(manifest.digests());
    let plugins = plugins(&arguments.plugins, &arguments.limits.section())?;
    let context = context(console);
    let stop = context.stop.clone();
    let input = &arguments.input;
    let input = input.to_str().ok_or_else(|| Error::usage("the table's path is no Unicode").file(input))?;
    let table = named_table(input, &arguments.table, &arguments.bigquery, &manifest.csv);
    let source = open_table(&table, manifest.source_types(), memory(&arguments.resources), context)?;
    let source = some_rows(source, rows.sample, rows.sample_seed.unwrap_or(0), rows.limit);
    let source = source.as_ref();
    let schema = manifest.joint_schema(source.schema()).map_err(|error| error.file(input))?;
    let mut plan = Plan::new(schema, manifest.all_definitions(&plugins)?)?;
    let kept = Kept::new(&manifest, &store);
    kept.check(&mut plan)?;
    note(&manifest, console);
    note_price(rows.sample, source, console);
    let target = Target::of(out, &arguments.work)?;
    target.spare(source, &[store.root()])?;
    let shares = shares(&Minimum::of(source, &plan, false, None), &arguments.resources)?;
    let Begun { directory, remote } = target.create(MANIFEST, arguments.overwrite, stop.clone())?;
    leave(Some(format!("`{}` removes what is there", command("clean", &directory, remote.as_ref()))));
    let options = options(&arguments.resources, shares, manifest.folds, &directory, stop, console);
    let (timing, watcher) = (timing(&plan, console), console.watcher());
    source.use_folder(directory.path());
    let added = ModelStore::new(directory.data());
    let run = Run { source, store: &added, options: &options, timing: &timing, progress: &*watcher };
    let fit = run.add(&mut plan, &kept)?;
    Manifest::of(&plan, manifest.folds, &manifest.csv, &fit.steps).write(&added)?;
    let report = Report::of(source, &plan, &timing, Some(fit), None, start.elapsed());
    // models are read from folders
    let model = remote.is_none().then_some("");
    let destination = publish(directory, remote.as_ref(), false, console)?;
    leave(None);
    let json = arguments.resources.json;
    print_report(&report, &Shown { destination: &destination, model, json, to_stderr: false }, console)
}

/// Says where the model that comes of it may be another than that of all rows, fitted at once.
fn note(manifest: &Manifest, console: &Console) {
    let (before, now) = (&manifest.wafermill, env!("CARGO_PKG_VERSION"));
    if before != now {
        let differ = "how the two read a table may differ";
        console.note(&format!("the model was fitted by wafermill {before}, and rows are added by {now}: {differ}"));
    }
}
