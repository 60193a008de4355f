//! What a session reads of a table: the selected fields of the rows that fit, as messages.

use crate::catalog::Table;
use crate::filter::Filter;
use crate::ipc;
use crate::message::Batch;
use crate::selection::Selection;
use crate::sizes;
use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::filter::filter_record_batch;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use tonic::codegen::Bytes;

/// The selected fields of a table's rows that fit, which may stand for many tables one after the other.
pub(crate) struct Content {
    pub(crate) schema: SchemaRef,
    /// The schema as a message.
    pub(crate) schema_message: Bytes,
    pub(crate) codec: Codec,
    batches: Vec<RecordBatch>,
    /// The first row of each batch, and behind them the number of rows.
    starts: Vec<usize>,
    /// The rows of the table before any were left out.
    table_rows: usize,
    /// Where the rows that were not left out stood in the table.
    places: Option<Vec<usize>>,
    /// How often the rows are served.
    times: usize,
    /// What the selected fields of all rows of the table take in memory.
    pub(crate) bytes: usize,
    lengths: Lengths,
    /// Of a table that is served more than once: the messages by their first rows.
    encoded: Mutex<HashMap<usize, Batch>>,
}

/// What is compressed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    None,
    Lz4Buffers,
    ZstdBuffers,
    /// The whole batch, as a block of LZ4.
    Lz4Response,
}

/// How long messages are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Rows(usize),
    Bytes(usize),
}

/// Where messages end.
enum Lengths {
    Rows(usize),
    /// After these rows.
    Ends(Vec<usize>),
}

impl Content {
    pub(crate) fn new(
        table: &Table,
        selection: &Selection,
        filter: Option<&Filter>,
        codec: Codec,
        length: Length,
    ) -> Result<Self, ArrowError> {
        let schema = selection.schema(&table.schema);
        let mut batches = Vec::new();
        let mut starts = vec![0];
        let mut places = filter.is_some().then(Vec::new);
        let (mut bytes, mut before, mut rows) = (0, 0, 0);
        for batch in &table.batches {
            let mut selected = selection.batch(batch, &schema)?;
            bytes += selected.get_array_memory_size();
            if let (Some(filter), Some(places)) = (filter, &mut places) {
                let fitting = filter.evaluate(batch)?;
                places.extend(fitting.values().set_indices().map(|row| before + row));
                selected = filter_record_batch(&selected, &fitting)?;
            }
            before += batch.num_rows();
            rows += selected.num_rows();
            starts.push(rows);
            batches.push(selected);
        }
        let lengths = match length {
            Length::Rows(rows) => Lengths::Rows(rows),
            Length::Bytes(bytes) => Lengths::Ends(sizes::ends(&batches, bytes)),
        };
        let schema_message = ipc::schema(&schema)?.into();
        let (table_rows, times, encoded) = (table.rows, table.times, Mutex::default());
        let bytes = bytes * times;
        Ok(Self { schema, schema_message, codec, batches, starts, table_rows, places, times, bytes, lengths, encoded })
    }

    /// The rows of one table.
    fn once(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// All rows.
    pub(crate) fn rows(&self) -> usize {
        self.once() * self.times
    }

    /// The rows that are left of some rows of the table.
    pub(crate) fn left_of(&self, table: &Range<usize>) -> Range<usize> {
        let Some(places) = &self.places else {
            return table.clone();
        };
        let left = |row: usize| {
            let once = self.table_rows.max(1);
            row / once * self.once() + places.partition_point(|place| *place < row % once)
        };
        left(table.start)..left(table.end)
    }

    /// Where a row stood in the table.
    pub(crate) fn place(&self, row: usize) -> usize {
        match &self.places {
            Some(places) => row / self.once() * self.table_rows + places[row % self.once()],
            None => row,
        }
    }

    /// Where the message with a row ends, wherever it begins.
    pub(crate) fn message_end(&self, row: usize) -> usize {
        let once = self.once().max(1);
        let (before, row) = (row / once * once, row % once);
        let end = match &self.lengths {
            Lengths::Rows(rows) => (row / rows + 1).saturating_mul(*rows),
            Lengths::Ends(ends) => ends.get(ends.partition_point(|end| *end <= row)).copied().unwrap_or(once),
        };
        before + end.min(once)
    }

    /// Whether a row is the first of a message.
    fn begins_message(&self, row: usize) -> bool {
        match &self.lengths {
            Lengths::Rows(rows) => row.is_multiple_of(*rows),
            Lengths::Ends(ends) => row == 0 || ends.binary_search(&row).is_ok(),
        }
    }

    /// Rows of a message, encoded.
    pub(crate) fn encode(&self, rows: Range<usize>) -> Result<Batch, ArrowError> {
        let first = rows.start % self.once().max(1);
        // A message that a fault or an offset made shorter is not worth keeping.
        let again = self.times > 1 && self.begins_message(first) && self.message_end(rows.start) == rows.end;
        if !again {
            return self.codec.encode(&self.slice(rows)?);
        }
        let known = self.encoded.lock().unwrap_or_else(PoisonError::into_inner).get(&first).cloned();
        if let Some(batch) = known {
            return Ok(batch);
        }
        let batch = self.codec.encode(&self.slice(rows)?)?;
        self.encoded.lock().unwrap_or_else(PoisonError::into_inner).insert(first, batch.clone());
        Ok(batch)
    }

    /// Rows of a message as one batch.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Result<RecordBatch, ArrowError> {
        if rows.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        }
        let first = rows.start % self.once();
        let rows = first..first + rows.len();
        let mut pieces = Vec::new();
        let mut index = self.starts.partition_point(|start| *start <= rows.start) - 1;
        while index < self.batches.len() && self.starts[index] < rows.end {
            let (start, end) = (self.starts[index], self.starts[index + 1]);
            let (from, to) = (rows.start.max(start), rows.end.min(end));
            pieces.push(self.batches[index].slice(from - start, to - from));
            index += 1;
        }
        arrow_select::concat::concat_batches(&self.schema, &pieces)
    }
}

impl Codec {
    pub(crate) fn encode(self, batch: &RecordBatch) -> Result<Batch, ArrowError> {
        let compression = match self {
            Self::None | Self::Lz4Response => None,
            Self::Lz4Buffers => Some(CompressionType::LZ4_FRAME),
            Self::ZstdBuffers => Some(CompressionType::ZSTD),
        };
        let bytes = ipc::batch(batch, compression)?;
        Ok(match self {
            Self::Lz4Response => {
                let compressed = lz4_flex::block::compress(&bytes);
                match compressed.len() < bytes.len() {
                    true => Batch { uncompressed: Some(bytes.len() as i64), bytes: compressed.into() },
                    false => Batch { uncompressed: Some(-1), bytes: bytes.into() },
                }
            }
            _ => Batch { bytes: bytes.into(), uncompressed: None },
        })
    }
}
