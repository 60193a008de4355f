//! `apply`: a fitted model over another table.

use super::arguments::ApplyArguments;
use super::destination::{Begun, Target, publish};
use super::execute::{ALL, concat_options, memory, options};
use super::interrupt::context;
use super::prepare::{model_store, open_table, plugins};
use super::progress::Bar;
use super::summary::{REPORT, Shown, print_report, write_report};
use std::time::Instant;
use wafermill::Result;
use wafermill::aggregate::Concat;
use wafermill::model::Manifest;
use wafermill::pipeline::{LimitsSection, OutputSection, Plan};
use wafermill::run::{Report, Run, Timing, restore};

/// Runs a fitted model over another table.
pub(super) fn apply(arguments: &ApplyArguments) -> Result<()> {
    let start = Instant::now();
    let store = model_store(&arguments.model)?;
    let manifest = Manifest::read(&store)?;
    let store = store.pinned(manifest.digests());
    // The limits are the caller's: a model may come from anywhere.
    let limits = LimitsSection { memory: arguments.guest_memory.clone(), call_seconds: arguments.call_seconds };
    let plugins = plugins(&arguments.plugins, &limits)?;
    let context = context();
    let stop = context.stop.clone();
    let (table, bigquery) = (&arguments.table, &arguments.bigquery);
    let (types, memory) = (manifest.source_types(), memory(&arguments.resources));
    let source = open_table(&arguments.source, table, bigquery, &manifest.csv, types, memory, context)?;
    let definitions = manifest.definitions(&plugins)?;
    manifest.check_source(source.schema())?;
    let mut plan = Plan::new(source.schema().clone(), definitions)?;
    restore(&mut plan, &store, |step| manifest.check_columns(step))?;
    let target = Target::of(&arguments.out, &arguments.work)?;
    target.spare(source.as_ref(), &[store.root()])?;
    let Begun { directory, remote } = target.create(REPORT, arguments.overwrite, stop.clone())?;
    let options = options(&arguments.resources, manifest.folds, &directory, stop);
    let timing = Timing::new(plan.definitions().len());
    let source = source.as_ref();
    let run = Run { source, store: &store, options: &options, timing: &timing, progress: &Bar::default() };
    let output = OutputSection { format: arguments.format, ..OutputSection::default() };
    let concat = concat_options(&options, &output)?;
    let aggregate = Concat::create(&directory.data(), &plan.layout().schema(), &[ALL.to_owned()], &concat)?;
    let applied = run.apply(&plan, aggregate)?;
    let report = Report::of(source, &plan, &timing, None, Some(applied), start.elapsed());
    write_report(&directory, &report)?;
    let shown = publish(directory, remote.as_ref(), false)?;
    let json = arguments.resources.json;
    print_report(&report, &Shown { destination: &shown, model: None, json, to_stderr: false })
}
