//! An Arrow IPC file by its footer: which dictionaries and record batches it holds, checked against the file's length.

use super::message::{check, children, damaged, message};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, MetadataVersion, root_as_footer};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// The length of the footer's length and the magic bytes after it.
const TRAILER: u64 = 10;

/// What a footer tells.
pub(super) struct Footer {
    pub(super) schema: SchemaRef,
    version: MetadataVersion,
    pub(super) dictionaries: Vec<Block>,
    pub(super) batches: Vec<Block>,
}

/// Reads the footer of a file of `length` bytes, and how many rows each of its record batches has.
///
/// What a block claims to need is allocated when it is read, so each is checked here first.
pub(super) fn read(file: &mut (impl Read + Seek), length: u64) -> Result<(Footer, Vec<u64>), ArrowError> {
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
    if !schema.endianness().equals_to_target_endianness() {
        return Err(damaged("its numbers have another byte order than this machine's"));
    }
    let batches = footer.recordBatches().ok_or_else(|| damaged("its footer lists no record batches"))?;
    let batches: Vec<Block> = batches.iter().copied().collect();
    let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
    for block in &dictionaries {
        extent(block, footer_start)?;
    }
    let rows = batches.iter().map(|block| read_rows(file, block, footer_start)).collect::<Result<_, _>>()?;
    let schema = Arc::new(try_fb_to_schema(schema)?);
    Ok((Footer { schema, version: footer.version(), dictionaries, batches }, rows))
}

impl Footer {
    /// A decoder of some columns, which holds the dictionaries of the file where one of these has any. A message may claim
    /// `most` bytes uncompressed.
    pub(super) fn decoder(
        &self,
        file: &mut (impl Read + Seek),
        columns: Vec<usize>,
        most: u64,
    ) -> Result<FileDecoder, ArrowError> {
        let in_dictionaries = columns.iter().any(|column| has_dictionary(self.schema.field(*column).data_type()));
        let mut decoder = FileDecoder::new(self.schema.clone(), self.version).with_projection(columns);
        for block in self.dictionaries.iter().filter(|_| in_dictionaries) {
            decoder.read_dictionary(block, &read_block(file, block, most)?)?;
        }
        Ok(decoder)
    }
}

/// Whether values of a type stand behind a dictionary, at any depth.
fn has_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(..))
        || children(data_type).iter().any(|child| has_dictionary(child.data_type()))
}

/// Reads a record batch of a file.
pub(super) fn read_batch(
    file: &mut (impl Read + Seek),
    decoder: &FileDecoder,
    block: &Block,
    most: u64,
) -> Result<RecordBatch, ArrowError> {
    let batch = decoder.read_record_batch(block, &read_block(file, block, most)?)?;
    batch.ok_or_else(|| damaged("a record batch is missing"))
}

/// The bytes of a block, whose extent was checked.
fn read_block(file: &mut (impl Read + Seek), block: &Block, most: u64) -> Result<Buffer, ArrowError> {
    let mut bytes = MutableBuffer::from_len_zeroed(stored_bytes(block) as usize);
    file.seek(SeekFrom::Start(block.offset() as u64))?;
    file.read_exact(&mut bytes)?;
    check(&bytes, block.metaDataLength() as usize, most)?;
    Ok(bytes.into())
}

/// The length of a block, whose extent was checked.
pub(super) fn stored_bytes(block: &Block) -> u64 {
    block.metaDataLength() as u64 + block.bodyLength() as u64
}

/// The metadata of a block, whose extent was checked.
pub(super) fn read_metadata(file: &mut (impl Read + Seek), block: &Block) -> Result<Vec<u8>, ArrowError> {
    let mut metadata = vec![0; block.metaDataLength() as usize];
    file.seek(SeekFrom::Start(block.offset() as u64))?;
    file.read_exact(&mut metadata)?;
    Ok(metadata)
}

fn read_rows(file: &mut (impl Read + Seek), block: &Block, end: u64) -> Result<u64, ArrowError> {
    extent(block, end)?;
    let metadata = read_metadata(file, block)?;
    let batch = message(&metadata)?.header_as_record_batch().ok_or_else(|| damaged("a record batch is missing"))?;
    u64::try_from(batch.length()).map_err(|_| damaged("a record batch has a negative length"))
}

/// Checks that a block ends before `end`.
fn extent(block: &Block, end: u64) -> Result<(), ArrowError> {
    let numbers =
        (u64::try_from(block.offset()), u64::try_from(block.bodyLength()), u64::try_from(block.metaDataLength()));
    let (Ok(offset), Ok(body), Ok(metadata)) = numbers else {
        return Err(damaged("a block has a negative extent"));
    };
    if offset.saturating_add(body).saturating_add(metadata) > end {
        return Err(damaged("a block reaches beyond the file's end"));
    }
    Ok(())
}
