//! Routes rows to parts; done by the workers.

use super::{Prepare, Rows};
use crate::memory::batch_size;
use crate::value_bytes::{running_bytes, value_bytes};
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
pub struct Routed {
    /// For each part that has some.
    pub(super) parts: Vec<(usize, RecordBatch)>,
    /// Rows of the source, those that filters dropped among them.
    pub(super) of: u64,
    /// Bytes of the values of those that are left.
    pub(super) bytes: u64,
    /// How many are left.
    rows: usize,
    /// Each row's part, where there may be several.
    ids: Option<UInt8Array>,
    /// Where each row stood among those of the source, where some were dropped.
    origin: Option<Vec<u64>>,
}

impl Routed {
    /// The rows of a batch that are all of one part.
    pub(super) fn of_part(part: usize, batch: RecordBatch) -> Self {
        let (rows, parts) = (batch.num_rows(), vec![(part, batch)]);
        Self { of: rows as u64, bytes: weigh(&parts), parts, rows, ids: None, origin: None }
    }

    /// Keeps the first `of` rows of the source and gives the others.
    pub(super) fn split_off(&mut self, of: u64) -> Self {
        let rows = match &self.origin {
            Some(origin) => origin.partition_point(|row| *row < of),
            None => usize::try_from(of).map_or(self.rows, |of| of.min(self.rows)),
        };
        let ids = self.ids.as_ref();
        let before = |part: usize, all: usize| match ids {
            Some(ids) => ids.values()[..rows].iter().filter(|id| usize::from(**id) == part).count(),
            None => rows.min(all),
        };
        let mut rest = Vec::new();
        for (part, batch) in &mut self.parts {
            let (kept, all) = (before(*part, batch.num_rows()), batch.num_rows());
            rest.push((*part, batch.slice(kept, all - kept)));
            *batch = batch.slice(0, kept);
        }
        let rest = Self {
            bytes: weigh(&rest),
            parts: rest,
            of: self.of - of,
            rows: self.rows - rows,
            ids: ids.map(|ids| ids.slice(rows, self.rows - rows)),
            origin: self.origin.as_mut().map(|origin| origin.split_off(rows).into_iter().map(|row| row - of).collect()),
        };
        self.ids = self.ids.take().map(|ids| ids.slice(0, rows));
        (self.of, self.rows, self.bytes) = (of, rows, weigh(&self.parts));
        rest
    }

    /// With how many rows of the source the values have so many bytes, or all rows where they have not.
    pub(super) fn rows_of(&self, bytes: u64) -> u64 {
        let last = |row: usize| self.origin.as_ref().map_or(row as u64, |origin| origin[row]);
        let mut running: Vec<_> =
            self.parts.iter().map(|(part, batch)| (*part, running_bytes(batch).into_iter())).collect();
        let mut sums = vec![0; running.len()];
        for row in 0..self.rows {
            let part = self.ids.as_ref().map(|ids| usize::from(ids.value(row)));
            let own = running.iter_mut().zip(&mut sums).find(|((id, _), _)| part.is_none_or(|part| part == *id));
            if let Some(((_, bytes_so_far), sum)) = own {
                *sum = bytes_so_far.next().unwrap_or(*sum);
            }
            if sums.iter().sum::<u64>() >= bytes {
                return last(row) + 1;
            }
        }
        self.of
    }
}

fn weigh(parts: &[(usize, RecordBatch)]) -> u64 {
    parts.iter().map(|(_, batch)| value_bytes(batch)).sum()
}

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

    fn prepare(&self, Rows { batch, parts: ids, of, origin, .. }: Rows) -> Result<Routed> {
        check_columns(&self.schema, &batch)?;
        let counts = count_parts(&batch, ids.as_ref(), self.parts)?;
        let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let routed = filled.map(|(part, &count)| match &ids {
            Some(ids) if count < batch.num_rows() => Ok((part, rows_of(&batch, ids, part)?)),
            _ => Ok((part, batch.clone())),
        });
        let parts = routed.collect::<Result<Vec<_>>>()?;
        Ok(Routed { bytes: weigh(&parts), parts, of, rows: batch.num_rows(), ids, origin })
    }

    fn weigh(routed: &Routed) -> usize {
        routed.parts.iter().map(|(_, batch)| batch_size(batch)).sum()
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

    fn rows(parts: Option<UInt8Array>) -> Rows {
        Rows { batch: batch(), parts, source: batch(), of: 3, origin: None }
    }

    #[test]
    fn rows_are_cut_where_they_stood_in_the_source() {
        let router = Router::new(batch().schema(), 2);
        let left = Rows { of: 9, origin: Some(vec![1, 4, 5]), ..rows(Some(vec![0, 1, 0].into())) };
        let mut head = router.prepare(left).unwrap();
        assert_eq!((head.rows_of(1), head.rows_of(5), head.rows_of(12), head.rows_of(13)), (2, 5, 6, 9));
        let mut tail = head.split_off(3);
        assert_eq!((head.of, head.rows, tail.of, tail.rows), (3, 1, 6, 2));
        assert_eq!((tail.rows_of(1), tail.rows_of(5)), (2, 3));
        let last = tail.split_off(3);
        assert_eq!((tail.rows, tail.bytes, last.of, last.rows, last.bytes), (2, 8, 3, 0, 0));
    }

    #[test]
    fn a_row_without_a_known_part_is_refused() {
        let router = Router::new(batch().schema(), 2);
        for ids in [vec![0, 1, 2].into(), vec![0, 1].into(), UInt8Array::from(vec![Some(0), None, Some(1)])] {
            assert!(router.prepare(rows(Some(ids))).is_err());
        }
        assert!(router.prepare(rows(None)).is_err());
    }

    #[test]
    fn rows_keep_their_order_in_each_part() {
        let router = Router::new(batch().schema(), 3);
        let Routed { parts, .. } = router.prepare(rows(Some(vec![2, 0, 2].into()))).unwrap();
        let routed: Vec<_> = parts.iter().map(|(part, rows)| (*part, rows.column(0).to_data())).collect();
        assert_eq!(routed, [(0, Int32Array::from(vec![11]).into()), (2, Int32Array::from(vec![10, 12]).into())]);
    }
}
