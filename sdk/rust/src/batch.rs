//! Batches as they arrive: typed columns over the bytes of the message.

use crate::column::{Bytes, Column, Dictionary, Offsets, Values};
use crate::flatbuffer::Pair;
use crate::message::{self, Framed, malformed};
use crate::{Error, Result};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
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
            rest = framed.rest.clone();
            let (id, rows) = (framed.dictionary, framed.rows);
            let mut reader = Reader::new(framed, &dictionaries);
            let Some(id) = id else {
                let columns = self.fields().zip(&self.dictionaries);
                let columns = columns.map(|(field, id)| reader.column(field, *id, rows)).collect::<Result<_>>()?;
                return Ok(Batch { input: self.clone(), rows, columns });
            };
            let words = reader.values(&DataType::Utf8, None, rows)?;
            dictionaries.push((id, words));
        }
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
    nodes: std::vec::IntoIter<Pair>,
    buffers: std::vec::IntoIter<Pair>,
    body: Buffer,
    dictionaries: &'a [(i64, Column)],
}

impl<'a> Reader<'a> {
    fn new(framed: Framed, dictionaries: &'a [(i64, Column)]) -> Self {
        let Framed { nodes, buffers, body, .. } = framed;
        Self { nodes: nodes.into_iter(), buffers: buffers.into_iter(), body, dictionaries }
    }

    fn buffer(&mut self) -> Result<Buffer> {
        let Pair(offset, length) = self.buffers.next().ok_or_else(|| malformed("too few buffers"))?;
        let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
        match range.filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= self.body.len())) {
            Some((offset, length)) => Ok(self.body.slice_with_length(offset, length)),
            None => Err(malformed("a buffer lies outside the body")),
        }
    }

    fn scalars<T: ArrowNativeType>(&mut self, length: usize) -> Result<ScalarBuffer<T>> {
        scalars(self.buffer()?, length)
    }

    /// One more than there are rows; a column without rows may leave them out.
    fn offsets<T: ArrowNativeType>(&mut self, length: usize) -> Result<ScalarBuffer<T>> {
        let offsets = self.buffer()?;
        if length == 0 { Ok(vec![T::default()].into()) } else { scalars(offsets, length + 1) }
    }

    fn column(&mut self, field: &Field, dictionary: Option<i64>, rows: usize) -> Result<Column> {
        self.values(field.data_type(), dictionary, rows).map_err(|error| error.column(field.name()))
    }

    /// The next column, which must have `rows` values.
    fn values(&mut self, data_type: &DataType, dictionary: Option<i64>, rows: usize) -> Result<Column> {
        let Pair(length, null_count) = self.nodes.next().ok_or_else(|| malformed("too few nodes"))?;
        if length != rows as i64 {
            return Err(malformed(format!("a column has {length} values where {rows} are due")));
        }
        let length = rows;
        let validity = self.buffer()?;
        let nulls = match null_count {
            0 => None,
            _ => Some(NullBuffer::new(bits(validity, length)?)),
        };
        let values = match data_type {
            DataType::Boolean => Values::Boolean(bits(self.buffer()?, length)?),
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
                let offsets = self.offsets(length)?;
                let data = self.buffer()?;
                check_offsets(&offsets, data.len(), |offset| i64::from(*offset))?;
                Values::Bytes(Bytes { offsets: Offsets::Small(offsets), data })
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                let offsets = self.offsets(length)?;
                let data = self.buffer()?;
                check_offsets(&offsets, data.len(), |offset| *offset)?;
                Values::Bytes(Bytes { offsets: Offsets::Large(offsets), data })
            }
            DataType::Dictionary(_, _) => {
                let keys = self.scalars(length)?;
                let values = self.dictionaries.iter().find(|(id, _)| Some(*id) == dictionary);
                let (_, values) = values.ok_or_else(|| malformed("a dictionary is missing"))?;
                check_keys(&keys, values.length, nulls.as_ref())?;
                Values::Dictionary(Dictionary { keys, values: Box::new(values.clone()) })
            }
            DataType::FixedSizeList(field, size) => {
                let size = usize::try_from(*size).map_err(malformed)?;
                Values::List(size, Box::new(self.values(field.data_type(), None, length.saturating_mul(size))?))
            }
            other => return Err(Error::unsupported_type(format!("columns of type {other} cannot cross to a plugin"))),
        };
        Ok(Column { length, nulls, values })
    }
}

/// Keys point into the dictionary, those of missing rows excepted.
fn check_keys(keys: &[i32], words: usize, nulls: Option<&NullBuffer>) -> Result<()> {
    let inside = |key: &i32| usize::try_from(*key).is_ok_and(|key| key < words);
    // All are looked at, many at once: what is negative is beyond all words.
    let last = keys.iter().fold(0, |last, key| key.cast_unsigned().max(last));
    if keys.is_empty() || (last as usize) < words {
        return Ok(());
    }
    match nulls.map(|nulls| nulls.valid_indices().all(|row| inside(&keys[row]))) {
        Some(true) => Ok(()),
        _ => Err(malformed("a key lies outside its dictionary")),
    }
}

/// Offsets ascend and end within the data.
fn check_offsets<T: PartialOrd>(offsets: &[T], length: usize, value: impl Fn(&T) -> i64) -> Result<()> {
    let ascend = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
    let first = offsets.first().map_or(0, &value);
    let last = offsets.last().map_or(0, &value);
    if ascend && first >= 0 && last <= length as i64 { Ok(()) } else { Err(malformed("offsets lie outside the data")) }
}

/// A view of bits.
fn bits(buffer: Buffer, length: usize) -> Result<BooleanBuffer> {
    if buffer.len() < length.div_ceil(8) {
        return Err(malformed("a buffer of bits is too short"));
    }
    Ok(BooleanBuffer::new(buffer, 0, length))
}

/// A typed view; a copy only where the host did not align its message.
fn scalars<T: ArrowNativeType>(buffer: Buffer, length: usize) -> Result<ScalarBuffer<T>> {
    let size = length.saturating_mul(size_of::<T>());
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
