//! Cuts rows anew, so that nothing after this point depends on how they came.

use super::canonical::{join, join_exactly};
use crate::{Error, Result};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, SchemaRef};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a chunk, and so of a mini-batch of Parquet's writer and of a batch in Arrow files and streams.
pub(super) const CHUNK_ROWS: usize = 8192;

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
        let bytes = weigh(&batch);
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.pieces.push_back(Piece { batch, bytes });
    }

    /// Puts the rows of `other` after its own.
    pub(super) fn append(&mut self, other: Pending) {
        self.pieces.extend(other.pieces);
        self.rows += other.rows;
        self.bytes += other.bytes;
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
        let rest = Piece { batch: self.batch.slice(rows, all - rows), bytes: self.bytes / all * (all - rows) };
        self.batch = self.batch.slice(0, rows);
        self.bytes -= rest.bytes;
        Some(rest)
    }
}

/// What the rows of `batch` take; dictionaries are counted with each batch that holds them.
fn weigh(batch: &RecordBatch) -> usize {
    // a column whose size is not known counts as nothing: the budget is an estimate anyway
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
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
    use arrow_array::Int32Array;

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
        let field = Field::new("x", arrow_schema::DataType::Int32, false);
        let column = chunk.column(0, &field).unwrap();
        assert_eq!(&column, &(Arc::new(Int32Array::from_iter_values(0..25)) as ArrayRef));
        assert_eq!(pending.take(100).rows(), 5);
        assert_eq!((pending.rows(), pending.bytes()), (0, 0));
    }
}
