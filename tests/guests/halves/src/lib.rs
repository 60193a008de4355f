//! Keeps to the contract: a split that learns the largest value of a column, of all rows, and divides them at half of it.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{
    Batch, DataType, Field, Fit, Output, Passes, Plan, PluginRole, Result, Selection, Task, Transform, export,
};
use wafermill_tests_largest::{Largest, PassOn, floats, load, plan};

/// The metadata key under which a split names its parts.
const PARTS: &str = "wafermill:parts";

/// None.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin.
#[derive(Debug)]
pub struct Halves {
    largest: Option<f64>,
}

export!(Halves, fit);

impl Transform for Halves {
    const NAME: &'static str = "halves";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "divides rows at half of the largest value of a column";
    const ROLE: PluginRole = PluginRole::Split;
    const PASSES: Passes = Passes::ONE;
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let parts = Field::new("part", DataType::UInt8, false).with_metadata([(PARTS, r#"["low","high"]"#)]);
        Ok(plan(selection)?.add(None, parts))
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
        let (values, half) = (floats(column)?, self.largest.unwrap_or_default() / 2.0);
        let parts = output.primitive::<u8>(None)?;
        for (row, part) in parts.iter_mut().enumerate() {
            // What is null or no number is low.
            *part = u8::from(!column.is_null(row) && values[row] > half);
        }
        Ok(())
    }
}

impl Fit for Halves {
    type Fitter = Largest;
    type Finisher = PassOn;
}
