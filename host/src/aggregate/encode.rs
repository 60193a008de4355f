//! Encodes Parquet columns on threads, each of which owns a fixed share of the columns of every part.

use super::byte_column::{ByteColumn, ByteColumnChunk};
use super::chunk::Chunk;
use crate::guard::guard;
use crate::{Error, Result};
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_schema::FieldRef;
use crossbeam_channel::{Receiver, Sender, bounded};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::writer::SerializedRowGroupWriter;
use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Chunks that may wait for a thread: enough to keep it busy, few enough to cost little memory.
const QUEUE: usize = 4;

/// The encoder threads.
pub(super) struct Encoders {
    shards: Vec<Shard>,
}

struct Shard {
    tasks: Sender<Task>,
    thread: JoinHandle<Result<()>>,
}

enum Task {
    Open { part: usize, columns: Vec<ColumnEncoder> },
    Encode { part: usize, chunk: Arc<Chunk>, report: Sender<Load> },
    Close { part: usize, report: Sender<Vec<ColumnChunks>> },
}

/// What a part's open row group takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Bytes in the file to come; a function of the rows encoded so far.
    pub(super) encoded: usize,
    /// Bytes in memory.
    pub(super) memory: usize,
}

/// Encodes one column.
pub(super) struct ColumnEncoder {
    pub(super) index: usize,
    pub(super) field: FieldRef,
    pub(super) writer: Writer,
}

/// What encodes it.
pub(super) enum Writer {
    /// Its leaves, several if it is nested.
    Leaves(Vec<ArrowColumnWriter>),
    Bytes(Box<ByteColumn>),
}

/// A column of a row group that is complete.
pub(super) enum EncodedColumn {
    Leaves(Vec<ArrowColumnChunk>),
    Bytes(Box<ByteColumnChunk>),
}

impl EncodedColumn {
    /// Appends it to a row group, where it is due.
    pub(super) fn append_to<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> ParquetResult<()> {
        match self {
            Self::Leaves(leaves) => leaves.into_iter().try_for_each(|leaf| leaf.append_to_row_group(group)),
            Self::Bytes(chunk) => {
                let ByteColumnChunk { bytes, close } = *chunk;
                group.append_column(&bytes, close)
            }
        }
    }
}

/// The encoded column at an index.
type ColumnChunks = (usize, EncodedColumn);

/// A chunk that is being encoded.
pub(super) struct Ticket {
    bytes: usize,
    reports: Receiver<Load>,
    load: Option<Load>,
}

impl Ticket {
    /// What the chunk takes as long as it is being encoded.
    pub(super) fn bytes(&self) -> usize {
        if self.load.is_some() { 0 } else { self.bytes }
    }

    /// What the row group takes after this chunk, where that is known yet.
    pub(super) fn load(&self) -> Option<Load> {
        self.load
    }
}

/// A row group that is being closed.
pub(super) struct Closing(Receiver<Vec<ColumnChunks>>);

impl Encoders {
    /// Starts `threads` threads.
    pub(super) fn start(threads: usize) -> Result<Self> {
        let shards = (0..threads).map(|index| {
            let (tasks, inbox) = bounded(QUEUE);
            let thread = std::thread::Builder::new()
                .name(format!("encode-{index}"))
                .spawn(move || encode(&inbox))
                .map_err(|error| Error::output("cannot start an encoder thread").because(error))?;
            Ok(Shard { tasks, thread })
        });
        Ok(Self { shards: shards.collect::<Result<_>>()? })
    }

    /// Opens a row group of `part`.
    pub(super) fn open(&mut self, part: usize, columns: Vec<ColumnEncoder>) -> Result<()> {
        let mut shares: Vec<Vec<ColumnEncoder>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (index, column) in columns.into_iter().enumerate() {
            shares[index % self.shards.len()].push(column);
        }
        let mut shares = shares.into_iter();
        self.send(|| Task::Open { part, columns: shares.next().unwrap_or_default() })
    }

    /// Encodes a chunk into the open row group of `part`.
    pub(super) fn encode(&mut self, part: usize, chunk: Chunk) -> Result<Ticket> {
        let (report, reports) = bounded(self.shards.len());
        let bytes = chunk.bytes();
        let chunk = Arc::new(chunk);
        self.send(|| Task::Encode { part, chunk: Arc::clone(&chunk), report: report.clone() })?;
        Ok(Ticket { bytes, reports, load: None })
    }

    /// Waits until a chunk is encoded.
    pub(super) fn wait(&mut self, ticket: &mut Ticket) -> Result<Load> {
        if let Some(load) = ticket.load {
            return Ok(load);
        }
        let mut total = Load::default();
        for _ in 0..self.shards.len() {
            let Ok(load) = ticket.reports.recv() else { return Err(self.failure()) };
            total.encoded += load.encoded;
            total.memory += load.memory;
        }
        ticket.load = Some(total);
        Ok(total)
    }

    /// Closes the open row group of `part`.
    pub(super) fn close(&mut self, part: usize) -> Result<Closing> {
        let (report, reports) = bounded(self.shards.len());
        self.send(|| Task::Close { part, report: report.clone() })?;
        Ok(Closing(reports))
    }

    /// Waits for a closed row group; gives its columns in the order of the schema.
    pub(super) fn collect(&mut self, closing: &Closing) -> Result<Vec<EncodedColumn>> {
        let mut columns = Vec::new();
        for _ in 0..self.shards.len() {
            let Ok(share) = closing.0.recv() else { return Err(self.failure()) };
            columns.extend(share);
        }
        columns.sort_by_key(|(index, _)| *index);
        Ok(columns.into_iter().map(|(_, column)| column).collect())
    }

    fn send(&mut self, mut task: impl FnMut() -> Task) -> Result<()> {
        // after a failure there are no threads left, and nothing may look as if it had been encoded
        let sent = !self.shards.is_empty() && self.shards.iter().all(|shard| shard.tasks.send(task()).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Why a thread ended before its time.
    fn failure(&mut self) -> Error {
        let ends = self.shards.drain(..).map(|shard| {
            drop(shard.tasks);
            shard.thread.join()
        });
        let ends: Vec<_> = ends.collect();
        ends.into_iter()
            .find_map(|end| end.ok().and_then(Result::err))
            .unwrap_or_else(|| Error::internal("an encoder thread ended early"))
    }
}

impl Drop for Encoders {
    fn drop(&mut self) {
        for shard in self.shards.drain(..) {
            drop(shard.tasks);
            // what it could not do was reported where it was waited for
            let _ = shard.thread.join();
        }
    }
}

/// Does tasks until there are no more.
fn encode(tasks: &Receiver<Task>) -> Result<()> {
    let end = catch_unwind(AssertUnwindSafe(|| encode_all(tasks)));
    // tasks that are not done must not stay in the queue: who waits for their reports would wait for ever
    tasks.iter().for_each(drop);
    end.unwrap_or_else(|_| Err(Error::internal("an encoder thread panicked")))
}

fn encode_all(tasks: &Receiver<Task>) -> Result<()> {
    let mut open: HashMap<usize, Vec<ColumnEncoder>> = HashMap::new();
    for task in tasks {
        match task {
            Task::Open { part, columns } => {
                open.insert(part, columns);
            }
            Task::Encode { part, chunk, report } => {
                let columns = open.entry(part).or_default();
                columns.iter_mut().try_for_each(|column| column.write(&chunk))?;
                // the chunk's memory is free before it is reported so
                drop(chunk);
                // nobody listens where the run has failed elsewhere
                let _ = report.send(load(columns));
            }
            Task::Close { part, report } => {
                let columns = open.remove(&part).unwrap_or_default();
                let closed = columns.into_iter().map(ColumnEncoder::close).collect::<Result<_>>()?;
                let _ = report.send(closed);
            }
        }
    }
    Ok(())
}

fn load(columns: &[ColumnEncoder]) -> Load {
    let leaves = |leaves: &[ArrowColumnWriter], size: fn(&ArrowColumnWriter) -> usize| leaves.iter().map(size).sum();
    columns.iter().fold(Load::default(), |sum, column| {
        let (encoded, memory): (usize, usize) = match &column.writer {
            Writer::Leaves(all) => {
                (leaves(all, ArrowColumnWriter::get_estimated_total_bytes), leaves(all, ArrowColumnWriter::memory_size))
            }
            Writer::Bytes(bytes) => (bytes.estimated_bytes(), bytes.memory_size()),
        };
        Load { encoded: sum.encoded + encoded, memory: sum.memory + memory }
    })
}

impl ColumnEncoder {
    /// Encodes the column's rows of a chunk. Parquet's writer panics on some types that it does not know.
    fn write(&mut self, chunk: &Chunk) -> Result<()> {
        let written = guard(|| self.write_unguarded(chunk));
        written.unwrap_or_else(|panic| Err(cannot_encode(&self.field, panic.into())))
    }

    fn write_unguarded(&mut self, chunk: &Chunk) -> Result<()> {
        let column = chunk.column(self.index, &self.field)?;
        let written = match &mut self.writer {
            Writer::Leaves(leaves) => write_leaves(leaves, &self.field, &column),
            Writer::Bytes(bytes) => bytes.write(column.as_primitive::<UInt8Type>().values()),
        };
        written.map_err(|error| cannot_encode(&self.field, error))
    }

    fn close(self) -> Result<ColumnChunks> {
        let closed = match self.writer {
            Writer::Leaves(leaves) => {
                let leaves: ParquetResult<_> = leaves.into_iter().map(ArrowColumnWriter::close).collect();
                leaves.map(EncodedColumn::Leaves)
            }
            Writer::Bytes(bytes) => bytes.close().map(|chunk| EncodedColumn::Bytes(Box::new(chunk))),
        };
        Ok((self.index, closed.map_err(|error| cannot_encode(&self.field, error))?))
    }
}

fn write_leaves(leaves: &mut [ArrowColumnWriter], field: &FieldRef, column: &ArrayRef) -> ParquetResult<()> {
    let levels = compute_leaves(field, column)?;
    leaves.iter_mut().zip(&levels).try_for_each(|(leaf, values)| leaf.write(values))
}

fn cannot_encode(field: &FieldRef, error: ParquetError) -> Error {
    Error::output("cannot encode a column as Parquet").column(field.name()).because(error)
}
