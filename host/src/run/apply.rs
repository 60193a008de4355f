//! The last pass: all steps over all rows, into an aggregator.

use super::scan::Work;
use super::steps::StepRunner;
use super::table::Table;
use super::{Run, source_columns};
use crate::Result;
use crate::aggregate::{Aggregate, Prepare, Summary};
use crate::pipeline::Plan;
use crate::source::SourceBatch;
use arrow_schema::SchemaRef;

impl Run<'_> {
    /// Applies all steps of a complete plan to all rows, and gives them to an aggregator. Also tells how many rows there were.
    ///
    /// # Errors
    /// Where the source cannot be read, a plugin fails, or a result cannot be written.
    pub fn apply<A: Aggregate>(&self, plan: &Plan, mut aggregate: A) -> Result<(u64, Summary)> {
        let schema = plan.layout().schema();
        let mut columns = source_columns(plan, plan.steps().iter());
        let passed_on = plan.layout().columns().filter(|column| column.writer.is_none());
        columns.extend(passed_on.filter_map(|column| plan.source().index_of(column.field.name()).ok()));
        let prepare = aggregate.preparation();
        let work = || ApplyWork {
            plan,
            schema: schema.clone(),
            folds: self.options.folds,
            prepare: prepare.clone(),
            runner: StepRunner::new(plan, self.store, self.timing),
        };
        let mut total = 0;
        self.progress.begin("apply", self.source.estimated_rows());
        let scanned = self.scan(columns).run(work, |(rows, item)| {
            total += rows;
            self.progress.advance(rows);
            aggregate.push(item)
        });
        self.progress.end();
        scanned?;
        Ok((total, aggregate.finish(&self.options.stop)?))
    }
}

struct ApplyWork<'a, P> {
    plan: &'a Plan,
    schema: SchemaRef,
    folds: u8,
    prepare: P,
    runner: StepRunner<'a>,
}

impl<P: Prepare> Work for ApplyWork<'_, P> {
    type Output = (u64, P::Item);

    fn process(&mut self, input: SourceBatch) -> Result<Self::Output> {
        let source = input.batch.clone();
        let mut table = Table::new(input.batch, self.folds);
        let rows = table.rows() as u64;
        for index in 0..self.plan.steps().len() {
            self.runner.apply(index, &mut table).map_err(|error| input.position.place(error))?;
        }
        let (batch, parts) = table.into_batch(&self.schema)?;
        Ok((rows, self.prepare.prepare(batch, parts.as_ref(), &source)?))
    }
}
