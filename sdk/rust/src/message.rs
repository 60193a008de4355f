//! Encapsulated Arrow IPC messages: a prefix, the flatbuffer metadata, and a body of aligned buffers.
//!
//! Format: <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>

use crate::flatbuffer::{Pair, Table, slot};
use crate::{Error, Result, schema};
use arrow_buffer::Buffer;
use arrow_schema::Schema;
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, WIPOffset};

/// Where bodies and their buffers begin.
pub(crate) const ALIGNMENT: usize = 64;

const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX: usize = 8;

/// The fields of `Message`, by their number.
mod envelope {
    pub(super) const VERSION: u16 = 0;
    pub(super) const HEADER_TAG: u16 = 1;
    pub(super) const HEADER: u16 = 2;
    pub(super) const BODY_LENGTH: u16 = 3;
}

/// The union `MessageHeader`.
mod header {
    pub(super) const SCHEMA: u8 = 1;
    pub(super) const DICTIONARY_BATCH: u8 = 2;
    pub(super) const RECORD_BATCH: u8 = 3;
}

/// The fields of `RecordBatch`.
mod record_batch {
    pub(super) const LENGTH: u16 = 0;
    pub(super) const NODES: u16 = 1;
    pub(super) const BUFFERS: u16 = 2;
    pub(super) const COMPRESSION: u16 = 3;
}

/// The fields of `DictionaryBatch`.
mod dictionary_batch {
    pub(super) const ID: u16 = 0;
    pub(super) const DATA: u16 = 1;
    pub(super) const IS_DELTA: u16 = 2;
}

/// `MetadataVersion::V5`.
const VERSION: i16 = 4;

/// The schema in a message, and the dictionary id of each of its fields.
pub(crate) fn decode_schema(message: &[u8]) -> Result<(Schema, Vec<Option<i64>>)> {
    let (metadata, _) = split(message)?;
    let (tag, header, _) = open(metadata)?;
    if tag != header::SCHEMA {
        return Err(malformed("no schema"));
    }
    schema::decode(header)
}

/// A schema as one message. The dictionaries of its fields are numbered in their order, from zero.
///
/// # Errors
/// Where a field's type cannot cross.
pub(crate) fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let mut builder = FlatBufferBuilder::new();
    let header = schema::encode(&mut builder, schema)?;
    finish_message(&mut builder, header::SCHEMA, header, 0);
    let metadata = builder.finished_data();
    let mut message = vec![0; (PREFIX + metadata.len()).next_multiple_of(8)];
    write_prefix(&mut message, metadata);
    Ok(message)
}

/// A record batch, maybe the one of a dictionary, in its message.
pub(crate) struct Framed {
    /// The id, where it is a dictionary.
    pub(crate) dictionary: Option<i64>,
    pub(crate) rows: usize,
    pub(crate) nodes: Vec<Pair>,
    pub(crate) buffers: Vec<Pair>,
    pub(crate) body: Buffer,
    /// What follows the message.
    pub(crate) rest: Buffer,
}

/// Takes the first message off `buffer` without a copy of its body.
pub(crate) fn take(buffer: &Buffer) -> Result<Framed> {
    let (metadata, start) = split(buffer.as_slice())?;
    let (tag, header, length) = open(metadata)?;
    if buffer.len() - start < length {
        return Err(malformed("the body is cut short"));
    }
    let (dictionary, batch) = match tag {
        header::RECORD_BATCH => (None, header),
        header::DICTIONARY_BATCH if header.bool(dictionary_batch::IS_DELTA) => {
            return Err(malformed("a delta dictionary"));
        }
        header::DICTIONARY_BATCH => {
            let data = header.table(dictionary_batch::DATA).ok_or_else(|| malformed("a dictionary without data"))?;
            (Some(header.i64(dictionary_batch::ID)), data)
        }
        _ => return Err(malformed("neither batch nor dictionary")),
    };
    if batch.has(record_batch::COMPRESSION) {
        return Err(malformed("the body is compressed"));
    }
    Ok(Framed {
        dictionary,
        rows: usize::try_from(batch.i64(record_batch::LENGTH)).map_err(malformed)?,
        nodes: batch.pairs(record_batch::NODES).collect(),
        buffers: batch.pairs(record_batch::BUFFERS).collect(),
        body: buffer.slice_with_length(start, length),
        rest: buffer.slice(start + length),
    })
}

/// The tag of a message's header, the header, and the length of the body.
fn open(metadata: &[u8]) -> Result<(u8, Table<'_>, usize)> {
    let message = Table::root(metadata).ok_or_else(|| malformed("no metadata"))?;
    let header = message.table(envelope::HEADER).ok_or_else(|| malformed("no header"))?;
    let length = usize::try_from(message.i64(envelope::BODY_LENGTH)).map_err(malformed)?;
    Ok((message.u8(envelope::HEADER_TAG), header, length))
}

fn split(message: &[u8]) -> Result<(&[u8], usize)> {
    let length = match message.get(..PREFIX) {
        Some([0xff, 0xff, 0xff, 0xff, length @ ..]) => u32::from_le_bytes([length[0], length[1], length[2], length[3]]),
        _ => return Err(malformed("no continuation marker")),
    };
    let end = PREFIX.saturating_add(length as usize);
    let metadata = message.get(PREFIX..end).ok_or_else(|| malformed("the metadata is cut short"))?;
    Ok((metadata, end))
}

/// What the metadata of a record batch says of its columns.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// For each column how many values it has, and how many of them are null.
    pub(crate) nodes: Vec<Pair>,
    /// For each buffer where in the body it begins, and its length.
    pub(crate) buffers: Vec<Pair>,
}

impl Layout {
    /// Enough room for the prefix and the metadata of a record batch with so many nodes and buffers.
    pub(crate) fn reserve(nodes: usize, buffers: usize) -> usize {
        (PREFIX + 256 + 16 * (nodes + buffers)).next_multiple_of(ALIGNMENT)
    }

    /// Writes prefix and metadata into the first `reserved` bytes of `message`, whose remainder is the body.
    pub(crate) fn write(
        &self,
        rows: usize,
        dictionary: Option<i64>,
        message: &mut [u8],
        reserved: usize,
    ) -> Result<()> {
        let body = message.len() - reserved;
        let mut builder = FlatBufferBuilder::with_capacity(reserved);
        let nodes = builder.create_vector(&self.nodes);
        let buffers = builder.create_vector(&self.buffers);
        let batch = builder.start_table();
        builder.push_slot_always(slot(record_batch::LENGTH), rows as i64);
        builder.push_slot_always(slot(record_batch::NODES), nodes);
        builder.push_slot_always(slot(record_batch::BUFFERS), buffers);
        let batch = builder.end_table(batch);
        match dictionary {
            None => finish_message(&mut builder, header::RECORD_BATCH, batch, body),
            Some(id) => {
                let header = builder.start_table();
                builder.push_slot_always(slot(dictionary_batch::ID), id);
                builder.push_slot_always(slot(dictionary_batch::DATA), batch);
                let header = builder.end_table(header);
                finish_message(&mut builder, header::DICTIONARY_BATCH, header, body);
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
    tag: u8,
    header: WIPOffset<TableFinishedWIPOffset>,
    body: usize,
) {
    let table = builder.start_table();
    builder.push_slot_always(slot(envelope::BODY_LENGTH), body as i64);
    builder.push_slot_always(slot(envelope::HEADER), header);
    builder.push_slot_always(slot(envelope::VERSION), VERSION);
    builder.push_slot_always(slot(envelope::HEADER_TAG), tag);
    let table = builder.end_table(table);
    builder.finish(table, None);
}

pub(crate) fn malformed(reason: impl std::fmt::Display) -> Error {
    Error::internal(format!("malformed Arrow IPC message: {reason}"))
}
