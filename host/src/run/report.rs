//! What a run came to, for people and machines.

use super::Timing;
use crate::aggregate::Summary;
use crate::pipeline::Plan;
use serde::Serialize;
use std::time::Duration;

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Rows of the source.
    pub rows: u64,
    /// Columns of the source, and of what came out.
    pub columns: (usize, usize),
    /// Passes over the source that fitted steps.
    pub passes: Vec<PassReport>,
    /// The steps, a split first.
    pub steps: Vec<StepReport>,
    /// What was written; nothing where the run only fitted.
    pub output: Option<Summary>,
    /// Bytes of partial results that were spilled.
    pub spilled_partials: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A pass over the source.
#[derive(Clone, Debug, Serialize)]
pub struct PassReport {
    /// The steps that were fitted in it.
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
    /// How often it saw the training rows.
    pub passes: u32,
    /// Seconds in which it learned, over all workers.
    pub fit_seconds: f64,
    /// Seconds in which it was applied, over all workers.
    pub apply_seconds: f64,
}

impl StepReport {
    /// Of the steps of a plan.
    pub fn of(plan: &Plan, timing: &Timing, passes: impl Fn(usize) -> u32) -> Vec<Self> {
        let report = |(index, step): (usize, &crate::pipeline::Step)| {
            let (fit, apply) = timing.of(index);
            Self {
                name: step.name.clone(),
                plugin: step.plugin.description().name.clone(),
                passes: passes(index),
                fit_seconds: seconds(fit),
                apply_seconds: seconds(apply),
            }
        };
        plan.steps().iter().enumerate().map(report).collect()
    }
}

/// To the millisecond: more would be noise.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
