//! How guests of the tests learn the largest value of a column of all rows that they are fitted on.

use wafermill_sdk::{
    Batch, Column, DataType, Error, Field, Finisher, Fitter, Operator, Outcome, Pass, Passes, Plan, Result, Rows,
    Schema, Selection, Table, Task, Values,
};

fn field() -> Field {
    Field::new("largest", DataType::Float64, false)
}

fn rows(largest: f64) -> Result<Rows> {
    Rows::new(0, &Schema::new(vec![field()]), 1, |output| output.primitives([Some(largest)]))
}

/// The plan of a step that reads one column of Float64 and learns its largest value.
///
/// # Errors
/// Where the selection is another.
pub fn plan(selection: &Selection) -> Result<Plan> {
    let features = selection.features()?;
    let [column] = features.as_slice() else { return Err(Error::invalid_params("one column, please")) };
    if *column.data_type() != DataType::Float64 {
        return Err(Error::unsupported_type("only Float64 has a largest value").column(column.name()));
    }
    let plan = Plan::default().passes(Passes::ONE).partials([Table::partials("largest", [(field(), Operator::Max)])]);
    Ok(plan.model(Table::model("largest", [field()])).read(column, false))
}

/// The values of the column.
///
/// # Errors
/// Where it has another type.
pub fn floats(column: &Column) -> Result<&[f64]> {
    match column.values() {
        Values::Float64(values) => Ok(values),
        _ => Err(Error::internal("another type than planned")),
    }
}

/// The largest value, of the model's only table; nothing where no row had one.
///
/// # Errors
/// Where it is another table.
pub fn load(model: &Batch) -> Result<Option<f64>> {
    Ok(floats(model.column(0))?.first().copied())
}

/// Learns it.
#[derive(Debug, Default)]
pub struct Largest(Option<f64>);

impl<P> Fitter<P> for Largest {
    fn open(_: Task<P>, _: Pass) -> Result<Self> {
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

/// Makes the model of it.
#[derive(Debug)]
pub struct PassOn;

impl<P> Finisher<P> for PassOn {
    fn open(_: Task<P>, _: Pass) -> Result<Self> {
        Ok(Self)
    }

    fn push(&mut self, _: usize, partials: &Batch) -> Result<Vec<Rows>> {
        floats(partials.column(0))?.iter().map(|largest| rows(*largest)).collect()
    }

    fn finish(self) -> Result<Outcome> {
        Ok(Outcome::Model(Vec::new()))
    }
}
