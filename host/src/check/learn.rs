//! Fitting a case, with all that it gives on the way.

use super::case::{Case, Ground, unmade};
use super::difference::difference;
use super::partition::{Drain, Partition, ranges};
use crate::ipc::BatchEncoder;
use crate::partials::{Combined, Combiner};
use crate::sandbox::{Finisher, Fitter, Outcome, Pass, TableBatch};
use crate::{Error, Result, Stop};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use std::collections::HashMap;

/// Bytes of partials that are held before they spill; no generated table comes near.
const MEMORY: usize = 1 << 30;

/// What fitting came to.
pub(super) struct Learned {
    /// Partials and carries of each pass, and the model, in their order.
    trace: Vec<Item>,
    /// The tables in the plan's order.
    pub(super) model: Vec<TableBatch>,
}

/// Something that must be the same, byte by byte.
struct Item {
    name: String,
    bytes: Vec<u8>,
    batch: Option<RecordBatch>,
}

impl Item {
    fn of_batch(name: String, batch: &RecordBatch) -> Result<Self> {
        let mut encoder = BatchEncoder::default();
        let bytes =
            encoder.encode(batch).map_err(|error| Error::internal("a batch cannot be encoded").because(error))?;
        Ok(Self { name, bytes: bytes.clone(), batch: Some(batch.clone()) })
    }
}

/// Fits a case on some ground. For each pass `partition` says how the rows of which form of the input are handed out.
pub(super) fn learn<'i>(
    case: &Case<'_>,
    ground: Ground,
    mut partition: impl FnMut() -> (&'i RecordBatch, Partition),
) -> Result<Learned> {
    let mut pass = Pass::default();
    let mut trace = Vec::new();
    loop {
        let (input, partition) = partition();
        let tables = gather(case, ground, &pass, input, &partition)?;
        let (plugin, task) = case.task(&case.input, ground)?;
        let mut finisher = Finisher::open(&plugin, &task, &pass)?;
        let mut model = Vec::new();
        for (table, combined) in tables.into_iter().enumerate() {
            for batch in combined {
                let batch = batch?;
                let name = format!("pass {}, partial table `{}`", pass.number, case.plan.partials[table].name());
                trace.push(Item::of_batch(name, &batch)?);
                for rows in ranges(batch.num_rows(), ground.pieces) {
                    model.extend(finisher.push(&TableBatch { table, batch: batch.slice(rows.start, rows.len()) })?);
                }
            }
        }
        match finisher.finish()? {
            Outcome::Again(_) if !model.is_empty() => {
                return Err(Error::sandbox("the plugin asks for another pass after it gave rows of its model"));
            }
            Outcome::Again(_) if pass.number + 1 >= case.plan.passes.most => {
                return Err(Error::sandbox("the plugin asks for more passes than it planned"));
            }
            Outcome::Again(carry) => {
                trace.push(Item {
                    name: format!("the carry of pass {}", pass.number),
                    bytes: carry.clone(),
                    batch: None,
                });
                pass = pass.next(carry);
            }
            Outcome::Model if pass.number + 1 < case.plan.passes.least => {
                return Err(Error::sandbox("the plugin has its model after fewer passes than it planned at least"));
            }
            Outcome::Model => {
                finisher.drain(|rows| {
                    model.push(rows);
                    Ok(())
                })?;
                for (table, planned) in case.plan.model.iter().enumerate() {
                    let batches: Vec<_> =
                        model.iter().filter(|rows| rows.table == table).map(|rows| &rows.batch).collect();
                    // A table of the model is all of its batches: where one ends means nothing.
                    let whole = concat_batches(&planned.schema, batches).map_err(unmade)?;
                    trace.push(Item::of_batch(format!("model table `{}`", planned.name), &whole)?);
                }
                model.sort_by_key(|rows| rows.table);
                return Ok(Learned { trace, model });
            }
        }
    }
}

/// One pass: the combined partials.
fn gather(
    case: &Case<'_>,
    ground: Ground,
    pass: &Pass,
    input: &RecordBatch,
    partition: &Partition,
) -> Result<Vec<Combined>> {
    let scratch = std::env::temp_dir();
    let combiners =
        case.plan.partials.iter().map(|table| Combiner::new(table.clone(), MEMORY, &scratch, Stop::default()));
    let combiners: Vec<Combiner> = combiners.collect::<Result<_>>()?;
    let drain = |fitter: &mut Fitter| fitter.drain(|rows| combiners[rows.table].push(rows.batch));
    let (plugin, task) = case.task(input, ground)?;
    let mut fitters: HashMap<usize, Fitter> = HashMap::new();
    for ((batch, number), follows) in partition.batches(input)?.iter().zip(&partition.fitters).zip(&partition.drains) {
        let mut fitter = match fitters.remove(number) {
            Some(fitter) => fitter,
            None => Fitter::open(&plugin, &task, pass)?,
        };
        fitter.update(batch)?;
        if *follows != Drain::Not {
            drain(&mut fitter)?;
        }
        if *follows != Drain::Replace {
            fitters.insert(*number, fitter);
        }
    }
    fitters.values_mut().try_for_each(drain)?;
    combiners.into_iter().map(Combiner::finish).collect()
}

/// The first thing that two ways of fitting did not have in common.
pub(super) fn first_difference(one: &Learned, two: &Learned) -> Option<String> {
    for (left, right) in one.trace.iter().zip(&two.trace) {
        if left.name != right.name {
            return Some(format!("{} came where {} came before", right.name, left.name));
        }
        if left.bytes != right.bytes {
            let what = match (&left.batch, &right.batch) {
                (Some(left), Some(right)) => difference(left, right),
                _ => None,
            };
            let what = what.unwrap_or_else(|| "the values are equal, their bytes are not".to_owned());
            return Some(format!("{}: {what}", left.name));
        }
    }
    let (one, two) = (one.trace.len(), two.trace.len());
    (one != two).then(|| format!("{two} batches and carries came where {one} came before"))
}
