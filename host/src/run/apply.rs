//! The last pass: all steps over all rows, into an aggregator.

use super::aggregates::Aggregates;
use super::learn::{Learner, Learning};
use super::scan::Work;
use super::steps::StepRunner;
use super::table::Table;
use super::{Count, Run, Running, Stage, passed_on, source_columns};
use crate::Result;
use crate::aggregate::{Aggregate, Prepare, Summary};
use crate::memory::batch_size;
use crate::pipeline::Plan;
use crate::source::SourceBatch;
use arrow_schema::SchemaRef;
use std::collections::BTreeSet;

/// What applying all steps came to.
#[derive(Debug)]
pub struct Applied {
    /// How many rows the source has.
    pub rows: u64,
    /// For each step how many rows it dropped; none but filters drop any. Nothing is known of it where an earlier run has dropped some.
    pub dropped: Option<Vec<u64>>,
    /// What the aggregator wrote.
    pub output: Summary,
}

/// A pass over the rows of all parts.
pub(super) struct AllRows<'a> {
    /// For people.
    pub(super) stage: Stage,
    /// The first row.
    pub(super) start: u64,
    /// The source's columns that are read, by their positions.
    pub(super) columns: BTreeSet<usize>,
    /// The steps that are applied, by their positions.
    pub(super) steps: Vec<usize>,
    /// What becomes of the rows.
    pub(super) schema: SchemaRef,
    /// The aggregates that learn from them.
    pub(super) learning: Option<&'a Learning<'a>>,
}

impl Run<'_> {
    /// Applies all steps of a complete plan to all rows, and gives them to an aggregator. Aggregates that are to begin see the rows on
    /// the way; where an earlier run has brought some rows to their end, they need a pass of their own instead.
    ///
    /// # Errors
    /// Where the source cannot be read, a plugin fails, or a result cannot be written.
    pub fn apply<A: Aggregate>(&self, plan: &Plan, aggregate: A, aggregates: &mut Aggregates<'_>) -> Result<Applied> {
        let start = aggregate.start();
        let shares = start == 0 && aggregates.are_to_begin();
        let learning = if shares { aggregates.begin(self.options, true)? } else { None };
        let active = learning.iter().flat_map(|learning| learning.active().keys());
        let learners = active.map(|index| &plan.aggregates()[*index]);
        let mut columns = source_columns(plan, plan.steps().iter().chain(learners));
        columns.extend(passed_on(plan));
        let pass = AllRows {
            stage: Stage::named("apply"),
            start,
            columns,
            steps: (0..plan.steps().len()).collect(),
            schema: plan.layout().schema(),
            learning: learning.as_ref(),
        };
        let applied = self.pass_over_all_rows(plan, pass, aggregate)?;
        if let Some(learned) = learning.map(Learning::end) {
            aggregates.end(self, learned)?;
        }
        Ok(applied)
    }

    /// One pass over the source.
    pub(super) fn pass_over_all_rows<A: Aggregate>(
        &self,
        plan: &Plan,
        pass: AllRows<'_>,
        mut aggregate: A,
    ) -> Result<Applied> {
        let AllRows { stage, start, columns, steps, schema, learning } = pass;
        let prepare = aggregate.preparation();
        let work = || ApplyWork {
            plan,
            steps: &steps,
            schema: schema.clone(),
            folds: self.options.folds,
            prepare: prepare.clone(),
            runner: StepRunner::new(plan, self),
            learner: learning.map(|learning| (learning, learning.learner())),
        };
        let mut total = start;
        let mut dropped = vec![0; plan.steps().len()];
        let applying = Running::begin(self.progress, &stage, self.source.estimated_rows());
        self.progress.skip(start);
        let columns: Vec<usize> = columns.into_iter().collect();
        self.scan(plan).run(self.read(start, &columns)?, work, |batch| {
            total += batch.rows;
            dropped.iter_mut().zip(batch.dropped).for_each(|(all, rows)| *all += rows);
            self.progress.advance(batch.rows);
            self.progress.bytes(batch.bytes);
            self.count_restarts();
            if let Some(learning) = learning {
                self.progress.count(Count::SpilledPartials, learning.spilled_bytes());
            }
            aggregate.push(batch.item)?;
            self.progress.count(Count::SpilledRows, aggregate.spilled_bytes());
            Ok(())
        })?;
        drop(applying);
        let dropped = (start == 0).then_some(dropped);
        let output = aggregate.finish(&self.options.stop)?;
        self.progress.count(Count::SpilledRows, output.spilled_bytes);
        Ok(Applied { rows: total, dropped, output })
    }
}

struct ApplyWork<'a, P> {
    plan: &'a Plan,
    steps: &'a [usize],
    schema: SchemaRef,
    folds: u8,
    prepare: P,
    runner: StepRunner<'a>,
    learner: Option<(&'a Learning<'a>, Learner<'a>)>,
}

/// What became of a batch.
struct Prepared<T> {
    /// Its rows before any were dropped.
    rows: u64,
    /// Their bytes.
    bytes: u64,
    /// For each step how many it dropped.
    dropped: Vec<u64>,
    item: T,
}

impl<P: Prepare> Work for ApplyWork<'_, P> {
    type Input = SourceBatch;
    type Output = Prepared<P::Item>;

    fn process(&mut self, input: SourceBatch) -> Result<Self::Output> {
        let bytes = batch_size(&input.batch) as u64;
        let mut table = Table::new(input.batch, self.folds);
        let rows = table.rows() as u64;
        let mut dropped = vec![0; self.plan.steps().len()];
        for index in self.steps.iter().copied() {
            let before = table.rows();
            let result = self.runner.apply(index, &mut table);
            result.map_err(|error| input.position.place(table.place(error)))?;
            dropped[index] = (before - table.rows()) as u64;
        }
        if let Some((learning, learner)) = &mut self.learner {
            let mut learners = learning.active().keys();
            let learned = learners.try_for_each(|index| learner.update(*index, &table));
            learned.map_err(|error| input.position.place(table.place(error)))?;
        }
        let item = self.prepare.prepare(table.into_rows(&self.schema, rows)?)?;
        Ok(Prepared { rows, bytes, dropped, item })
    }

    fn weigh(output: &Self::Output) -> usize {
        P::weigh(&output.item)
    }

    fn end(&mut self) -> Result<()> {
        self.learner.as_mut().map_or(Ok(()), |(_, learner)| learner.end())
    }
}
