//! Writes one part as Arrow IPC files.

use super::FileSummary;
use super::chunk::{CHUNK_ROWS, Chunk};
use super::encode::Encoders;
use super::part::{Files, Place, cannot_write, create_file};
use crate::Result;
use crate::digest::Checksum;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

/// One part's files.
pub(super) struct ArrowPart {
    place: Place,
    schema: SchemaRef,
    file: Option<OpenFile>,
}

struct OpenFile {
    path: PathBuf,
    writer: FileWriter<BufWriter<Checksum<File>>>,
    rows: usize,
}

impl ArrowPart {
    /// The files to come.
    pub(super) fn new(place: Place, schema: SchemaRef) -> Self {
        Self { place, schema, file: None }
    }

    fn open_file(&self) -> Result<OpenFile> {
        let path = self.place.path();
        let target = BufWriter::new(Checksum::new(create_file(&path)?));
        let writer = FileWriter::try_new(target, &self.schema).map_err(|error| cannot_write(&path, error))?;
        Ok(OpenFile { path, writer, rows: 0 })
    }
}

impl Files for ArrowPart {
    fn wanted(&mut self, _: &mut Encoders) -> Result<usize> {
        Ok(CHUNK_ROWS)
    }

    fn write(&mut self, chunk: Chunk, _: &mut Encoders) -> Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_file()?,
        };
        let batch = chunk.batch(&self.schema)?;
        file.writer.write(&batch).map_err(|error| cannot_write(&file.path, error))?;
        file.rows += chunk.rows();
        self.file = Some(file);
        Ok(())
    }

    fn claim(&self, _: &dyn Fn(usize) -> usize) -> usize {
        0
    }

    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn memory(&self) -> usize {
        0
    }

    fn drain(&mut self, _: &mut Encoders) -> Result<()> {
        Ok(())
    }

    fn end_file(&mut self, _: &mut Encoders) -> Result<FileSummary> {
        let OpenFile { path, writer, rows } = match self.file.take() {
            Some(file) => file,
            None => self.open_file()?,
        };
        let target = writer.into_inner().map_err(|error| cannot_write(&path, error))?;
        self.place.end(&path, rows, target)
    }
}
