//! `resume`: a run goes on where it was interrupted.

use super::arguments::{PluginFolder, ResumeArguments};
use super::console::Console;
use super::destination::{Target, go_on_uploading, remote, spare_from_metrics};
use super::execute::{Earlier, Execution, execute, memory, minimum, shares};
use super::interrupt;
use super::prepare::{Ready, open_document_source, prepare};
use super::print::print;
use wafermill::Result;
use wafermill::pipeline::Document;
use wafermill::run::{Aggregated, Fit, Record};
use wafermill::source::Source;
use wafermill::spool::{Recorded, Spool};
use wafermill::store::Remote;

/// Goes on with an interrupted run.
pub(super) fn resume(arguments: &ResumeArguments, console: &Console) -> Result<()> {
    let metrics = arguments.console.metrics.as_deref();
    spare_from_metrics(metrics, &arguments.destination, &arguments.work)?;
    console.open(metrics)?;
    let target = Target::of(&arguments.destination, &arguments.work)?;
    let mut directory = target.reopen()?;
    if Remote::is_left(directory.path()) {
        return go_on_uploading(
            &target,
            directory,
            interrupt::context(console).stop,
            arguments.resources.json,
            console,
        );
    }
    if directory.is_published() {
        let destination = directory.destination().display().to_string();
        directory.remove()?;
        return print(&format!("nothing is left to do: {destination} is complete\n"));
    }
    let (record, schema) = Record::read(directory.path())?;
    directory.allow(&record.marker, record.overwrite)?;
    let document = Document::parse(record.pipeline.clone(), &record.path)?;
    let kept = Spool::size_in(&directory.spool())?;
    let spooled = kept.is_some();
    let context = interrupt::context(console);
    let remote = remote(&directory, record.overwrite, context.stop.clone())?;
    target.check(remote.as_ref())?;
    let warn = context.warn.clone();
    let plugins = arguments.plugins.plugins.clone().or_else(|| record.overrides.plugins.clone());
    let ready = prepare(&document, &PluginFolder { plugins }, record.command, context, |context| {
        if let Some((rows, bytes)) = kept {
            let origin = record.origin.clone();
            return Ok(Box::new(Recorded { schema: schema.clone(), origin, rows, bytes }) as Box<dyn Source>);
        }
        if let Some(snapshot) = &record.snapshot {
            (context.warn)(&format!(
                "its rows are not all on disk, or not whole: they are read again, as they were at {snapshot}"
            ));
        }
        let (snapshot, memory) = (record.snapshot.as_deref(), memory(&arguments.resources));
        let source = open_document_source(&document, &record.overrides, snapshot, memory, context)?;
        record.check_source(source.as_ref(), &schema)?;
        Ok(source)
    })?;
    let Ready { source, plan, stop } = ready;
    let (goal, resources) = (record.command, &arguments.resources);
    let resumed = record.check_plugins(&plan).and_then(|()| {
        let folder = directory.path();
        let mut earlier = Earlier { fit: Fit::read(folder)?, aggregated: Aggregated::read(folder)? };
        let is_limited = record.overrides.limit.is_some();
        // The first rows of a source that has no order are others each time.
        let can_be_read_again = record.can_be_read_again() && (!is_limited || source.keeps_order());
        if !earlier.is_nothing() && !spooled && !can_be_read_again {
            warn("its rows cannot be read again as they were: it begins anew");
            // The next resuming must not take it for that of the new rows.
            Fit::forget(folder)?;
            Aggregated::forget(folder)?;
            earlier = Earlier::default();
        }
        let document = &document;
        let shares = shares(&minimum(document, source.as_ref(), &plan, goal), resources)?;
        execute(
            directory,
            Execution { document, source, plan, stop, goal, is_limited, earlier, remote, resources, shares, console },
        )
    });
    resumed.map_err(|error| document.locate(error))
}
