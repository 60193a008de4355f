//! The combined table: ascending keys, each once, in batches that end at the same rows however those were pushed.

use super::ahead::Ahead;
use super::cut::{Bounds, weights};
use super::merge::Merge;
use super::{Operator, PartialTable, Statistics};
use crate::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, RecordBatch, make_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use std::sync::Arc;

/// The combined rows of a partial table. All batches but the last have [`Combined::ROWS`] rows, or end with the row by which their
/// values come to [`Combined::BYTES`]; they are the same, bit for bit, however the rows were pushed.
pub struct Combined {
    table: Arc<PartialTable>,
    /// Merged while who takes the batches works on them.
    batches: Ahead<RecordBatch>,
    statistics: Statistics,
}

impl Combined {
    /// Rows of a batch at most.
    pub const ROWS: usize = 16_384;

    /// Bytes of values at which a batch ends early.
    pub const BYTES: u64 = 4 << 20;

    pub(super) fn start(table: Arc<PartialTable>, merge: Merge, statistics: Statistics) -> Result<Self> {
        let batches = Ahead::start("merge", Cut { table: table.clone(), merge, waiting: None })?;
        Ok(Self { table, batches, statistics })
    }

    /// The table that was combined.
    pub fn table(&self) -> &Arc<PartialTable> {
        &self.table
    }

    /// What the combining took.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }
}

impl Iterator for Combined {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next()
    }
}

/// The rows of a merge in batches that do not depend on where it cut them.
struct Cut {
    table: Arc<PartialTable>,
    merge: Merge,
    /// Rows that were merged and belong to the next batch.
    waiting: Option<RecordBatch>,
}

impl Cut {
    /// The next batch, whatever the merge cuts.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut missing = Bounds { rows: Combined::ROWS, bytes: Combined::BYTES };
        let mut pieces = Vec::new();
        while missing.rows > 0 && missing.bytes > 0 {
            let Some(batch) = self.waiting.take().map(Ok).or_else(|| self.merge.next()).transpose()? else { break };
            let (rows, bytes) = missing.first(&weights(&self.table, &batch));
            if rows < batch.num_rows() {
                self.waiting = Some(batch.slice(rows, batch.num_rows() - rows));
            }
            missing = Bounds { rows: missing.rows - rows, bytes: missing.bytes.saturating_sub(bytes) };
            pieces.push(batch.slice(0, rows));
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

impl Iterator for Cut {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
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
