//! Breaks the law `repeat`: adds the number of calls before this one to each value.

use schemars::JsonSchema;
use serde::Deserialize;
use std::cell::Cell;
use wafermill_sdk::{Batch, DataType, Error, Output, Plan, Result, Selection, Task, Transform, Values, export};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin.
#[derive(Debug)]
pub struct Counting {
    calls: Cell<f64>,
}

export!(Counting);

impl Transform for Counting {
    const NAME: &'static str = "counting";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "adds the number of calls to what it is given";
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let mut plan = Plan::default();
        for field in selection.features()? {
            if *field.data_type() != DataType::Float64 {
                return Err(Error::unsupported_type("only Float64 can be counted up").column(field.name()));
            }
            plan = plan.read(field, false).replace(field, field.clone());
        }
        Ok(plan)
    }

    fn open(_: Task<Params>) -> Result<Self> {
        Ok(Self { calls: Cell::new(0.0) })
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        let calls = self.calls.replace(self.calls.get() + 1.0);
        for column in batch.columns() {
            let Values::Float64(values) = column.values() else {
                return Err(Error::internal("another type than planned"));
            };
            let counted = output.primitive::<f64>(column.nulls())?;
            counted.iter_mut().zip(values.iter()).for_each(|(counted, value)| *counted = value + calls);
        }
        Ok(())
    }
}
