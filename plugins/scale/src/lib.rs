//! Centers and scales numbers: (x − center) / scale + offset.
//!
//! Nulls stay null, NaN stays NaN; neither counts in fitting. Infinities stay infinite; a column that has them among the rows
//! it is fitted on is refused where its parameters would not be finite.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::stats::{ColumnMoments, Moments, MomentsReader, Quantiles, QuantilesReader, Refined};
use wafermill_sdk::{
    Batch, Column, DataType, Error, Field, Finisher, Fit, Fitter, Outcome, Output, Pass, Passes, Plan, Result, Rows,
    Schema, Selection, Table, Task, Transform, export,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// A type of floating-point numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Float {
    /// 32 bits.
    Float32,
    /// 64 bits.
    #[default]
    Float64,
}

/// What is done to the numbers of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scaling {
    center: f64,
    scale: f64,
    offset: f64,
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
            Method::Robust => (Passes::between(2, 4), Quantiles::table()),
            _ => (Passes::ONE, Moments::table()),
        };
        let output = match params.output {
            Float::Float32 => DataType::Float32,
            Float::Float64 => DataType::Float64,
        };
        let mut plan = Plan::default().passes(passes).partials([partials]).model(model_table());
        for field in selection.features()? {
            if !field.data_type().is_integer() && !matches!(field.data_type(), DataType::Float32 | DataType::Float64) {
                let message = format!("`scale` takes integers and floats, not {}", field.data_type());
                return Err(Error::unsupported_type(message).column(field.name()));
            }
            plan =
                plan.read(field, false).replace(field, Field::new(field.name(), output.clone(), field.is_nullable()));
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
        let (center, scale, offset) = (numbers(2)?, numbers(3)?, numbers(4)?);
        for row in 0..rows.rows() {
            let column = self.task.input.schema().fields().get(self.scalings.len()).ok_or_else(malformed)?;
            if names.get(row) != column.name().as_bytes() {
                return Err(malformed().column(column.name()));
            }
            self.scalings.push(Scaling { center: center[row], scale: scale[row], offset: offset[row] });
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<Vec<Field>> {
        if self.scalings.len() != self.task.input.len() {
            return Err(Error::invalid_model("the table `scaling` lacks columns"));
        }
        Ok(self.task.plan.outputs().to_vec())
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        for (column, scaling) in batch.columns().iter().zip(&self.scalings) {
            apply(column, *scaling, self.task.params.output, output)?;
        }
        Ok(())
    }
}

fn apply(
    column: &Column,
    Scaling { center, scale, offset }: Scaling,
    float: Float,
    output: &mut Output<'_>,
) -> Result<()> {
    let values = column.to_f64().ok_or_else(|| Error::internal("a column without numbers"))?;
    let scaled = values.iter().map(|value| (value - center) / scale + offset);
    match float {
        Float::Float64 => {
            let target = output.primitive::<f64>(column.nulls())?;
            target.iter_mut().zip(scaled).for_each(|(slot, value)| *slot = value);
        }
        Float::Float32 => {
            let target = output.primitive::<f32>(column.nulls())?;
            target.iter_mut().zip(scaled).for_each(|(slot, value)| *slot = value as f32);
        }
    }
    Ok(())
}

fn check(params: &Params) -> Result<()> {
    let [low, high] = params.range;
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(Error::invalid_params("`range` needs two finite numbers, the lower one first"));
    }
    let [low, high] = params.percentiles;
    if !(0.0..=100.0).contains(&low) || !(0.0..=100.0).contains(&high) || low >= high {
        return Err(Error::invalid_params("`percentiles` needs two numbers from 0 to 100, the lower one first"));
    }
    Ok(())
}

impl Fit for Scale {
    type Fitter = Learn;
    type Finisher = Finish;
}

/// Learns moments, or quantiles for `robust`.
#[derive(Debug)]
pub enum Learn {
    /// For all methods but `robust`.
    Moments(Moments),
    /// For `robust`.
    Quantiles(Quantiles),
}

impl Fitter<Params> for Learn {
    fn open(task: Task<Params>, pass: Pass) -> Result<Self> {
        Ok(match task.params.method {
            Method::Robust => Self::Quantiles(Quantiles::open(task.input.len(), pass.carry.as_deref())?),
            _ => Self::Moments(Moments::new(task.input.len())),
        })
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        match self {
            Self::Moments(moments) => moments.update(batch),
            Self::Quantiles(quantiles) => quantiles.update(batch),
        }
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        match self {
            Self::Moments(moments) => moments.drain(0),
            Self::Quantiles(quantiles) => quantiles.drain(0),
        }
    }
}

/// Turns moments or quantiles into scalings.
#[derive(Debug)]
pub struct Finish {
    task: Task<Params>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Moments(MomentsReader),
    Quantiles(QuantilesReader),
}

impl Finisher<Params> for Finish {
    fn open(task: Task<Params>, pass: Pass) -> Result<Self> {
        let columns = task.input.len();
        let [low, high] = task.params.percentiles;
        let reader = match task.params.method {
            Method::Robust => {
                Reader::Quantiles(QuantilesReader::open(columns, &[low, 50.0, high], pass.carry.as_deref())?)
            }
            _ => Reader::Moments(MomentsReader::new(columns)),
        };
        Ok(Self { task, reader })
    }

    fn push(&mut self, _: usize, partials: &Batch) -> Result<Vec<Rows>> {
        match &mut self.reader {
            Reader::Moments(reader) => reader.push(partials)?,
            Reader::Quantiles(reader) => reader.push(partials)?,
        }
        Ok(Vec::new())
    }

    fn finish(self) -> Result<Outcome> {
        let Self { task, reader } = self;
        let learned: Vec<Learned> = match reader {
            Reader::Moments(reader) => {
                let columns = reader.finish().into_iter();
                columns.map(|moments| from_moments(&moments, &task.params)).collect()
            }
            Reader::Quantiles(reader) => match reader.finish()? {
                Refined::Again(carry) => return Ok(Outcome::Again(carry)),
                Refined::Done(columns) => {
                    let quantiles = columns.into_iter();
                    quantiles.map(|it| Learned::new(it.count as i64, from_quantiles(&it.values), None)).collect()
                }
            },
        };
        for (learned, field) in learned.iter().zip(task.input.fields()) {
            learned.check(field)?;
        }
        Ok(Outcome::Model(vec![write_model(&learned, &task)?]))
    }
}

#[derive(Debug)]
struct Learned {
    count: i64,
    scaling: Option<Scaling>,
    variance: Option<f64>,
}

impl Learned {
    fn new(count: i64, scaling: Option<Scaling>, variance: Option<f64>) -> Self {
        Self { count, scaling, variance }
    }

    fn check(&self, field: &Field) -> Result<()> {
        let error = match self.scaling {
            None => Error::invalid_data("the column has no numbers among the training rows")
                .hint("leave the column out of the step, or impute a constant before it"),
            Some(Scaling { center, scale, offset })
                if !(center.is_finite() && scale.is_finite() && offset.is_finite()) =>
            {
                Error::invalid_data("the training rows hold infinities or numbers too large to scale by")
                    .hint("drop or replace them before this step, or use the method `robust`")
            }
            Some(_) => return Ok(()),
        };
        Err(error.column(field.name()))
    }
}

/// A scale of zero, as of a column with one value, becomes one: such a column is only moved.
fn or_one(scale: f64) -> f64 {
    if scale == 0.0 { 1.0 } else { scale }
}

fn from_moments(moments: &ColumnMoments, params: &Params) -> Learned {
    let [low, high] = params.range;
    let scaling = moments.min.zip(moments.max).map(|(min, max)| match params.method {
        Method::Minmax => Scaling { center: min, scale: or_one(max - min) / (high - low), offset: low },
        Method::Maxabs => Scaling { center: 0.0, scale: or_one(max.max(-min)), offset: 0.0 },
        // The sums leave infinities out; a column that has any has no finite mean.
        Method::Standard | Method::Robust if moments.infinities > 0 => {
            Scaling { center: f64::NAN, scale: f64::NAN, offset: 0.0 }
        }
        Method::Standard | Method::Robust => {
            let center = moments.mean().unwrap_or(f64::NAN);
            Scaling { center, scale: or_one(moments.standard_deviation().unwrap_or(f64::NAN)), offset: 0.0 }
        }
    });
    let variance = if params.method == Method::Standard { moments.variance() } else { None };
    Learned::new(moments.count, scaling, variance)
}

fn from_quantiles(quantiles: &[f64]) -> Option<Scaling> {
    let [low, median, high] = quantiles else { return None };
    Some(Scaling { center: *median, scale: or_one(high - low), offset: 0.0 })
}

fn write_model(learned: &[Learned], task: &Task<Params>) -> Result<Rows> {
    let schema: Schema = model_table().schema;
    let number = |pick: fn(&Scaling) -> f64| learned.iter().map(move |it| it.scaling.as_ref().map(pick));
    Rows::new(0, &schema, learned.len(), |output| {
        output.strings(task.input.fields().map(|field| Some(field.name().as_str())))?;
        output.primitives(learned.iter().map(|it| Some(it.count)))?;
        output.primitives(number(|it| it.center))?;
        output.primitives(number(|it| it.scale))?;
        output.primitives(number(|it| it.offset))?;
        output.primitives(learned.iter().map(|it| it.variance))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_of_zero_becomes_one() {
        assert_eq!(from_quantiles(&[2.0, 2.0, 2.0]), Some(Scaling { center: 2.0, scale: 1.0, offset: 0.0 }));
    }

    #[test]
    fn ranges_and_percentiles_must_ascend() {
        let params = |json: &str| wafermill_sdk::serde_json::from_str::<Params>(json).unwrap();
        assert!(check(&params("{}")).is_ok());
        for bad in [r#"{"range": [1, 0]}"#, r#"{"percentiles": [75, 25]}"#, r#"{"percentiles": [-1, 25]}"#] {
            assert!(check(&params(bad)).is_err(), "{bad}");
        }
    }
}
