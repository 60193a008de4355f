//! `apply`: a fitted model over another table.

use super::arguments::{ApplyArguments, PluginFolder, Resources};
use super::complete::complete;
use super::console::Console;
use super::destination::{Begun, Target, spare_from_metrics};
use super::execute::{self, memory, options, timing};
use super::interrupt::context;
use super::prepare::{absolute_table, model_store, named_table, open_table, plugins};
use super::summary::{REPORT, Shown, print_report, write_report};
use std::time::Instant;
use wafermill::memory::Shares;
use wafermill::model::{Manifest, ModelStore};
use wafermill::pipeline::Plan;
use wafermill::run::{Aggregates, ApplyTask, Minimum, Record, Report, Run, Task, restore};
use wafermill::source::{Context, Source};
use wafermill::store::Remote;
use wafermill::{Error, Result, RunDirectory, Stop};

/// Runs a fitted model over another table.
pub(super) fn apply(arguments: &ApplyArguments, console: &Console) -> Result<()> {
    let metrics = arguments.console.metrics.as_deref();
    spare_from_metrics(metrics, &arguments.out, &arguments.work)?;
    console.open(metrics)?;
    let store = model_store(&arguments.model)?;
    let manifest = Manifest::read(&store)?;
    let table = named_table(&arguments.source, &arguments.table, &arguments.bigquery, &manifest.csv);
    let task = ApplyTask {
        model: store.root().to_owned(),
        manifest: manifest.digest()?,
        table,
        output: arguments.output(),
        // The limits are the caller's: a model may come from anywhere.
        limits: arguments.limits.section(),
        plugins: arguments.plugins.plugins.clone(),
    };
    let applying = Applying::open(task, manifest, &arguments.resources, context(console), |_| Ok(()))?;
    let target = Target::of(&arguments.out, &arguments.work)?;
    let source = applying.source.as_ref();
    target.spare(source, &[store.root()])?;
    let shares = applying.shares()?;
    let Begun { directory, remote } = target.create(REPORT, arguments.overwrite, applying.stop.clone())?;
    let task = absolute(&applying.task)?;
    let record = Record::new(Task::Apply(Box::new(task)), &applying.plan, source, REPORT, arguments.overwrite)?;
    record.write(directory.path(), source.schema())?;
    applying.complete(directory, remote.as_ref(), shares, console)
}

/// The same task, wherever the program is started.
fn absolute(task: &ApplyTask) -> Result<ApplyTask> {
    let model = std::path::absolute(&task.model);
    Ok(ApplyTask {
        model: model.map_err(|error| Error::model("the model has no path").because(error))?,
        table: absolute_table(task.table.clone())?,
        plugins: PluginFolder { plugins: task.plugins.clone() }.absolute(),
        ..task.clone()
    })
}

/// A model, and the table that it is applied to.
pub(super) struct Applying<'a> {
    task: ApplyTask,
    manifest: Manifest,
    store: ModelStore,
    source: Box<dyn Source>,
    pub(super) plan: Plan,
    stop: Stop,
    resources: &'a Resources,
}

impl<'a> Applying<'a> {
    /// Opens the table, which `check` is asked about, and completes the plan from the model.
    pub(super) fn open(
        task: ApplyTask,
        manifest: Manifest,
        resources: &'a Resources,
        context: Context,
        check: impl FnOnce(&dyn Source) -> Result<()>,
    ) -> Result<Self> {
        let store = ModelStore::new(&task.model).pinned(manifest.digests());
        let plugins = plugins(&PluginFolder { plugins: task.plugins.clone() }, &task.limits)?;
        let stop = context.stop.clone();
        let source = open_table(&task.table, manifest.source_types(), memory(resources), context)?;
        check(source.as_ref())?;
        let definitions = manifest.definitions(&plugins)?;
        manifest.check_source(source.schema())?;
        let mut plan = Plan::new(source.schema().clone(), definitions)?;
        restore(&mut plan, &store, |step| manifest.check_columns(step))?;
        Ok(Self { task, manifest, store, source, plan, stop, resources })
    }

    /// How the memory is divided.
    pub(super) fn shares(&self) -> Result<Shares> {
        let format = self.task.output.aggregate_format();
        let minimum = Minimum::of(self.source.as_ref(), &self.plan, true, Some(&format));
        execute::shares(&minimum, self.resources)
    }

    /// Applies the model, publishes what comes of it, and tells that.
    pub(super) fn complete(
        self,
        directory: RunDirectory,
        remote: Option<&Remote>,
        shares: Shares,
        console: &Console,
    ) -> Result<()> {
        let json = self.resources.json;
        let work = |directory: &RunDirectory| self.work(directory, shares, console);
        let (report, destination) = complete(directory, remote, console, work)?;
        print_report(&report, &Shown { destination: &destination, model: None, json, to_stderr: false }, console)
    }

    fn work(self, directory: &RunDirectory, shares: Shares, console: &Console) -> Result<Report> {
        let Self { task, manifest, store, source, plan, stop, resources } = self;
        let (start, source) = (Instant::now(), source.as_ref());
        source.use_folder(directory.path());
        let options = options(resources, shares, manifest.folds, directory, stop, console);
        let (timing, watcher) = (timing(&plan, console), console.watcher());
        let run = Run { source, store: &store, options: &options, timing: &timing, progress: &*watcher };
        let applied = execute::apply(&run, &task.output, directory, &plan, &mut Aggregates::none(&plan), &watcher)?;
        let report = Report::of(source, &plan, &timing, None, Some(applied), start.elapsed());
        write_report(directory, &report)?;
        Ok(report)
    }
}
