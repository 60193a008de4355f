//! Fitting a case, with all that it gives on the way.

use super::calls::Calls;
use super::case::Case;
use super::difference::difference;
use super::partition::{Drain, Partition};
use crate::ipc::BatchEncoder;
use crate::partials::{Combined, Combiner};
use crate::sandbox::{Finisher, Fitter, Outcome, Pass, TableBatch};
use crate::{Error, Result, Stop};
use arrow_array::RecordBatch;
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

/// Fits a case. For each pass `partition` says how the rows of which form of the input are handed out.
pub(super) fn learn<'i>(
    case: &Case<'_>,
    calls: &Calls,
    mut partition: impl FnMut() -> (&'i RecordBatch, Partition),
) -> Result<Learned> {
    let mut pass = Pass::default();
    let mut trace = Vec::new();
    loop {
        let (input, partition) = partition();
        let tables = gather(case, calls, &pass, input, &partition)?;
        calls.add(2);
        let mut finisher = Finisher::open(case.plugin, &case.task(&case.input), &pass)?;
        let mut model = Vec::new();
        for (table, combined) in tables.into_iter().enumerate() {
            for batch in combined {
                let rows = TableBatch { table, batch: batch? };
                let name = format!("pass {}, partial table `{}`", pass.number, case.plan.partials[table].name());
                trace.push(Item::of_batch(name, &rows.batch)?);
                calls.add(1);
                model.extend(finisher.push(&rows)?);
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
            Outcome::Model => {
                finisher.drain(|rows| {
                    calls.add(1);
                    model.push(rows);
                    Ok(())
                })?;
                model.sort_by_key(|rows| rows.table);
                for rows in &model {
                    let name = format!("model table `{}`", case.plan.model[rows.table].name);
                    trace.push(Item::of_batch(name, &rows.batch)?);
                }
                return Ok(Learned { trace, model });
            }
        }
    }
}

/// One pass: the combined partials.
fn gather(
    case: &Case<'_>,
    calls: &Calls,
    pass: &Pass,
    input: &RecordBatch,
    partition: &Partition,
) -> Result<Vec<Combined>> {
    let scratch = std::env::temp_dir();
    let combiners =
        case.plan.partials.iter().map(|table| Combiner::new(table.clone(), MEMORY, &scratch, Stop::default()));
    let combiners: Vec<Combiner> = combiners.collect::<Result<_>>()?;
    let drain = |fitter: &mut Fitter| {
        calls.add(1);
        fitter.drain(|rows| {
            calls.add(1);
            combiners[rows.table].push(rows.batch)
        })
    };
    let task = case.task(input);
    let mut fitters: HashMap<usize, Fitter> = HashMap::new();
    for ((batch, number), follows) in partition.batches(input)?.iter().zip(&partition.fitters).zip(&partition.drains) {
        let mut fitter = match fitters.remove(number) {
            Some(fitter) => fitter,
            None => {
                calls.add(1);
                Fitter::open(case.plugin, &task, pass)?
            }
        };
        calls.add(1);
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
