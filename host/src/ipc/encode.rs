//! Messages to plugins.

use super::decode::Cause;
use arrow_array::RecordBatch;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
use arrow_schema::Schema;

/// One message that holds a schema.
///
/// # Errors
/// Where a type has no form in Arrow IPC.
pub(crate) fn encode_schema(schema: &Schema) -> Result<Vec<u8>, Cause> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options)?;
    Ok(message)
}

/// Turns record batches into messages, reusing its memory.
#[derive(Default)]
pub(crate) struct BatchEncoder {
    message: Vec<u8>,
    context: IpcWriteContext,
}

impl BatchEncoder {
    /// The batch's dictionaries and the batch itself; buffers begin at multiples of 64.
    ///
    /// # Errors
    /// Where a type has no form in Arrow IPC.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<&Vec<u8>, Cause> {
        let options = IpcWriteOptions::default();
        let generator = IpcDataGenerator::default();
        // A new tracker each time: every message stands for itself, so that any instance can take it.
        let mut tracker = DictionaryTracker::new(false);
        generator.schema_to_bytes_with_dictionary_tracker(batch.schema_ref(), &mut tracker, &options);
        let (dictionaries, batch) = generator.encode(batch, &mut tracker, &options, &mut self.context)?;
        self.message.clear();
        for encoded in dictionaries.into_iter().chain([batch]) {
            write_message(&mut self.message, encoded, &options)?;
        }
        Ok(&self.message)
    }
}
