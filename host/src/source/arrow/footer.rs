//! The footer of an Arrow IPC file: which record batches it holds, checked against the file's length.

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::read_footer_length;
use arrow_ipc::{Block, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// The length of the footer's length and the magic bytes after it.
const TRAILER: u64 = 10;

/// The continuation marker and the length that stand before a message.
const PREFIX: usize = 8;

/// A record batch of a file.
pub(super) struct BatchBlock {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Reads the schema and the record batches' extents from the end of a file of `length` bytes.
///
/// arrow-rs allocates what a block claims to need, so each is checked here first.
pub(super) fn read(file: &mut (impl Read + Seek), length: u64) -> Result<(SchemaRef, Vec<BatchBlock>), ArrowError> {
    let trailer_start = length.checked_sub(TRAILER).ok_or_else(|| damaged("it is too short"))?;
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(trailer_start))?;
    file.read_exact(&mut trailer)?;
    let footer_length = read_footer_length(trailer)?;
    let footer_start =
        trailer_start.checked_sub(footer_length as u64).ok_or_else(|| damaged("its footer is longer than the file"))?;
    let mut footer = vec![0; footer_length];
    file.seek(SeekFrom::Start(footer_start))?;
    file.read_exact(&mut footer)?;

    let footer = root_as_footer(&footer).map_err(|error| damaged(format!("its footer is invalid: {error}")))?;
    let schema = footer.schema().ok_or_else(|| damaged("its footer holds no schema"))?;
    let batches = footer.recordBatches().ok_or_else(|| damaged("its footer lists no record batches"))?;
    for block in footer.dictionaries().iter().flatten() {
        extent(block, footer_start)?;
    }
    let blocks = batches.iter().map(|block| read_block(file, block, footer_start)).collect::<Result<_, _>>()?;
    Ok((Arc::new(try_fb_to_schema(schema)?), blocks))
}

fn read_block(file: &mut (impl Read + Seek), block: &Block, end: u64) -> Result<BatchBlock, ArrowError> {
    let (metadata_length, bytes) = extent(block, end)?;
    let mut metadata = vec![0; metadata_length];
    file.seek(SeekFrom::Start(block.offset() as u64))?;
    file.read_exact(&mut metadata)?;
    // Files older than Arrow 0.15 have no continuation marker.
    let prefix = if metadata.starts_with(&[0xff; 4]) { PREFIX } else { PREFIX / 2 };
    let message = metadata.get(prefix..).ok_or_else(|| damaged("a message is too short"))?;
    let message = root_as_message(message).map_err(|error| damaged(format!("a message is invalid: {error}")))?;
    let batch = message.header_as_record_batch().ok_or_else(|| damaged("a record batch is missing"))?;
    let rows = u64::try_from(batch.length()).map_err(|_| damaged("a record batch has a negative length"))?;
    Ok(BatchBlock { rows, bytes })
}

/// The length of a block's metadata and of the whole block, which must end before `end`.
fn extent(block: &Block, end: u64) -> Result<(usize, u64), ArrowError> {
    let numbers =
        (u64::try_from(block.offset()), u64::try_from(block.bodyLength()), usize::try_from(block.metaDataLength()));
    let (Ok(offset), Ok(body), Ok(metadata)) = numbers else {
        return Err(damaged("a block has a negative extent"));
    };
    let bytes = body.saturating_add(metadata as u64);
    if offset.saturating_add(bytes) > end {
        return Err(damaged("a block reaches beyond the file's end"));
    }
    Ok((metadata, bytes))
}

fn damaged(what: impl Into<String>) -> ArrowError {
    ArrowError::ParseError(what.into())
}
