//! Batches on their way out: results are laid out straight into the outgoing message.

use crate::flatbuffer::Pair;
use crate::message::{ALIGNMENT, Layout};
use crate::{Column, Error, Result, Values};
use arrow_buffer::{NullBuffer, bit_util};
use arrow_schema::{DataType, Field, Schema};
use bytemuck::Pod;

/// A batch in the making: one call for each column, in the order of the schema.
#[derive(Debug)]
pub struct Output<'a> {
    schema: &'a Schema,
    rows: usize,
    next: usize,
    reserved: usize,
    message: Vec<u8>,
    layout: Layout,
    dictionaries: Vec<u8>,
}

/// Nodes and buffers that a type takes up in a record batch, and an estimate of its bytes a row.
fn extent(data_type: &DataType) -> (usize, usize, usize) {
    match data_type {
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => (1, 3, 24),
        DataType::FixedSizeList(field, size) => {
            let (nodes, buffers, width) = extent(field.data_type());
            (nodes + 1, buffers + 1, width * *size as usize + 1)
        }
        other => (1, 2, other.primitive_width().unwrap_or(8) + 1),
    }
}

impl<'a> Output<'a> {
    /// A batch of `rows` rows with the columns of `schema`.
    pub fn new(schema: &'a Schema, rows: usize) -> Self {
        let (mut nodes, mut buffers, mut width) = (0, 0, 0);
        for field in schema.fields() {
            let (field_nodes, field_buffers, field_width) = extent(field.data_type());
            nodes += field_nodes;
            buffers += field_buffers;
            width += field_width;
        }
        let reserved = Layout::reserve(nodes, buffers);
        let mut message = Vec::with_capacity(reserved + width * rows + ALIGNMENT * buffers);
        message.resize(reserved, 0);
        Self { schema, rows, next: 0, reserved, message, layout: Layout::default(), dictionaries: Vec::new() }
    }

    /// How many rows each column must have.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The field of the column that is written next.
    pub fn field(&self) -> Option<&'a Field> {
        self.schema.fields().get(self.next).map(AsRef::as_ref)
    }

    /// A column of a type with a fixed width: its values, all zero, to be filled in.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn primitive<T: Native>(&mut self, nulls: Option<&NullBuffer>) -> Result<&mut [T]> {
        self.begin(T::matches)?;
        self.validity(self.rows, nulls);
        Ok(self.buffer(self.rows))
    }

    /// A column whose missing values are those of `values`, as is.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn primitives<T: Native>(&mut self, values: impl IntoIterator<Item = Option<T>>) -> Result<()> {
        let mut valid = arrow_buffer::BooleanBufferBuilder::new(self.rows);
        self.begin(T::matches)?;
        let at = self.message.len();
        let slots = self.validity_slot(self.rows);
        let rows = self.rows;
        let target: &mut [T] = self.buffer(rows);
        let mut count = 0;
        for (slot, value) in target.iter_mut().zip(values) {
            valid.append(value.is_some());
            *slot = value.unwrap_or_else(T::zeroed);
            count += 1;
        }
        if count != rows {
            return Err(Error::internal(format!("a column has {count} values where the batch has {rows} rows")));
        }
        self.set_validity(at, slots, &NullBuffer::new(valid.finish()));
        Ok(())
    }

    /// A column of Booleans.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn booleans(&mut self, nulls: Option<&NullBuffer>, mut value: impl FnMut(usize) -> bool) -> Result<()> {
        self.begin(|data_type| *data_type == DataType::Boolean)?;
        self.validity(self.rows, nulls);
        let rows = self.rows;
        let bits: &mut [u8] = self.buffer(rows.div_ceil(8));
        for row in 0..rows {
            if value(row) {
                bit_util::set_bit(bits, row);
            }
        }
        Ok(())
    }

    /// A column of Utf8 or Binary.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, or the values have more than 2 GiB.
    pub fn bytes<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v [u8]>>) -> Result<()> {
        self.begin(|data_type| matches!(data_type, DataType::Utf8 | DataType::Binary))?;
        let rows = self.rows;
        self.variable(rows, values)
    }

    /// A column of strings.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes).
    pub fn strings<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v str>>) -> Result<()> {
        self.bytes(values.into_iter().map(|value| value.map(str::as_bytes)))
    }

    /// A column of Dictionary(Int32, Utf8): positions in `values`, in which no string is twice.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, or the values have more than 2 GiB.
    pub fn dictionary<'v>(
        &mut self,
        nulls: Option<&NullBuffer>,
        values: impl IntoIterator<Item = &'v [u8], IntoIter: ExactSizeIterator>,
    ) -> Result<&mut [i32]> {
        let id = self.schema.fields()[..self.next].iter().filter(|field| is_dictionary(field.data_type())).count();
        self.begin(is_dictionary)?;
        let values = values.into_iter();
        let field = Field::new("values", DataType::Utf8, false);
        let schema = Schema::new(vec![field]);
        let mut dictionary = Output::new(&schema, values.len());
        dictionary.bytes(values.map(Some))?;
        self.dictionaries.extend(dictionary.finish_as(Some(id as i64))?);
        self.validity(self.rows, nulls);
        Ok(self.buffer(self.rows))
    }

    /// A column of FixedSizeList without nulls: all its values, all zero, one row behind the other, to be filled in.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn lists<T: Native>(&mut self) -> Result<&mut [T]> {
        let mut length = 0;
        self.begin(|data_type| match data_type {
            DataType::FixedSizeList(field, size) if T::matches(field.data_type()) => {
                length = *size as usize;
                true
            }
            _ => false,
        })?;
        let length = length * self.rows;
        self.validity(self.rows, None);
        self.validity(length, None);
        Ok(self.buffer(length))
    }

    /// A column as it came in. A dictionary is written as it is where the schema says so, and spelt out otherwise.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn column(&mut self, column: &Column) -> Result<()> {
        let nulls = column.nulls();
        match column.values() {
            Values::Boolean(values) => self.booleans(nulls, |row| values.value(row)),
            Values::Int8(values) => self.copy(nulls, values),
            Values::Int16(values) => self.copy(nulls, values),
            Values::Int32(values) => self.copy(nulls, values),
            Values::Int64(values) => self.copy(nulls, values),
            Values::UInt8(values) => self.copy(nulls, values),
            Values::UInt16(values) => self.copy(nulls, values),
            Values::UInt32(values) => self.copy(nulls, values),
            Values::UInt64(values) => self.copy(nulls, values),
            Values::Float32(values) => self.copy(nulls, values),
            Values::Float64(values) => self.copy(nulls, values),
            Values::Decimal128(values) => self.copy(nulls, values),
            Values::Bytes(bytes) => self.bytes((0..column.len()).map(|row| (!column.is_null(row)).then(|| bytes.get(row)))),
            Values::Dictionary(dictionary) => {
                let Some(words) = dictionary.values().bytes() else {
                    return Err(Error::internal("a dictionary without strings"));
                };
                if self.field().is_some_and(|field| is_dictionary(field.data_type())) {
                    let target = self.dictionary(nulls, (0..words.len()).map(|word| words.get(word)))?;
                    target.copy_from_slice(dictionary.keys());
                    return Ok(());
                }
                let word = |row: usize| (!column.is_null(row)).then(|| words.get(dictionary.keys()[row] as usize));
                self.bytes((0..column.len()).map(word))
            }
            Values::List(_, _) => Err(Error::unsupported_type("lists cannot be passed on")),
        }
    }

    /// The finished message.
    ///
    /// # Errors
    /// Where columns are missing.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.finish_as(None)
    }

    fn finish_as(mut self, dictionary: Option<i64>) -> Result<Vec<u8>> {
        if let Some(field) = self.field() {
            return Err(Error::internal("a batch was finished before all of its columns were written").column(field.name()));
        }
        self.layout.write(self.rows, dictionary, &mut self.message, self.reserved)?;
        if self.dictionaries.is_empty() {
            return Ok(self.message);
        }
        self.dictionaries.extend_from_slice(&self.message);
        Ok(self.dictionaries)
    }

    fn copy<T: Native>(&mut self, nulls: Option<&NullBuffer>, values: &[T]) -> Result<()> {
        let rows = self.rows;
        if values.len() != rows {
            return Err(Error::internal(format!("a column has {} values where the batch has {rows} rows", values.len())));
        }
        self.primitive::<T>(nulls)?.copy_from_slice(values);
        Ok(())
    }

    fn begin(&mut self, matches: impl FnOnce(&DataType) -> bool) -> Result<()> {
        let Some(field) = self.field() else {
            return Err(Error::internal("more columns were written than the schema has"));
        };
        if !matches(field.data_type()) {
            let message = format!("a value of another type was written to a column of type {}", field.data_type());
            return Err(Error::internal(message).column(field.name()));
        }
        self.next += 1;
        Ok(())
    }

    /// One column's node and its validity buffer, which is left out where nothing is missing.
    fn validity(&mut self, length: usize, nulls: Option<&NullBuffer>) {
        let at = self.message.len();
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => {
                self.layout.nodes.push(Pair(length as i64, 0));
                self.push_buffer(at, 0);
            }
            Some(nulls) => {
                let slot = self.validity_slot(length);
                self.set_validity(at, slot, nulls);
            }
        }
    }

    /// Room for a validity buffer whose content is not known yet: which node and which buffer it is.
    fn validity_slot(&mut self, length: usize) -> (usize, usize) {
        self.layout.nodes.push(Pair(length as i64, 0));
        let _: &mut [u8] = self.buffer(length.div_ceil(8));
        (self.layout.nodes.len() - 1, self.layout.buffers.len() - 1)
    }

    fn set_validity(&mut self, at: usize, (node, buffer): (usize, usize), nulls: &NullBuffer) {
        self.layout.nodes[node].1 = nulls.null_count() as i64;
        if nulls.null_count() == 0 {
            self.layout.buffers[buffer].1 = 0;
            return;
        }
        let bits = nulls.inner().sliced();
        let length = nulls.len().div_ceil(8);
        self.message[at..at + length].copy_from_slice(&bits.as_slice()[..length]);
    }

    fn push_buffer(&mut self, at: usize, size: usize) {
        self.layout.buffers.push(Pair((at - self.reserved) as i64, size as i64));
    }

    /// The next buffer of the body, all zero, padded to the alignment.
    fn buffer<T: Pod>(&mut self, length: usize) -> &mut [T] {
        let at = self.message.len();
        let size = length * size_of::<T>();
        self.message.resize((at + size).next_multiple_of(ALIGNMENT), 0);
        self.push_buffer(at, size);
        cast(&mut self.message[at..at + size])
    }

    fn variable<'v>(&mut self, rows: usize, values: impl IntoIterator<Item = Option<&'v [u8]>>) -> Result<()> {
        let mut valid = arrow_buffer::BooleanBufferBuilder::new(rows);
        let at = self.message.len();
        let slot = self.validity_slot(rows);
        let offsets = self.message.len();
        let _: &mut [i32] = self.buffer(rows + 1);
        let start = self.message.len();
        let mut count = 0;
        for value in values.into_iter().take(rows + 1) {
            valid.append(value.is_some());
            self.message.extend_from_slice(value.unwrap_or_default());
            count += 1;
            let end = i32::try_from(self.message.len() - start)
                .map_err(|_| Error::new(crate::ErrorCode::Limit, "the strings of one batch have more than 2 GiB"))?;
            if count <= rows {
                let offset = offsets + 4 * count;
                self.message[offset..offset + 4].copy_from_slice(&end.to_le_bytes());
            }
        }
        if count != rows {
            return Err(Error::internal(format!("a column has {count} values where the batch has {rows} rows")));
        }
        let size = self.message.len() - start;
        self.push_buffer(start, size);
        self.message.resize((start + size).next_multiple_of(ALIGNMENT), 0);
        self.set_validity(at, slot, &NullBuffer::new(valid.finish()));
        Ok(())
    }
}

fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _))
}

/// The bytes of the message as values.
///
/// # Panics
/// Where they are not aligned. Buffers begin at multiples of 64, and blocks of 128 bytes and more are aligned to 64 by the
/// guest's allocator, and to 16 by those of 64-bit systems.
fn cast<T: Pod>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() {
        return &mut [];
    }
    bytemuck::cast_slice_mut(bytes)
}

/// A type of fixed width that columns can have.
pub trait Native: Pod + sealed::Sealed {
    /// Whether a column of this Arrow type is laid out as values of this type.
    fn matches(data_type: &DataType) -> bool;
}

mod sealed {
    /// Types are added by the SDK only.
    pub trait Sealed {}
}

macro_rules! native {
    ($($native:ty => $data_type:pat,)*) => {$(
        impl sealed::Sealed for $native {}
        impl Native for $native {
            fn matches(data_type: &DataType) -> bool {
                matches!(data_type, $data_type)
            }
        }
    )*};
}

native! {
    i8 => DataType::Int8,
    i16 => DataType::Int16,
    i32 => DataType::Int32 | DataType::Date32 | DataType::Time32(_),
    i64 => DataType::Int64 | DataType::Date64 | DataType::Time64(_) | DataType::Timestamp(_, _) | DataType::Duration(_),
    i128 => DataType::Decimal128(_, _),
    u8 => DataType::UInt8,
    u16 => DataType::UInt16,
    u32 => DataType::UInt32,
    u64 => DataType::UInt64,
    f32 => DataType::Float32,
    f64 => DataType::Float64,
}
