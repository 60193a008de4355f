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
