//! `resume`: a run goes on where it was interrupted.

use super::add::Adding;
use super::apply::Applying;
use super::arguments::{PluginFolder, ResumeArguments};
use super::console::Console;
use super::destination::{Target, go_on_uploading, remote, spare_from_metrics};
use super::execute::{Earlier, Execution, execute, memory, minimum, shares};
use super::interrupt;
use super::prepare::{Ready, open_document_source, prepare};
use super::print::print;
use arrow_schema::SchemaRef;
use std::path::{Path, PathBuf};
use wafermill::model::{Manifest, ModelStore};
use wafermill::pipeline::Document;
use wafermill::run::{AddTask, Aggregated, ApplyTask, Fit, NamedTable, PipelineTask, Record, Task};
use wafermill::source::{Context, Source};
use wafermill::spool::{Recorded, Spool};
use wafermill::store::Remote;
use wafermill::{Result, RunDirectory};

/// What an interrupted run left.
struct Left<'a> {
    directory: RunDirectory,
    /// Where the dataset is to be, if that is a store.
    remote: Option<Remote>,
    record: Record,
    /// The columns of its source.
    schema: SchemaRef,
    context: Context,
    arguments: &'a ResumeArguments,
    console: &'a Console,
}

/// Goes on with an interrupted run.
pub(super) fn resume(arguments: &ResumeArguments, console: &Console) -> Result<()> {
    let metrics = arguments.console.metrics.as_deref();
    spare_from_metrics(metrics, &arguments.destination, &arguments.work)?;
    console.open(metrics)?;
    let target = Target::of(&arguments.destination, &arguments.work)?;
    let mut directory = target.reopen()?;
    directory.check_plain()?;
    let context = interrupt::context(console);
    if Remote::is_left(directory.path()) {
        return go_on_uploading(&target, directory, context.stop, arguments.resources.json, console);
    }
    if directory.is_published() {
        let destination = directory.destination().display().to_string();
        directory.remove()?;
        return print(&format!("nothing is left to do: {destination} is complete\n"));
    }
    let (record, schema) = Record::read(directory.path())?;
    directory.allow(&record.marker, record.overwrite)?;
    let remote = remote(&directory, record.overwrite, context.stop.clone())?;
    target.check(remote.as_ref())?;
    let task = record.task.clone();
    let left = Left { directory, remote, record, schema, context, arguments, console };
    match task {
        Task::Pipeline(task) => left.go_on_with(*task),
        Task::Apply(task) => left.go_on_applying(*task),
        Task::Add(task) => left.go_on_adding(*task),
    }
}

impl Left<'_> {
    /// Goes on with a pipeline.
    fn go_on_with(self, task: PipelineTask) -> Result<()> {
        let Self { directory, remote, record, schema, context, arguments, console } = self;
        let PipelineTask { goal, path, text, overrides } = task;
        let document = Document::parse(text, &path)?;
        let kept = Spool::size_in(&directory.spool())?;
        let spooled = kept.is_some();
        let warn = context.warn.clone();
        let plugins = arguments.plugins.plugins.clone().or_else(|| overrides.plugins.clone());
        let ready = prepare(&document, &PluginFolder { plugins }, goal, context, |context| {
            if let Some((rows, bytes)) = kept {
                let origin = record.origin.clone();
                return Ok(Box::new(Recorded { schema: schema.clone(), origin, rows, bytes }) as Box<dyn Source>);
            }
            warn_of_reading_again(&record, &context);
            let (snapshot, memory) = (record.snapshot.as_deref(), memory(&arguments.resources));
            let source = open_document_source(&document, &overrides, snapshot, memory, context)?;
            record.check_source(source.as_ref(), &schema)?;
            Ok(source)
        })?;
        let Ready { source, plan, stop } = ready;
        let resources = &arguments.resources;
        let resumed = record.check_plugins(&plan).and_then(|()| {
            let is_limited = overrides.limit.is_some();
            // The first rows of a source that has no order are others each time.
            let can_be_read_again = record.can_be_read_again() && (!is_limited || source.keeps_order());
            let earlier = Earlier::read(directory.path(), spooled || can_be_read_again, &*warn)?;
            let document = &document;
            let shares = shares(&minimum(document, source.as_ref(), &plan, goal), resources)?;
            execute(
                directory,
                Execution {
                    document,
                    source,
                    plan,
                    stop,
                    goal,
                    is_limited,
                    earlier,
                    remote,
                    resources,
                    shares,
                    console,
                },
            )
        });
        resumed.map_err(|error| document.locate(error))
    }

    /// The manifest of the model that a task works with, which is as it was; its table is read in the state that it had, and plugins are looked
    /// for where they are now.
    fn renew(&self, model: &Path, table: &mut NamedTable, plugins: &mut Option<PathBuf>) -> Result<Manifest> {
        let manifest = Manifest::read(&ModelStore::new(model))?;
        self.record.check_model(model, &manifest.digest()?)?;
        if let Some(folder) = &self.arguments.plugins.plugins {
            *plugins = Some(folder.clone());
        }
        table.bigquery.snapshot = self.record.snapshot.clone();
        Ok(manifest)
    }

    /// Goes on with applying a model.
    fn go_on_applying(self, mut task: ApplyTask) -> Result<()> {
        let manifest = self.renew(&task.model, &mut task.table, &mut task.plugins)?;
        let Self { directory, remote, record, schema, context, arguments, console } = self;
        warn_of_reading_again(&record, &context);
        let check = |source: &dyn Source| record.check_source(source, &schema);
        let applying = Applying::open(task, manifest, &arguments.resources, context, check)?;
        record.check_plugins(&applying.plan)?;
        let shares = applying.shares()?;
        applying.complete(directory, remote.as_ref(), shares, console)
    }

    /// Goes on with adding rows to a model.
    fn go_on_adding(self, mut task: AddTask) -> Result<()> {
        let manifest = self.renew(&task.model, &mut task.table, &mut task.plugins)?;
        let Self { directory, remote, record, schema, context, arguments, console } = self;
        if Fit::read(directory.path())?.is_none() {
            warn_of_reading_again(&record, &context);
        }
        let warn = context.warn.clone();
        let check = |source: &dyn Source| record.check_source(source, &schema);
        let adding = Adding::open(task, manifest, &arguments.resources, context, check)?;
        record.check_plugins(&adding.plan)?;
        let has_the_same_rows = record.can_be_read_again() && adding.has_the_same_rows();
        let earlier = Earlier::read(directory.path(), has_the_same_rows, &*warn)?;
        let shares = adding.shares()?;
        adding.complete(directory, remote.as_ref(), earlier.fit, shares, console)
    }
}

impl Earlier {
    /// What an earlier run saved in its folder, where its rows can be had again as they were.
    fn read(folder: &Path, has_the_same_rows: bool, warn: &dyn Fn(&str)) -> Result<Self> {
        let earlier = Self { fit: Fit::read(folder)?, aggregated: Aggregated::read(folder)? };
        if earlier.is_nothing() || has_the_same_rows {
            return Ok(earlier);
        }
        warn("its rows cannot be read again as they were: it begins anew");
        // The next resuming must not take it for that of the new rows.
        Fit::forget(folder)?;
        Aggregated::forget(folder)?;
        Ok(Self::default())
    }
}

/// Tells that reading is done again, which may be billed.
fn warn_of_reading_again(record: &Record, context: &Context) {
    if let Some(snapshot) = &record.snapshot {
        (context.warn)(&format!(
            "its rows are not all on disk, or not whole: they are read again, as they were at {snapshot}"
        ));
    }
}
