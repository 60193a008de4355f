//! Messages to plugins.

use super::decode::{Cause, split};
use super::unused::clear_unused;
use super::verify::verified_message;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, StreamEncoder, write_message};
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
}

impl BatchEncoder {
    /// The batch's dictionaries and the batch itself; buffers begin at multiples of 64, and nothing of other rows lies in or between them.
    ///
    /// # Errors
    /// Where a type has no form in Arrow IPC.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<&Vec<u8>, Cause> {
        // A new stream each time: every message stands for itself, so that any instance can take it.
        let stream = StreamEncoder::try_new(batch.schema_ref())?.encode(batch)?;
        let schema = schema_length(&stream)?;
        self.message.clear();
        self.message.reserve(stream.iter().map(Buffer::len).sum());
        let mut passed = 0;
        for piece in &stream {
            if passed >= schema {
                self.message.extend_from_slice(piece);
            }
            passed += piece.len();
        }
        let has_nulls = || batch.columns().iter().any(|column| column.null_count() > 0);
        if !batch.num_rows().is_multiple_of(8) || has_nulls() {
            let start = last_message(&self.message)?;
            clear_unused(&mut self.message, start, batch.schema_ref().fields())?;
        }
        Ok(&self.message)
    }
}

/// Bytes of the message that a stream begins with, which has no body.
fn schema_length(stream: &[Buffer]) -> Result<usize, Cause> {
    let prefix = stream.first().and_then(|prefix| prefix.first_chunk::<8>()).ok_or("a stream has no schema")?;
    let [_, _, _, _, length @ ..] = *prefix;
    Ok(prefix.len() + usize::try_from(u32::from_le_bytes(length))?)
}

/// Where the last of the messages begins.
fn last_message(bytes: &[u8]) -> Result<usize, Cause> {
    let mut start = 0;
    loop {
        let (metadata, body) = split(&bytes[start..])?;
        let end = start + body + usize::try_from(verified_message(metadata)?.bodyLength())?;
        if end >= bytes.len() {
            return Ok(start);
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::decode_batch;
    use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray};
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

    #[test]
    fn nothing_lies_beneath_nulls() {
        let rows = 19;
        let valid = arrow_buffer::NullBuffer::from_iter((0..rows).map(|row| row % 3 != 1));
        // The same values, but for those beneath nulls.
        let table = |hidden: i64| {
            let value = |row: usize| if row % 3 == 1 { hidden + row as i64 } else { row as i64 };
            let text: StringArray = StringArray::from_iter_values((0..rows).map(|row| format!("{:04}", value(row))));
            let (offsets, bytes, _) = text.into_parts();
            let ints = (0..rows).map(value).collect::<Vec<_>>();
            let keys = ints.iter().map(|key| (*key % 2) as i32).collect::<Vec<_>>();
            let words = Arc::new(StringArray::from(vec!["a", "b"]));
            let flags = ints.iter().map(|value| value % 2 == 1).collect::<arrow_buffer::BooleanBuffer>();
            let columns: [(&str, ArrayRef); 4] = [
                ("int", Arc::new(Int64Array::new(ints.into(), Some(valid.clone())))),
                ("flag", Arc::new(BooleanArray::new(flags, Some(valid.clone())))),
                ("text", Arc::new(StringArray::new(offsets, bytes, Some(valid.clone())))),
                ("word", Arc::new(DictionaryArray::new(Int32Array::new(keys.into(), Some(valid.clone())), words))),
            ];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let encode = |table: &RecordBatch| BatchEncoder::default().encode(table).unwrap().clone();
        assert_eq!(encode(&table(1_000)), encode(&table(4_001)));
        assert_eq!(decode_batch(&table(0).schema(), Buffer::from_vec(encode(&table(1_000)))).unwrap(), table(1_000));
    }
}
