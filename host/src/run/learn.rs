//! Learning in a pass over the source: the fitters of each worker, the partials that all of them give, and what comes of those.

use super::steps::task;
use super::table::Table;
use super::{Run, RunOptions, Running, Stage, Timing};
use crate::dump::{Call, Dump, Given};
use crate::memory::batch_size;
use crate::model::{Fitted, ModelStore};
use crate::partials::{self, Combiner};
use crate::pipeline::Step;
use crate::sandbox::{Finisher, Fitter, Outcome, Pass, TableBatch};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory below which an instance that learns is not drained: each one begins with some, and draining all the time would learn nothing.
const LEAST_DRAIN: usize = 16 << 20;

/// What the workers of a pass share in which some steps learn.
pub(super) struct Learning<'a> {
    /// All steps, those among them that learn, with the pass that each is in.
    steps: &'a [Step],
    active: BTreeMap<usize, Pass>,
    combiners: BTreeMap<usize, Vec<Combiner>>,
    /// How many rows each of them saw.
    rows: BTreeMap<usize, AtomicU64>,
    /// Bytes of an instance from which on it is drained.
    drain: usize,
    timing: &'a Timing,
    dump: Option<Dump>,
}

/// For each step that learned its position, its pass and its partials.
pub(super) type Learned = Vec<(usize, Pass, Vec<Combiner>)>;

/// The fitters of one worker.
pub(super) struct Learner<'a> {
    learning: &'a Learning<'a>,
    fitters: BTreeMap<usize, Fitter>,
}

impl<'a> Learning<'a> {
    /// For a pass in which the `active` ones of `steps` learn, whose partials take `results` bytes of memory together.
    pub(super) fn begin(
        options: &RunOptions,
        steps: &'a [Step],
        active: BTreeMap<usize, Pass>,
        results: usize,
        timing: &'a Timing,
    ) -> Result<Self> {
        let RunOptions { shares, workers, scratch, stop, .. } = options;
        let tables: usize = active.keys().map(|index| steps[*index].plan.partials.len()).sum();
        let share = results / tables.max(1);
        let of_step = |index: &usize| {
            let partials = steps[*index].plan.partials.iter();
            let combiners = partials.map(|table| Combiner::new(table.clone(), share, scratch, stop.clone()));
            Ok((*index, combiners.collect::<Result<_>>()?))
        };
        let combiners = active.keys().map(of_step).collect::<Result<_>>()?;
        let instances = (workers * active.len()).max(1);
        Ok(Self {
            steps,
            combiners,
            rows: active.keys().map(|index| (*index, AtomicU64::new(0))).collect(),
            active,
            drain: (shares.guests / (2 * instances)).max(LEAST_DRAIN),
            timing,
            dump: options.dump.clone(),
        })
    }

    /// The steps that learn, by their positions, with their passes.
    pub(super) fn active(&self) -> &BTreeMap<usize, Pass> {
        &self.active
    }

    /// The combiners of each of them.
    pub(super) fn combiners(&self) -> impl Iterator<Item = (usize, &[Combiner])> {
        self.combiners.iter().map(|(index, combiners)| (*index, combiners.as_slice()))
    }

    /// A step that learns and has seen no row.
    pub(super) fn starved(&self) -> Option<usize> {
        self.rows.iter().find(|(_, rows)| rows.load(Ordering::Relaxed) == 0).map(|(index, _)| *index)
    }

    /// Bytes of partials that were spilled so far.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.combiners.values().flatten().map(|combiner| combiner.statistics().spilled_bytes).sum()
    }

    /// A worker's share of it.
    pub(super) fn learner(&'a self) -> Learner<'a> {
        Learner { learning: self, fitters: BTreeMap::new() }
    }

    /// What was learned.
    pub(super) fn end(self) -> Learned {
        let passes = self.active.into_iter().zip(self.combiners.into_values());
        passes.map(|((index, pass), combiners)| (index, pass, combiners)).collect()
    }
}

impl Learner<'_> {
    /// Has a step learn from the rows of a table.
    pub(super) fn update(&mut self, index: usize, table: &Table) -> Result<()> {
        let step = &self.learning.steps[index];
        let _clock = self.learning.timing.fit(index);
        table.input(step).and_then(|input| self.learn(index, step, &input)).map_err(|error| step.place(error))
    }

    fn learn(&mut self, index: usize, step: &Step, input: &RecordBatch) -> Result<()> {
        if input.num_rows() == 0 {
            return Ok(());
        }
        self.learning.rows[&index].fetch_add(input.num_rows() as u64, Ordering::Relaxed);
        let mut fitter = match self.fitters.remove(&index) {
            Some(fitter) if fitter.input() == input.schema_ref() => fitter,
            other => {
                if let Some(mut fitter) = other {
                    self.drain(index, &mut fitter)?;
                }
                Fitter::open(&step.plugin, &task(step, input.schema()), &self.learning.active[&index])?
            }
        };
        fitter.update(input).map_err(|error| match &self.learning.dump {
            Some(dump) => {
                let pass = Some(&self.learning.active[&index]);
                dump.keep(&Given { step, call: Call::Update, batch: input, pass, model: None }, error)
            }
            None => error,
        })?;
        if fitter.is_full(self.learning.drain) {
            // Linear memory never shrinks, so a full instance is replaced by a fresh one.
            return self.drain(index, &mut fitter);
        }
        self.fitters.insert(index, fitter);
        Ok(())
    }

    /// Gives away what was learned and not given yet.
    pub(super) fn end(&mut self) -> Result<()> {
        for (index, mut fitter) in std::mem::take(&mut self.fitters) {
            self.drain(index, &mut fitter).map_err(|error| self.learning.steps[index].place(error))?;
        }
        Ok(())
    }

    fn drain(&self, index: usize, fitter: &mut Fitter) -> Result<()> {
        let combiners = &self.learning.combiners[&index];
        fitter.drain(|rows| combiners[rows.table].push(rows.batch))
    }
}

/// How a step's pass ended.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) fitted: Fitted,
    /// Bytes of partials that were spilled.
    pub(super) spilled: u64,
}

impl Run<'_> {
    /// Checks that what a step learned in an earlier run, whose tables are in a store, is what it was.
    pub(super) fn check_learned(&self, store: &ModelStore, step: &Step, fitted: &Fitted) -> Result<()> {
        let stage = Stage { steps: vec![step.name.clone()], ..Stage::named("check what was learned") };
        let _checking = Running::begin(self.progress, &stage, None);
        let checked = store.check(step, fitted, &mut |bytes| {
            self.progress.bytes(bytes);
            self.options.stop.check()
        });
        checked.map_err(|error| step.place(error))
    }

    /// Hands the partials, combined, to a finisher, and keeps its model in a store; with `keeps_partials` also them.
    pub(super) fn finish(
        &self,
        store: &ModelStore,
        keeps_partials: bool,
        step: &Step,
        pass: &Pass,
        combiners: Vec<Combiner>,
    ) -> Result<Finished> {
        let mut finisher = Finisher::open(&step.plugin, &task(step, step.plan.input(&step.selection)), pass)?;
        let mut model = store.begin(step)?;
        let mut model_batches = 0;
        let mut finished = Finished { outcome: Outcome::Model, fitted: Fitted::default(), spilled: 0 };
        for (table, combiner) in combiners.into_iter().enumerate() {
            let combined = combiner.finish()?;
            finished.spilled += combined.statistics().spilled_bytes;
            let path = store.root().join(ModelStore::partials_file(step, combined.table().name()));
            let mut push = |batch: RecordBatch| {
                self.options.stop.check()?;
                self.progress.advance(batch.num_rows() as u64);
                self.progress.bytes(batch_size(&batch) as u64);
                for rows in finisher.push(&TableBatch { table, batch })? {
                    model_batches += 1;
                    model.write(&rows)?;
                }
                Ok(())
            };
            if keeps_partials {
                finished.fitted.partials.push(partials::write(combined, &path, push)?);
            } else {
                combined.into_iter().try_for_each(|batch| push(batch?))?;
            }
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
