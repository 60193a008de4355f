//! Arrow IPC messages: well made ones, and those in which every number can be a lie.

use arrow_array::RecordBatch;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
use arrow_ipc::{
    BodyCompressionBuilder, Buffer, CompressionType, DictionaryBatchBuilder, FieldBuilder, FieldNode, KeyValueBuilder,
    MessageBuilder, MessageHeader, MetadataVersion, NullBuilder, RecordBatchBuilder, SchemaBuilder, Type,
};
use arrow_schema::{DataType, Field, Schema};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

/// A schema of nullable columns.
///
/// # Panics
/// Where a type has no form in Arrow IPC.
pub fn schema(fields: &[(&str, DataType)]) -> Vec<u8> {
    let fields = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    encoded_schema(&Schema::new(fields.collect::<Vec<_>>()))
}

/// A schema, whatever it is.
///
/// # Panics
/// Where a type has no form in Arrow IPC.
pub fn encoded_schema(schema: &Schema) -> Vec<u8> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options).expect("memory can be written");
    message
}

/// A record batch with its dictionaries.
///
/// # Panics
/// Where a type has no form in Arrow IPC.
pub fn batch(batch: &RecordBatch) -> Vec<u8> {
    let options = IpcWriteOptions::default();
    let generator = IpcDataGenerator::default();
    let mut tracker = DictionaryTracker::new(false);
    generator.schema_to_bytes_with_dictionary_tracker(batch.schema_ref(), &mut tracker, &options);
    let mut context = IpcWriteContext::default();
    let (dictionaries, batch) =
        generator.encode(batch, &mut tracker, &options, &mut context).expect("the types are known");
    let mut message = Vec::new();
    for encoded in dictionaries.into_iter().chain([batch]) {
        write_message(&mut message, encoded, &options).expect("memory can be written");
    }
    message
}

/// A record batch of which every number is what is said here.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// Of the batch.
    pub rows: i64,
    /// Rows and nulls of each column.
    pub nodes: Vec<[i64; 2]>,
    /// Where each buffer begins and how long it is.
    pub buffers: Vec<[i64; 2]>,
    /// The buffers.
    pub body: Vec<u8>,
    /// Instead of the body's length.
    pub body_length: Option<i64>,
    /// Whether it says that it is compressed.
    pub compressed: bool,
    /// Of a dictionary: its number, and whether it says that it is a delta.
    pub dictionary: Option<(i64, bool)>,
}

impl RawBatch {
    /// Of one column of numbers without nulls.
    pub fn of_numbers(numbers: &[f64]) -> Self {
        let body: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let rows = numbers.len() as i64;
        Self { rows, nodes: vec![[rows, 0]], buffers: vec![[0, 0], [0, 8 * rows]], body, ..Self::default() }
    }

    /// Of one column of texts without nulls, which lie where the offsets say.
    pub fn of_texts(offsets: &[i32], texts: &[u8]) -> Self {
        let mut body: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let end = body.len() as i64;
        body.resize(body.len().next_multiple_of(8), 0);
        let start = body.len() as i64;
        body.extend_from_slice(texts);
        let rows = offsets.len() as i64 - 1;
        let buffers = vec![[0, 0], [0, end], [start, texts.len() as i64]];
        Self { rows, nodes: vec![[rows, 0]], buffers, body, ..Self::default() }
    }

    /// The message.
    pub fn message(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let nodes: Vec<_> = self.nodes.iter().map(|[rows, nulls]| FieldNode::new(*rows, *nulls)).collect();
        let buffers: Vec<_> = self.buffers.iter().map(|[start, length]| Buffer::new(*start, *length)).collect();
        let (nodes, buffers) = (builder.create_vector(&nodes), builder.create_vector(&buffers));
        let compression = self.compressed.then(|| {
            let mut compression = BodyCompressionBuilder::new(&mut builder);
            compression.add_codec(CompressionType::LZ4_FRAME);
            compression.finish()
        });
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(self.rows);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        if let Some(compression) = compression {
            batch.add_compression(compression);
        }
        let batch = batch.finish();
        let (kind, header) = match self.dictionary {
            None => (MessageHeader::RecordBatch, batch.as_union_value()),
            Some((id, delta)) => {
                let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
                dictionary.add_id(id);
                dictionary.add_data(batch);
                dictionary.add_isDelta(delta);
                (MessageHeader::DictionaryBatch, dictionary.finish().as_union_value())
            }
        };
        let body_length = self.body_length.unwrap_or(self.body.len().next_multiple_of(8) as i64);
        let mut message = framed(builder, kind, header, body_length);
        message.extend_from_slice(&self.body);
        message.resize(message.len().next_multiple_of(8), 0);
        message
    }
}

/// A schema that is small, and names one field so many times: each reader makes them anew. The field has a name of so many bytes, and
/// metadata too where there is to be some.
pub fn repeated_field(times: usize, name: usize, metadata: bool) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let name = builder.create_string(&"n".repeat(name));
    let kind = NullBuilder::new(&mut builder).finish().as_union_value();
    let metadata = metadata.then(|| {
        let mut pair = KeyValueBuilder::new(&mut builder);
        pair.add_key(name);
        pair.add_value(name);
        let pair = pair.finish();
        builder.create_vector(&[pair])
    });
    let mut field = FieldBuilder::new(&mut builder);
    field.add_name(name);
    field.add_type_type(Type::Null);
    field.add_type_(kind);
    if let Some(metadata) = metadata {
        field.add_custom_metadata(metadata);
    }
    let field = field.finish();
    let fields = builder.create_vector(&vec![field; times]);
    let mut schema = SchemaBuilder::new(&mut builder);
    schema.add_fields(fields);
    let schema = schema.finish().as_union_value();
    framed(builder, MessageHeader::Schema, schema, 0)
}

fn framed(
    mut builder: FlatBufferBuilder<'_>,
    kind: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body_length: i64,
) -> Vec<u8> {
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(body_length);
    let message = message.finish();
    builder.finish(message, None);
    let metadata = builder.finished_data();
    let length = metadata.len().next_multiple_of(8);
    let mut bytes = [u32::MAX.to_le_bytes(), (length as u32).to_le_bytes()].concat();
    bytes.extend_from_slice(metadata);
    bytes.resize(8 + length, 0);
    bytes
}
