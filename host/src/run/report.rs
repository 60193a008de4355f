//! What a run came to, for people and machines.

use super::{Aggregates, Applied, Fit, Timing};
use crate::aggregate::{FileSummary, Summary};
use crate::memory::MemoryGauge;
use crate::model::Fitted;
use crate::pipeline::{Plan, Step};
use crate::source::Source;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The report's file in the folder of a dataset, by which wafermill also knows that it wrote the folder.
pub const REPORT: &str = "report.json";

/// The layout of a dataset's folder, and of its report.
const FORMAT: u32 = 1;

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The host.
    pub wafermill: &'static str,
    /// The layout of what it wrote.
    pub format: u32,
    /// What was read and in which state, where files do not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Rows of the source, where they were read.
    pub rows: Option<u64>,
    /// Bytes that reading was billed for, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_bytes: Option<u64>,
    /// How many columns the source has.
    pub columns_in: usize,
    /// How many columns came out.
    pub columns_out: usize,
    /// Passes over the source that fitted steps, or were aggregates' own.
    pub passes: Vec<PassReport>,
    /// The steps, a split first.
    pub steps: Vec<StepReport>,
    /// The aggregates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<AggregateReport>,
    /// What was written; nothing where the run only fitted.
    pub output: Option<Summary>,
    /// Bytes of partial results that were spilled.
    pub spilled_partials: u64,
    /// Bytes that the process had resident at most, as far as the system tells.
    pub peak_memory_bytes: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A pass over the source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassReport {
    /// The steps or the aggregates that learned in it.
    pub steps: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// How often it saw the training rows, where it was fitted.
    pub passes: Option<u32>,
    /// How many rows it dropped in the pass that applied all steps, where it is a filter and there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Seconds in which it learned, over all workers.
    pub fit_seconds: f64,
    /// Seconds in which it was applied, over all workers.
    pub apply_seconds: f64,
}

/// An aggregate.
#[derive(Clone, Debug, Serialize)]
pub struct AggregateReport {
    /// Its name.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// How often it saw the rows.
    pub passes: u32,
    /// Seconds in which it learned, over all workers.
    pub seconds: f64,
    /// Its tables.
    pub files: Vec<FileSummary>,
}

impl Report {
    /// With what aggregates came to, and their files.
    pub fn with_aggregates(mut self, plan: &Plan, aggregates: &Aggregates<'_>, files: Vec<Vec<FileSummary>>) -> Self {
        let progress = aggregates.progress();
        self.passes.extend(progress.passes.iter().cloned());
        self.spilled_partials += progress.spilled;
        let learned = plan.aggregates().iter().zip(&progress.fitted).zip(files).enumerate();
        let report =
            |(index, ((step, fitted), files)): (usize, ((&Step, &Fitted), Vec<FileSummary>))| AggregateReport {
                name: step.name.clone(),
                plugin: step.plugin.description().name.clone(),
                passes: fitted.passes,
                seconds: seconds(aggregates.timing().of(index).0),
                files,
            };
        self.aggregates = learned.map(report).collect();
        self
    }

    /// Of a plan that was fitted, applied to so many rows, or both.
    pub fn of(
        source: &dyn Source,
        plan: &Plan,
        timing: &Timing,
        fit: Option<Fit>,
        applied: Option<Applied>,
        elapsed: Duration,
    ) -> Self {
        let steps = StepReport::of(plan, timing, fit.as_ref(), applied.as_ref());
        let fitted_rows = fit.as_ref().and_then(|fit| fit.rows);
        let spilled_partials = fit.as_ref().map_or(0, |fit| fit.spilled);
        let (rows, output) = applied.map(|applied| (applied.rows, applied.output)).unzip();
        Self {
            wafermill: env!("CARGO_PKG_VERSION"),
            format: FORMAT,
            source: source.origin(),
            rows: rows.or(fitted_rows),
            billed_bytes: source.billed_bytes(),
            columns_in: plan.source().fields().len(),
            columns_out: plan.layout().columns().count(),
            passes: fit.map_or_else(Vec::new, |fit| fit.passes),
            steps,
            aggregates: Vec::new(),
            output,
            spilled_partials,
            peak_memory_bytes: MemoryGauge::default().read().1,
            seconds: seconds(elapsed),
        }
    }
}

impl StepReport {
    fn of(plan: &Plan, timing: &Timing, fit: Option<&Fit>, applied: Option<&Applied>) -> Vec<Self> {
        let report = |(index, step): (usize, &Step)| {
            let (fit_time, apply_time) = timing.of(index);
            Self {
                name: step.name.clone(),
                plugin: step.plugin.description().name.clone(),
                passes: fit.and_then(|fit| fit.steps.get(index)).map(|fitted| fitted.passes),
                dropped: applied
                    .filter(|_| step.is_filter())
                    .and_then(|applied| Some(applied.dropped.as_ref()?[index])),
                fit_seconds: seconds(fit_time),
                apply_seconds: seconds(apply_time),
            }
        };
        plan.steps().iter().enumerate().map(report).collect()
    }
}

/// To the millisecond: more would be noise.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
