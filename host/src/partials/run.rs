//! Sorted runs: batches in ascending key order, in memory or in a scratch file. A key comes once, unless its sums were out of range.

use super::PartialTable;
use super::cut::Bounds;
use super::keys::{KeyCodec, sorted};
use super::reduce::{OutOfRange, reduce};
use crate::memory::batch_size;
use crate::{Error, Result};
use arrow_array::{RecordBatch, UInt32Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use tempfile::TempPath;

/// A sorted run.
pub(super) struct Run {
    pub(super) bytes: usize,
    /// Bytes in memory of its largest piece.
    pub(super) largest: usize,
    store: Store,
}

enum Store {
    Memory(Vec<RecordBatch>),
    /// The file goes when its path is dropped.
    Scratch(TempPath),
}

impl Run {
    /// Sorts a batch by key and combines equal keys. The run comes in such pieces.
    pub(super) fn sort(table: &PartialTable, codec: &KeyCodec, batch: &RecordBatch, piece: Bounds) -> Result<Self> {
        let keys = codec.encode(batch.columns(), batch.num_rows())?;
        let (order, starts) = sorted(&keys);
        let indices = UInt32Array::from(order);
        let values =
            table.values().map(|(position, ..)| arrow_select::take::take(batch.column(position), &indices, None));
        let values = values.collect::<Result<Vec<_>, _>>().map_err(|error| table.broken(error))?;
        let reduced = reduce(table, &values, &starts, OutOfRange::Keep)?;
        let firsts = reduced.starts.iter().map(|start| indices.value(*start as usize) as usize);
        let mut columns = codec.decode(&keys, firsts)?;
        columns.extend(reduced.values);
        let batch = table.batch(columns, reduced.starts.len())?;
        let bytes = batch.get_array_memory_size();
        // Cut, so that a merge holds the encoded keys of a piece only.
        let pieces = piece.cut(table, &batch);
        Ok(Self {
            bytes,
            largest: pieces.iter().map(batch_size).max().unwrap_or_default(),
            store: Store::Memory(pieces),
        })
    }

    /// Keeps a run that comes in batches.
    pub(super) fn collect(batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<Self> {
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let largest = batches.iter().map(batch_size).max().unwrap_or_default();
        Ok(Self { bytes, largest, store: Store::Memory(batches) })
    }

    /// Writes a run that comes in batches to a new file in `scratch` that only its owner can read.
    pub(super) fn spill(
        table: &PartialTable,
        scratch: &Path,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<Self> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::output(format!("cannot spill partial table `{}`", table.name()))
                .file(scratch)
                .because(error)
                .hint("free space in this directory or raise `--memory`")
        };
        let file = tempfile::Builder::new().prefix("partials-").tempfile_in(scratch).map_err(|e| failed(e.into()))?;
        let (file, path) = file.into_parts();
        let mut writer = StreamWriter::try_new_buffered(file, table.schema()).map_err(|e| failed(e.into()))?;
        let mut largest = 0;
        for batch in batches {
            let batch = batch?;
            largest = largest.max(batch_size(&batch));
            writer.write(&batch).map_err(|e| failed(e.into()))?;
        }
        let file = writer.into_inner().map_err(|e| failed(e.into()))?;
        let file = file.into_inner().map_err(|e| failed(e.into_error().into()))?;
        let bytes = file.metadata().map_err(|e| failed(e.into()))?.len() as usize;
        Ok(Self { bytes, largest, store: Store::Scratch(path) })
    }

    /// Reads the run from its start.
    pub(super) fn open(self) -> Result<RunReader> {
        match self.store {
            Store::Memory(batches) => Ok(RunReader::Memory(batches.into_iter())),
            Store::Scratch(path) => {
                let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
                let reader = StreamReader::try_new_buffered(file, None).map_err(|error| unreadable(&path, error))?;
                Ok(RunReader::Scratch { reader: Box::new(reader), path })
            }
        }
    }
}

/// The batches of a run; what is read is freed.
pub(super) enum RunReader {
    Memory(std::vec::IntoIter<RecordBatch>),
    Scratch { reader: Box<StreamReader<BufReader<File>>>, path: TempPath },
}

impl Iterator for RunReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Memory(batches) => batches.next().map(Ok),
            Self::Scratch { reader, path } => reader.next().map(|batch| batch.map_err(|error| unreadable(path, error))),
        }
    }
}

fn unreadable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::output("cannot read spilled partials again")
        .file(path)
        .because(error)
        .hint("check that nothing else writes to the scratch directory and that its disk is healthy")
}
