//! Cuts rows anew, so that nothing after this point depends on how they came.

use super::canonical::{join, join_exactly};
use crate::memory::batch_size;
use crate::value_bytes::{running_bytes, value_bytes};
use crate::{Error, Result};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, SchemaRef};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a chunk at most, and so of a mini-batch of Parquet's writer and of a batch in Arrow files and streams.
pub(super) const CHUNK_ROWS: usize = 8192;

/// Bytes of values at which a chunk ends early: each part has a few under way, and Arrow's offsets count to 2 GiB.
pub(super) const CHUNK_BYTES: u64 = 4 << 20;

/// Rows that wait until there are enough of them.
#[derive(Default)]
pub(super) struct Pending {
    pieces: VecDeque<Piece>,
    rows: usize,
    bytes: usize,
}

struct Piece {
    batch: RecordBatch,
    bytes: usize,
    /// Bytes of its values, which do not depend on how they are laid out.
    values: u64,
}

impl Pending {
    /// Rows that wait.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What they weigh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() == 0 {
            return;
        }
        let (bytes, values) = (batch_size(&batch), value_bytes(&batch));
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.pieces.push_back(Piece { batch, bytes, values });
    }

    /// What so many rows weigh, by those that wait.
    pub(super) fn weight_of(&self, rows: usize) -> usize {
        (self.bytes / self.rows.max(1)).saturating_mul(rows)
    }

    /// Puts the rows of `other` after its own.
    pub(super) fn append(&mut self, other: Pending) {
        self.pieces.extend(other.pieces);
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    /// How many rows the next chunk has, of at most `most`; nothing as long as rows that are still to come may belong to it. A
    /// function of the rows alone.
    pub(super) fn next_chunk(&self, most: usize) -> Option<usize> {
        self.next_within(most, CHUNK_BYTES)
    }

    fn next_within(&self, most: usize, most_bytes: u64) -> Option<usize> {
        let (mut rows, mut bytes) = (0, 0);
        for piece in &self.pieces {
            let all = piece.batch.num_rows();
            if bytes + piece.values >= most_bytes {
                let ends = running_bytes(&piece.batch).into_iter().position(|sum| bytes + sum >= most_bytes);
                return Some((rows + ends.map_or(all, |row| row + 1)).min(most));
            }
            if rows + all >= most {
                return Some(most);
            }
            rows += all;
            bytes += piece.values;
        }
        None
    }

    /// Takes the first `rows` rows, or all where there are fewer.
    pub(super) fn take(&mut self, rows: usize) -> Chunk {
        let mut chunk = Chunk { pieces: Vec::new(), rows: 0, bytes: 0 };
        while chunk.rows < rows {
            let Some(mut piece) = self.pieces.pop_front() else { break };
            if let Some(rest) = piece.split_off(rows - chunk.rows) {
                self.pieces.push_front(rest);
            }
            chunk.rows += piece.batch.num_rows();
            chunk.bytes += piece.bytes;
            chunk.pieces.push(piece.batch);
        }
        self.rows -= chunk.rows;
        self.bytes -= chunk.bytes;
        chunk
    }
}

impl Piece {
    /// Keeps the first `rows` rows and gives the others, if there are any.
    fn split_off(&mut self, rows: usize) -> Option<Piece> {
        let all = self.batch.num_rows();
        if all <= rows {
            return None;
        }
        let batch = self.batch.slice(rows, all - rows);
        self.batch = self.batch.slice(0, rows);
        let values = value_bytes(&self.batch);
        let rest = Piece { batch, bytes: self.bytes / all * (all - rows), values: self.values - values };
        self.bytes -= rest.bytes;
        self.values = values;
        Some(rest)
    }
}

/// Rows that are encoded together.
pub(super) struct Chunk {
    pieces: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Chunk {
    /// Its rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What they weigh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One column, joined for an encoder that looks at values only.
    pub(super) fn column(&self, index: usize, field: &Field) -> Result<ArrayRef> {
        join(field, &self.pieces_of(index))
    }

    /// All columns as a batch of the logical schema, of which not even the unused bits depend on anything but the rows.
    pub(super) fn batch(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        let columns =
            schema.fields().iter().enumerate().map(|(index, field)| join_exactly(field, &self.pieces_of(index)));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_>>()?, &options)
            .map_err(|error| Error::output("the rows do not fit their schema").because(error))
    }

    fn pieces_of(&self, index: usize) -> Vec<&ArrayRef> {
        self.pieces.iter().map(|piece| piece.column(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, StringArray};
    use arrow_schema::DataType;

    #[test]
    fn chunks_hold_the_rows_in_order_and_the_weights_add_up() {
        let mut pending = Pending::default();
        for start in [0, 10, 20] {
            let column: ArrayRef = Arc::new(Int32Array::from_iter_values(start..start + 10));
            pending.push(RecordBatch::try_from_iter([("x", column)]).unwrap());
        }
        let chunk = pending.take(25);
        assert_eq!((chunk.rows(), pending.rows()), (25, 5));
        assert_eq!(chunk.bytes() + pending.bytes(), 30 * 4);
        let field = Field::new("x", DataType::Int32, false);
        let column = chunk.column(0, &field).unwrap();
        assert_eq!(&column, &(Arc::new(Int32Array::from_iter_values(0..25)) as ArrayRef));
        assert_eq!(pending.take(100).rows(), 5);
        assert_eq!((pending.rows(), pending.bytes()), (0, 0));
    }

    #[test]
    fn a_chunk_of_long_values_ends_at_the_same_row_however_they_come() {
        let text = |row: usize| (!row.is_multiple_of(3)).then(|| "x".repeat(if row < 40 { 1 } else { row % 13 }));
        let strings = |rows: std::ops::Range<usize>| -> ArrayRef { Arc::new(rows.map(text).collect::<StringArray>()) };
        let ends = |size: usize, dictionary: bool| {
            let mut pending = Pending::default();
            let mut ends = Vec::new();
            for start in (0..100).step_by(size) {
                let column = strings(start..(start + size).min(100));
                let packed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                let column = if dictionary { arrow_cast::cast(&column, &packed).unwrap() } else { column };
                pending.push(RecordBatch::try_from_iter([("x", column)]).unwrap());
                while let Some(rows) = pending.next_within(30, 64) {
                    ends.push(rows);
                    pending.take(rows);
                }
            }
            ends
        };
        let expected = ends(100, false);
        assert!(expected.contains(&30) && expected.iter().any(|rows| *rows < 30), "{expected:?}");
        for (size, dictionary) in [(1, false), (7, false), (7, true), (100, true), (33, true)] {
            assert_eq!(ends(size, dictionary), expected, "{size} {dictionary}");
        }
    }
}
