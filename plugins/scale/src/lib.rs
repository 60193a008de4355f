//! Centers and scales numbers: (x − center) / scale + offset.
//!
//! Nulls stay null, NaN stays NaN; neither counts in fitting. Infinities stay infinite; a column that has them among the rows
//! it is fitted on is refused where its parameters would not be finite.

mod learn;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wafermill_sdk::stats::{Moments, Quantiles};
use wafermill_sdk::{
    Batch, DataType, Error, Field, Fit, Float, Output, Passes, Plan, Result, Selection, Table, Task, Transform, export,
};

/// How numbers are scaled.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What center and scale are.
    #[serde(default)]
    pub method: Method,
    /// For `minmax`: where the least and the largest training value go.
    #[serde(default = "unit_range")]
    pub range: [f64; 2],
    /// For `robust`: the percentiles between which the scale is measured.
    #[serde(default = "quartiles")]
    pub percentiles: [f64; 2],
    /// The type of the scaled columns.
    #[serde(default)]
    pub output: Float,
}

fn unit_range() -> [f64; 2] {
    [0.0, 1.0]
}

fn quartiles() -> [f64; 2] {
    [25.0, 75.0]
}

/// What center and scale are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Mean and standard deviation (of the whole: `ddof = 0`).
    #[default]
    Standard,
    /// The least value, and the distance to the largest.
    Minmax,
    /// Zero, and the largest magnitude.
    Maxabs,
    /// Median, and the distance between two percentiles.
    Robust,
}

/// What is done to the numbers of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scaling {
    center: f64,
    scale: f64,
    offset: f64,
}

impl Scaling {
    /// Whether rows can have shown it.
    fn can_be(self) -> bool {
        let Self { center, scale, offset } = self;
        center.is_finite() && scale.is_finite() && scale > 0.0 && offset.is_finite()
    }
}

/// The model: one row for each column, in the order of the columns.
fn model_table() -> Table {
    let number = |name, nullable| Field::new(name, DataType::Float64, nullable);
    Table::model(
        "scaling",
        [
            Field::new("column", DataType::Utf8, false),
            Field::new("count", DataType::Int64, false),
            number("center", false),
            number("scale", false),
            number("offset", false),
            number("variance", true),
        ],
    )
}

/// The plugin.
#[derive(Debug)]
pub struct Scale {
    task: Task<Params>,
    scalings: Vec<Scaling>,
}

export!(Scale, fit);

impl Transform for Scale {
    const NAME: &'static str = "scale";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "centers and scales numbers";
    const PASSES: Passes = Passes::between(1, 4);
    type Params = Params;

    fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
        check(params)?;
        let (passes, partials) = match params.method {
            Method::Robust => (Passes::between(2, 4), vec![Quantiles::table()]),
            _ => (Passes::ONE, Moments::tables().to_vec()),
        };
        let mut plan = Plan::default().passes(passes).partials(partials).model(model_table());
        for field in selection.features()? {
            if !field.data_type().is_integer() && !matches!(field.data_type(), DataType::Float32 | DataType::Float64) {
                let message = format!("`scale` takes integers and floats, not {}", field.data_type());
                let hint =
                    "encode words first; a CSV column without any value is taken for words unless `types` says more";
                return Err(Error::unsupported_type(message).column(field.name()).hint(hint));
            }
            plan = plan
                .read(field, false)
                .replace(field, Field::new(field.name(), params.output.data_type(), field.is_nullable()));
        }
        Ok(plan)
    }

    fn open(task: Task<Params>) -> Result<Self> {
        Ok(Self { task, scalings: Vec::new() })
    }

    fn load(&mut self, _: usize, rows: &Batch) -> Result<()> {
        let malformed = || Error::invalid_model("the table `scaling` does not fit the columns");
        let numbers = |index: usize| rows.column(index).to_f64().ok_or_else(malformed);
        let names = rows.column(0).bytes().ok_or_else(malformed)?;
        let counts = rows.column(1).to_i64().ok_or_else(malformed)?;
        let (center, scale, offset) = (numbers(2)?, numbers(3)?, numbers(4)?);
        for row in 0..rows.rows() {
            let column = self.task.input.schema().fields().get(self.scalings.len()).ok_or_else(malformed)?;
            if names.get(row) != column.name().as_bytes() {
                return Err(malformed().column(column.name()));
            }
            let learned = Scaling { center: center[row], scale: scale[row], offset: offset[row] };
            if counts[row] < 0 || !learned.can_be() {
                return Err(Error::invalid_model("the model scales as no rows can have it").column(column.name()));
            }
            self.scalings.push(learned);
        }
        Ok(())
    }

    fn outputs(&mut self, planned: &[Field]) -> Result<Vec<Vec<Field>>> {
        if self.scalings.len() != self.task.input.len() {
            return Err(Error::invalid_model("the table `scaling` lacks columns"));
        }
        Ok(planned.iter().map(|field| vec![field.clone()]).collect())
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        for (column, Scaling { center, scale, offset }) in batch.columns().iter().zip(&self.scalings) {
            let values = column.to_f64().ok_or_else(|| Error::internal("a column without numbers"))?;
            output.floats(column.nulls(), values.iter().map(|value| (value - center) / scale + offset))?;
        }
        Ok(())
    }
}

fn check(params: &Params) -> Result<()> {
    let [low, high] = params.range;
    if !((high - low).is_finite() && low < high) {
        return Err(Error::invalid_params("`range` needs two finite numbers, the lower one first"));
    }
    let [low, high] = params.percentiles;
    if !(0.0..=100.0).contains(&low) || !(0.0..=100.0).contains(&high) || low >= high {
        return Err(Error::invalid_params("`percentiles` needs two numbers from 0 to 100, the lower one first"));
    }
    Ok(())
}

impl Fit for Scale {
    type Fitter = learn::Learn;
    type Finisher = learn::Finish;
}

#[cfg(test)]
mod tests;
