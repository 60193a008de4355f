//! Tables as Arrow IPC files: partials and models. What is read back is not trusted.

use super::decode::{Cause, decode_batch};
use super::verify::verified_footer;
use crate::digest::DigestWriter;
use crate::{Error, Result, plain_file};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::read_footer_length;
use arrow_ipc::writer::FileWriter;
use arrow_ipc::{Block, convert::try_fb_to_schema};
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes behind the footer: its length and the magic.
const TRAILER: u64 = 10;

/// Writes batches of one table to an Arrow IPC file.
pub struct TableWriter {
    path: PathBuf,
    writer: FileWriter<BufWriter<DigestWriter<File>>>,
    rows: u64,
}

/// A table that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTable {
    /// How many rows it has.
    pub rows: u64,
    /// `sha256:` and the digest of its file.
    pub digest: String,
}

impl TableWriter {
    /// Creates a new file.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create(path: &Path, schema: &SchemaRef) -> Result<Self> {
        let file = File::create(path).map_err(|error| unwritable(path, error))?;
        let writer = FileWriter::try_new(BufWriter::new(DigestWriter::new(file)), schema)
            .map_err(|error| unwritable(path, error))?;
        Ok(Self { path: path.to_owned(), writer, rows: 0 })
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| unwritable(&self.path, error))
    }

    /// Completes the file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(mut self) -> Result<SavedTable> {
        let finished = self.writer.finish().and_then(|()| self.writer.flush());
        finished.map_err(|error| unwritable(&self.path, error))?;
        Ok(SavedTable { rows: self.rows, digest: self.writer.get_ref().get_ref().digest() })
    }
}

/// Reads a file that [`TableWriter`] wrote, a batch at a time.
pub struct TableReader {
    schema: SchemaRef,
    path: PathBuf,
    file: File,
    /// Where the footer starts: no block reaches beyond.
    end: u64,
    /// Where the last block ended: no block begins before, so that none is read twice.
    read: u64,
    blocks: std::vec::IntoIter<Block>,
}

impl TableReader {
    /// Opens a file that must hold a table with the fields of `schema`, and have a digest where one is given. It is read for that, which
    /// can take long: `advance` is told of the bytes.
    ///
    /// # Errors
    /// Where the file cannot be read, is damaged, or holds another table, and those of `advance`.
    pub fn open(
        path: &Path,
        schema: &SchemaRef,
        digest: Option<&str>,
        advance: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Self> {
        let reader = Self::open_any(path, digest, advance)?;
        if reader.schema.fields() != schema.fields() {
            return Err(Error::model("the saved table has other columns than the plugin announces")
                .file(path)
                .hint("fit the model again with this version of the plugin"));
        }
        Ok(Self { schema: schema.clone(), ..reader })
    }

    /// Opens a file whatever the columns of its table are.
    fn open_any(path: &Path, digest: Option<&str>, advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<Self> {
        let unreadable = |error: Cause| unreadable(path, error);
        let mut file = plain_file::open(path).map_err(|error| unreadable(error.into()))?;
        if let Some(digest) = digest {
            check_digest(&mut file, path, digest, advance)?;
        }
        let (footer, end) = read_footer(&mut file).map_err(unreadable)?;
        let footer = verified_footer(&footer).map_err(unreadable)?;
        let schema = footer.schema().ok_or("it has no schema").map_err(|error| unreadable(error.into()))?;
        let schema = Arc::new(try_fb_to_schema(schema).map_err(|error| unreadable(error.into()))?);
        let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
        Ok(Self { schema, path: path.to_owned(), file, end, read: 0, blocks: blocks.into_iter() })
    }

    /// The table's columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Bytes of the largest batch that is left, as the footer tells: no more are read for it.
    pub fn largest(&self) -> u64 {
        let bytes = |block: &Block| u64::try_from(block.bodyLength()).unwrap_or_default();
        self.blocks.as_slice().iter().map(bytes).max().unwrap_or_default()
    }

    fn read(&mut self, block: Block) -> Result<RecordBatch, Cause> {
        let offset = u64::try_from(block.offset())?;
        let metadata = usize::try_from(block.metaDataLength())?;
        let body = usize::try_from(block.bodyLength())?;
        let total = metadata.checked_add(body).ok_or("a block is too large")?;
        let end = offset.checked_add(total as u64).filter(|end| *end <= self.end);
        let end = end.ok_or("a block reaches beyond the file")?;
        if offset < self.read {
            return Err("a block lies over the one before it".into());
        }
        self.read = end;
        let mut bytes = MutableBuffer::from_len_zeroed(total);
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes)?;
        decode_batch(&self.schema, Buffer::from(bytes))
    }
}

impl Iterator for TableReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.blocks.next()?;
        let batch = self.read(block).map_err(|error| unreadable(&self.path, error));
        if batch.is_err() {
            self.blocks = Vec::new().into_iter();
        }
        Some(batch)
    }
}

/// The footer's bytes and where they start.
fn read_footer(file: &mut File) -> Result<(Vec<u8>, u64), Cause> {
    let length = file.metadata()?.len();
    let trailer_start = length.checked_sub(TRAILER).ok_or("it is too short")?;
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(trailer_start))?;
    file.read_exact(&mut trailer)?;
    let footer_length = read_footer_length(trailer)?;
    let start = trailer_start.checked_sub(footer_length as u64).ok_or("its footer is longer than the file")?;
    let mut footer = vec![0; footer_length];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut footer)?;
    Ok((footer, start))
}

fn unreadable(path: &Path, error: impl Into<Cause>) -> Error {
    Error::model("a saved table cannot be read")
        .file(path)
        .because(error)
        .hint("fit the model again, or restore this file from a copy")
}

fn unwritable(path: &Path, error: impl Into<Cause>) -> Error {
    Error::output("a table cannot be written").file(path).because(error)
}

/// Computes the digest of a file, and tells `advance` of each piece of it, which may have it end.
fn digest_of(file: &mut File, path: &Path, advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<String> {
    let (mut digested, mut piece) = (DigestWriter::new(std::io::sink()), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut piece).map_err(|error| unreadable(path, error))?;
        if read == 0 {
            return Ok(digested.digest());
        }
        digested.write_all(&piece[..read]).map_err(|error| unreadable(path, error))?;
        advance(read as u64)?;
    }
}

/// Checks that a file is the one that was saved.
fn check_digest(file: &mut File, path: &Path, digest: &str, advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
    match digest_of(file, path, advance)? == digest {
        true => Ok(()),
        false => Err(unreadable(path, "it is not the file that was saved: its digest is another")),
    }
}

/// Checks that a table's file is the one that was saved. It may be large: `advance` is told of the bytes that were read.
///
/// # Errors
/// Where it cannot be read, or is another, and those of `advance`.
pub(crate) fn check_saved(path: &Path, saved: &SavedTable, advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
    let mut file = plain_file::open(path).map_err(|error| unreadable(path, error))?;
    check_digest(&mut file, path, &saved.digest, advance)
}

/// Opens a table whatever its columns are, which must have a digest where one is given.
///
/// # Errors
/// As for [`TableReader::open`].
pub fn open_table(path: &Path, digest: Option<&str>) -> Result<TableReader> {
    TableReader::open_any(path, digest, &mut |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};

    #[test]
    fn a_saved_table_is_checked_with_progress_and_the_check_can_be_stopped_within_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.arrow");
        let column = Arc::new(Int64Array::from_iter_values(0..400_000));
        let batch = RecordBatch::try_from_iter([("n", column as _)]).unwrap();
        let mut writer = TableWriter::create(&path, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let saved = writer.finish().unwrap();
        let check = |most| {
            let mut bytes = 0;
            let checked = check_saved(&path, &saved, &mut |read| {
                bytes += read;
                if bytes >= most { Err(Error::new(crate::ErrorKind::Interrupted, "interrupted")) } else { Ok(()) }
            });
            (checked.map_err(|error| error.kind()), bytes)
        };
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(check(u64::MAX), (Ok(()), length));
        assert_eq!(check(1), (Err(crate::ErrorKind::Interrupted), 1 << 20));
        let mut bytes = 0;
        let interrupted = TableReader::open(&path, &batch.schema(), Some(&saved.digest), &mut |read| {
            bytes += read;
            Err(Error::interrupted())
        });
        let interrupted = interrupted.err().map(|error| error.kind());
        assert_eq!((interrupted, bytes), (Some(crate::ErrorKind::Interrupted), 1 << 20));
        std::fs::write(&path, &std::fs::read(&path).unwrap()[1..]).unwrap();
        assert_eq!(check(u64::MAX).0, Err(crate::ErrorKind::Model));
    }

    #[test]
    fn no_block_is_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.arrow");
        let batch = |number: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![number; 4]));
            RecordBatch::try_from_iter([("x", column)]).unwrap()
        };
        let schema = batch(1).schema();
        let mut writer = TableWriter::create(&path, &schema).unwrap();
        writer.write(&batch(1)).unwrap();
        writer.write(&batch(2)).unwrap();
        writer.finish().unwrap();
        let mut reader = TableReader::open(&path, &schema, None, &mut |_| Ok(())).unwrap();
        let blocks = reader.blocks.as_slice().to_vec();
        reader.blocks = vec![blocks[0], blocks[1], blocks[0]].into_iter();
        let read: Vec<_> = reader.collect();
        assert!(read[0].is_ok() && read[1].is_ok() && read[2].is_err() && read.len() == 3);
    }
}
