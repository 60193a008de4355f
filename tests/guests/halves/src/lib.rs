//! Keeps to the contract: a split that learns the largest value of a column, of all rows, and divides them at half of it.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{
    Batch, Column, DataType, Error, Field, Finisher, Fit, Fitter, Operator, Outcome, Output, Pass, Passes, Plan,
    PluginRole, Result, Rows, Schema, Selection, Table, Task, Transform, Values, export,
};

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

fn field() -> Field {
    Field::new("largest", DataType::Float64, false)
}

fn rows(largest: f64) -> Result<Rows> {
    Rows::new(0, &Schema::new(vec![field()]), 1, |output| output.primitives([Some(largest)]))
}

fn floats(column: &Column) -> Result<&[f64]> {
    match column.values() {
        Values::Float64(values) => Ok(values),
        _ => Err(Error::internal("another type than planned")),
    }
}

impl Transform for Halves {
    const NAME: &'static str = "halves";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "divides rows at half of the largest value of a column";
    const ROLE: PluginRole = PluginRole::Split;
    const PASSES: Passes = Passes::ONE;
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let features = selection.features()?;
        let [column] = features.as_slice() else { return Err(Error::invalid_params("one column, please")) };
        if *column.data_type() != DataType::Float64 {
            return Err(Error::unsupported_type("only Float64 has a largest value").column(column.name()));
        }
        let plan =
            Plan::default().passes(Passes::ONE).partials([Table::partials("largest", [(field(), Operator::Max)])]);
        let parts = Field::new("part", DataType::UInt8, false).with_metadata([(PARTS, r#"["low","high"]"#)]);
        Ok(plan.model(Table::model("largest", [field()])).read(column, false).add(None, parts))
    }

    fn open(_: Task<Params>) -> Result<Self> {
        Ok(Self { largest: None })
    }

    fn load(&mut self, _: usize, rows: &Batch) -> Result<()> {
        self.largest = floats(rows.column(0))?.first().copied();
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

/// The largest value.
#[derive(Debug, Default)]
pub struct Largest(Option<f64>);

impl Fitter<Params> for Largest {
    fn open(_: Task<Params>, _: Pass) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        let column = batch.column(0);
        for (row, value) in floats(column)?.iter().enumerate() {
            if !column.is_null(row) && !value.is_nan() && self.0.is_none_or(|largest| *value > largest) {
                self.0 = Some(*value + 0.0);
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        self.0.take().map(rows).transpose()
    }
}

/// Makes the model of what was learned.
#[derive(Debug)]
pub struct PassOn;

impl Finisher<Params> for PassOn {
    fn open(_: Task<Params>, _: Pass) -> Result<Self> {
        Ok(Self)
    }

    fn push(&mut self, _: usize, partials: &Batch) -> Result<Vec<Rows>> {
        floats(partials.column(0))?.iter().map(|largest| rows(*largest)).collect()
    }

    fn finish(self) -> Result<Outcome> {
        Ok(Outcome::Model(Vec::new()))
    }
}
