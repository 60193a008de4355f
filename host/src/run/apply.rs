//! The last pass: all steps over all rows, into an aggregator.

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

impl Run<'_> {
    /// Applies all steps of a complete plan to all rows, and gives them to an aggregator.
    ///
    /// # Errors
    /// Where the source cannot be read, a plugin fails, or a result cannot be written.
    pub fn apply<A: Aggregate>(&self, plan: &Plan, mut aggregate: A) -> Result<Applied> {
        let schema = plan.layout().schema();
        let mut columns = source_columns(plan, plan.steps().iter());
        columns.extend(passed_on(plan));
        let prepare = aggregate.preparation();
        let work = || ApplyWork {
            plan,
            schema: schema.clone(),
            folds: self.options.folds,
            prepare: prepare.clone(),
            runner: StepRunner::new(plan, self.store, self.timing),
        };
        let start = aggregate.start();
        let mut total = start;
        let mut dropped = vec![0; plan.steps().len()];
        let applying = Running::begin(self.progress, &Stage::named("apply"), self.source.estimated_rows());
        self.progress.skip(start);
        self.scan(plan, start, columns).run(work, |batch| {
            total += batch.rows;
            dropped.iter_mut().zip(batch.dropped).for_each(|(all, rows)| *all += rows);
            self.progress.advance(batch.rows);
            self.progress.bytes(batch.bytes);
            self.count_restarts();
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
    schema: SchemaRef,
    folds: u8,
    prepare: P,
    runner: StepRunner<'a>,
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
    type Output = Prepared<P::Item>;

    fn process(&mut self, input: SourceBatch) -> Result<Self::Output> {
        let bytes = batch_size(&input.batch) as u64;
        let mut table = Table::new(input.batch, self.folds);
        let rows = table.rows() as u64;
        let mut dropped = Vec::with_capacity(self.plan.steps().len());
        for index in 0..self.plan.steps().len() {
            let before = table.rows();
            let result = self.runner.apply(index, &mut table);
            result.map_err(|error| input.position.place(table.place(error)))?;
            dropped.push((before - table.rows()) as u64);
        }
        let item = self.prepare.prepare(table.into_rows(&self.schema, rows)?)?;
        Ok(Prepared { rows, bytes, dropped, item })
    }

    fn weigh(output: &Self::Output) -> usize {
        P::weigh(&output.item)
    }
}
