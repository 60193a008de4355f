//! Messages to plugins.

use super::decode::Cause;
use super::unused::clear_unused_bits;
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
    /// The batch's dictionaries and the batch itself; buffers begin at multiples of 64, and nothing of other rows lies in or between them.
    ///
    /// # Errors
    /// Where a type has no form in Arrow IPC.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<&Vec<u8>, Cause> {
        let options = IpcWriteOptions::default();
        let generator = IpcDataGenerator::default();
        // A new tracker each time: every message stands for itself, so that any instance can take it.
        let mut tracker = DictionaryTracker::new(false);
        generator.schema_to_bytes_with_dictionary_tracker(batch.schema_ref(), &mut tracker, &options);
        let (schema, rows) = (batch.schema(), batch.num_rows());
        let (dictionaries, batch) = generator.encode(batch, &mut tracker, &options, &mut self.context)?;
        self.message.clear();
        for encoded in dictionaries {
            write_message(&mut self.message, encoded, &options)?;
        }
        let start = self.message.len();
        write_message(&mut self.message, batch, &options)?;
        if !rows.is_multiple_of(8) {
            clear_unused_bits(&mut self.message, start, schema.fields())?;
        }
        Ok(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::decode_batch;
    use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};
    use arrow_buffer::Buffer;
    use std::sync::Arc;

    /// A table whose every value, null or not, tells its row.
    fn rows(count: usize) -> RecordBatch {
        let marked = |row: usize| 0xa5a5_0000_i64 + row as i64;
        let columns: [(&str, ArrayRef); 5] = [
            ("null", Arc::new(Int64Array::from_iter((0..count).map(|row| (row % 3 != 0).then(|| marked(row)))))),
            ("flag", Arc::new(BooleanArray::from_iter((0..count).map(|row| (row % 5 != 0).then_some(row % 2 == 0))))),
            ("text", Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("text {row:04}"))))),
            ("float", Arc::new(Float64Array::from_iter_values((0..count).map(|row| row as f64)))),
            ("small", Arc::new(Int32Array::from_iter_values((0..count).map(|row| row as i32)))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn nothing_of_other_rows_is_in_a_message() {
        let table = rows(200);
        for (start, length) in [(0, 5), (8, 3), (16, 13), (3, 8), (61, 1), (0, 200), (7, 0)] {
            let slice = table.slice(start, length);
            // The same rows with nothing around them.
            let indices = arrow_array::UInt32Array::from_iter_values(start as u32..(start + length) as u32);
            let alone = arrow_select::take::take_record_batch(&table, &indices).unwrap();
            let mut encoder = BatchEncoder::default();
            let sliced = encoder.encode(&slice).unwrap().clone();
            assert_eq!(sliced, *BatchEncoder::default().encode(&alone).unwrap(), "{start} {length}");
            assert_eq!(decode_batch(&table.schema(), Buffer::from_vec(sliced)).unwrap(), slice);
            // The encoder's memory held a larger message before.
            encoder.encode(&table).unwrap();
            assert_eq!(*encoder.encode(&slice).unwrap(), *BatchEncoder::default().encode(&alone).unwrap());
        }
    }
}
