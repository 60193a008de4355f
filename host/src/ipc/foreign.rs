//! Record batches of a server: of any type, perhaps compressed, and not trusted.

use super::decode::{Cause, split};
use crate::guard::guard;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_schema::SchemaRef;
use std::collections::HashMap;

/// The prefix of a compressed buffer: how long it is otherwise.
const PREFIX: usize = size_of::<i64>();

/// Reads a message that holds one record batch of `schema`. Its buffers may be compressed where `uncompressed` says how many bytes they may
/// have without that. Its body is copied once, by `align`, to where values are aligned: arrow-rs would copy buffer by buffer.
///
/// # Errors
/// Where it is damaged, too large, or not of this schema.
pub(crate) fn decode_foreign_batch(
    schema: &SchemaRef,
    bytes: &[u8],
    uncompressed: Option<usize>,
    align: impl FnOnce(&[u8]) -> Buffer,
) -> Result<RecordBatch, Cause> {
    let (metadata, start) = split(bytes)?;
    let message = root_as_message(metadata).map_err(|error| error.to_string())?;
    let header = message.header_as_record_batch().ok_or("a message is no record batch")?;
    let length = usize::try_from(message.bodyLength())?;
    let body = bytes[start..].get(..length).ok_or("a body is cut short")?;
    if bytes.len() != start + length {
        return Err("there are bytes behind the record batch".into());
    }
    if header.compression().is_some() {
        check_sizes(&header, body, uncompressed.ok_or("a batch is compressed, which was not asked for")?)?;
    }
    let rows = usize::try_from(header.length())?;
    let body = align(body);
    // arrow-rs panics on some of what may be wrong with buffers.
    let batch = guard(|| read_record_batch(&body, header, schema.clone(), &HashMap::new(), None, &message.version()))??;
    if batch.num_rows() != rows {
        return Err("a batch has another number of rows than it says".into());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)?)
}

/// Checks what compressed buffers claim: that much is allocated before the first byte is uncompressed.
fn check_sizes(batch: &arrow_ipc::RecordBatch<'_>, body: &[u8], most: usize) -> Result<(), Cause> {
    let mut sum = 0_usize;
    for buffer in batch.buffers().unwrap_or_default() {
        let (start, length) = (usize::try_from(buffer.offset())?, usize::try_from(buffer.length())?);
        let end = start.checked_add(length).ok_or("a buffer reaches beyond its batch")?;
        let stored = body.get(start..end).ok_or("a buffer reaches beyond its batch")?;
        let Some(prefix) = stored.first_chunk::<PREFIX>() else { continue };
        // -1 says that the buffer is stored as it is.
        let claimed = usize::try_from(i64::from_le_bytes(*prefix).max(0))?;
        sum = sum
            .checked_add(claimed)
            .filter(|sum| *sum <= most)
            .ok_or("a batch is too large once it is uncompressed")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, StringArray};
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
    use std::sync::Arc;

    fn decode(schema: &SchemaRef, bytes: &[u8], uncompressed: Option<usize>) -> Result<RecordBatch, Cause> {
        decode_foreign_batch(schema, bytes, uncompressed, |body| body.into())
    }

    fn batch() -> RecordBatch {
        let mut lists = ListBuilder::new(Int64Builder::new());
        lists.append_value([Some(1), None, Some(3)]);
        lists.append_null();
        lists.append_value([Some(4)]);
        let columns: [(&str, ArrayRef); 4] = [
            ("number", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.0)]))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("text", Arc::new(StringArray::from(vec![Some("é"), None, Some("long enough")]))),
            ("list", Arc::new(lists.finish())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    fn message(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut tracker = DictionaryTracker::new(false);
        let mut context = IpcWriteContext::default();
        let encoded = IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut context);
        let mut bytes = Vec::new();
        write_message(&mut bytes, encoded.unwrap().1, &options).unwrap();
        bytes
    }

    #[test]
    fn batches_are_decoded_compressed_only_where_that_was_asked_for() {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0; 1_000]));
        let batch = RecordBatch::try_from_iter([("zeros", zeros)]).unwrap();
        let schema = batch.schema();
        assert_eq!(decode(&schema, &message(&batch, None), None).unwrap(), batch);
        for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
            let compressed = message(&batch, Some(codec));
            assert_eq!(decode(&schema, &compressed, Some(8_000)).unwrap(), batch);
            assert!(decode(&schema, &compressed, None).is_err());
            assert!(decode(&schema, &compressed, Some(7_999)).is_err(), "it is larger than that");
        }
    }

    #[test]
    fn damaged_messages_never_panic_and_cut_ones_are_refused() {
        let schema = batch().schema();
        for codec in [None, Some(CompressionType::LZ4_FRAME)] {
            let whole = message(&batch(), codec);
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                // A flipped value is another value; all else must be an error.
                if let Ok(decoded) = decode(&schema, &damaged, Some(1 << 20)) {
                    decoded.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
                }
            }
            for end in 0..whole.len() {
                assert!(decode(&schema, &whole[..end], Some(1 << 20)).is_err(), "{end}");
            }
        }
    }
}
