//! Fitting: in each pass over the source, all steps whose columns no unfitted step writes see the training rows.

use super::report::{PassReport, seconds};
use super::scan::{InputBatch, Scan, Work};
use super::steps::{StepRunner, outputs, plain_input, task};
use super::table::Table;
use super::{Progress, RunOptions, Timing};
use crate::contract::{Context, Read};
use crate::model::{Fitted, ModelStore};
use crate::partials::{Combined, Combiner};
use crate::pipeline::{Plan, Step};
use crate::sandbox::{Finisher, Fitter, Outcome, Pass, TableBatch};
use crate::source::Source;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What fitting came to.
#[derive(Debug)]
pub struct Fit {
    /// For each step.
    pub steps: Vec<Fitted>,
    /// The passes over the source.
    pub passes: Vec<PassReport>,
    /// Bytes of partial results that were spilled.
    pub spilled: u64,
}

/// A share of the memory for partials, the rest is for what holds them while they are merged, guests and batches.
const PARTIALS_SHARE: usize = 2;

/// Fits all steps of a plan on the source's training rows, and completes the plan with what they write.
///
/// # Errors
/// Where the source cannot be read, a plugin fails, or a step cannot be planned once its columns are known.
pub fn fit(
    plan: &mut Plan,
    source: &dyn Source,
    store: &ModelStore,
    options: &RunOptions,
    timing: &Timing,
    progress: &dyn Progress,
) -> Result<Fit> {
    let mut fit = Fit { steps: vec![Fitted::default(); plan.definitions().len()], passes: Vec::new(), spilled: 0 };
    let mut again: BTreeMap<usize, Pass> = BTreeMap::new();
    loop {
        resolve_ready(plan, store)?;
        let active = active_steps(plan, &mut again);
        if active.is_empty() {
            break;
        }
        let start = Instant::now();
        let names = active.keys().map(|index| plan.steps()[*index].name.clone()).collect::<Vec<_>>();
        progress.begin(&format!("fit {}", names.join(", ")), super::known_rows(source));
        let combined = gather(plan, &active, source, store, options, timing, progress);
        progress.end();
        for (index, tables) in combined? {
            let step = &plan.steps()[index];
            let pass = &active[&index];
            fit.spilled += tables.iter().map(|table| table.statistics().spilled_bytes).sum::<u64>();
            let finished = {
                let _clock = timing.fit(index);
                finish(step, pass, tables, store)
            };
            let placed = |error: Error| error.step(&step.name).in_plugin(&step.plugin.description().name);
            match finished.map_err(placed)? {
                Finished::Again(carry) => {
                    again.insert(index, Pass { number: pass.number + 1, carry: Some(carry) });
                }
                Finished::Model { partial_rows, model_rows } => {
                    let passes = pass.number + 1;
                    fit.steps[index] = Fitted { passes, model_rows, partial_rows };
                    let outputs = outputs(step, store)?;
                    plan.resolve(index, outputs)?;
                }
            }
        }
        fit.passes.push(PassReport { steps: names, seconds: seconds(start.elapsed()) });
    }
    if plan.is_complete() {
        return Ok(fit);
    }
    let waiting = plan.definitions().get(plan.steps().len()).map_or("?", |definition| definition.name.as_str());
    Err(Error::internal("a step waits for columns that no step writes").step(waiting))
}

/// Tells the plan what steps write that learn nothing, which is known at once.
fn resolve_ready(plan: &mut Plan, store: &ModelStore) -> Result<()> {
    let mut index = 0;
    while index < plan.steps().len() {
        let step = &plan.steps()[index];
        if step.outputs.is_none() && !step.plan.passes.any() {
            let outputs = outputs(step, store)?;
            plan.resolve(index, outputs)?;
        }
        index += 1;
    }
    Ok(())
}

/// The steps that this pass fits: unfitted ones all of whose columns come from fitted ones. Nothing but a split is fitted before the
/// split is.
fn active_steps(plan: &Plan, again: &mut BTreeMap<usize, Pass>) -> BTreeMap<usize, Pass> {
    let steps = plan.steps();
    let fitted = |index: usize| steps[index].outputs.is_some();
    // A writer is fitted only once all that it reads is, so that looking at direct writers suffices.
    let ready = |step: &Step| step.writers.iter().flatten().all(|writer| fitted(*writer));
    let split_first = steps.first().is_some_and(|step| step.is_split() && step.outputs.is_none());
    let candidates = steps.iter().enumerate().take(if split_first { 1 } else { steps.len() });
    let unfitted = candidates.filter(|(index, step)| !fitted(*index) && ready(step));
    unfitted.map(|(index, _)| (index, again.remove(&index).unwrap_or_default())).collect()
}

/// The steps that must be applied so that some others can see their columns; the split always is.
fn needed_steps(plan: &Plan, wanted: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let steps = plan.steps();
    let mut needed = BTreeSet::new();
    let mut open: Vec<usize> = wanted.collect();
    while let Some(index) = open.pop() {
        open.extend(steps[index].writers.iter().flatten().filter(|writer| needed.insert(**writer)));
    }
    needed.extend(steps.first().is_some_and(|step| step.is_split() && step.outputs.is_some()).then_some(0));
    needed
}

/// The source's columns that steps read, by their positions; all of them where one asks for the row hash.
pub(super) fn source_columns<'s>(plan: &Plan, steps: impl Iterator<Item = &'s Step>) -> BTreeSet<usize> {
    let schema = plan.source();
    let mut columns = BTreeSet::new();
    for step in steps {
        let hashes_rows = step.plan.reads.iter().any(|read| {
            matches!(read, Read::Context(Context::RowHash))
                || (*read == Read::Context(Context::Fold)
                    && !step.selection.roles.contains(&crate::contract::ColumnRole::Key))
        });
        if hashes_rows {
            return (0..schema.fields().len()).collect();
        }
        let fields = step.selection.schema.fields().iter().zip(&step.writers).filter(|(_, writer)| writer.is_none());
        columns.extend(fields.filter_map(|(field, _)| schema.index_of(field.name()).ok()));
    }
    columns
}

/// One pass over the source: the partials of all active steps, combined.
fn gather(
    plan: &Plan,
    active: &BTreeMap<usize, Pass>,
    source: &dyn Source,
    store: &ModelStore,
    options: &RunOptions,
    timing: &Timing,
    progress: &dyn Progress,
) -> Result<Vec<(usize, Vec<Combined>)>> {
    let needed = needed_steps(plan, active.keys().copied());
    let involved = needed.iter().chain(active.keys()).map(|index| &plan.steps()[*index]);
    let tables: usize = active.keys().map(|index| plan.steps()[*index].plan.partials.len()).sum();
    let memory = options.memory / PARTIALS_SHARE / tables.max(1);
    let mut combiners: BTreeMap<usize, Vec<Combiner>> = BTreeMap::new();
    for index in active.keys() {
        let partials = plan.steps()[*index].plan.partials.iter();
        let made = partials.map(|table| Combiner::new(table.clone(), memory, &options.scratch));
        combiners.insert(*index, made.collect::<Result<_>>()?);
    }
    let scan = Scan {
        source,
        columns: source_columns(plan, involved).into_iter().collect(),
        batch_rows: options.batch_rows,
        workers: options.workers,
        stop: &options.stop,
    };
    let rows = AtomicU64::new(0);
    let work = || {
        Ok(FitWork {
            plan,
            active,
            needed: &needed,
            combiners: &combiners,
            folds: options.folds,
            timing,
            rows: &rows,
            runner: StepRunner::new(plan, store, timing),
            fitters: BTreeMap::new(),
        })
    };
    scan.run(work, |rows| {
        progress.advance(rows);
        Ok(())
    })?;
    let finish = |(index, combiners): (usize, Vec<Combiner>)| {
        Ok((index, combiners.into_iter().map(Combiner::finish).collect::<Result<_>>()?))
    };
    let combined = combiners.into_iter().map(finish).collect();
    if rows.load(Ordering::Relaxed) == 0 {
        return Err(no_rows(plan));
    }
    combined
}

fn no_rows(plan: &Plan) -> Error {
    let error = Error::source("there are no rows to fit on");
    match plan.steps().first() {
        Some(step) if step.is_split() => {
            error.at("/split").hint("the first part of the split got none: check its shares, or the source")
        }
        _ => error.at("/source/path").hint("the source has none: check what it names"),
    }
}

/// One worker of a pass.
struct FitWork<'a> {
    plan: &'a Plan,
    active: &'a BTreeMap<usize, Pass>,
    needed: &'a BTreeSet<usize>,
    combiners: &'a BTreeMap<usize, Vec<Combiner>>,
    folds: u8,
    timing: &'a Timing,
    /// Rows that were learned from.
    rows: &'a AtomicU64,
    runner: StepRunner<'a>,
    fitters: BTreeMap<usize, Fitter>,
}

impl Work for FitWork<'_> {
    type Output = u64;

    fn process(&mut self, input: InputBatch) -> Result<u64> {
        let rows = input.batch.num_rows() as u64;
        let mut table = Table::new(input.batch, self.folds);
        let mut kept = None;
        for (index, step) in self.plan.steps().iter().enumerate() {
            let result = if self.active.contains_key(&index) {
                self.update(index, &table)
            } else if self.needed.contains(&index) {
                self.runner.apply(index, &mut table)
            } else {
                Ok(())
            };
            result.map_err(|error| input.position.place(unfiltered(error, kept.as_deref())))?;
            if step.is_split() && self.needed.contains(&index) {
                kept = table.keep_training_rows()?;
            }
        }
        self.rows.fetch_add(table.rows() as u64, Ordering::Relaxed);
        Ok(rows)
    }

    fn end(&mut self) -> Result<()> {
        for (index, mut fitter) in std::mem::take(&mut self.fitters) {
            self.drain(index, &mut fitter).map_err(|error| error.step(&self.plan.steps()[index].name))?;
        }
        Ok(())
    }
}

/// Rows of the filtered batch as rows of the whole one.
fn unfiltered(error: Error, kept: Option<&[u64]>) -> Error {
    match kept {
        Some(kept) => {
            error.map_rows(|row| usize::try_from(row).ok().and_then(|row| kept.get(row)).copied().unwrap_or(row))
        }
        None => error,
    }
}

impl FitWork<'_> {
    fn update(&mut self, index: usize, table: &Table) -> Result<()> {
        let _clock = self.timing.fit(index);
        let step = &self.plan.steps()[index];
        let placed = |error: Error| error.step(&step.name).in_plugin(&step.plugin.description().name);
        let input = table.input(step).map_err(placed)?;
        if input.num_rows() == 0 {
            return Ok(());
        }
        let mut fitter = match self.fitters.remove(&index) {
            Some(fitter) if fitter.input() == input.schema_ref() => fitter,
            other => {
                if let Some(mut fitter) = other {
                    self.drain(index, &mut fitter).map_err(placed)?;
                }
                Fitter::open(&step.plugin, &task(step, input.schema()), &self.active[&index]).map_err(placed)?
            }
        };
        fitter.update(&input).map_err(placed)?;
        if fitter.is_full() {
            // Linear memory never shrinks, so a full instance is replaced by a fresh one.
            return self.drain(index, &mut fitter).map_err(placed);
        }
        self.fitters.insert(index, fitter);
        Ok(())
    }

    fn drain(&self, index: usize, fitter: &mut Fitter) -> Result<()> {
        let combiners = &self.combiners[&index];
        fitter.drain(|rows| combiners[rows.table].push(rows.batch))
    }
}

enum Finished {
    Again(Vec<u8>),
    Model { partial_rows: Vec<u64>, model_rows: Vec<u64> },
}

/// Hands the combined partials to a finisher, and keeps them and the model.
fn finish(step: &Step, pass: &Pass, tables: Vec<Combined>, store: &ModelStore) -> Result<Finished> {
    let mut finisher = Finisher::open(&step.plugin, &task(step, plain_input(step)), pass)?;
    let mut model = store.begin(step)?;
    let mut model_batches = 0;
    let mut partial_rows = Vec::new();
    for (table, combined) in tables.into_iter().enumerate() {
        let planned = combined.table().clone();
        let path = store.partials_path(step, planned.name());
        let mut writer = crate::ipc::TableWriter::create(&path, planned.schema())?;
        for batch in combined {
            let rows = TableBatch { table, batch: batch? };
            writer.write(&rows.batch)?;
            for rows in finisher.push(&rows)? {
                model_batches += 1;
                model.write(&rows)?;
            }
        }
        partial_rows.push(writer.finish()?);
    }
    match finisher.finish()? {
        Outcome::Again(_) if model_batches > 0 => {
            Err(Error::sandbox("the plugin asks for another pass after it gave rows of its model"))
        }
        Outcome::Again(_) if pass.number + 1 >= step.plan.passes.most => Err(Error::sandbox(format!(
            "the plugin asks for more than the {} passes that it planned",
            step.plan.passes.most
        ))),
        Outcome::Again(carry) => Ok(Finished::Again(carry)),
        Outcome::Model => {
            finisher.drain(|rows| model.write(&rows))?;
            Ok(Finished::Model { partial_rows, model_rows: model.finish()? })
        }
    }
}

/// Completes a plan whose steps were fitted before, from their models; `check` is asked about each step.
///
/// # Errors
/// Where a model cannot be read or does not fit the columns, or `check` fails.
pub fn restore(plan: &mut Plan, store: &ModelStore, check: impl Fn(&Step) -> Result<()>) -> Result<()> {
    let mut index = 0;
    while index < plan.steps().len() {
        let step = &plan.steps()[index];
        check(step)?;
        let outputs = outputs(step, store)?;
        plan.resolve(index, outputs)?;
        index += 1;
    }
    Ok(())
}
