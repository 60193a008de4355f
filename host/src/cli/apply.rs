//! `apply`: a fitted model over another table.

use super::arguments::ApplyArguments;
use super::console::Console;
use super::destination::{Begun, Target, command, publish};
use super::execute::{ALL, concat_options, memory, options, shares, timing};
use super::interrupt::{context, leave};
use super::prepare::{model_store, open_table, plugins};
use super::summary::{REPORT, Shown, print_report, write_report};
use std::time::Instant;
use wafermill::Result;
use wafermill::aggregate::Concat;
use wafermill::model::Manifest;
use wafermill::pipeline::{LimitsSection, OutputSection, Plan};
use wafermill::run::{Aggregates, Minimum, Report, Run, restore};

/// Runs a fitted model over another table.
pub(super) fn apply(arguments: &ApplyArguments, console: &Console) -> Result<()> {
    console.open(arguments.console.metrics.as_deref())?;
    let start = Instant::now();
    let store = model_store(&arguments.model)?;
    let manifest = Manifest::read(&store)?;
    let store = store.pinned(manifest.digests());
    // The limits are the caller's: a model may come from anywhere.
    let limits = LimitsSection {
        memory: arguments.guest_memory.clone(),
        call_seconds: arguments.call_seconds,
        ..LimitsSection::default()
    };
    let plugins = plugins(&arguments.plugins, &limits)?;
    let context = context(console);
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
    let output = OutputSection { format: arguments.format, ..OutputSection::default() };
    let minimum = Minimum::of(source.as_ref(), &plan, true, Some(&output.aggregate_format()));
    let shares = shares(&minimum, &arguments.resources)?;
    let Begun { directory, remote } = target.create(REPORT, arguments.overwrite, stop.clone())?;
    leave(Some(format!("`{}` removes what is there", command("clean", &directory, remote.as_ref()))));
    let options = options(&arguments.resources, shares, manifest.folds, &directory, stop);
    let timing = timing(&plan, console);
    let watcher = console.watcher();
    let source = source.as_ref();
    let run = Run { source, store: &store, options: &options, timing: &timing, progress: &*watcher };
    let concat = concat_options(&options, &output, false, &watcher)?;
    let aggregate = Concat::create(&directory.data(), &plan.layout().schema(), &[ALL.to_owned()], &concat)?;
    let applied = run.apply(&plan, aggregate, &mut Aggregates::none(&plan))?;
    let report = Report::of(source, &plan, &timing, None, Some(applied), start.elapsed());
    write_report(&directory, &report)?;
    let shown = publish(directory, remote.as_ref(), false, console)?;
    leave(None);
    let json = arguments.resources.json;
    print_report(&report, &Shown { destination: &shown, model: None, json, to_stderr: false }, console)
}
