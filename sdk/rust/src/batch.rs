//! Batches as they arrive: typed columns over the bytes of the message.

use crate::column::{Bytes, Column, Dictionary, Offsets, Values};
use crate::message::{self, malformed};
use crate::{Error, Result};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_ipc::{FieldNode, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;

/// The columns of the batches of a task, with the dictionaries that come with them.
#[derive(Clone, Debug)]
pub struct Input {
    schema: Arc<Schema>,
    dictionaries: Vec<Option<i64>>,
}

impl Input {
    /// From a schema message.
    pub fn decode(message: &[u8]) -> Result<Self> {
        let (schema, dictionaries) = message::decode_schema(message)?;
        Ok(Self { schema: Arc::new(schema), dictionaries })
    }

    /// The columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The columns' fields.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.schema.fields().iter().map(AsRef::as_ref)
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.schema.fields().len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a batch without copying its values.
    pub fn batch(&self, message: Vec<u8>) -> Result<Batch> {
        let mut rest = Buffer::from_vec(message);
        let mut dictionaries: Vec<(i64, Column)> = Vec::new();
        loop {
            let framed = message::take(&rest)?;
            let header = arrow_ipc::root_as_message(framed.metadata).map_err(malformed)?;
            if let Some(batch) = header.header_as_record_batch() {
                return self.columns(batch, framed.body, &dictionaries);
            }
            let dictionary = header.header_as_dictionary_batch().ok_or_else(|| malformed("neither batch nor dictionary"))?;
            let data = dictionary.data().ok_or_else(|| malformed("a dictionary without data"))?;
            let mut reader = Reader::new(data, framed.body, &[])?;
            dictionaries.push((dictionary.id(), reader.column(&DataType::Utf8, None)?));
            rest = framed.rest;
        }
    }

    fn columns(&self, batch: RecordBatch<'_>, body: Buffer, dictionaries: &[(i64, Column)]) -> Result<Batch> {
        let mut reader = Reader::new(batch, body, dictionaries)?;
        let columns = self.fields().zip(&self.dictionaries);
        let columns = columns.map(|(field, id)| reader.column(field.data_type(), *id)).collect::<Result<_>>()?;
        Ok(Batch { input: self.clone(), rows: usize::try_from(batch.length()).map_err(malformed)?, columns })
    }
}

/// Rows of the columns that a plan reads, in its order.
#[derive(Clone, Debug)]
pub struct Batch {
    input: Input,
    rows: usize,
    columns: Vec<Column>,
}

impl Batch {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order of the plan's reads.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// One column.
    ///
    /// # Panics
    /// Where the plan reads no such column.
    pub fn column(&self, index: usize) -> &Column {
        &self.columns[index]
    }

    /// The columns' fields.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &Field> {
        self.input.fields()
    }
}

struct Reader<'a> {
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    next_node: usize,
    next_buffer: usize,
    dictionaries: &'a [(i64, Column)],
}

impl<'a> Reader<'a> {
    fn new(batch: RecordBatch<'_>, body: Buffer, dictionaries: &'a [(i64, Column)]) -> Result<Self> {
        let nodes = batch.nodes().map(|nodes| nodes.iter().copied().collect()).unwrap_or_default();
        let slice = |buffer: &arrow_ipc::Buffer| {
            let (offset, length) = (buffer.offset() as usize, buffer.length() as usize);
            match offset.checked_add(length) {
                Some(end) if end <= body.len() => Ok(body.slice_with_length(offset, length)),
                _ => Err(malformed("a buffer lies outside the body")),
            }
        };
        let buffers = batch.buffers().map(|buffers| buffers.iter().map(slice).collect()).transpose()?;
        Ok(Self { nodes, buffers: buffers.unwrap_or_default(), next_node: 0, next_buffer: 0, dictionaries })
    }

    fn node(&mut self) -> Result<(usize, usize)> {
        let node = self.nodes.get(self.next_node).ok_or_else(|| malformed("too few nodes"))?;
        self.next_node += 1;
        Ok((node.length() as usize, node.null_count() as usize))
    }

    fn buffer(&mut self) -> Result<Buffer> {
        let buffer = self.buffers.get(self.next_buffer).ok_or_else(|| malformed("too few buffers"))?;
        self.next_buffer += 1;
        Ok(buffer.clone())
    }

    fn scalars<T: ArrowNativeType>(&mut self, length: usize) -> Result<ScalarBuffer<T>> {
        scalars(self.buffer()?, length)
    }

    fn column(&mut self, data_type: &DataType, dictionary: Option<i64>) -> Result<Column> {
        let (length, null_count) = self.node()?;
        let validity = self.buffer()?;
        let nulls = match null_count {
            0 => None,
            _ if validity.len() * 8 < length => return Err(malformed("a validity buffer is too short")),
            _ => Some(NullBuffer::new(BooleanBuffer::new(validity, 0, length))),
        };
        let values = match data_type {
            DataType::Boolean => {
                let bits = self.buffer()?;
                if bits.len() * 8 < length {
                    return Err(malformed("a buffer of Booleans is too short"));
                }
                Values::Boolean(BooleanBuffer::new(bits, 0, length))
            }
            DataType::Int8 => Values::Int8(self.scalars(length)?),
            DataType::Int16 => Values::Int16(self.scalars(length)?),
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) => Values::Int32(self.scalars(length)?),
            DataType::Int64
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_) => Values::Int64(self.scalars(length)?),
            DataType::UInt8 => Values::UInt8(self.scalars(length)?),
            DataType::UInt16 => Values::UInt16(self.scalars(length)?),
            DataType::UInt32 => Values::UInt32(self.scalars(length)?),
            DataType::UInt64 => Values::UInt64(self.scalars(length)?),
            DataType::Float32 => Values::Float32(self.scalars(length)?),
            DataType::Float64 => Values::Float64(self.scalars(length)?),
            DataType::Decimal128(_, _) => Values::Decimal128(self.scalars(length)?),
            DataType::Utf8 | DataType::Binary => {
                let offsets = self.buffer()?;
                let empty = offsets.is_empty();
                let offsets = if empty { vec![0].into() } else { scalars(offsets, length + 1)? };
                Values::Bytes(Bytes { offsets: Offsets::Small(offsets), data: self.buffer()? })
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                let offsets = self.buffer()?;
                let empty = offsets.is_empty();
                let offsets = if empty { vec![0].into() } else { scalars(offsets, length + 1)? };
                Values::Bytes(Bytes { offsets: Offsets::Large(offsets), data: self.buffer()? })
            }
            DataType::Dictionary(_, _) => {
                let keys = self.scalars(length)?;
                let values = self.dictionaries.iter().find(|(id, _)| Some(*id) == dictionary);
                let (_, values) = values.ok_or_else(|| malformed("a dictionary is missing"))?;
                Values::Dictionary(Dictionary { keys, values: Box::new(values.clone()) })
            }
            DataType::FixedSizeList(field, size) => {
                Values::List(*size as usize, Box::new(self.column(field.data_type(), None)?))
            }
            other => return Err(Error::unsupported_type(format!("columns of type {other} cannot cross to a plugin"))),
        };
        Ok(Column { length, nulls, values })
    }
}

/// A typed view; a copy only where the host did not align its message.
fn scalars<T: ArrowNativeType>(buffer: Buffer, length: usize) -> Result<ScalarBuffer<T>> {
    let size = length * size_of::<T>();
    if buffer.len() < size {
        return Err(malformed("a buffer of values is too short"));
    }
    if size == 0 {
        return Ok(Vec::new().into());
    }
    let buffer = buffer.slice_with_length(0, size);
    if buffer.as_ptr().align_offset(align_of::<T>()) == 0 {
        return Ok(ScalarBuffer::new(buffer, 0, length));
    }
    let mut copy = arrow_buffer::MutableBuffer::new(size);
    copy.extend_from_slice(buffer.as_slice());
    Ok(ScalarBuffer::new(copy.into(), 0, length))
}
