//! `resume`: a run goes on where it was interrupted.

use super::arguments::ResumeArguments;
use super::execute::{Earlier, Execution, execute, memory};
use super::interrupt;
use super::prepare::{Ready, open_document_source, prepare};
use super::print::print;
use wafermill::pipeline::Document;
use wafermill::run::{Aggregated, Fit, Record};
use wafermill::source::Source;
use wafermill::spool::{Recorded, Spool};
use wafermill::{Result, RunDirectory};

/// Goes on with an interrupted run.
pub(super) fn resume(arguments: &ResumeArguments) -> Result<()> {
    let mut directory = RunDirectory::reopen(&arguments.destination)?;
    let (record, schema) = Record::read(directory.path())?;
    if directory.is_published() {
        directory.discard();
        return print(&format!("{} was complete already\n", directory.destination().display()));
    }
    directory.allow(&record.marker, record.overwrite);
    let document = Document::parse(record.pipeline.clone(), &record.path)?;
    let spooled = Spool::is_in(&directory.spool())?;
    let context = interrupt::context();
    let warn = context.warn.clone();
    let ready = prepare(&document, &arguments.plugins, record.command, context, |context| {
        if spooled {
            let origin = record.origin.clone();
            return Ok(Box::new(Recorded { schema: schema.clone(), origin }) as Box<dyn Source>);
        }
        if let Some(snapshot) = &record.snapshot {
            (context.warn)(&format!(
                "its rows were not all on disk yet: they are read again, as they were at {snapshot}"
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
        let mut earlier =
            Earlier { fit: Fit::read(directory.path())?, aggregated: Aggregated::read(directory.path())? };
        if !earlier.is_nothing() && !spooled && !record.can_be_read_again() {
            warn("its rows cannot be read again as they were: it begins anew");
            earlier = Earlier::default();
            // The next resuming must not take it for that of the new rows.
            Aggregated::forget(directory.path())?;
        }
        let is_limited = record.overrides.limit.is_some();
        let document = &document;
        execute(directory, Execution { document, source, plan, stop, goal, is_limited, earlier, resources })
    });
    resumed.map_err(|error| document.locate(error))
}
