//! Fitting: in each pass over the source, all steps whose columns no unfitted step writes see the training rows.

use super::filters::{filters_before, settled};
use super::kept::Kept;
use super::learn::{Learned, Learner, Learning};
use super::remembered::{Input, Inputs, Recalled, Remembered};
use super::report::{PassReport, seconds};
use super::resolve::resolve_ready;
use super::scan::{Batch, Work};
use super::steps::{StepRunner, outputs};
use super::table::Table;
use super::training::TrainingRows;
use super::{Count, Run, Running, Stage, saved, source_columns};
use crate::model::Fitted;
use crate::pipeline::{Plan, Step};
use crate::sandbox::{Outcome, Pass};
use crate::source::SourceBatch;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The position of the split, where there is one: it stands before all steps.
const SPLIT: usize = 0;

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

/// The file in the run's folder that tells how far fitting has come.
pub const PROGRESS: &str = "fit.json";

impl Fit {
    /// Has what it tells safe on disk; the models that it tells of must be.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        saved::save(folder, PROGRESS, self)
    }

    /// What an earlier run saved, if it came so far.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        saved::read(folder, PROGRESS)
    }

    /// Forgets what an earlier run saved: it is of other rows than those that are read now.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget(folder: &Path) -> Result<()> {
        saved::forget(folder, PROGRESS)
    }
}

impl Run<'_> {
    /// Fits all steps of a plan on the source's training rows, and completes the plan with what they write. Goes on from where an earlier
    /// run was, whose models are in the store, and has each pass saved when it has ended.
    ///
    /// # Errors
    /// Where the source cannot be read, a plugin fails, or a step cannot be planned once its columns are known.
    pub fn fit(&self, plan: &mut Plan, earlier: Option<Fit>, save: impl Fn(&Fit) -> Result<()>) -> Result<Fit> {
        self.fit_from(plan, earlier, None, save)
    }

    /// Fits all steps of a plan on the rows that a model was fitted on and the source's training rows together. The plan must have passed
    /// [`Kept::check`]. Goes on and saves as [`fit`](Self::fit) does.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit), and where what the model kept is damaged, or is not enough after all.
    pub fn add(
        &self,
        plan: &mut Plan,
        kept: &Kept<'_>,
        earlier: Option<Fit>,
        save: impl Fn(&Fit) -> Result<()>,
    ) -> Result<Fit> {
        self.fit_from(plan, earlier, Some(kept), save)
    }

    fn fit_from(
        &self,
        plan: &mut Plan,
        earlier: Option<Fit>,
        kept: Option<&Kept<'_>>,
        save: impl Fn(&Fit) -> Result<()>,
    ) -> Result<Fit> {
        let mut fit = earlier.unwrap_or_default();
        fit.steps.resize(plan.definitions().len(), Fitted::default());
        let mut training = TrainingRows::default();
        let mut remembered = Remembered::new(self.options.shares.remembered, self.options.pressure.clone());
        let earlier: Vec<bool> = fit.steps.iter().map(|fitted| fitted.passes > 0).collect();
        loop {
            resolve_ready(plan, &fit.steps, self.store, |index, step| match earlier[index] {
                true => self.check_learned(self.store, step, &fit.steps[index]),
                false => Ok(()),
            })?;
            let active = active_steps(plan, &mut fit.again);
            if active.is_empty() {
                break;
            }
            let start = Instant::now();
            let names = active.keys().map(|index| plan.steps()[*index].name.clone()).collect::<Vec<_>>();
            let stage =
                |name: &str| Stage { pass: Some(fit.passes.len() + 1), steps: names.clone(), ..Stage::named(name) };
            let gathering = Running::begin(self.progress, &stage("fit"), self.source.estimated_rows());
            // Rows that come in another order, or from other streams, in the next pass are not found again by where they stood.
            let is_steady = self.source.keeps_order();
            let (rows, learned) = self.gather(plan, active, kept, &training, &mut remembered)?;
            match is_steady {
                true => training.end_pass(),
                false => training = TrainingRows::default(),
            }
            remembered.end_pass()?;
            drop(gathering);
            let finishing = Running::begin(self.progress, &stage("finish"), None);
            fit.rows = Some(rows);
            for (index, pass, combiners) in learned {
                let step = &plan.steps()[index];
                let finished = {
                    let _clock = self.timing.fit(index);
                    let finished = self.finish(self.store, true, step, &pass, combiners);
                    finished.map_err(|error| step.place(error))?
                };
                fit.spilled += finished.spilled;
                match (finished.outcome, kept) {
                    (Outcome::Again(_), Some(kept)) => return Err(kept.again(step)),
                    (Outcome::Again(carry), None) => drop(fit.again.insert(index, pass.next(carry))),
                    (Outcome::Model, _) => {
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

    /// One pass over the source: how many rows it has, and the partials of all active steps, with those that were kept of other rows.
    fn gather(
        &self,
        plan: &Plan,
        active: BTreeMap<usize, Pass>,
        kept: Option<&Kept<'_>>,
        training: &TrainingRows,
        remembered: &mut Remembered,
    ) -> Result<(u64, Learned)> {
        let steps = plan.steps();
        let mut needed = needed_steps(plan, active.keys().copied());
        let has_split = steps.first().is_some_and(Step::is_split);
        let splits = has_split && needed.remove(&SPLIT) && !training.are_known();
        let wanted = source_columns(plan, needed.iter().chain(active.keys()).map(|index| &steps[*index]));
        let mut columns = &wanted | &source_columns(plan, steps[..usize::from(splits)].iter());
        let mut later = later_columns(plan, &active);
        // Rows of no part yet, or that come in another order, are not found again.
        if !self.source.keeps_order() || has_split && active.contains_key(&SPLIT) {
            later.clear();
        } else if self.source.value_bytes().is_some_and(|bytes| bytes <= self.options.shares.remembered as u64) {
            // A column that is read too early need not be read later, where all are remembered.
            columns.extend(&later);
        }
        let later = &later & &columns;
        let recalls = remembered.begin_pass(&names(plan, &wanted), names(plan, &later));
        let learning = Learning::begin(self.options, plan.steps(), active, self.options.shares.results, self.timing)?;
        if let Some(kept) = kept {
            let mut tables = learning.combiners().map(|(index, combiners)| (&plan.steps()[index], combiners));
            tables.try_for_each(|(step, combiners)| {
                let pushed = kept.push(step, combiners, self);
                pushed.map_err(|error| step.place(error))
            })?;
        }
        let trained = AtomicU64::new(0);
        let remembered = &*remembered;
        let work = || FitWork {
            plan,
            needed: &needed,
            splits,
            notes: !recalls,
            folds: self.options.folds,
            trained: &trained,
            training,
            remembered,
            runner: StepRunner::new(plan, self),
            learning: &learning,
            learner: learning.learner(),
        };
        let count = || self.progress.count(Count::SpilledPartials, learning.spilled_bytes());
        let mut total = 0;
        let columns: Vec<usize> = columns.into_iter().collect();
        let inputs = Inputs::new(remembered, |start| self.read(start, &columns));
        self.scan(plan).run(inputs, work, |(rows, bytes)| {
            total += rows;
            self.progress.advance(rows);
            self.progress.bytes(bytes);
            self.count_restarts();
            count();
            Ok(())
        })?;
        count();
        match (trained.into_inner(), learning.starved()) {
            // The rows that were there before are enough.
            _ if kept.is_some() => Ok((total, learning.end())),
            (0, _) => Err(no_rows(plan)),
            (_, Some(index)) => Err(none_left(plan, index)),
            _ => Ok((total, learning.end())),
        }
    }
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
    needed.extend(steps.first().is_some_and(|step| step.is_split() && step.outputs.is_some()).then_some(SPLIT));
    needed
}

/// The source's columns that steps see in later passes, as far as the steps are planned, by their positions. A step that learns in this
/// pass may want another one.
fn later_columns(plan: &Plan, active: &BTreeMap<usize, Pass>) -> BTreeSet<usize> {
    let steps = plan.steps();
    let is_last =
        |index: usize| active.get(&index).is_some_and(|pass| pass.number + 1 >= steps[index].plan.passes.most);
    let unfitted = (0..steps.len()).filter(|index| steps[*index].outputs.is_none() && !is_last(*index));
    let unfitted: Vec<usize> = unfitted.collect();
    let needed = needed_steps(plan, unfitted.iter().copied());
    let seen = needed.iter().chain(&unfitted).map(|index| &steps[*index]).filter(|step| !step.is_split());
    source_columns(plan, seen)
}

/// The names of some of the source's columns.
fn names(plan: &Plan, columns: &BTreeSet<usize>) -> BTreeSet<String> {
    columns.iter().map(|column| plan.source().field(*column).name().clone()).collect()
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
    /// The steps that are applied, without the split.
    needed: &'a BTreeSet<usize>,
    /// Whether the split is asked which rows are for training.
    splits: bool,
    /// Whether it is noted which are: of all rows or of none.
    notes: bool,
    folds: u8,
    /// Counts the rows of the training part.
    trained: &'a AtomicU64,
    training: &'a TrainingRows,
    remembered: &'a Remembered,
    runner: StepRunner<'a>,
    learning: &'a Learning<'a>,
    learner: Learner<'a>,
}

impl FitWork<'_> {
    /// The training rows of a batch; all of its rows where there is no split, or none that is fitted.
    fn training_rows(&mut self, SourceBatch { position, batch }: SourceBatch) -> Result<Table> {
        let mut table = Table::new(batch, self.folds);
        if self.training.are_known() {
            self.training.keep(&position, &mut table)?;
        } else if self.splits {
            let split = self.runner.apply(SPLIT, &mut table);
            split.map_err(|error| position.place(table.place(error)))?;
            let rows = table.training_rows().ok_or_else(|| Error::internal("the split assigned no parts"))?;
            if self.notes {
                self.training.note(&position, &rows);
            }
            table.keep_as_training(rows)?;
        }
        Ok(table)
    }
}

impl Work for FitWork<'_> {
    type Input = Input;

    /// How many rows the source gave, and their bytes.
    type Output = (u64, u64);

    fn process(&mut self, input: Input) -> Result<Self::Output> {
        let (mut table, position, rows, bytes) = match input {
            Input::Recalled(recalled) => {
                let Recalled { table, position, of, of_bytes, .. } = recalled;
                (table, position, of, of_bytes)
            }
            Input::Read(batch, admitted) => {
                let (position, rows, bytes) = (batch.position.clone(), batch.batch.num_rows(), batch.bytes());
                let table = self.training_rows(batch)?;
                if let Some(admitted) = admitted {
                    self.remembered.keep(admitted, &table, &position)?;
                }
                (table, position, rows, bytes)
            }
        };
        let training = table.rows();
        for index in 0..self.plan.steps().len() {
            let result = if self.learning.active().contains_key(&index) {
                self.learner.update(index, &table)
            } else if self.needed.contains(&index) {
                self.runner.apply(index, &mut table)
            } else {
                Ok(())
            };
            result.map_err(|error| position.place(table.place(error)))?;
        }
        self.trained.fetch_add(training as u64, Ordering::Relaxed);
        Ok((rows as u64, bytes as u64))
    }

    fn end(&mut self) -> Result<()> {
        self.learner.end()
    }
}
