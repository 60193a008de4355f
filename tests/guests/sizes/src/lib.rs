//! Keeps to the contract, unless it is asked to name a part that there is not, or to forget: an aggregate of one pass that counts the rows of each
//! part.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{
    Aggregate, Batch, ContextColumn, DataType, Error, Field, Finisher, Fitter, Operator, Outcome, Pass, Passes, Plan,
    Result, Rows, Schema, Selection, Table, Task, Values, export,
};

/// What it counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A part that it counts all rows for.
    pub part: Option<u8>,
    /// `all but the last`: what its finisher forgets of the pieces in which its partials come, against the law `finish`.
    pub forgets: Option<String>,
}

/// The plugin.
#[derive(Debug)]
pub struct Sizes;

export!(Sizes, fit);

fn fields() -> [Field; 2] {
    [Field::new("wafermill:part", DataType::UInt8, true), Field::new("rows", DataType::Int64, false)]
}

impl Aggregate for Sizes {
    const NAME: &'static str = "sizes";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "counts the rows of each part";
    const PASSES: Passes = Passes::ONE;
    type Params = Params;
    type Fitter = Counter;
    type Finisher = PassOn;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let partials = Table::partials("sizes", fields().into_iter().zip([Operator::Key, Operator::Sum]));
        let plan = Plan::default().passes(Passes::ONE).partials([partials]).model(Table::model("sizes", fields()));
        let plan = selection.features()?.into_iter().fold(plan, |plan, field| plan.read(field, false));
        Ok(plan.read_context(ContextColumn::Part))
    }
}

fn rows(sizes: &[(Option<u8>, i64)]) -> Result<Rows> {
    Rows::new(0, &Schema::new(fields().to_vec()), sizes.len(), |output| {
        output.primitives(sizes.iter().map(|(part, _)| *part))?;
        output.primitives(sizes.iter().map(|(_, rows)| Some(*rows)))
    })
}

/// The ids of parts in a column.
fn parts(batch: &Batch, column: usize) -> Result<impl Iterator<Item = Option<u8>>> {
    let column = batch.column(column);
    let Values::UInt8(parts) = column.values() else { return Err(Error::internal("parts are no UInt8")) };
    Ok(parts.iter().enumerate().map(|(row, part)| (!column.is_null(row)).then_some(*part)))
}

/// Counts rows.
#[derive(Debug)]
pub struct Counter {
    part: Option<u8>,
    sizes: Vec<(Option<u8>, i64)>,
}

impl Fitter<Params> for Counter {
    fn open(task: Task<Params>, _: Pass) -> Result<Self> {
        Ok(Self { part: task.params.part, sizes: Vec::new() })
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        for part in parts(batch, batch.columns().len() - 1)? {
            let part = self.part.or(part);
            match self.sizes.iter_mut().find(|(known, _)| *known == part) {
                Some((_, rows)) => *rows += 1,
                None => self.sizes.push((part, 1)),
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        let sizes = std::mem::take(&mut self.sizes);
        if sizes.is_empty() { Ok(None) } else { rows(&sizes).map(Some) }
    }
}

/// Makes the table of what was counted.
#[derive(Debug)]
pub struct PassOn {
    forgets: bool,
    last: Vec<Rows>,
}

impl Finisher<Params> for PassOn {
    fn open(task: Task<Params>, _: Pass) -> Result<Self> {
        Ok(Self { forgets: task.params.forgets.is_some(), last: Vec::new() })
    }

    fn push(&mut self, _: usize, partials: &Batch) -> Result<Vec<Rows>> {
        let sizes = partials.column(1).to_i64().ok_or_else(|| Error::invalid_model("sizes are no Int64"))?;
        let combined: Vec<_> = parts(partials, 0)?.zip(sizes.iter().copied()).collect();
        let piece = vec![rows(&combined)?];
        if !self.forgets {
            return Ok(piece);
        }
        self.last = piece;
        Ok(Vec::new())
    }

    fn finish(self) -> Result<Outcome> {
        Ok(Outcome::Model(self.last))
    }
}
