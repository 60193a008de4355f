//! What is learned from the training rows: means, medians or the most frequent values.

use crate::fill::{fill_classes, write_fills};
use crate::{Params, Strategy};
use wafermill_sdk::stats::{
    Category, Counts, CountsReader, KeyClass, Moments, MomentsReader, Quantiles, QuantilesReader, Refined,
};
use wafermill_sdk::{Batch, Error, Finisher, Fitter, Outcome, Pass, Result, Rows, Task};

/// Learns from some of the rows.
#[derive(Debug)]
pub enum Learn {
    /// For `mean`.
    Mean(Moments),
    /// For `median`.
    Median(Quantiles),
    /// For `most_frequent`.
    MostFrequent(Counts),
}

fn learns_nothing() -> Error {
    Error::internal("the strategy `constant` learns nothing")
}

impl Fitter<Params> for Learn {
    fn open(task: Task<Params>, pass: Pass) -> Result<Self> {
        let columns = task.input.len();
        Ok(match task.params.strategy {
            Strategy::Mean => Self::Mean(Moments::new(columns)),
            Strategy::Median => Self::Median(Quantiles::open(columns, pass.carry.as_deref())?),
            Strategy::MostFrequent => {
                let fields: Vec<_> = task.input.fields().collect();
                Self::MostFrequent(Counts::new(fields)?)
            }
            Strategy::Constant => return Err(learns_nothing()),
        })
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        match self {
            Self::Mean(moments) => moments.update(batch),
            Self::Median(quantiles) => quantiles.update(batch),
            Self::MostFrequent(counts) => counts.update(batch),
        }
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        match self {
            Self::Mean(moments) => moments.drain(0),
            Self::Median(quantiles) => quantiles.drain(0),
            Self::MostFrequent(counts) => counts.drain(0),
        }
    }
}

/// Turns what was learned into fillings.
#[derive(Debug)]
pub struct Finish {
    task: Task<Params>,
    classes: Vec<KeyClass>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Mean(MomentsReader),
    Median(QuantilesReader),
    MostFrequent(CountsReader, Vec<Option<(Category, i64)>>),
}

impl Finisher<Params> for Finish {
    fn open(task: Task<Params>, pass: Pass) -> Result<Self> {
        let columns = task.input.len();
        let classes = KeyClass::of_all(task.input.fields())?;
        let reader = match task.params.strategy {
            Strategy::Mean => Reader::Mean(MomentsReader::new(columns)),
            Strategy::Median => Reader::Median(QuantilesReader::open(columns, &[50.0], pass.carry.as_deref())?),
            Strategy::MostFrequent => Reader::MostFrequent(CountsReader::new(classes.clone()), vec![None; columns]),
            Strategy::Constant => return Err(learns_nothing()),
        };
        Ok(Self { task, classes, reader })
    }

    fn push(&mut self, table: usize, partials: &Batch) -> Result<Vec<Rows>> {
        match &mut self.reader {
            Reader::Mean(reader) => reader.push(table, partials)?,
            Reader::Median(reader) => reader.push(partials)?,
            Reader::MostFrequent(reader, best) => reader.push(table, partials, |column, value, count| {
                let best = best.get_mut(column).ok_or_else(|| Error::invalid_model("counts of an unknown column"))?;
                let value = value.filter(|value| !matches!(value, Category::Float(number) if number.is_nan()));
                // Values come in ascending order, so that of equal counts the least one stays.
                if let Some(value) = value
                    && best.as_ref().is_none_or(|(_, most)| count > *most)
                {
                    *best = Some((value, count));
                }
                Ok(())
            })?,
        }
        Ok(Vec::new())
    }

    fn finish(self) -> Result<Outcome> {
        let Self { task, classes, reader } = self;
        let fills: Vec<Option<Category>> = match reader {
            Reader::Mean(reader) => {
                let columns = reader.finish().into_iter();
                columns
                    .map(|it| if it.infinities > 0 { Some(f64::NAN) } else { it.mean() }.map(Category::Float))
                    .collect()
            }
            Reader::Median(reader) => match reader.finish()? {
                Refined::Again(carry) => return Ok(Outcome::Again(carry)),
                Refined::Done(columns) => {
                    columns.into_iter().map(|it| it.values.first().copied().map(Category::Float)).collect()
                }
            },
            Reader::MostFrequent(_, best) => best.into_iter().map(|best| best.map(|(value, _)| value)).collect(),
        };
        let mut tables: Vec<Vec<(String, Category)>> = Vec::new();
        let fill_classes = fill_classes(task.params.strategy, &classes);
        tables.resize_with(fill_classes.len(), Vec::new);
        for (field, fill) in task.input.fields().zip(fills) {
            let fill = fill.ok_or_else(|| {
                Error::invalid_data("the column has no values among the training rows")
                    .column(field.name())
                    .hint("use the strategy `constant`, or leave the column out of the step")
            })?;
            if matches!(fill, Category::Float(number) if !number.is_finite()) {
                return Err(Error::invalid_data(
                    "the training rows hold infinities, so that the filling is not finite",
                )
                .column(field.name())
                .hint("drop or replace them before this step, or use the strategy `constant`"));
            }
            let class = match fill {
                Category::Float(_) => KeyClass::Float,
                _ => KeyClass::of(field.data_type()).unwrap_or(KeyClass::Text),
            };
            if let Some(table) = fill_classes.iter().position(|it| *it == class) {
                tables[table].push((field.name().clone(), fill));
            }
        }
        let rows = tables.iter().enumerate().map(|(table, fills)| write_fills(table, fill_classes[table], fills));
        Ok(Outcome::Model(rows.collect::<Result<_>>()?))
    }
}
