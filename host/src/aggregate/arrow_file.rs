//! Writes one part as Arrow IPC files.

use super::FileSummary;
use super::chunk::{CHUNK_ROWS, Chunk};
use super::encode::Encoders;
use super::part::{Files, Place, cannot_write, create_file};
use crate::Result;
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
    files: Vec<FileSummary>,
}

struct OpenFile {
    path: PathBuf,
    writer: FileWriter<BufWriter<File>>,
    rows: usize,
}

impl ArrowPart {
    /// Creates the first file, which a part without rows has too.
    pub(super) fn create(place: Place, schema: SchemaRef) -> Result<Self> {
        let mut this = Self { place, schema, file: None, files: Vec::new() };
        this.file = Some(this.open_file()?);
        Ok(this)
    }

    fn open_file(&self) -> Result<OpenFile> {
        let path = self.place.path(self.files.len());
        let target = BufWriter::new(create_file(&path)?);
        let writer = FileWriter::try_new(target, &self.schema).map_err(|error| cannot_write(&path, error))?;
        Ok(OpenFile { path, writer, rows: 0 })
    }

    fn end_file(&mut self) -> Result<()> {
        let Some(OpenFile { path, writer, rows }) = self.file.take() else { return Ok(()) };
        let target = writer.into_inner().map_err(|error| cannot_write(&path, error))?;
        let target = target.into_inner().map_err(|error| cannot_write(&path, error.into_error()))?;
        let bytes = target.metadata().map_err(|error| cannot_write(&path, error))?.len();
        self.files.push(FileSummary { path: self.place.relative(self.files.len()), rows: rows as u64, bytes });
        Ok(())
    }
}

impl Files for ArrowPart {
    fn wanted(&mut self, _: &mut Encoders) -> Result<usize> {
        if self.file.as_ref().is_some_and(|file| file.rows >= self.place.file_rows) {
            self.end_file()?;
        }
        let rows = self.file.as_ref().map_or(0, |file| file.rows);
        Ok(CHUNK_ROWS.min(self.place.file_rows - rows))
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

    fn memory(&self) -> usize {
        0
    }

    fn drain(&mut self, _: &mut Encoders) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &mut Encoders) -> Result<Vec<FileSummary>> {
        self.end_file()?;
        Ok(std::mem::take(&mut self.files))
    }
}
