//! Messages to plugins.

use super::decode::{Cause, PREFIX, is_dictionary};
use super::pieces::{Pieces, without_texts_beneath_nulls};
use arrow_array::{Array, RecordBatch};
use arrow_data::ArrayData;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow_ipc::{DictionaryBatchBuilder, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder};
use arrow_schema::Schema;
use flatbuffers::FlatBufferBuilder;

/// Of messages, bodies and buffers: the one that Arrow recommends, a cache line.
pub(super) const ALIGNMENT: usize = 64;

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

/// Turns record batches into messages, reusing its memory. arrow-rs has writers of streams, which begin with a schema; of these, each stands
/// for itself, so that any instance can take it.
#[derive(Default)]
pub(crate) struct BatchEncoder {
    message: Vec<u8>,
    metadata: FlatBufferBuilder<'static>,
}

impl BatchEncoder {
    /// The batch's dictionaries and the batch itself; buffers begin at multiples of 64, and nothing of other rows lies in or between them, but for
    /// words of a dictionary that no row of the batch has.
    ///
    /// # Errors
    /// Where a type cannot cross.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<&Vec<u8>, Cause> {
        let columns = batch.columns().iter().map(|column| without_texts_beneath_nulls(column.to_data()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.message.clear();
        let dictionaries = columns.iter().filter(|column| is_dictionary(column.data_type()));
        for (id, column) in (0..).zip(dictionaries) {
            let words = &column.child_data()[0];
            self.append(Some(id), words.len(), std::slice::from_ref(words))?;
        }
        self.append(None, batch.num_rows(), &columns)?;
        Ok(&self.message)
    }

    /// Appends a record batch, or the words of a dictionary.
    fn append(&mut self, dictionary: Option<i64>, rows: usize, columns: &[ArrayData]) -> Result<(), Cause> {
        let pieces = Pieces::of(columns)?;
        self.write_metadata(dictionary, rows, &pieces);
        let metadata = self.metadata.finished_data();
        let head = (PREFIX + metadata.len()).next_multiple_of(ALIGNMENT);
        let end = self.message.len() + head;
        self.message.reserve(head + pieces.bytes());
        self.message.extend_from_slice(&[0xff; 4]);
        self.message.extend_from_slice(&u32::try_from(head - PREFIX)?.to_le_bytes());
        self.message.extend_from_slice(metadata);
        self.message.resize(end, 0);
        pieces.write(&mut self.message);
        Ok(())
    }

    /// The tables `Message` and `RecordBatch`, and `DictionaryBatch` around that, of Arrow's `Message.fbs`.
    fn write_metadata(&mut self, dictionary: Option<i64>, rows: usize, pieces: &Pieces<'_>) {
        let builder = &mut self.metadata;
        builder.reset();
        let (nodes, buffers) = (builder.create_vector(pieces.nodes()), builder.create_vector(pieces.buffers()));
        let mut batch = RecordBatchBuilder::new(builder);
        batch.add_length(rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish();
        let (header_type, header) = match dictionary {
            None => (MessageHeader::RecordBatch, batch.as_union_value()),
            Some(id) => {
                let mut dictionary = DictionaryBatchBuilder::new(builder);
                dictionary.add_id(id);
                dictionary.add_data(batch);
                (MessageHeader::DictionaryBatch, dictionary.finish().as_union_value())
            }
        };
        let mut message = MessageBuilder::new(builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(header_type);
        message.add_bodyLength(pieces.bytes() as i64);
        message.add_header(header);
        let message = message.finish();
        builder.finish(message, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::decode_batch;
    use arrow_array::{
        ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray, Float64Array, Int8Array,
        Int32Array, Int64Array, LargeStringArray, RecordBatchOptions, StringArray,
    };
    use arrow_buffer::Buffer;
    use arrow_ipc::reader::StreamReader;
    use arrow_schema::{DataType, Field};
    use std::sync::Arc;

    /// A table whose every value, null or not, tells its row.
    fn rows(count: usize) -> RecordBatch {
        let marked = |row: usize| 0xa5a5_0000_i64 + row as i64;
        let some = |row: usize| (row % 3 != 1).then_some(row);
        let decimals = Decimal128Array::from_iter((0..count).map(|row| some(row).map(|row| row as i128 - 100)));
        let columns: [(&str, ArrayRef); 8] = [
            ("null", Arc::new(Int64Array::from_iter((0..count).map(|row| (row % 3 != 0).then(|| marked(row)))))),
            ("flag", Arc::new(BooleanArray::from_iter((0..count).map(|row| (row % 5 != 0).then_some(row % 2 == 0))))),
            ("text", Arc::new(StringArray::from_iter_values((0..count).map(|row| format!("text {row:04}"))))),
            ("float", Arc::new(Float64Array::from_iter_values((0..count).map(|row| row as f64)))),
            ("small", Arc::new(Int32Array::from_iter_values((0..count).map(|row| row as i32)))),
            (
                "large",
                Arc::new(LargeStringArray::from_iter((0..count).map(|row| some(row).map(|row| format!("{row}"))))),
            ),
            ("wide", Arc::new(decimals)),
            ("byte", Arc::new(Int8Array::from_iter((0..count).map(|row| some(row).map(|row| row as i8))))),
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
    fn arrow_reads_what_is_written() {
        let words = |words: &[&str], row: usize, from: usize| {
            let keys = Int32Array::from_iter((0..row).map(|row| (row % 5 != 3).then_some(((row + from) % 3) as i32)));
            // A part of a larger dictionary.
            let words = StringArray::from_iter_values(words).slice(1, 3);
            Arc::new(DictionaryArray::new(keys, Arc::new(words))) as ArrayRef
        };
        for count in [0, 1, 63, 64, 65, 200] {
            let table = rows(count);
            let (first, second) = (words(&["?", "a", "bc", ""], count, 0), words(&["?", "d", "é", "f", "?"], count, 1));
            let mut columns: Vec<_> = table
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .zip(table.columns().to_vec())
                .collect();
            columns.splice(1..1, [("first".to_owned(), first), ("second".to_owned(), second)]);
            let table = RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, column)| (name, column, true)),
            )
            .unwrap();
            for (start, length) in [(0, count), (count / 3, count / 2)] {
                let table = table.slice(start, length);
                let mut stream = encode_schema(table.schema_ref()).unwrap();
                stream.extend_from_slice(BatchEncoder::default().encode(&table).unwrap());
                let mut read = StreamReader::try_new(std::io::Cursor::new(stream), None).unwrap();
                assert_eq!(read.next().unwrap().unwrap(), table);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        let message = BatchEncoder::default().encode(&empty).unwrap().clone();
        assert_eq!(decode_batch(&empty.schema(), Buffer::from_vec(message)).unwrap().num_rows(), 7);
    }

    #[test]
    fn nothing_lies_beneath_nulls() {
        let rows = 19;
        let valid = arrow_buffer::NullBuffer::from_iter((0..rows).map(|row| row % 3 != 1));
        // The same values, but for those beneath nulls.
        let table = |hidden: i64| {
            let value = |row: usize| if row % 3 == 1 { hidden + row as i64 } else { row as i64 };
            let text: StringArray = StringArray::from_iter_values((0..rows).map(|row| value(row).to_string()));
            let (offsets, bytes, _) = text.into_parts();
            let ints = (0..rows).map(value).collect::<Vec<_>>();
            let keys = ints.iter().map(|key| (*key % 2) as i32).collect::<Vec<_>>();
            let words = Arc::new(StringArray::from(vec!["a", "b"]));
            let items: ArrayRef =
                Arc::new(Int64Array::from_iter_values(ints.iter().flat_map(|value| [*value, -value])));
            let item = Arc::new(Field::new("item", DataType::Int64, false));
            let flags = ints.iter().map(|value| value % 2 == 1).collect::<arrow_buffer::BooleanBuffer>();
            let columns: [(&str, ArrayRef); 5] = [
                ("list", Arc::new(FixedSizeListArray::new(item, 2, items, Some(valid.clone())))),
                ("int", Arc::new(Int64Array::new(ints.into(), Some(valid.clone())))),
                ("flag", Arc::new(BooleanArray::new(flags, Some(valid.clone())))),
                ("text", Arc::new(StringArray::new(offsets, bytes, Some(valid.clone())))),
                ("word", Arc::new(DictionaryArray::new(Int32Array::new(keys.into(), Some(valid.clone())), words))),
            ];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let encode = |table: &RecordBatch| BatchEncoder::default().encode(table).unwrap().clone();
        // Longer texts, too.
        assert_eq!(encode(&table(1_000)), encode(&table(40_001)));
        assert_eq!(decode_batch(&table(0).schema(), Buffer::from_vec(encode(&table(1_000)))).unwrap(), table(1_000));
    }
}
