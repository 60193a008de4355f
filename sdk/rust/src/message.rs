//! Encapsulated Arrow IPC messages: a prefix, the flatbuffer metadata, and a body of aligned buffers.
//!
//! Format: <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>

use crate::{Error, Result};
use arrow_buffer::Buffer;
use arrow_ipc::convert::{IpcSchemaEncoder, try_fb_to_schema};
use arrow_ipc::writer::DictionaryTracker;
use arrow_ipc::{DictionaryBatchBuilder, FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder};
use arrow_schema::Schema;
use flatbuffers::FlatBufferBuilder;

/// Where bodies and their buffers begin.
pub(crate) const ALIGNMENT: usize = 64;

const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX: usize = 8;

/// The schema in a message, and the dictionary id of each of its fields.
pub(crate) fn decode_schema(message: &[u8]) -> Result<(Schema, Vec<Option<i64>>)> {
    let (metadata, _) = split(message)?;
    let message = arrow_ipc::root_as_message(metadata).map_err(malformed)?;
    let header = message.header_as_schema().ok_or_else(|| malformed("no schema"))?;
    let schema = try_fb_to_schema(header).map_err(malformed)?;
    let ids = header.fields().map(|fields| fields.iter().map(|field| field.dictionary().map(|d| d.id())).collect());
    Ok((schema, ids.unwrap_or_default()))
}

/// A schema as one message. The dictionaries of its fields are numbered in their order, from zero.
pub(crate) fn encode_schema(schema: &Schema) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let mut dictionaries = DictionaryTracker::new(false);
    let header = IpcSchemaEncoder::new()
        .with_dictionary_tracker(&mut dictionaries)
        .schema_to_fb_offset(&mut builder, schema)
        .as_union_value();
    finish_message(&mut builder, MessageHeader::Schema, header, 0);
    let metadata = builder.finished_data();
    let mut message = vec![0; (PREFIX + metadata.len()).next_multiple_of(8)];
    write_prefix(&mut message, metadata);
    message
}

/// The length of the first message's prefix and metadata, and its body; `rest` is what follows.
pub(crate) struct Framed<'a> {
    pub(crate) metadata: &'a [u8],
    pub(crate) body: Buffer,
    pub(crate) rest: Buffer,
}

/// Takes the first message off `buffer` without a copy.
pub(crate) fn take(buffer: &Buffer) -> Result<Framed<'_>> {
    let (metadata, start) = split(buffer.as_slice())?;
    let length = arrow_ipc::root_as_message(metadata).map_err(malformed)?.bodyLength();
    let length = usize::try_from(length).map_err(malformed)?;
    if buffer.len() - start < length {
        return Err(malformed("the body is cut short"));
    }
    let body = buffer.slice_with_length(start, length);
    let rest = buffer.slice(start + length);
    Ok(Framed { metadata, body, rest })
}

fn split(message: &[u8]) -> Result<(&[u8], usize)> {
    let length = match message.get(..PREFIX) {
        Some([0xff, 0xff, 0xff, 0xff, length @ ..]) => u32::from_le_bytes([length[0], length[1], length[2], length[3]]),
        _ => return Err(malformed("no continuation marker")),
    };
    let end = PREFIX + length as usize;
    let metadata = message.get(PREFIX..end).ok_or_else(|| malformed("the metadata is cut short"))?;
    Ok((metadata, end))
}

/// What the metadata of a record batch says of its columns.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) nodes: Vec<FieldNode>,
    pub(crate) buffers: Vec<arrow_ipc::Buffer>,
}

impl Layout {
    /// Enough room for the prefix and the metadata of a record batch with so many nodes and buffers.
    pub(crate) fn reserve(nodes: usize, buffers: usize) -> usize {
        (PREFIX + 256 + 16 * (nodes + buffers)).next_multiple_of(ALIGNMENT)
    }

    /// Writes prefix and metadata into the first `reserved` bytes of `message`, whose remainder is the body.
    pub(crate) fn write(&self, rows: usize, dictionary: Option<i64>, message: &mut [u8], reserved: usize) -> Result<()> {
        let body = message.len() - reserved;
        let mut builder = FlatBufferBuilder::with_capacity(reserved);
        let nodes = builder.create_vector(&self.nodes);
        let buffers = builder.create_vector(&self.buffers);
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish();
        match dictionary {
            None => finish_message(&mut builder, MessageHeader::RecordBatch, batch.as_union_value(), body),
            Some(id) => {
                let mut header = DictionaryBatchBuilder::new(&mut builder);
                header.add_id(id);
                header.add_data(batch);
                let header = header.finish();
                finish_message(&mut builder, MessageHeader::DictionaryBatch, header.as_union_value(), body);
            }
        }
        let metadata = builder.finished_data();
        if PREFIX + metadata.len() > reserved {
            return Err(Error::internal("the metadata of a record batch is larger than was reserved for it"));
        }
        write_prefix(&mut message[..reserved], metadata);
        Ok(())
    }
}

/// Fills `target` with prefix and metadata; what is left over stays zero and counts as metadata.
fn write_prefix(target: &mut [u8], metadata: &[u8]) {
    let length = (target.len() - PREFIX) as u32;
    target[..4].copy_from_slice(&CONTINUATION);
    target[4..PREFIX].copy_from_slice(&length.to_le_bytes());
    target[PREFIX..PREFIX + metadata.len()].copy_from_slice(metadata);
}

fn finish_message(
    builder: &mut FlatBufferBuilder<'_>,
    kind: MessageHeader,
    header: flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>,
    body: usize,
) {
    let mut message = MessageBuilder::new(builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(body as i64);
    let message = message.finish();
    builder.finish(message, None);
}

pub(crate) fn malformed(reason: impl std::fmt::Display) -> Error {
    Error::internal(format!("malformed Arrow IPC message: {reason}"))
}
