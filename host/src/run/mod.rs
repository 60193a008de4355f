//! Running a plan: passes over the source that fit steps, and the last one that applies them all.

mod aggregates;
mod apply;
mod filters;
mod fit;
mod kept;
mod learn;
mod minimum;
mod progress;
mod record;
mod remembered;
mod report;
mod resolve;
mod saved;
mod scan;
mod steps;
mod table;
mod task;
mod timing;
mod training;

pub use aggregates::{AGGREGATED, Aggregated, Aggregates};
pub use apply::Applied;
pub use fit::{Fit, PROGRESS};
pub use kept::Kept;
pub use minimum::Minimum;
pub(crate) use progress::Running;
pub use progress::{Count, Progress, Stage, Watcher};
pub use record::{RECORD, Record};
pub use report::{AggregateReport, PassReport, REPORT, Report, StepReport};
pub use resolve::restore;
pub use task::{AddTask, ApplyTask, Goal, NamedTable, Overrides, PipelineTask, Task};
pub use timing::Timing;

use crate::dump::Dump;
use crate::memory::{Pressure, Shares};
use crate::model::ModelStore;
use crate::pipeline::{Plan, Step};
use crate::source::{Cut, Source};
use crate::{Result, Stop};
use scan::Scan;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// What the passes of one run share.
pub struct Run<'a> {
    /// Where the rows come from.
    pub source: &'a dyn Source,
    /// Where the model is.
    pub store: &'a ModelStore,
    /// How it is run.
    pub options: &'a RunOptions,
    /// Takes the time of each step.
    pub timing: &'a Timing,
    /// Is told how far it has come.
    pub progress: &'a dyn Progress,
}

/// How a plan is run. None of it but `folds` changes a byte of the model or the dataset.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Threads that run plugins.
    pub workers: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// How memory is divided.
    pub shares: Shares,
    /// Whether more is taken than was divided.
    pub pressure: Pressure,
    /// A private folder for what spills.
    pub scratch: PathBuf,
    /// How many folds there are.
    pub folds: u8,
    /// Ends the run early.
    pub stop: Stop,
    /// Where calls of plugins that fail are written down.
    pub dump: Option<Dump>,
}

/// Rows of a batch where nothing else is asked for: ten columns of doubles fit into a second-level cache.
pub const BATCH_ROWS: usize = 8_192;

impl Run<'_> {
    /// The batches of some of the source's columns, from a row on.
    fn read(&self, start: u64, columns: &[usize]) -> Result<Cut<'_>> {
        Ok(Cut::new(self.source.read_from(start, columns, self.options.batch_rows)?))
    }

    /// A pass over batches.
    fn scan<'a>(&'a self, plan: &'a Plan) -> Scan<'a> {
        let shares = self.options.shares;
        Scan {
            workers: self.options.workers,
            under_way: shares.under_way,
            pressure: self.options.pressure.clone(),
            guests: plan
                .steps()
                .iter()
                .chain(plan.aggregates())
                .next()
                .map(|step| (step.plugin.memory(), shares.guests)),
            stop: &self.options.stop,
        }
    }
}

impl Run<'_> {
    fn count_restarts(&self) {
        if let Some(restarts) = self.source.restarts() {
            self.progress.count(Count::Restarts, restarts);
        }
    }
}

/// The source's columns that a whole run reads, by their positions: those of its steps and aggregates, and, where rows are written, those
/// that pass through it. All of them as long as a step waits to learn what it reads.
pub fn columns_of_run(plan: &Plan, writes_rows: bool) -> Vec<usize> {
    if plan.waits() {
        return (0..plan.source().fields().len()).collect();
    }
    let mut columns = source_columns(plan, plan.steps().iter().chain(plan.aggregates()));
    if writes_rows {
        columns.extend(passed_on(plan));
    }
    columns.into_iter().collect()
}

/// The source's columns that come out as they are.
fn passed_on(plan: &Plan) -> impl Iterator<Item = usize> {
    let passed_on = plan.layout().columns().filter(|column| column.writer.is_none());
    let positions = positions(plan);
    passed_on.filter_map(move |column| positions.get(column.field.name()).copied())
}

/// The positions of the source's columns by their names: there may be many, and each may be asked for.
fn positions(plan: &Plan) -> HashMap<&String, usize> {
    plan.source().fields().iter().zip(0..).map(|(field, at)| (field.name(), at)).collect()
}

/// The source's columns that steps read, by their positions; all of them where one asks for the row hash.
fn source_columns<'s>(plan: &Plan, steps: impl Iterator<Item = &'s Step> + Clone) -> BTreeSet<usize> {
    let schema = plan.source();
    if steps.clone().any(Step::hashes_rows) {
        return (0..schema.fields().len()).collect();
    }
    let mut columns = BTreeSet::new();
    let positions = positions(plan);
    for step in steps {
        let fields = step.selection.schema.fields().iter().zip(&step.writers);
        let read = fields.filter(|(_, writer)| writer.is_none());
        columns.extend(read.filter_map(|(field, _)| positions.get(field.name())));
    }
    columns
}
