//! Reads single columns of an Arrow IPC file's batches: of a batch of which few columns are wanted, little is read.

use crate::guard::guard;
use crate::ipc::{Cause, read_footer};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, root_as_footer, root_as_message};
use arrow_schema::{DataType, FieldRef, Schema};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes before the metadata of a message: a mark, and the length.
const PREFIX: usize = 8;

/// Buffers that are not further apart are read at once.
const GAP: usize = 4 << 10;

/// An Arrow IPC file, of which some columns are read.
pub(super) struct Blocks {
    file: File,
    blocks: Vec<Block>,
    decoder: FileDecoder,
    /// Of the columns that are read, the numbers of their buffers.
    buffers: Vec<Range<usize>>,
}

impl Blocks {
    /// Opens a file to read the columns at these positions, in this order.
    pub(super) fn open(path: &Path, columns: Vec<usize>) -> Result<Self, Cause> {
        let mut file = File::open(path)?;
        let (footer, _) = read_footer(&mut file)?;
        let footer = root_as_footer(&footer).map_err(|error| error.to_string())?;
        let schema = try_fb_to_schema(footer.schema().ok_or("it has no schema")?)?;
        let blocks = footer.recordBatches().iter().flatten().copied().collect();
        let all = buffers_of(&schema);
        let wanted = columns.iter().map(|column| all.get(*column).cloned().ok_or("it has too few columns"));
        let mut buffers = wanted.collect::<Result<Vec<_>, _>>()?;
        buffers.sort_by_key(|range| range.start);
        let decoder = FileDecoder::new(Arc::new(schema), footer.version()).with_projection(columns);
        Ok(Self { file, blocks, decoder, buffers })
    }

    /// How many batches there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Reads a batch.
    pub(super) fn read(&self, number: usize) -> Result<RecordBatch, Cause> {
        let block = self.blocks.get(number).ok_or("there is no such batch")?;
        let start = u64::try_from(block.offset())?;
        let metadata = usize::try_from(block.metaDataLength())?;
        let body = usize::try_from(block.bodyLength())?;
        // Pages that are not read are never touched, so that they take no memory.
        let mut bytes = MutableBuffer::from_len_zeroed(metadata.checked_add(body).ok_or("a batch is too large")?);
        self.file.read_exact_at(&mut bytes[..metadata], start)?;
        for range in self.ranges(&bytes[..metadata])? {
            let part = bytes.get_mut(metadata + range.start..metadata + range.end).ok_or("a buffer lies outside")?;
            self.file.read_exact_at(part, start + (metadata + range.start) as u64)?;
        }
        let bytes = Buffer::from(bytes);
        let batch = guard(|| self.decoder.read_record_batch(block, &bytes))??;
        Ok(batch.ok_or("a batch is missing")?)
    }

    /// Which bytes of the body are needed.
    fn ranges(&self, metadata: &[u8]) -> Result<Vec<Range<usize>>, Cause> {
        let message = metadata.get(PREFIX..).ok_or("a message is cut short")?;
        let message = root_as_message(message).map_err(|error| error.to_string())?;
        let batch = message.header_as_record_batch().ok_or("a message is no record batch")?;
        let all = batch.buffers().ok_or("a batch has no buffers")?;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for number in self.buffers.iter().cloned().flatten() {
            if number >= all.len() {
                return Err("a batch has too few buffers".into());
            }
            let buffer = all.get(number);
            let (start, length) = (usize::try_from(buffer.offset())?, usize::try_from(buffer.length())?);
            let end = start.checked_add(length).ok_or("a buffer is too large")?;
            match ranges.last_mut() {
                Some(last) if start >= last.start && start <= last.end.saturating_add(GAP) => {
                    last.end = last.end.max(end)
                }
                _ => ranges.push(start..end),
            }
        }
        Ok(ranges)
    }
}

/// The numbers of the buffers of each column, as the format lays them out.
fn buffers_of(schema: &Schema) -> Vec<Range<usize>> {
    let mut next = 0;
    let ranges = schema.fields().iter().map(|field| {
        let start = next;
        next += count(field.data_type());
        start..next
    });
    ranges.collect()
}

/// Buffers of a column of a logical type: those have no views, run ends or dictionaries.
fn count(data_type: &DataType) -> usize {
    let of = |field: &FieldRef| count(field.data_type());
    match data_type {
        DataType::Null => 0,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => 2 + of(item),
        DataType::FixedSizeList(item, _) => 1 + of(item),
        DataType::Struct(fields) => 1 + fields.iter().map(of).sum::<usize>(),
        DataType::Union(fields, mode) => {
            let own = if *mode == arrow_schema::UnionMode::Dense { 2 } else { 1 };
            own + fields.iter().map(|(_, field)| of(field)).sum::<usize>()
        }
        _ => 2,
    }
}
