//! Aggregates: behind all steps, they learn from the rows of all parts, beside the pass that applies the steps and in passes of their own.

use super::apply::{AllRows, Applied};
use super::learn::{Learned, Learning};
use super::report::{PassReport, seconds};
use super::{Run, RunOptions, Running, Stage, Timing, saved, source_columns};
use crate::Result;
use crate::aggregate::{Discard, Summary};
use crate::model::{Fitted, ModelStore};
use crate::pipeline::{Plan, Step};
use crate::sandbox::{Outcome, Pass};
use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The file in the run's folder that tells how far its aggregates have come.
pub const AGGREGATED: &str = "aggregates.json";

/// What aggregates came to, or have come to after some of their passes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Aggregated {
    /// What a pass of their own counted.
    counted: Option<Counted>,
    /// For each aggregate.
    pub fitted: Vec<Fitted>,
    /// The passes over the source that were theirs alone.
    pub passes: Vec<PassReport>,
    /// Bytes of partial results that were spilled.
    pub spilled: u64,
    /// Those that asked for another pass, with what they gave for it.
    again: BTreeMap<usize, Pass>,
}

/// What a pass over all rows counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counted {
    rows: u64,
    dropped: Option<Vec<u64>>,
}

impl Aggregated {
    /// What an earlier run saved, if it came so far.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        saved::read(folder, AGGREGATED)
    }

    /// Has it safe on disk; the tables that it tells of must be.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        saved::save(folder, AGGREGATED, self)
    }

    /// Forgets what an earlier run saved.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget(folder: &Path) -> Result<()> {
        saved::forget(folder, AGGREGATED)
    }
}

/// Has the progress of a run saved.
type Save<'a> = Box<dyn Fn(&Aggregated) -> Result<()> + 'a>;

/// The aggregates of a plan on their way.
pub struct Aggregates<'a> {
    plan: &'a Plan,
    /// Where their tables are until they are complete.
    store: ModelStore,
    timing: Timing,
    progress: Aggregated,
    save: Save<'a>,
}

impl<'a> Aggregates<'a> {
    /// Those of a plan whose steps are fitted. Goes on from where an earlier run was, whose tables are in the store, and has each
    /// pass saved when it has ended.
    ///
    /// # Errors
    /// Where a table of the earlier run is not what it was.
    pub fn of(
        run: &Run<'_>,
        plan: &'a Plan,
        store: ModelStore,
        earlier: Option<Aggregated>,
        save: impl Fn(&Aggregated) -> Result<()> + 'a,
    ) -> Result<Self> {
        let mut progress = earlier.unwrap_or_default();
        progress.fitted.resize(plan.aggregates().len(), Fitted::default());
        for (step, fitted) in plan.aggregates().iter().zip(&progress.fitted).filter(|(_, fitted)| fitted.passes > 0) {
            run.check_learned(&store, step, fitted)?;
        }
        let timing = Timing::new(plan.aggregates().len());
        Ok(Self { plan, store, timing, progress, save: Box::new(save) })
    }

    /// For commands that run none.
    pub fn none(plan: &'a Plan) -> Self {
        let (store, timing) = (ModelStore::new(""), Timing::default());
        Self { plan, store, timing, progress: Aggregated::default(), save: Box::new(|_| Ok(())) }
    }

    /// Whether all of them have still to see their first row: then they can see it in the pass that applies the steps.
    pub fn are_to_begin(&self) -> bool {
        !self.steps().is_empty() && self.progress.again.is_empty() && !self.progress.fitted.iter().any(is_complete)
    }

    /// What a pass of their own came to, where no rows are written.
    pub fn counted(&self) -> Option<Applied> {
        let Counted { rows, dropped } = self.progress.counted.clone()?;
        // What an earlier run saved is not trusted.
        let dropped = dropped.filter(|dropped| dropped.len() == self.plan.steps().len());
        Some(Applied { rows, dropped, output: Summary::default() })
    }

    /// How far they have come.
    pub fn progress(&self) -> &Aggregated {
        &self.progress
    }

    /// The time that they took.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Their tables.
    pub fn store(&self) -> &ModelStore {
        &self.store
    }

    fn steps(&self) -> &'a [Step] {
        self.plan.aggregates()
    }

    /// A pass of those that want one; nothing where none does. Beside rows that are written it takes half of the memory for results.
    pub(super) fn begin(&self, options: &RunOptions, beside_rows: bool) -> Result<Option<Learning<'_>>> {
        let waiting = (0..self.steps().len()).filter(|index| !is_complete(&self.progress.fitted[*index]));
        let pass = |index| (index, self.progress.again.get(&index).cloned().unwrap_or_default());
        let active: BTreeMap<usize, Pass> = waiting.map(pass).collect();
        if active.is_empty() {
            return Ok(None);
        }
        let results = options.shares.results / if beside_rows { 2 } else { 1 };
        Learning::begin(options, self.steps(), active, results, &self.timing).map(Some)
    }

    /// Takes what was learned in a pass, and saves how far they have come.
    pub(super) fn end(&mut self, run: &Run<'_>, learned: Learned) -> Result<()> {
        let names = learned.iter().map(|(index, ..)| self.steps()[*index].name.clone()).collect();
        let finishing = Running::begin(run.progress, &Stage { steps: names, ..Stage::named("finish") }, None);
        for (index, pass, combiners) in learned {
            let step = &self.steps()[index];
            let finished = {
                let _clock = self.timing.fit(index);
                let finished = run.finish(&self.store, false, step, &pass, combiners);
                finished.map_err(|error| step.place(error))?
            };
            self.progress.spilled += finished.spilled;
            match finished.outcome {
                Outcome::Again(carry) => drop(self.progress.again.insert(index, pass.next(carry))),
                Outcome::Model => {
                    self.progress.again.remove(&index);
                    self.progress.fitted[index] = finished.fitted;
                }
            }
        }
        drop(finishing);
        (self.save)(&self.progress)
    }

    /// The steps that are applied before them, by their positions: those that write what they read, and all filters.
    fn needed(&self, active: &BTreeMap<usize, Pass>) -> BTreeSet<usize> {
        let steps = self.plan.steps();
        let mut needed: BTreeSet<usize> = (0..steps.len()).filter(|index| steps[*index].is_filter()).collect();
        needed.extend(steps.first().filter(|step| step.is_split()).map(|_| 0));
        let aggregates = active.keys().flat_map(|index| self.steps()[*index].writers.iter().flatten());
        let mut open: Vec<usize> = aggregates.copied().chain(needed.iter().copied()).collect();
        while let Some(index) = open.pop() {
            needed.insert(index);
            open.extend(steps[index].writers.iter().flatten().filter(|writer| !needed.contains(writer)));
        }
        needed
    }
}

fn is_complete(fitted: &Fitted) -> bool {
    fitted.passes > 0
}

impl Run<'_> {
    /// Takes aggregates to their end, in passes of their own where those are needed.
    ///
    /// # Errors
    /// Where the source cannot be read, or a plugin fails.
    pub fn aggregate(&self, aggregates: &mut Aggregates<'_>) -> Result<()> {
        while let Some(learning) = aggregates.begin(self.options, false)? {
            let (plan, start) = (aggregates.plan, Instant::now());
            let steps = learning.active().keys().map(|index| aggregates.steps()[*index].name.clone());
            let steps: Vec<String> = steps.collect();
            let needed = aggregates.needed(learning.active());
            let involved = needed.iter().map(|index| &plan.steps()[*index]);
            let involved = involved.chain(learning.active().keys().map(|index| &aggregates.steps()[*index]));
            let pass = AllRows {
                stage: Stage { steps: steps.clone(), ..Stage::named("aggregate") },
                start: 0,
                columns: source_columns(plan, involved),
                steps: needed.into_iter().collect(),
                schema: Arc::new(Schema::empty()),
                learning: Some(&learning),
            };
            let applied = self.pass_over_all_rows(plan, pass, Discard)?;
            let learned = learning.end();
            aggregates.progress.counted = Some(Counted { rows: applied.rows, dropped: applied.dropped });
            aggregates.progress.passes.push(PassReport { steps, seconds: seconds(start.elapsed()) });
            aggregates.end(self, learned)?;
        }
        Ok(())
    }
}
