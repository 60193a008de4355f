//! The laws of applying: a pure function, row by row, and as announced.

use super::Law;
use super::case::{Case, Ground, unmade};
use super::difference::difference;
use super::partition::ranges;
use super::random::Random;
use super::refusal::{Settled, disagreement, settle};
use super::report::Report;
use crate::Result;
use crate::contract::Outputs;
use crate::memory::batch_size;
use crate::sandbox::{TableBatch, Transformer};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

/// Rows that are applied alone.
const ALONE: usize = 4;

/// A transformer with its model, and what it announced.
pub(super) struct Applier {
    transformer: Transformer,
    outputs: Outputs,
    /// Bytes of the largest batch that it returned.
    returned: usize,
}

impl Applier {
    /// Loads each batch of the model in as many pieces as the ground has.
    pub(super) fn open(case: &Case<'_>, input: &RecordBatch, model: &[TableBatch], ground: Ground) -> Result<Self> {
        let (plugin, task) = case.task(input, ground)?;
        let mut transformer = Transformer::open(&plugin, &task)?;
        for TableBatch { table, batch } in model {
            for rows in ranges(batch.num_rows(), ground.pieces) {
                transformer.load(&TableBatch { table: *table, batch: batch.slice(rows.start, rows.len()) })?;
            }
        }
        let outputs = transformer.outputs(&case.plan)?;
        Ok(Self { transformer, outputs, returned: 0 })
    }

    pub(super) fn apply(&mut self, batch: &RecordBatch) -> Result<Settled<RecordBatch>> {
        let pieces = match settle(self.transformer.apply(batch))? {
            Ok(pieces) => pieces,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let largest = pieces.iter().map(batch_size).max().unwrap_or(0);
        self.returned = self.returned.max(largest);
        concat_batches(&self.outputs.schema, &pieces).map_err(unmade).map(Ok)
    }
}

/// Checks the laws of applying on a case with its model. Where a law does not hold, those that rest on it are not looked at.
///
/// # Errors
/// Where the plugin breaks the contract.
pub(super) fn examine(case: &Case<'_>, model: &[TableBatch], report: &mut Report, random: &mut Random) -> Result<()> {
    let open = |ground| settle(Applier::open(case, &case.input, model, ground));
    let mut judge = |law, violation| report.judge(law, case.parsed, Some(&case.name), violation);
    let (first, elsewhere) = (open(Ground::PLAIN)?, open(Ground::OTHER)?);
    let differ = disagreement(&first, &elsewhere, |one, two| different_outputs(&one.outputs, &two.outputs));
    if judge(Law::Outputs, differ) {
        return Ok(());
    }
    let (Ok(mut first), Ok(mut elsewhere)) = (first, elsewhere) else { return Ok(()) };
    let repeated = first.transformer.outputs(&case.plan)?;
    judge(Law::Outputs, different_outputs(&first.outputs, &repeated));

    let input = first.apply(&case.input)?;
    let differ = disagreement(&input, &elsewhere.apply(&case.input)?, difference);
    let differ = differ.map(|found| found + &blame(case, model, &input));
    if judge(Law::Instance, differ) {
        return Ok(());
    }
    // The other batch, behind the first one and as the first one; and the first one again, behind both.
    let other = first.apply(&case.other)?;
    let Ok(mut fresh) = open(Ground::PLAIN)? else { return Ok(()) };
    let differ = disagreement(&other, &fresh.apply(&case.other)?, difference);
    let depends = judge(Law::Repeat, differ);
    let differ = disagreement(&input, &first.apply(&case.input)?, difference);
    if judge(Law::Repeat, differ) || depends {
        return Ok(());
    }
    let mut returned = first.returned;
    for (batch, applied) in [(&case.input, &input), (&case.other, &other)] {
        let violation = cut(&mut elsewhere, batch, applied, random)?;
        report.judge(Law::Cut, case.parsed, Some(&case.name), violation);
        if let Some(encoded) = case.encoded(batch, random)? {
            let mut through = settle(Applier::open(case, &encoded, model, Ground::PLAIN))?;
            let result = match &mut through {
                Ok(applier) => {
                    let result = applier.apply(&encoded)?;
                    returned = returned.max(applier.returned);
                    result
                }
                Err(refusal) => Err(refusal.clone()),
            };
            let violation = disagreement(applied, &result, difference);
            report.judge(Law::Dictionary, case.parsed, Some(&case.name), violation);
        }
    }
    report.returned = report.returned.max(returned);
    Ok(())
}

/// What of the ground makes the difference, where one thing alone does.
fn blame(case: &Case<'_>, model: &[TableBatch], applied: &Settled<RecordBatch>) -> String {
    let Ground { roomy, spaced, pieces } = Ground::OTHER;
    let grounds = [
        (Ground { roomy, ..Ground::PLAIN }, "an instance that may have twice the memory"),
        (Ground { spaced, ..Ground::PLAIN }, "an instance whose parameters end with spaces"),
        (Ground { pieces, ..Ground::PLAIN }, "an instance whose model came in three pieces"),
        (Ground::PLAIN, "a second instance"),
    ];
    let differs = |ground| {
        let again = Applier::open(case, &case.input, model, ground).and_then(|mut again| again.apply(&case.input));
        again.is_ok_and(|again| disagreement(applied, &again, difference).is_some())
    };
    let found = grounds.into_iter().find(|(ground, _)| differs(*ground));
    format!(" (in {})", found.map_or("another instance", |(_, words)| words))
}

/// Applies a batch in pieces.
fn cut(
    applier: &mut Applier,
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
