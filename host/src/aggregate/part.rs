//! One part of a dataset: rows that wait, the files they go to, and the spill file they may take on the way.

use super::arrow_file::ArrowPart;
use super::chunk::{CHUNK_ROWS, Chunk, Pending};
use super::encode::Encoders;
use super::parquet_file::{ParquetOptions, ParquetPart};
use super::spill::Spill;
use super::storable;
use super::{FileSummary, PartSummary};
use crate::{Error, Result, Stop};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::fs::File;
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
    pub(super) file_rows: usize,
}

impl Place {
    /// The path of a file in the dataset.
    pub(super) fn relative(&self, file: usize) -> String {
        format!("{}/part-{file:05}.{}", self.name, self.extension)
    }

    /// The path of a file.
    pub(super) fn path(&self, file: usize) -> PathBuf {
        self.dataset.join(self.relative(file))
    }
}

/// One part of a dataset.
pub(super) struct Part {
    name: String,
    schema: SchemaRef,
    pending: Pending,
    rows: u64,
    files: Box<dyn Files>,
    spill: Option<Spill>,
}

/// The files of one part, whatever their format.
pub(super) trait Files: Send {
    /// Rows that the next chunk must have, unless it is the last.
    fn wanted(&mut self, encoders: &mut Encoders) -> Result<usize>;

    /// Writes a chunk of as many rows as were wanted.
    fn write(&mut self, chunk: Chunk, encoders: &mut Encoders) -> Result<()>;

    /// Bytes in memory.
    fn memory(&self) -> usize;

    /// Waits for all that is being encoded, and writes what can be written.
    fn drain(&mut self, encoders: &mut Encoders) -> Result<()>;

    /// Writes what is left.
    fn finish(&mut self, encoders: &mut Encoders) -> Result<Vec<FileSummary>>;
}

impl Part {
    /// Creates the directory and the first file of a part.
    pub(super) fn create(
        id: usize,
        name: &str,
        dataset: &Path,
        schema: SchemaRef,
        format: &Format,
        file_rows: usize,
    ) -> Result<Self> {
        let directory = dataset.join(name);
        std::fs::create_dir_all(&directory).map_err(|error| cannot_write(&directory, error))?;
        let place = |extension| Place { dataset: dataset.to_owned(), name: name.to_owned(), extension, file_rows };
        let files: Box<dyn Files> = match format {
            Format::Parquet(options) => {
                Box::new(ParquetPart::create(id, place("parquet"), Arc::clone(&schema), options)?)
            }
            Format::Arrow => Box::new(ArrowPart::create(place("arrow"), Arc::clone(&schema))?),
        };
        Ok(Self { name: name.to_owned(), schema, pending: Pending::default(), rows: 0, files, spill: None })
    }

    /// Takes the next rows, and sends the whole chunks on.
    pub(super) fn push(&mut self, batch: RecordBatch, encoders: &mut Encoders) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.pending.push(batch);
        match &mut self.spill {
            Some(spill) => {
                while let Some(rows) = self.pending.next_chunk(CHUNK_ROWS) {
                    spill.append(&self.pending.take(rows).batch(&self.schema)?)?;
                }
                Ok(())
            }
            None => self.write_chunks(encoders),
        }
    }

    /// From now on, keeps rows on disk until the end.
    pub(super) fn spill(&mut self, scratch: &Path) -> Result<()> {
        self.spill = Some(Spill::create(scratch, &self.schema)?);
        Ok(())
    }

    /// Whether rows are kept on disk.
    pub(super) fn spills(&self) -> bool {
        self.spill.is_some()
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        self.pending.bytes() + self.files.memory()
    }

    /// Waits for all that is being encoded.
    pub(super) fn drain(&mut self, encoders: &mut Encoders) -> Result<()> {
        self.files.drain(encoders)
    }

    /// Reads back what was spilled, writes what is left, and tells how many bytes had been spilled.
    pub(super) fn finish(&mut self, encoders: &mut Encoders, stop: &Stop) -> Result<(PartSummary, u64)> {
        let mut spilled = 0;
        if let Some(spill) = self.spill.take() {
            let rest = std::mem::take(&mut self.pending);
            spilled = spill.replay(|batch| {
                stop.check()?;
                self.pending.push(batch);
                self.write_chunks(encoders)
            })?;
            self.pending.append(rest);
        }
        self.write_chunks(encoders)?;
        if self.pending.rows() > 0 {
            self.files.write(self.pending.take(CHUNK_ROWS), encoders)?;
        }
        let files = self.files.finish(encoders)?;
        Ok((PartSummary { name: self.name.clone(), rows: self.rows, files }, spilled))
    }

    fn write_chunks(&mut self, encoders: &mut Encoders) -> Result<()> {
        while self.pending.rows() > 0 {
            let wanted = self.files.wanted(encoders)?;
            let Some(rows) = self.pending.next_chunk(wanted) else { break };
            self.files.write(self.pending.take(rows), encoders)?;
        }
        Ok(())
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
