//! Fitting: in each pass over the source, all steps whose columns no unfitted step writes see the training rows.

use super::filters::{filters_before, settled};
use super::report::{PassReport, seconds};
use super::scan::Work;
use super::steps::{StepRunner, outputs, task};
use super::table::Table;
use super::{Count, Run, RunOptions, Running, Stage, Timing, source_columns};
use crate::memory::batch_size;
use crate::model::{Fitted, ModelStore};
use crate::partials::{self, Combiner};
use crate::pipeline::{Plan, Step};
use crate::sandbox::{Finisher, Fitter, Outcome, Pass, TableBatch};
use crate::source::SourceBatch;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What fitting came to, or has come to after some of its passes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fit {
    /// Rows of the source, where a pass counted them.
    pub rows: Option<u64>,
    /// For each step.
    pub steps: Vec<Fitted>,
    /// The passes over the source.
    pub passes: Vec<PassReport>,
    /// Bytes of partial results that were spilled.
    pub spilled: u64,
    /// The steps that asked for another pass, with what they gave for it.
    again: BTreeMap<usize, Pass>,
}

/// Memory below which an instance that learns is not drained: each one begins with some, and draining all the time would learn nothing.
const LEAST_DRAIN: usize = 16 << 20;

impl Run<'_> {
    /// Fits all steps of a plan on the source's training rows, and completes the plan with what they write. Goes on from where an earlier
    /// run was, whose models are in the store, and has each pass saved when it has ended.
    ///
    /// # Errors
    /// Where the source cannot be read, a plugin fails, or a step cannot be planned once its columns are known.
    pub fn fit(&self, plan: &mut Plan, earlier: Option<Fit>, save: impl Fn(&Fit) -> Result<()>) -> Result<Fit> {
        let mut fit = earlier.unwrap_or_default();
        fit.steps.resize(plan.definitions().len(), Fitted::default());
        let earlier: Vec<bool> = fit.steps.iter().map(|fitted| fitted.passes > 0).collect();
        loop {
            resolve_ready(plan, &fit, &earlier, self.store)?;
            let active = active_steps(plan, &mut fit.again);
            if active.is_empty() {
                break;
            }
            let start = Instant::now();
            let names = active.keys().map(|index| plan.steps()[*index].name.clone()).collect::<Vec<_>>();
            let stage =
                |name: &str| Stage { pass: Some(fit.passes.len() + 1), steps: names.clone(), ..Stage::named(name) };
            let gathering = Running::begin(self.progress, &stage("fit"), self.source.estimated_rows());
            let (rows, combiners) = self.gather(plan, &active)?;
            drop(gathering);
            let finishing = Running::begin(self.progress, &stage("finish"), None);
            fit.rows = Some(rows);
            for (index, combiners) in combiners {
                let step = &plan.steps()[index];
                let finished = {
                    let _clock = self.timing.fit(index);
                    self.finish(step, &active[&index], combiners).map_err(|error| step.place(error))?
                };
                fit.spilled += finished.spilled;
                match finished.outcome {
                    Outcome::Again(carry) => {
                        fit.again.insert(
                            index,
                            Pass { number: active[&index].number.saturating_add(1), carry: Some(carry) },
                        );
                    }
                    Outcome::Model => {
                        fit.steps[index] = finished.fitted;
                        let outputs = outputs(step, self.store)?;
                        plan.resolve(index, outputs)?;
                    }
                }
            }
            drop(finishing);
            fit.passes.push(PassReport { steps: names, seconds: seconds(start.elapsed()) });
            save(&fit)?;
        }
        if plan.is_complete() {
            return Ok(fit);
        }
        let waiting = plan.definitions().get(plan.steps().len()).map_or("?", |definition| definition.name.as_str());
        Err(Error::internal("a step waits for columns that no step writes").step(waiting))
    }

    /// One pass over the source: how many rows it has, and the partials of all active steps.
    fn gather(&self, plan: &Plan, active: &BTreeMap<usize, Pass>) -> Result<(u64, BTreeMap<usize, Vec<Combiner>>)> {
        let needed = needed_steps(plan, active.keys().copied());
        let involved = needed.iter().chain(active.keys()).map(|index| &plan.steps()[*index]);
        let columns = source_columns(plan, involved);
        let combiners = self.combiners(plan, active)?;
        let trained = Trained::of(active.keys());
        let (guests, instances) = (self.options.shares.guests, self.options.workers * active.len());
        let work = || FitWork {
            plan,
            active,
            needed: &needed,
            combiners: &combiners,
            folds: self.options.folds,
            timing: self.timing,
            trained: &trained,
            drain: (guests / (2 * instances)).max(LEAST_DRAIN),
            runner: StepRunner::new(plan, self.store, self.timing),
            fitters: BTreeMap::new(),
        };
        let spilled = |combiner: &Combiner| combiner.statistics().spilled_bytes;
        let count = || self.progress.count(Count::SpilledPartials, combiners.values().flatten().map(spilled).sum());
        let mut total = 0;
        self.scan(plan, 0, columns).run(work, |(rows, bytes)| {
            total += rows;
            self.progress.advance(rows);
            self.progress.bytes(bytes);
            self.count_restarts();
            count();
            Ok(())
        })?;
        count();
        trained.check(plan)?;
        Ok((total, combiners))
    }

    fn combiners(&self, plan: &Plan, active: &BTreeMap<usize, Pass>) -> Result<BTreeMap<usize, Vec<Combiner>>> {
        let RunOptions { shares, scratch, stop, .. } = &self.options;
        let tables: usize = active.keys().map(|index| plan.steps()[*index].plan.partials.len()).sum();
        let share = shares.results / tables.max(1);
        let of_step = |index: &usize| {
            let partials = plan.steps()[*index].plan.partials.iter();
            let combiners = partials.map(|table| Combiner::new(table.clone(), share, scratch, stop.clone()));
            Ok((*index, combiners.collect::<Result<_>>()?))
        };
        active.keys().map(of_step).collect()
    }

    /// Hands the partials, combined, to a finisher, and keeps them and the model.
    fn finish(&self, step: &Step, pass: &Pass, combiners: Vec<Combiner>) -> Result<Finished> {
        let mut finisher = Finisher::open(&step.plugin, &task(step, step.plan.input(&step.selection)), pass)?;
        let mut model = self.store.begin(step)?;
        let mut model_batches = 0;
        let mut finished = Finished { outcome: Outcome::Model, fitted: Fitted::default(), spilled: 0 };
        for (table, combiner) in combiners.into_iter().enumerate() {
            let combined = combiner.finish()?;
            finished.spilled += combined.statistics().spilled_bytes;
            let path = self.store.root().join(ModelStore::partials_file(step, combined.table().name()));
            let saved = partials::write(combined, &path, |batch| {
                self.options.stop.check()?;
                self.progress.advance(batch.num_rows() as u64);
                self.progress.bytes(batch_size(&batch) as u64);
                for rows in finisher.push(&TableBatch { table, batch })? {
                    model_batches += 1;
                    model.write(&rows)?;
                }
                Ok(())
            })?;
            finished.fitted.partials.push(saved);
        }
        finished.outcome = finisher.finish()?;
        match finished.outcome {
            Outcome::Again(_) if model_batches > 0 => {
                return Err(Error::sandbox("the plugin asks for another pass after it gave rows of its model"));
            }
            Outcome::Again(_) if pass.number.saturating_add(1) >= step.plan.passes.most => {
                let most = step.plan.passes.most;
                let message = format!("the plugin asks for more than the {most} passes that it planned");
                return Err(Error::sandbox(message));
            }
            Outcome::Again(_) => {}
            Outcome::Model => {
                finisher.drain(|rows| model.write(&rows))?;
                finished.fitted.passes = pass.number.saturating_add(1);
                finished.fitted.model = model.finish()?;
            }
        }
        Ok(finished)
    }
}

/// How a step's pass ended.
struct Finished {
    outcome: Outcome,
    fitted: Fitted,
    /// Bytes of partials that were spilled.
    spilled: u64,
}

/// Tells the plan what steps write that learn nothing, which is known at once, or that are fitted already.
fn resolve_ready(plan: &mut Plan, fit: &Fit, earlier: &[bool], store: &ModelStore) -> Result<()> {
    let mut index = 0;
    while index < plan.steps().len() {
        let step = &plan.steps()[index];
        if step.outputs.is_none() && (!step.plan.passes.any() || fit.steps[index].passes > 0) {
            if earlier[index] {
                store.check(step, &fit.steps[index]).map_err(|error| step.place(error))?;
            }
            let outputs = outputs(step, store)?;
            plan.resolve(index, outputs)?;
        }
        index += 1;
    }
    Ok(())
}

/// The steps that this pass fits: unfitted ones all of whose columns come from fitted ones, as do the rows that filters leave them.
/// Nothing but a split is fitted before the split is.
fn active_steps(plan: &Plan, again: &mut BTreeMap<usize, Pass>) -> BTreeMap<usize, Pass> {
    let steps = plan.steps();
    let settled = settled(steps);
    let ready = |index: usize| {
        let mut behind = steps[index].writers.iter().flatten().copied().chain(filters_before(steps, index));
        behind.all(|before| settled[before])
    };
    let split_first = steps.first().is_some_and(|step| step.is_split() && step.outputs.is_none());
    let candidates = steps.iter().enumerate().take(if split_first { 1 } else { steps.len() });
    let unfitted = candidates.filter(|(index, step)| step.outputs.is_none() && ready(*index));
    unfitted.map(|(index, _)| (index, again.remove(&index).unwrap_or_default())).collect()
}

/// The steps that must be applied so that some others see their columns and rows; the split always is.
fn needed_steps(plan: &Plan, wanted: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let steps = plan.steps();
    let mut needed = BTreeSet::new();
    let mut open: Vec<usize> = wanted.collect();
    while let Some(index) = open.pop() {
        let before = steps[index].writers.iter().flatten().copied().chain(filters_before(steps, index));
        open.extend(before.filter(|before| needed.insert(*before)));
    }
    needed.extend(steps.first().is_some_and(|step| step.is_split() && step.outputs.is_some()).then_some(0));
    needed
}

/// How many rows there were to learn from.
struct Trained {
    /// Of the training part.
    part: AtomicU64,
    /// By the step that saw them: filters may leave it fewer.
    steps: BTreeMap<usize, AtomicU64>,
}

impl Trained {
    fn of<'i>(active: impl Iterator<Item = &'i usize>) -> Self {
        Self { part: AtomicU64::new(0), steps: active.map(|index| (*index, AtomicU64::new(0))).collect() }
    }

    /// Each step needs a row.
    fn check(&self, plan: &Plan) -> Result<()> {
        if self.part.load(Ordering::Relaxed) == 0 {
            return Err(no_rows(plan));
        }
        match self.steps.iter().find(|(_, rows)| rows.load(Ordering::Relaxed) == 0) {
            Some((index, _)) => Err(none_left(plan, *index)),
            None => Ok(()),
        }
    }
}

/// Of a step behind filters that drop all training rows.
fn none_left(plan: &Plan, index: usize) -> Error {
    let steps = plan.steps();
    let filters: Vec<_> = filters_before(steps, index).map(|filter| format!("`{}`", steps[filter].name)).collect();
    let hint = format!("the filters before it drop all training rows: check {}", filters.join(", "));
    steps[index].place(Error::usage("there are no rows to fit on").hint(hint))
}

fn no_rows(plan: &Plan) -> Error {
    let error = Error::usage("there are no rows to fit on");
    match plan.steps().first() {
        Some(step) if step.is_split() => {
            error.at("/split").hint("the training part of the split got none: check its share, or the source")
        }
        _ => error.at("/source/path").hint("the source has none: check what it names, and its `sample`"),
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
    trained: &'a Trained,
    /// Bytes of an instance from which on it is drained.
    drain: usize,
    runner: StepRunner<'a>,
    fitters: BTreeMap<usize, Fitter>,
}

impl Work for FitWork<'_> {
    /// How many rows the source gave, and their bytes.
    type Output = (u64, u64);

    fn process(&mut self, input: SourceBatch) -> Result<Self::Output> {
        let rows = (input.batch.num_rows() as u64, batch_size(&input.batch) as u64);
        let mut table = Table::new(input.batch, self.folds);
        let mut training = table.rows();
        for (index, step) in self.plan.steps().iter().enumerate() {
            let result = if self.active.contains_key(&index) {
                self.update(index, &table)
            } else if self.needed.contains(&index) {
                self.runner.apply(index, &mut table)
            } else {
                Ok(())
            };
            result.map_err(|error| input.position.place(table.place(error)))?;
            if step.is_split() && self.needed.contains(&index) {
                table.keep_training_rows()?;
                training = table.rows();
            }
        }
        self.trained.part.fetch_add(training as u64, Ordering::Relaxed);
        Ok(rows)
    }

    fn end(&mut self) -> Result<()> {
        for (index, mut fitter) in std::mem::take(&mut self.fitters) {
            self.drain(index, &mut fitter).map_err(|error| self.plan.steps()[index].place(error))?;
        }
        Ok(())
    }
}

impl FitWork<'_> {
    fn update(&mut self, index: usize, table: &Table) -> Result<()> {
        let _clock = self.timing.fit(index);
        let step = &self.plan.steps()[index];
        let placed = |error| step.place(error);
        let input = table.input(step).map_err(placed)?;
        if input.num_rows() == 0 {
            return Ok(());
        }
        self.trained.steps[&index].fetch_add(input.num_rows() as u64, Ordering::Relaxed);
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
        if fitter.is_full(self.drain) {
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
