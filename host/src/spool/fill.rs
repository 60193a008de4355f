//! The first pass: what is read is written down on its way.

use super::index::{Footer, Index};
use super::layout::Layout;
use super::summing::Summing;
use super::sums::{SUMS, SumsWriter, record_bytes};
use super::{ROWS, Spool, SpoolCompression, cannot_spool};
use crate::durable;
use crate::memory::BATCH;
use crate::source::{BatchReader, SourceBatch, conform};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Bytes that describe a column of a batch: its length, its nulls, and the places of about three buffers.
const DESCRIPTION: u64 = 64;

/// Bytes that so many batches of so many columns take beside their rows.
pub(super) fn beside(batches: u64, columns: usize) -> u64 {
    batches.saturating_mul(record_bytes(columns) + columns as u64 * DESCRIPTION)
}

/// Bytes of an Arrow IPC body's padding.
const ALIGNMENT: usize = 64;

/// Reads a source and writes a spool.
pub(super) struct Filling<'a> {
    spool: &'a Spool,
    reader: BatchReader<'a>,
    /// The columns that the pass wants, among those that are kept.
    positions: Vec<usize>,
    writer: Option<Writer>,
}

struct Writer {
    path: PathBuf,
    schema: SchemaRef,
    file: FileWriter<Summing<BufWriter<File>>>,
    sums: SumsWriter,
    index: Index,
}

impl<'a> Filling<'a> {
    pub(super) fn start(spool: &'a Spool, positions: Vec<usize>, batch_rows: usize) -> Result<Self> {
        // What an earlier pass left unfinished is of no use.
        super::clear(&spool.options.folder)?;
        let writer = Writer::create(spool)?;
        let reader = spool.source.read(&spool.columns, batch_rows)?;
        // How far compression reduces it is not known before.
        let bytes = spool.source.pass_bytes().filter(|_| spool.options.compression == SpoolCompression::None);
        if let Some(bytes) = bytes {
            // as many batches as rows or bytes make at least
            let batches = spool.source.estimated_rows().unwrap_or(0).div_ceil(batch_rows.max(1) as u64);
            let beside = beside(batches.max(bytes.div_ceil(BATCH)), spool.columns.len());
            super::check_room(&spool.options.folder, bytes.saturating_add(beside))?;
        }
        Ok(Self { spool, reader, positions, writer: Some(writer) })
    }

    fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        let Some(writer) = &mut self.writer else { return Ok(None) };
        match self.reader.next().transpose()? {
            Some(mut read) => {
                writer.write(&read)?;
                read.batch = read.batch.project(&self.positions).map_err(|error| writer.failed(error))?;
                Ok(Some(read))
            }
            None => {
                if let Some(writer) = self.writer.take() {
                    let billed = self.spool.source.billed_bytes();
                    let index = writer.finish(&self.spool.options.folder, billed)?;
                    drop(self.spool.index.set(index));
                }
                Ok(None)
            }
        }
    }
}

impl Iterator for Filling<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            self.writer = None;
        }
        next.transpose()
    }
}

impl Writer {
    fn create(spool: &Spool) -> Result<Self> {
        let path = spool.options.folder.join(ROWS);
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| cannot_spool(&path, error);
        let schema = spool.source.schema().project(&spool.columns).map_err(|error| failed(error.into()))?;
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)
            .and_then(|options| options.try_with_compression(spool.options.compression.codec()))
            .map_err(|error| failed(error.into()))?;
        let target = BufWriter::new(File::create_new(&path).map_err(|error| failed(error.into()))?);
        let target = Summing::new(target, Layout::of(&schema));
        let file = FileWriter::try_new_with_options(target, &schema, options).map_err(|error| failed(error.into()))?;
        let sums = SumsWriter::create(&spool.options.folder).map_err(|error| failed(error.into()))?;
        Ok(Self { schema: schema.into(), file, sums, index: Index::new(spool.columns.clone()), path })
    }

    fn write(&mut self, read: &SourceBatch) -> Result<()> {
        // A column may come behind a dictionary, which would have to be the same in all batches.
        let batch: RecordBatch = conform(read.batch.clone(), &self.schema).map_err(|error| self.failed(error))?;
        self.file.get_mut().begin_batch();
        self.file.write(&batch).map_err(|error| self.failed(error))?;
        let sums = self.file.get_mut().end_batch().map_err(|error| self.failed(error))?;
        self.sums.append(&sums).map_err(|error| self.failed(error))?;
        self.index.push(read.position.fragment, &read.position.name, batch.num_rows());
        Ok(())
    }

    /// Makes all rows safe on disk, and then says so.
    fn finish(self, folder: &Path, billed_bytes: Option<u64>) -> Result<Index> {
        let Self { path, mut file, sums, mut index, .. } = self;
        let failed = |error: std::io::Error| cannot_spool(&path, error);
        file.get_mut().begin_tail();
        let (target, start, checksum) = file.into_inner().map_err(|error| cannot_spool(&path, error))?.finish();
        index.footer = Footer { start, checksum };
        let target = target.into_inner().map_err(|error| failed(error.into_error()))?;
        target.sync_all().map_err(failed)?;
        sums.finish().map_err(|error| cannot_spool(&folder.join(SUMS), error))?;
        durable::sync_folder(folder).map_err(failed)?;
        index.bytes = target.metadata().map_err(failed)?.len();
        index.billed_bytes = billed_bytes;
        index.write(folder)?;
        Ok(index)
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        cannot_spool(&self.path, error)
    }
}
