//! What a session reads of a table: the selected columns, as messages that are encoded once and sent again.

use crate::catalog::Table;
use crate::ipc;
use crate::message::Batch;
use crate::sizes;
use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_schema::{ArrowError, SchemaRef};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use tonic::codegen::Bytes;

/// The selected columns of a table, which may stand for many tables one after the other.
pub(crate) struct Content {
    pub(crate) schema: SchemaRef,
    /// The schema as a message.
    pub(crate) schema_message: Bytes,
    pub(crate) codec: Codec,
    batches: Vec<RecordBatch>,
    /// The first row of each batch, and behind them the number of rows.
    starts: Vec<usize>,
    /// How often the rows are served.
    times: usize,
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
    pub(crate) fn new(table: &Table, columns: &[usize], codec: Codec, length: Length) -> Result<Self, ArrowError> {
        let schema = std::sync::Arc::new(table.schema.project(columns)?);
        let batches = table.batches.iter().map(|batch| batch.project(columns)).collect::<Result<Vec<_>, _>>()?;
        let mut starts = vec![0];
        starts.extend(batches.iter().scan(0, |rows, batch| {
            *rows += batch.num_rows();
            Some(*rows)
        }));
        let lengths = match length {
            Length::Rows(rows) => Lengths::Rows(rows),
            Length::Bytes(bytes) => Lengths::Ends(sizes::ends(&batches, bytes)),
        };
        let schema_message = ipc::schema(&schema)?.into();
        let encoded = Mutex::default();
        Ok(Self { schema, schema_message, codec, batches, starts, times: table.times, lengths, encoded })
    }

    /// The rows of one table.
    fn once(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// All rows.
    pub(crate) fn rows(&self) -> usize {
        self.once() * self.times
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
            Self::None => None,
            Self::Lz4Buffers => Some(CompressionType::LZ4_FRAME),
            Self::ZstdBuffers => Some(CompressionType::ZSTD),
        };
        Ok(Batch { bytes: ipc::batch(batch, compression)?.into(), uncompressed: None })
    }
}
