//! The laws of applying: a pure function, row by row, and as announced.

use super::Law;
use super::calls::Calls;
use super::case::{Case, unmade};
use super::difference::difference;
use super::random::Random;
use super::refusal::{Settled, disagreement, settle};
use super::report::Report;
use crate::Result;
use crate::contract::Outputs;
use crate::sandbox::{TableBatch, Transformer};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use std::ops::Range;

/// Rows that are applied alone.
const ALONE: usize = 4;

/// A transformer with its model, and what it announced.
struct Applier<'a> {
    transformer: Transformer,
    outputs: Outputs,
    calls: &'a Calls,
}

impl<'a> Applier<'a> {
    /// Loads each batch of the model in so many pieces.
    fn open(
        case: &Case<'_>,
        calls: &'a Calls,
        input: &RecordBatch,
        model: &[TableBatch],
        pieces: usize,
    ) -> Result<Self> {
        calls.add(2);
        let mut transformer = Transformer::open(case.plugin, &case.task(input))?;
        for TableBatch { table, batch } in model {
            for rows in ranges(batch.num_rows(), pieces) {
                calls.add(1);
                transformer.load(&TableBatch { table: *table, batch: batch.slice(rows.start, rows.len()) })?;
            }
        }
        let outputs = transformer.outputs(&case.plan)?;
        Ok(Self { transformer, outputs, calls })
    }

    fn apply(&mut self, batch: &RecordBatch) -> Result<Settled<RecordBatch>> {
        self.calls.add(1);
        let whole = |pieces: Vec<RecordBatch>| concat_batches(&self.outputs.schema, &pieces).map_err(unmade);
        match settle(self.transformer.apply(batch))? {
            Ok(pieces) => whole(pieces).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// Cuts `rows` rows into so many ranges of about the same size; one that is empty where there are no rows.
fn ranges(rows: usize, pieces: usize) -> impl Iterator<Item = Range<usize>> {
    let step = rows.div_ceil(pieces).max(1);
    (0..rows.max(1)).step_by(step).map(move |start| start..(start + step).min(rows))
}

/// Checks the laws of applying on a case with its model.
///
/// # Errors
/// Where the plugin breaks the contract.
pub(super) fn examine(
    case: &Case<'_>,
    model: &[TableBatch],
    calls: &Calls,
    report: &mut Report,
    random: &mut Random,
) -> Result<()> {
    let mut judge = |law, violation| report.judge(law, case.parsed, Some(&case.name), violation);
    let opened = settle(Applier::open(case, calls, &case.input, model, 1))?;
    let again = settle(Applier::open(case, calls, &case.input, model, 3))?;
    judge(Law::Outputs, disagreement(&opened, &again, |one, two| different_outputs(&one.outputs, &two.outputs)));
    let (Ok(mut first), Ok(mut second)) = (opened, again) else { return Ok(()) };
    calls.add(1);
    let repeated = first.transformer.outputs(&case.plan)?;
    judge(Law::Outputs, different_outputs(&first.outputs, &repeated));

    let input = first.apply(&case.input)?;
    let other = first.apply(&case.other)?;
    let mut compare = |law, one: &Settled<RecordBatch>, two: Settled<RecordBatch>| {
        judge(law, disagreement(one, &two, difference));
    };
    compare(Law::Repeat, &input, first.apply(&case.input)?);
    compare(Law::Repeat, &other, second.apply(&case.other)?);
    compare(Law::Repeat, &input, second.apply(&case.input)?);
    for (batch, applied) in [(&case.input, &input), (&case.other, &other)] {
        let violation = cut(&mut second, batch, applied, random)?;
        report.judge(Law::Cut, case.parsed, Some(&case.name), violation);
        if let Some(encoded) = case.encoded(batch, random)? {
            let mut through = settle(Applier::open(case, calls, &encoded, model, 1))?;
            let result = match &mut through {
                Ok(applier) => applier.apply(&encoded)?,
                Err(refusal) => Err(refusal.clone()),
            };
            let violation = disagreement(applied, &result, difference);
            report.judge(Law::Dictionary, case.parsed, Some(&case.name), violation);
        }
    }
    Ok(())
}

/// Applies a batch in pieces.
fn cut(
    applier: &mut Applier<'_>,
    batch: &RecordBatch,
    whole: &Settled<RecordBatch>,
    random: &mut Random,
) -> Result<Option<String>> {
    let rows = batch.num_rows();
    let thirds: Vec<_> = ranges(rows, 3).collect();
    let Ok(whole) = whole else {
        // Which piece is refused is not known; one must be.
        for piece in thirds {
            if applier.apply(&batch.slice(piece.start, piece.len()))?.is_err() {
                return Ok(None);
            }
        }
        return Ok(Some("the whole batch is refused, and none of its thirds is".to_owned()));
    };
    let middle = random.below(rows + 1);
    let end = middle + random.below(rows + 1 - middle);
    let alone = (0..ALONE.min(rows)).map(|_| random.below(rows)).map(|row| row..row + 1);
    for piece in thirds.into_iter().chain([middle..end, middle..middle]).chain(alone) {
        let expected = Ok(whole.slice(piece.start, piece.len()));
        let result = applier.apply(&batch.slice(piece.start, piece.len()))?;
        if let Some(found) = disagreement(&expected, &result, difference) {
            return Ok(Some(format!("rows {} to {} of the batch: {found}", piece.start, piece.end)));
        }
    }
    Ok(None)
}

fn different_outputs(one: &Outputs, two: &Outputs) -> Option<String> {
    let (fields, others) = (one.schema.fields(), two.schema.fields());
    if one.columns != two.columns {
        return Some(format!("{} columns and {} columns", fields.len(), others.len()));
    }
    let differs = fields.iter().zip(others).find(|(one, two)| one != two);
    differs.map(|(one, two)| format!("`{one}` and `{two}`"))
}
