//! Messages to and from arrow-rs.

use crate::message::encode_schema;
use crate::{Batch, Input};
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_ipc::{CompressionType, MetadataVersion};
use arrow_schema::{ArrowError, Schema};

/// The schema's message, and the messages of the batch, as arrow-rs writes them.
pub(super) fn write(batch: &RecordBatch, alignment: usize, compression: Option<CompressionType>) -> (Vec<u8>, Vec<u8>) {
    let options = IpcWriteOptions::try_new(alignment, false, MetadataVersion::V5).unwrap();
    let options = options.try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.flush().unwrap();
    let start = writer.get_ref().len();
    writer.write(batch).unwrap();
    let mut schema = writer.get_ref().clone();
    let messages = schema.split_off(start);
    (schema, messages)
}

/// A batch as a plugin sees it.
pub(super) fn batch(batch: &RecordBatch) -> Batch {
    let (schema, messages) = write(batch, 64, None);
    Input::decode(&schema).unwrap().batch(messages).unwrap()
}

/// What arrow-rs reads from the message of a batch; it checks everything.
pub(super) fn read(schema: &Schema, message: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut stream = encode_schema(schema).unwrap();
    stream.extend_from_slice(message);
    stream.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let mut reader = StreamReader::try_new(stream.as_slice(), None)?;
    let batch = reader.next().unwrap()?;
    assert!(reader.next().is_none());
    Ok(batch)
}
