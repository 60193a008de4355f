//! The combined table: ascending keys, each once, in batches of a fixed number of rows.

use super::merge::Merge;
use super::{Operator, PartialTable, Statistics};
use crate::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, RecordBatch, make_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use std::collections::VecDeque;
use std::sync::Arc;

/// The combined rows of a partial table. All batches but the last have [`Combined::ROWS`] rows; they are the same, bit for bit,
/// however the rows were pushed.
pub struct Combined {
    table: Arc<PartialTable>,
    merge: Merge,
    waiting: VecDeque<RecordBatch>,
    statistics: Statistics,
    ended: bool,
}

impl Combined {
    /// Rows of a batch.
    pub const ROWS: usize = 16_384;

    pub(super) fn new(table: Arc<PartialTable>, merge: Merge, statistics: Statistics) -> Self {
        Self { table, merge, waiting: VecDeque::new(), statistics, ended: false }
    }

    /// The table that was combined.
    pub fn table(&self) -> &Arc<PartialTable> {
        &self.table
    }

    /// What the combining took.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Up to [`Combined::ROWS`] rows, whatever the merge cuts.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut rows: usize = self.waiting.iter().map(RecordBatch::num_rows).sum();
        while rows < Self::ROWS {
            let Some(batch) = self.merge.next().transpose()? else { break };
            rows += batch.num_rows();
            self.waiting.push_back(batch);
        }
        let mut pieces = Vec::with_capacity(self.waiting.len());
        let mut missing = rows.min(Self::ROWS);
        while let Some(batch) = self.waiting.pop_front() {
            let length = batch.num_rows().min(missing);
            if length < batch.num_rows() {
                self.waiting.push_front(batch.slice(length, batch.num_rows() - length));
            }
            if length == 0 {
                break;
            }
            missing -= length;
            pieces.push(batch.slice(0, length));
        }
        if pieces.is_empty() { Ok(None) } else { self.join(&pieces).map(Some) }
    }

    fn join(&self, pieces: &[RecordBatch]) -> Result<RecordBatch> {
        let batch = arrow_select::concat::concat_batches(self.table.schema(), pieces);
        let batch = batch.map_err(|error| self.table.broken(error))?;
        for (position, field, operator) in self.table.values() {
            // Only here: sums of positive and negative numbers may go beyond the precision on the way.
            if let (Operator::Sum, DataType::Decimal128(precision, _)) = (operator, field.data_type()) {
                let sums = batch.column(position).as_primitive::<Decimal128Type>();
                sums.validate_decimal_precision(*precision).map_err(|_| self.table.overflow(field))?;
            }
        }
        let columns = batch.columns().iter().map(canonical).collect::<Result<_, _>>();
        self.table.batch(columns.map_err(|error| self.table.broken(error))?, batch.num_rows())
    }
}

impl Iterator for Combined {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_batch().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The same array with bitmaps that depend on its values only: none where nothing is null, zeros behind the last bit.
fn canonical(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let nulls = nulls.map(|nulls| NullBuffer::new(fresh_bits(nulls.inner())));
    Ok(match array.data_type() {
        DataType::Boolean => Arc::new(BooleanArray::new(fresh_bits(array.as_boolean().values()), nulls)),
        DataType::FixedSizeList(item, size) => {
            let items = canonical(array.as_fixed_size_list().values())?;
            Arc::new(FixedSizeListArray::try_new_with_length(item.clone(), *size, items, nulls, array.len())?)
        }
        _ if array.nulls().is_none() => array.clone(),
        _ => make_array(array.to_data().into_builder().nulls(nulls).build()?),
    })
}

fn fresh_bits(bits: &BooleanBuffer) -> BooleanBuffer {
    BooleanBuffer::collect_bool(bits.len(), |position| bits.value(position))
}
