//! Routes rows to parts; done by the workers.

use super::Prepare;
use crate::{Error, Result};
use arrow_array::{Array, BooleanArray, RecordBatch, UInt8Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, SchemaRef};
use arrow_select::filter::filter_record_batch;

/// Routes the rows of batches to their parts.
#[derive(Clone, Debug)]
pub struct Router {
    schema: SchemaRef,
    parts: usize,
}

/// The rows of one batch, by part.
pub struct Routed(pub(super) Vec<(usize, RecordBatch)>);

impl Router {
    /// A router of batches of the logical `schema` to `parts` parts.
    pub(super) fn new(schema: SchemaRef, parts: usize) -> Self {
        Self { schema, parts }
    }

    /// The schema.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Prepare for Router {
    type Item = Routed;

    fn prepare(&self, batch: RecordBatch, parts: Option<&UInt8Array>, _: &RecordBatch) -> Result<Routed> {
        check_columns(&self.schema, &batch)?;
        let counts = count_parts(&batch, parts, self.parts)?;
        let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let routed = filled.map(|(part, &count)| match parts {
            Some(ids) if count < batch.num_rows() => Ok((part, rows_of(&batch, ids, part)?)),
            _ => Ok((part, batch.clone())),
        });
        routed.collect::<Result<_>>().map(Routed)
    }
}

fn rows_of(batch: &RecordBatch, ids: &UInt8Array, part: usize) -> Result<RecordBatch> {
    let ids = ids.values();
    let rows = BooleanArray::from(BooleanBuffer::collect_bool(ids.len(), |row| usize::from(ids[row]) == part));
    filter_record_batch(batch, &rows).map_err(|error| Error::internal("cannot route rows to their part").because(error))
}

/// Rows per part, after a check that each row has one.
pub(super) fn count_parts(batch: &RecordBatch, ids: Option<&UInt8Array>, parts: usize) -> Result<Vec<usize>> {
    let Some(ids) = ids else {
        return match parts {
            1 => Ok(vec![batch.num_rows()]),
            _ => Err(Error::internal(format!("rows for {parts} parts came without the ids of their parts"))),
        };
    };
    if ids.len() != batch.num_rows() || ids.null_count() > 0 {
        return Err(Error::internal("a batch does not have one part for each of its rows"));
    }
    let mut counts = vec![0; parts];
    for &id in ids.values() {
        match counts.get_mut(usize::from(id)) {
            Some(count) => *count += 1,
            None => return Err(Error::sandbox(format!("the split sent a row to part {id} of {parts}"))),
        }
    }
    Ok(counts)
}

/// Checks that `batch` holds the logical `schema`, with dictionaries where they are welcome.
pub(super) fn check_columns(schema: &SchemaRef, batch: &RecordBatch) -> Result<()> {
    if schema.fields().len() != batch.num_columns() {
        let message = format!("a batch has {} columns instead of {}", batch.num_columns(), schema.fields().len());
        return Err(Error::internal(message));
    }
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let logical = match column.data_type() {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        if logical != field.data_type() && column.data_type() != field.data_type() {
            let message = format!("a column is `{}` instead of `{}`", column.data_type(), field.data_type());
            return Err(Error::internal(message).column(field.name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int32Array};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![10, 11, 12]));
        RecordBatch::try_from_iter([("x", column)]).unwrap()
    }

    #[test]
    fn a_row_without_a_known_part_is_refused() {
        let router = Router::new(batch().schema(), 2);
        for ids in [vec![0, 1, 2].into(), vec![0, 1].into(), UInt8Array::from(vec![Some(0), None, Some(1)])] {
            assert!(router.prepare(batch(), Some(&ids), &batch()).is_err());
        }
        assert!(router.prepare(batch(), None, &batch()).is_err());
    }

    #[test]
    fn rows_keep_their_order_in_each_part() {
        let router = Router::new(batch().schema(), 3);
        let Routed(routed) = router.prepare(batch(), Some(&vec![2, 0, 2].into()), &batch()).unwrap();
        let routed: Vec<_> = routed.iter().map(|(part, rows)| (*part, rows.column(0).to_data())).collect();
        assert_eq!(routed, [(0, Int32Array::from(vec![11]).into()), (2, Int32Array::from(vec![10, 12]).into())]);
    }
}
