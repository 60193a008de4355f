//! One part of a dataset: rows that wait, the files they go to, and the spill file they may take on the way.

use super::arrow_file::ArrowPart;
use super::chunk::{CHUNK_BYTES, CHUNK_ROWS, Chunk, Pending};
use super::encode::Encoders;
use super::parquet_file::{ParquetOptions, ParquetPart};
use super::spill::Spill;
use super::storable;
use super::{FileSummary, PartSummary};
use crate::digest::Checksum;
use crate::memory::batch_size;
use crate::run::{Progress, Running, Stage};
use crate::{Error, Result, Stop, durable};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a dataset.
#[derive(Clone, Debug)]
pub enum Format {
    /// Parquet.
    Parquet(ParquetOptions),
    /// Arrow IPC files, uncompressed, so that readers can map them.
    Arrow,
}

impl Format {
    /// Checks that files of this format can hold all columns of a logical schema.
    ///
    /// # Errors
    /// The first column of a type that they cannot hold.
    pub fn check(&self, schema: &SchemaRef) -> Result<()> {
        match self {
            Self::Parquet(_) => storable::check(schema),
            Self::Arrow => Ok(()),
        }
    }

    /// Bytes that an open row group takes, as far as a schema tells, and how many rows and bytes of values the table has that it is made of.
    pub fn group_bytes(&self, schema: &Schema, rows: Option<u64>, bytes: Option<u64>) -> u64 {
        match self {
            Self::Parquet(options) => options.group_bytes(schema, rows, bytes) as u64,
            Self::Arrow => 2 * CHUNK_BYTES,
        }
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::Parquet(ParquetOptions::default())
    }
}

/// Where a part's files are.
pub(super) struct Place {
    pub(super) dataset: PathBuf,
    pub(super) name: String,
    pub(super) extension: &'static str,
    /// The number of the file that is written, or will be.
    pub(super) file: usize,
    /// Whether files are made safe on disk once they are complete.
    pub(super) durable: bool,
}

impl Place {
    /// The path of the file in the dataset.
    fn relative(&self) -> String {
        format!("{}/part-{:05}.{}", self.name, self.file, self.extension)
    }

    /// The path of the file.
    pub(super) fn path(&self) -> PathBuf {
        self.dataset.join(self.relative())
    }

    /// Ends the file, and goes on to the next one.
    pub(super) fn end(&mut self, path: &Path, rows: usize, target: BufWriter<Checksum<File>>) -> Result<FileSummary> {
        let target = target.into_inner().map_err(|error| cannot_write(path, error.into_error()))?;
        let (file, bytes, checksum) = target.finish();
        if self.durable {
            file.sync_all().map_err(|error| cannot_write(path, error))?;
        }
        let summary = FileSummary { path: self.relative(), rows: rows as u64, bytes, checksum };
        self.file += 1;
        Ok(summary)
    }
}

/// One part of a dataset.
pub(super) struct Part {
    schema: SchemaRef,
    pending: Pending,
    /// Whether there are rows of the open segment.
    begun: bool,
    files: Box<dyn Files>,
    spill: Option<Spill>,
    /// Bytes that the open row group was given room for.
    claimed: usize,
    directory: PathBuf,
    durable: bool,
    summary: PartSummary,
}

/// The files of one part, whatever their format.
pub(super) trait Files: Send {
    /// Rows that the next chunk must have, unless it is the last.
    fn wanted(&mut self, encoders: &mut Encoders) -> Result<usize>;

    /// Writes a chunk of as many rows as were wanted.
    fn write(&mut self, chunk: Chunk, encoders: &mut Encoders) -> Result<()>;

    /// Bytes that the row group to come takes at most, as far as can be told from what so many rows weigh.
    fn claim(&self, weight: &dyn Fn(usize) -> usize) -> usize;

    /// Whether a row group is open, which has to be brought to its end.
    fn is_open(&self) -> bool;

    /// Bytes in memory.
    fn memory(&self) -> usize;

    /// Waits for all that is being encoded, and writes what can be written.
    fn drain(&mut self, encoders: &mut Encoders) -> Result<()>;

    /// Writes what is left, and completes the file, which without rows has only the schema.
    fn end_file(&mut self, encoders: &mut Encoders) -> Result<FileSummary>;
}

impl Part {
    /// Creates the directory of a part, some of whose files may be there already.
    pub(super) fn create(
        id: usize,
        name: &str,
        dataset: &Path,
        schema: SchemaRef,
        format: &Format,
        written: Vec<FileSummary>,
        durable: bool,
    ) -> Result<Self> {
        let directory = dataset.join(name);
        std::fs::create_dir_all(&directory).map_err(|error| cannot_write(&directory, error))?;
        let (dataset, file) = (dataset.to_owned(), written.len());
        let place = |extension| Place { dataset, name: name.to_owned(), extension, file, durable };
        let files: Box<dyn Files> = match format {
            Format::Parquet(options) => Box::new(ParquetPart::new(id, place("parquet"), Arc::clone(&schema), options)),
            Format::Arrow => Box::new(ArrowPart::new(place("arrow"), Arc::clone(&schema))),
        };
        let rows = written.iter().fold(0, |sum: u64, file| sum.saturating_add(file.rows));
        let summary = PartSummary { name: name.to_owned(), rows, files: written };
        let pending = Pending::default();
        Ok(Self { schema, pending, begun: false, files, spill: None, claimed: 0, directory, durable, summary })
    }

    /// Takes the next rows, and sends the whole chunks on; to disk, where a row group would have to begin for which `room` is too small.
    pub(super) fn push(
        &mut self,
        batch: RecordBatch,
        encoders: &mut Encoders,
        room: usize,
        scratch: &Path,
    ) -> Result<()> {
        self.summary.rows += batch.num_rows() as u64;
        self.begun |= batch.num_rows() > 0;
        self.pending.push(batch);
        if self.spill.is_none() && !self.write_chunks(encoders, room)? {
            self.spill(scratch)?;
        }
        if let Some(spill) = &mut self.spill {
            while let Some(rows) = self.pending.next_chunk(CHUNK_ROWS) {
                spill.append(&self.pending.take(rows).batch(&self.schema)?)?;
            }
        }
        Ok(())
    }

    /// From now on, keeps rows on disk until the end of the segment.
    pub(super) fn spill(&mut self, scratch: &Path) -> Result<()> {
        self.spill = Some(Spill::create(scratch, &self.schema)?);
        Ok(())
    }

    /// Whether rows are kept on disk.
    pub(super) fn spills(&self) -> bool {
        self.spill.is_some()
    }

    /// Bytes in memory, and those that its open row group was given room for.
    pub(super) fn claim(&self) -> usize {
        self.pending.bytes() + self.files.memory().max(if self.files.is_open() { self.claimed } else { 0 })
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        self.pending.bytes() + self.files.memory()
    }

    /// Waits for all that is being encoded.
    pub(super) fn drain(&mut self, encoders: &mut Encoders) -> Result<()> {
        self.files.drain(encoders)
    }

    /// Ends the segment: reads back what was spilled, writes what is left, and completes the file. Tells how many bytes had been spilled.
    pub(super) fn end_segment(&mut self, encoders: &mut Encoders, stop: &Stop, progress: &dyn Progress) -> Result<u64> {
        let mut spilled = 0;
        if let Some(spill) = self.spill.take() {
            let stage = Stage { part: Some(self.summary.name.clone()), ..Stage::named("write spilled rows") };
            let _writing = Running::begin(progress, &stage, Some(spill.rows()));
            let rest = std::mem::take(&mut self.pending);
            spilled = spill.replay(|batch| {
                stop.check()?;
                progress.advance(batch.num_rows() as u64);
                progress.bytes(batch_size(&batch) as u64);
                self.pending.push(batch);
                self.write_chunks(encoders, usize::MAX).map(drop)
            })?;
            self.pending.append(rest);
        }
        self.write_chunks(encoders, usize::MAX)?;
        if self.pending.rows() > 0 {
            self.files.write(self.pending.take(CHUNK_ROWS), encoders)?;
        }
        if std::mem::take(&mut self.begun) {
            self.end_file(encoders)?;
        }
        Ok(spilled)
    }

    fn end_file(&mut self, encoders: &mut Encoders) -> Result<()> {
        self.summary.files.push(self.files.end_file(encoders)?);
        if self.durable {
            durable::sync_folder(&self.directory).map_err(|error| cannot_write(&self.directory, error))?;
        }
        Ok(())
    }

    /// The files so far.
    pub(super) fn written(&self) -> &[FileSummary] {
        &self.summary.files
    }

    /// Ends the part, once its last segment has ended. Without rows it has a file too, which tells the schema.
    pub(super) fn finish(mut self, encoders: &mut Encoders) -> Result<PartSummary> {
        if self.summary.files.is_empty() {
            self.end_file(encoders)?;
        }
        Ok(self.summary)
    }

    /// Writes whole chunks. False as soon as one would begin a row group for which there is no room.
    fn write_chunks(&mut self, encoders: &mut Encoders, room: usize) -> Result<bool> {
        while self.pending.rows() > 0 {
            let wanted = self.files.wanted(encoders)?;
            let Some(rows) = self.pending.next_chunk(wanted) else { break };
            if !self.files.is_open() {
                self.claimed = self.files.claim(&|rows| self.pending.weight_of(rows));
                if self.claimed > room {
                    return Ok(false);
                }
            }
            self.files.write(self.pending.take(rows), encoders)?;
        }
        Ok(true)
    }
}

/// Creates a file of the dataset.
pub(super) fn create_file(path: &Path) -> Result<File> {
    File::create_new(path).map_err(|error| cannot_write(path, error))
}

/// A file of the dataset that cannot be written.
pub(super) fn cannot_write(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::output("cannot write the dataset")
        .file(path)
        .because(error)
        .hint("see that the disk has room and that you may write there, or choose another destination")
}
