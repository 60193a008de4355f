//! Combined partials as Arrow IPC files, kept beside the model; what is read back is not trusted.

use super::{Combined, PartialTable};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::{read_footer_length, read_record_batch};
use arrow_ipc::writer::FileWriter;
use arrow_ipc::{Block, convert::try_fb_to_schema, root_as_footer, root_as_message};
use arrow_schema::DataType;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Bytes behind the footer: its length and the magic.
const TRAILER: u64 = 10;

/// Writes combined partials to a new Arrow IPC file at `path` and returns how many rows it has. The bytes depend on the table only.
///
/// # Errors
/// Where the partials cannot be combined or the file cannot be written.
pub fn write(combined: Combined, path: &Path) -> Result<u64> {
    let failed = |error: Cause| Error::output("cannot write partials").file(path).because(error);
    let schema = combined.table().schema().clone();
    let file = File::create(path).map_err(|error| failed(error.into()))?;
    let mut writer = FileWriter::try_new(BufWriter::new(file), &schema).map_err(|error| failed(error.into()))?;
    let mut rows = 0;
    for batch in combined {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(|error| failed(error.into()))?;
    }
    writer.finish().and_then(|()| writer.flush()).map_err(|error| failed(error.into()))?;
    Ok(rows)
}

/// Reads a file of partials again, a batch at a time, checking everything in it but the order of its keys.
pub struct PartialsReader {
    table: Arc<PartialTable>,
    path: PathBuf,
    file: File,
    /// Where the footer starts: no block reaches beyond.
    end: u64,
    blocks: std::vec::IntoIter<Block>,
}

impl PartialsReader {
    /// Opens a file that [`write()`] wrote for the same table.
    ///
    /// # Errors
    /// Where the file cannot be read, is damaged, or holds another table.
    pub fn open(path: &Path, table: Arc<PartialTable>) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
        let (footer, end) = read_footer(&mut file).map_err(|error| unreadable(path, error))?;
        let footer = root_as_footer(&footer).map_err(|error| unreadable(path, error.to_string()))?;
        let schema = footer.schema().ok_or("it has no schema").map_err(|error| unreadable(path, error))?;
        let schema = try_fb_to_schema(schema).map_err(|error| unreadable(path, error))?;
        if schema.fields() != table.schema().fields() {
            let message = format!("the partials are not of table `{}` as the plugin plans it now", table.name());
            return Err(Error::model(message).file(path).hint("fit the model again with this version of the plugin"));
        }
        let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
        Ok(Self { table, path: path.to_owned(), file, end, blocks: blocks.into_iter() })
    }

    /// The table that the file holds.
    pub fn table(&self) -> &Arc<PartialTable> {
        &self.table
    }

    fn read(&mut self, block: Block) -> Result<RecordBatch, Cause> {
        let offset = u64::try_from(block.offset())?;
        let metadata = usize::try_from(block.metaDataLength())?;
        let body = usize::try_from(block.bodyLength())?;
        let total = metadata.checked_add(body).ok_or("a block is too large")?;
        if offset.checked_add(total as u64).is_none_or(|end| end > self.end) {
            return Err("a block reaches beyond the file".into());
        }
        let mut bytes = MutableBuffer::from_len_zeroed(total);
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes)?;
        decode(&self.table, &Buffer::from(bytes), metadata)
    }
}

impl Iterator for PartialsReader {
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

/// Decodes one encapsulated message, after the checks without which arrow would panic.
fn decode(table: &PartialTable, bytes: &Buffer, metadata: usize) -> Result<RecordBatch, Cause> {
    let header = bytes[..metadata].get(8..).ok_or("a message is too short")?;
    let message = root_as_message(header).map_err(|error| error.to_string())?;
    let batch = message.header_as_record_batch().ok_or("a message is no record batch")?;
    if batch.compression().is_some() {
        return Err("a batch is compressed".into());
    }
    let body = bytes.slice(metadata);
    let units = table.schema().fields().iter().flat_map(|field| buffer_units(field.data_type()));
    for (buffer, unit) in batch.buffers().iter().flatten().zip(units) {
        let (start, length) = (usize::try_from(buffer.offset())?, usize::try_from(buffer.length())?);
        if start.checked_add(length).is_none_or(|end| end > body.len()) {
            return Err("a buffer reaches beyond its batch".into());
        }
        if !length.is_multiple_of(unit) {
            return Err("a buffer ends within an offset".into());
        }
    }
    // Every row takes a bit at least, so this also bounds what arrow multiplies.
    let most = i64::try_from(body.len())?.saturating_mul(8);
    for node in batch.nodes().iter().flatten() {
        if !(0..=most).contains(&node.length()) || !(0..=node.length()).contains(&node.null_count()) {
            return Err("a column has an impossible length".into());
        }
    }
    if !(0..=most).contains(&batch.length()) {
        return Err("a batch has an impossible length".into());
    }
    Ok(read_record_batch(&body, batch, table.schema().clone(), &HashMap::new(), None, &message.version())?)
}

/// For each buffer of a column, what its length is a multiple of: arrow panics on a piece of an offset.
fn buffer_units(data_type: &DataType) -> Vec<usize> {
    match data_type {
        DataType::Utf8 | DataType::Binary => vec![1, 4, 1],
        DataType::LargeUtf8 | DataType::LargeBinary => vec![1, 8, 1],
        DataType::FixedSizeList(item, _) => [vec![1], buffer_units(item.data_type())].concat(),
        _ => vec![1, 1],
    }
}

fn unreadable(path: &Path, error: impl Into<Cause>) -> Error {
    Error::model("the saved partials cannot be read")
        .file(path)
        .because(error)
        .hint("fit the model again, or restore this file from a copy")
}
