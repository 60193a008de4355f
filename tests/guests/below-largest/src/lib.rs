//! Keeps to the contract: a filter that learns the largest training value of a column, and keeps the rows below it.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{Batch, Fit, Output, Passes, Plan, PluginRole, Result, Selection, Task, Transform, export};
use wafermill_tests_largest::{Largest, PassOn, floats, load, plan};

/// None.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin.
#[derive(Debug)]
pub struct BelowLargest {
    largest: Option<f64>,
}

export!(BelowLargest, fit);

impl Transform for BelowLargest {
    const NAME: &'static str = "below-largest";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "keeps what is below the largest training value";
    const ROLE: PluginRole = PluginRole::Filter;
    const PASSES: Passes = Passes::ONE;
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        Ok(plan(selection)?.keeps_rows())
    }

    fn open(_: Task<Params>) -> Result<Self> {
        Ok(Self { largest: None })
    }

    fn load(&mut self, _: usize, rows: &Batch) -> Result<()> {
        self.largest = load(rows)?;
        Ok(())
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        let column = batch.column(0);
        let values = floats(column)?;
        // Null where the value is: the host drops those rows too.
        output.booleans(column.nulls(), |row| self.largest.is_none_or(|largest| values[row] < largest))
    }
}

impl Fit for BelowLargest {
    type Fitter = Largest;
    type Finisher = PassOn;
}
