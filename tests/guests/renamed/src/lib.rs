//! Breaks the law `contract`: announces other columns than it planned.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{Batch, Field, Output, Plan, Result, Selection, Task, Transform, export};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin.
#[derive(Debug)]
pub struct Renamed {
    outputs: Vec<Field>,
}

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

    fn open(task: Task<Params>) -> Result<Self> {
        let other = |field: &Field| field.clone().with_name(format!("{}_other", field.name()));
        Ok(Self { outputs: task.plan.outputs().iter().map(other).collect() })
    }

    fn outputs(&mut self) -> Result<Vec<Field>> {
        Ok(self.outputs.clone())
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        batch.columns().iter().try_for_each(|column| output.column(column))
    }
}
