//! `fit --add`: the rows of a table are added to what a model learned.

use super::arguments::{PluginFolder, Resources, absolute_plugins};
use super::complete::complete;
use super::console::Console;
use super::destination::{Begun, Target, spare_from_metrics};
use super::execute::{self, memory, options, timing};
use super::fit_arguments::FitArguments;
use super::interrupt::context;
use super::prepare::{
    absolute_model, absolute_table, check_seed, model_store, named_table, note_price, open_table, plugins, some_rows,
};
use super::summary::{Shown, print_report};
use std::path::Path;
use std::time::Instant;
use wafermill::memory::Shares;
use wafermill::model::{MANIFEST, Manifest, ModelStore};
use wafermill::pipeline::Plan;
use wafermill::run::{AddTask, Fit, Kept, Minimum, Record, Report, Run, Task};
use wafermill::source::{Context, Source};
use wafermill::store::Remote;
use wafermill::{Error, Result, RunDirectory, Stop};

/// Adds rows to a model, and writes the one that comes of it to `out`.
pub(super) fn add(arguments: &FitArguments, model: &Path, out: &Path, console: &Console) -> Result<()> {
    let metrics = arguments.console.metrics.as_deref();
    spare_from_metrics(metrics, out, &arguments.work)?;
    console.open(metrics)?;
    let rows = &arguments.rows;
    check_seed(rows.sample, rows.sample_seed)?;
    let store = model_store(model)?;
    let manifest = Manifest::read(&store)?;
    let input = &arguments.input;
    let input = input.to_str().ok_or_else(|| Error::usage("the table's path is no Unicode").file(input))?;
    let task = AddTask {
        model: store.root().to_owned(),
        manifest: manifest.digest()?,
        table: named_table(input, &arguments.table, &arguments.bigquery, &manifest.csv),
        sample: rows.sample,
        sample_seed: rows.sample_seed,
        limit: rows.limit,
        limits: arguments.limits.section(),
        plugins: arguments.plugins.plugins.clone(),
    };
    let adding = Adding::open(task, manifest, &arguments.resources, context(console), |_| Ok(()))?;
    adding.note(console);
    let source = adding.source.as_ref();
    let target = Target::of(out, &arguments.work)?;
    target.spare(source, &[store.root()])?;
    let shares = adding.shares()?;
    let Begun { directory, remote } = target.create(MANIFEST, arguments.overwrite, adding.stop.clone())?;
    let task = Task::Add(Box::new(absolute(&adding.task)?));
    let record = Record::new(task, &adding.plan, source, MANIFEST, arguments.overwrite)?;
    record.write(directory.path(), source.schema())?;
    adding.complete(directory, remote.as_ref(), None, shares, console)
}

/// The same task, wherever the program is started.
fn absolute(task: &AddTask) -> Result<AddTask> {
    Ok(AddTask {
        model: absolute_model(&task.model)?,
        table: absolute_table(task.table.clone())?,
        plugins: absolute_plugins(task.plugins.as_deref()),
        ..task.clone()
    })
}

/// A model, and the table whose rows are added to it.
pub(super) struct Adding<'a> {
    task: AddTask,
    manifest: Manifest,
    store: ModelStore,
    pub(super) source: Box<dyn Source>,
    pub(super) plan: Plan,
    stop: Stop,
    resources: &'a Resources,
}

impl<'a> Adding<'a> {
    /// Opens the table, which `check` is asked about, and checks that rows can be added to the model.
    pub(super) fn open(
        task: AddTask,
        manifest: Manifest,
        resources: &'a Resources,
        context: Context,
        check: impl FnOnce(&dyn Source) -> Result<()>,
    ) -> Result<Self> {
        let stop = context.stop.clone();
        let store = ModelStore::new(&task.model).pinned(manifest.digests(), stop.clone());
        let plugins = plugins(&PluginFolder { plugins: task.plugins.clone() }, &task.limits)?;
        let source = open_table(&task.table, manifest.source_types(), memory(resources), context)?;
        let source = some_rows(source, task.sample, task.sample_seed.unwrap_or(0), task.limit);
        check(source.as_ref())?;
        let schema = manifest.joint_schema(source.schema()).map_err(|error| error.file(&task.table.name))?;
        let mut plan = Plan::new(schema, manifest.all_definitions(&plugins)?)?;
        Kept::new(&manifest, &store).check(&mut plan)?;
        Ok(Self { task, manifest, store, source, plan, stop, resources })
    }

    /// How the memory is divided.
    pub(super) fn shares(&self) -> Result<Shares> {
        execute::shares(&Minimum::of(self.source.as_ref(), &self.plan, false, None), self.resources)
    }

    /// Whether its rows are those of an earlier run, where the table's can be read again.
    pub(super) fn has_the_same_rows(&self) -> bool {
        // The first rows of a source that has no order are others each time.
        self.task.limit.is_none() || self.source.keeps_order()
    }

    /// Says what it costs, and where the model that comes of it may be another than that of all rows, fitted at once.
    fn note(&self, console: &Console) {
        let (before, now) = (&self.manifest.wafermill, env!("CARGO_PKG_VERSION"));
        if before != now {
            let differ = "how the two read a table may differ";
            console.note(&format!("the model was fitted by wafermill {before}, and rows are added by {now}: {differ}"));
        }
        note_price(self.task.sample, self.source.as_ref(), console);
    }

    /// Adds the rows, from where an earlier run was, publishes the model that comes of it, and tells that.
    pub(super) fn complete(
        self,
        directory: RunDirectory,
        remote: Option<&Remote>,
        earlier: Option<Fit>,
        shares: Shares,
        console: &Console,
    ) -> Result<()> {
        let json = self.resources.json;
        let work = |directory: &RunDirectory| self.work(directory, earlier, shares, console);
        let (report, destination) = complete(directory, remote, console, work)?;
        // models are read from folders
        let model = remote.is_none().then_some("");
        print_report(&report, &Shown { destination: &destination, model, json, to_stderr: false }, console)
    }

    fn work(self, directory: &RunDirectory, earlier: Option<Fit>, shares: Shares, console: &Console) -> Result<Report> {
        let Self { manifest, store, source, mut plan, stop, resources, .. } = self;
        let (start, source) = (Instant::now(), source.as_ref());
        source.use_folder(directory.path());
        let options = options(resources, shares, manifest.folds, directory, stop, console);
        let (timing, watcher) = (timing(&plan, console), console.watcher());
        let added = ModelStore::new(directory.data());
        let run = Run { source, store: &added, options: &options, timing: &timing, progress: &*watcher };
        let fit = run.add(&mut plan, &Kept::new(&manifest, &store), earlier, |fit| {
            directory.sync()?;
            fit.save(directory.path())
        })?;
        Manifest::of(&plan, manifest.folds, &manifest.csv, &fit.steps).write(&added)?;
        Ok(Report::of(source, &plan, &timing, Some(fit), None, start.elapsed()))
    }
}
