//! Breaks the law `partition`: learns the first value that each of its fitters sees.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{
    Batch, DataType, Error, Field, Finisher, Fit, Fitter, Operator, Outcome, Output, Pass, Passes, Plan, Result, Rows,
    Schema, Selection, Table, Task, Transform, Values, export,
};

/// None.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin: writes what it learned in place of each value.
#[derive(Debug)]
pub struct FirstValue {
    first: Vec<f64>,
}

export!(FirstValue, fit);

fn fields() -> [Field; 2] {
    [Field::new("column", DataType::Int64, false), Field::new("first", DataType::Float64, false)]
}

fn rows(first: &[(usize, f64)]) -> Result<Rows> {
    Rows::new(0, &Schema::new(fields().to_vec()), first.len(), |output| {
        output.primitives(first.iter().map(|(column, _)| Some(*column as i64)))?;
        output.primitives(first.iter().map(|(_, value)| Some(*value)))
    })
}

impl Transform for FirstValue {
    const NAME: &'static str = "first-value";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "learns the first value that it sees";
    const PASSES: Passes = Passes::ONE;
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let operators = fields().into_iter().zip([Operator::Key, Operator::Min]);
        let mut plan = Plan::default().passes(Passes::ONE);
        plan = plan.partials([Table::partials("first", operators)]).model(Table::model("first", fields()));
        for field in selection.features()? {
            if *field.data_type() != DataType::Float64 {
                return Err(Error::unsupported_type("only Float64 has a first value").column(field.name()));
            }
            plan = plan.read(field, false).replace(field, field.clone());
        }
        Ok(plan)
    }

    fn open(task: Task<Params>) -> Result<Self> {
        Ok(Self { first: vec![0.0; task.input.len()] })
    }

    fn load(&mut self, _: usize, rows: &Batch) -> Result<()> {
        read(rows)?.into_iter().for_each(|(column, value)| self.first[column] = value);
        Ok(())
    }

    fn apply(&self, _: &Batch, output: &mut Output<'_>) -> Result<()> {
        for first in &self.first {
            output.primitive::<f64>(None)?.fill(*first);
        }
        Ok(())
    }
}

impl Fit for FirstValue {
    type Fitter = FirstFitter;
    type Finisher = FirstFinisher;
}

/// The first value of each column.
#[derive(Debug, Default)]
pub struct FirstFitter(Vec<(usize, f64)>);

impl Fitter<Params> for FirstFitter {
    fn open(_: Task<Params>, _: Pass) -> Result<Self> {
        Ok(Self::default())
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        for (position, column) in batch.columns().iter().enumerate() {
            let Values::Float64(values) = column.values() else {
                return Err(Error::internal("another type than planned"));
            };
            if let Some(value) = values.first().filter(|_| !self.0.iter().any(|(known, _)| *known == position)) {
                self.0.push((position, *value));
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        let first = std::mem::take(&mut self.0);
        if first.is_empty() { Ok(None) } else { rows(&first).map(Some) }
    }
}

/// Passes on what was learned.
#[derive(Debug)]
pub struct FirstFinisher;

impl Finisher<Params> for FirstFinisher {
    fn open(_: Task<Params>, _: Pass) -> Result<Self> {
        Ok(Self)
    }

    fn push(&mut self, _: usize, partials: &Batch) -> Result<Vec<Rows>> {
        Ok(vec![rows(&read(partials)?)?])
    }

    fn finish(self) -> Result<Outcome> {
        Ok(Outcome::Model(Vec::new()))
    }
}

fn read(rows: &Batch) -> Result<Vec<(usize, f64)>> {
    match (rows.column(0).values(), rows.column(1).values()) {
        (Values::Int64(columns), Values::Float64(values)) => {
            Ok(columns.iter().map(|column| *column as usize).zip(values.iter().copied()).collect())
        }
        _ => Err(Error::invalid_model("these are no first values")),
    }
}
