//! Arrow IPC messages as the Storage Read API carries them: the schema once, then one record batch after the other. None of it is the
//! host's code, which this server is to test.

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow_schema::{ArrowError, Schema};

/// An encapsulated schema message.
pub(crate) fn schema(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    message(encoded, &options)
}

/// An encapsulated record batch message, whose buffers may be compressed.
pub(crate) fn batch(batch: &RecordBatch, compression: Option<CompressionType>) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default().try_with_compression(compression)?;
    let mut tracker = DictionaryTracker::new(false);
    let (_, encoded) =
        IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut IpcWriteContext::default())?;
    message(encoded, &options)
}

fn message(encoded: EncodedData, options: &IpcWriteOptions) -> Result<Vec<u8>, ArrowError> {
    let mut message = Vec::new();
    write_message(&mut message, encoded, options)?;
    Ok(message)
}

/// Where the first compressed buffer of a record batch message lies, which begins with its length before compression.
pub(crate) fn first_buffer(message: &[u8]) -> Option<usize> {
    // A message begins with a marker of four bytes and the length of its metadata in four more.
    let length = u32::from_le_bytes(message.get(4..8)?.try_into().ok()?) as usize;
    let metadata = arrow_ipc::root_as_message(message.get(8..8 + length)?).ok()?;
    let buffer = metadata.header_as_record_batch()?.buffers()?.iter().find(|buffer| buffer.length() > 8)?;
    let place = 8 + length + usize::try_from(buffer.offset()).ok()?;
    (place + 8 <= message.len()).then_some(place)
}
