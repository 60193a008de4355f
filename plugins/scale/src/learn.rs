//! What is learned from the training rows: moments or quantiles, and from them a scaling for each column.

use crate::{Method, Params, Scaling, model_table};
use wafermill_sdk::stats::{ColumnMoments, Moments, MomentsReader, Quantiles, QuantilesReader, Refined};
use wafermill_sdk::{Batch, Error, Field, Finisher, Fitter, Outcome, Pass, Result, Rows, Schema, Task};

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

    fn push(&mut self, table: usize, partials: &Batch) -> Result<Vec<Rows>> {
        match &mut self.reader {
            Reader::Moments(reader) => reader.push(table, partials)?,
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
            Some(scaling) if !scaling.can_be() => {
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
        Method::Minmax => Scaling { center: min, scale: or_one(or_one(max - min) / (high - low)), offset: low },
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

pub(crate) fn from_quantiles(quantiles: &[f64]) -> Option<Scaling> {
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
