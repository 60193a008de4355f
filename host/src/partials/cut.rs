//! Where batches end: after a number of rows, or with the row by which they come to a number of bytes. A function of the rows alone.

use super::PartialTable;
use crate::value_bytes::add_bytes;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// What a batch may come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Rows, one at least.
    pub(super) rows: usize,
    /// Bytes. The row by which they are reached belongs to the batch.
    pub(super) bytes: u64,
}

impl Bounds {
    /// Of rows that are sorted at once, which takes a few times their memory.
    pub(super) const SORTED: Self = Self { rows: 1 << 18, bytes: 16 << 20 };

    /// Of a piece of a run, of which each run that is merged holds a few, where those may hold `memory` bytes together.
    pub(super) fn piece(memory: usize) -> Self {
        Self { rows: 16_384, bytes: (memory as u64 / 256).clamp(64 << 10, 1 << 20) }
    }

    /// How many of the first rows with these weights make a batch, and what they weigh.
    pub(super) fn first(self, weights: &[u64]) -> (usize, u64) {
        let (mut rows, mut bytes) = (0, 0);
        for weight in weights.iter().take(self.rows) {
            if bytes >= self.bytes {
                break;
            }
            rows += 1;
            bytes += weight;
        }
        (rows, bytes)
    }

    /// Cuts a batch of a table into such batches.
    pub(super) fn cut(self, table: &PartialTable, batch: &RecordBatch) -> Vec<RecordBatch> {
        let weights = weights(table, batch);
        let (mut pieces, mut start) = (Vec::new(), 0);
        while start < weights.len() {
            let rows = self.first(&weights[start..]).0.max(1);
            pieces.push(batch.slice(start, rows));
            start += rows;
        }
        pieces
    }
}

/// Bytes of each row of a batch of the table, one at least. A list weighs what it does with all of its items, also where it is null.
pub(super) fn weights(table: &PartialTable, batch: &RecordBatch) -> Vec<u64> {
    let fixed = table.schema().fields().iter().filter_map(|field| width(field.data_type())).sum::<u64>();
    let mut weights = vec![fixed.max(1); batch.num_rows()];
    let columns = batch.columns().iter().filter(|column| width(column.data_type()).is_none());
    columns.for_each(|column| add_bytes(column.as_ref(), &mut weights));
    weights
}

/// Bytes of a value, where all of them have as many.
fn width(data_type: &DataType) -> Option<u64> {
    match data_type {
        DataType::Boolean => Some(1),
        DataType::FixedSizeList(item, size) => Some(width(item.data_type())? * u64::try_from(*size).ok()?),
        other => other.primitive_width().map(|width| width as u64),
    }
}
