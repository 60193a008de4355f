//! Filters among the steps: which rows a step sees, and when a step behind a filter can be fitted.

use super::table::{Table, internal, renumbered};
use crate::Result;
use crate::pipeline::Step;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_select::filter::filter_record_batch;

/// The filters before a step that drop training rows, by their positions.
pub(super) fn filters_before(steps: &[Step], index: usize) -> impl Iterator<Item = usize> {
    (0..index).filter(|before| steps[*before].filters_training_rows())
}

/// For each step whether what it does to the training rows is known: it is fitted, and so are all that it depends on. A step that
/// learns nothing counts as fitted from the start, what it reads may not be.
pub(super) fn settled(steps: &[Step]) -> Vec<bool> {
    let mut settled: Vec<bool> = Vec::with_capacity(steps.len());
    for step in steps {
        let known = step.outputs.is_some() && step.writers.iter().flatten().all(|writer| settled[*writer]);
        settled.push(known);
    }
    settled
}

/// Drops rows of a table as a filter says: `verdict` has its word on the rows of a batch. Of a filter of some parts, it is asked about
/// their rows only.
pub(super) fn drop_rows(
    step: &Step,
    table: &mut Table,
    input: RecordBatch,
    verdict: impl FnOnce(&RecordBatch) -> Result<RecordBatch>,
) -> Result<()> {
    let Some(asked) = step.parts.as_ref().and_then(|parts| table.rows_of(parts)) else {
        let kept = kept(&verdict(&input)?);
        return table.keep(kept);
    };
    if asked.count_set_bits() == 0 {
        return Ok(());
    }
    let input = filter_record_batch(&input, &BooleanArray::from(asked.clone())).map_err(internal)?;
    let rows: Vec<u64> = asked.set_indices().map(|row| row as u64).collect();
    let kept = kept(&verdict(&input).map_err(|error| renumbered(error, &rows))?);
    let mut all = BooleanBufferBuilder::new(table.rows());
    all.append_n(table.rows(), true);
    asked.set_indices().zip(&kept).for_each(|(row, keep)| all.set_bit(row, keep));
    table.keep(all.finish())
}

/// The rows for which a filter says true; null is no yes.
fn kept(written: &RecordBatch) -> BooleanBuffer {
    let verdict = written.column(0).as_boolean();
    match verdict.nulls() {
        Some(nulls) => verdict.values() & nulls.inner(),
        None => verdict.values().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::ArrayRef;
    use std::sync::Arc;

    #[test]
    fn null_is_dropped_as_false_is() {
        let verdict: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]));
        let written = RecordBatch::try_from_iter([("keep", verdict)]).unwrap();
        assert_eq!(kept(&written).iter().collect::<Vec<_>>(), [true, false, false, true]);
    }
}
