//! Keeps rows on disk where memory is short.
//!
//! A part that spills keeps its open row group in memory, which cannot shrink without a change of the bytes; what spilling saves
//! is that it grows. The first part never spills: it is as a rule the largest by far, and one part has to go on.

use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Of parts with these footprints, of which some spill already, the one to spill next.
pub(super) fn next_to_spill(parts: impl Iterator<Item = (usize, bool)>) -> Option<usize> {
    let candidates = parts.enumerate().skip(1).filter(|(_, (footprint, spills))| !spills && *footprint > 0);
    candidates.max_by_key(|(_, (footprint, _))| *footprint).map(|(part, _)| part)
}

/// Rows on disk.
pub(super) struct Spill {
    scratch: PathBuf,
    writer: StreamWriter<BufWriter<File>>,
    rows: u64,
}

impl Spill {
    /// Creates a file without a name in `scratch`, which nobody else can open and no crash leaves behind.
    pub(super) fn create(scratch: &Path, schema: &SchemaRef) -> Result<Self> {
        let file = tempfile::tempfile_in(scratch).map_err(|error| cannot_spill(scratch, error))?;
        let writer = StreamWriter::try_new_buffered(file, schema).map_err(|error| cannot_spill(scratch, error))?;
        Ok(Self { scratch: scratch.to_owned(), writer, rows: 0 })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| cannot_spill(&self.scratch, error))
    }

    /// Ends the writing.
    pub(super) fn end(self) -> Result<Spilled> {
        let Self { scratch, writer, .. } = self;
        let file = writer.into_inner().map_err(|error| cannot_spill(&scratch, error))?;
        let mut file = file.into_inner().map_err(|error| cannot_spill(&scratch, error.into_error()))?;
        let bytes = file.stream_position().map_err(|error| cannot_spill(&scratch, error))?;
        Ok(Spilled { scratch, file, bytes })
    }

    /// Gives all rows back, in order, and tells how many bytes they took.
    pub(super) fn replay(self, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<u64> {
        let spilled = self.end()?;
        let bytes = spilled.bytes;
        for batch in spilled.read()? {
            take(batch?)?;
        }
        Ok(bytes)
    }
}

/// Rows on disk, all written.
pub(super) struct Spilled {
    scratch: PathBuf,
    file: File,
    /// What they take.
    pub(super) bytes: u64,
}

impl Spilled {
    /// Reads the batches, in order; the room that they take is free afterwards.
    pub(super) fn read(self) -> Result<SpillReader> {
        let Self { scratch, mut file, .. } = self;
        file.seek(SeekFrom::Start(0)).map_err(|error| cannot_spill(&scratch, error))?;
        let reader =
            StreamReader::try_new(BufReader::new(file), None).map_err(|error| cannot_spill(&scratch, error))?;
        Ok(SpillReader { scratch, reader })
    }
}

/// The batches of a spill file.
pub(super) struct SpillReader {
    scratch: PathBuf,
    reader: StreamReader<BufReader<File>>,
}

impl Iterator for SpillReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(|error| cannot_spill(&self.scratch, error)))
    }
}

fn cannot_spill(scratch: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::output("cannot keep rows in the scratch directory")
        .file(scratch)
        .because(error)
        .hint("make room on that disk, or raise `--memory` so that less is spilled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_part_but_the_first_spills_next() {
        let next = |parts: &[(usize, bool)]| next_to_spill(parts.iter().copied());
        assert_eq!(next(&[(900, false), (10, false), (20, false)]), Some(2));
        assert_eq!(next(&[(900, false), (10, false), (20, true)]), Some(1));
        assert_eq!(next(&[(900, false), (0, false), (20, true)]), None);
        assert_eq!(next(&[(900, false)]), None);
    }
}
