//! Describes the columns that come out of a pipeline: a row for each part and column.
//!
//! A *group* is one column of one part; its number orders parts first, then columns. Two passes or more are made: the first estimates how
//! many values a group has, and finds the range of its numbers and the buckets of its quantiles; the last one counts, sums up and
//! fills the bins of the histogram. Passes between them narrow the buckets.

mod bins;
mod carry;
mod finish;
mod gather;
mod keys;
mod kind;
mod learn;
mod partials;
mod sketch;
mod summary;
mod survey;
mod tables;
mod text;

use kind::Kind;
use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{Aggregate, ContextColumn, Error, Passes, Plan, Result, Selection, export};

/// What is described, and how finely.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Which quantiles of numbers, from 0 to 1; none with an empty list.
    #[serde(default = "default_quantiles")]
    #[schemars(length(max = 100), inner(range(min = 0.0, max = 1.0)))]
    pub quantiles: Vec<f64>,
    /// Into how many bins of equal width numbers are sorted; none with 0.
    #[serde(default = "default_bins")]
    #[schemars(range(max = 1_000))]
    pub bins: u32,
    /// How many of the most frequent values are told; none with 0.
    #[serde(default = "default_top")]
    #[schemars(range(max = 1_000))]
    pub top: u32,
    /// Up to how many distinct values all of them are counted; beyond it their number is estimated.
    #[serde(default = "default_distinct_limit")]
    #[schemars(range(max = 10_000_000))]
    pub distinct_limit: u32,
}

fn default_quantiles() -> Vec<f64> {
    vec![0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
}

fn default_bins() -> u32 {
    10
}

fn default_top() -> u32 {
    10
}

fn default_distinct_limit() -> u32 {
    10_000
}

impl Params {
    /// The quantiles as percentages. What is written with at most eleven digits is meant so: 0.07 is 7 %, though 100 times the nearest
    /// double is not.
    fn percentiles(&self) -> Vec<f64> {
        self.quantiles.iter().map(|quantile| (quantile * 1e11).round() / 1e9).collect()
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Profile;

export!(Profile, fit);

/// The first pass, and as many as quantiles may take.
const PASSES: Passes = Passes::between(2, 4);

impl Aggregate for Profile {
    const NAME: &'static str = "profile";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "describes the columns of each part: counts, moments, quantiles, histograms, frequent values";
    const PASSES: Passes = PASSES;
    type Params = Params;
    type Fitter = learn::Learn;
    type Finisher = finish::Finish;

    fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
        if let Some(quantile) = params.quantiles.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
            return Err(Error::invalid_params(format!("{quantile} is no quantile: it is not from 0 to 1")));
        }
        let mut plan = Plan::default().passes(PASSES).partials(partials::tables());
        for table in tables::tables() {
            plan = plan.model(table);
        }
        for field in selection.features()? {
            if Kind::of(field.data_type()).is_none() {
                let message = format!("columns of type {} cannot be described", field.data_type());
                return Err(Error::unsupported_type(message).column(field.name()));
            }
            plan = plan.read(field, true);
        }
        Ok(plan.read_context(ContextColumn::Part))
    }
}

#[cfg(test)]
mod tests;
