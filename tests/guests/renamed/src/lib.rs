//! Breaks the law `contract`: of numbers of the type Float64 it announces other columns than it planned.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{Batch, DataType, Field, Output, Plan, Result, Selection, Task, Transform, export};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin.
#[derive(Debug)]
pub struct Renamed;

export!(Renamed);

impl Transform for Renamed {
    const NAME: &'static str = "renamed";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "announces another column than it planned";
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let copy = |plan: Plan, field: &&Field| plan.read(field, false).replace(field, (*field).clone());
        Ok(selection.features()?.iter().fold(Plan::default(), copy))
    }

    fn open(_: Task<Params>) -> Result<Self> {
        Ok(Self)
    }

    fn outputs(&mut self, planned: &[Field]) -> Result<Vec<Vec<Field>>> {
        let announced = |field: &Field| match field.data_type() {
            DataType::Float64 => field.clone().with_name(format!("{}_other", field.name())),
            _ => field.clone(),
        };
        Ok(planned.iter().map(|field| vec![announced(field)]).collect())
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        batch.columns().iter().try_for_each(|column| output.column(column))
    }
}
