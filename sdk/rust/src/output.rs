//! Batches on their way out: results are laid out straight into the outgoing message.

mod texts;

use crate::flatbuffer::Pair;
use crate::message::{ALIGNMENT, Layout};
use crate::{Column, Error, Native, Result, Values};
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
        Ok(cast(self.fixed(T::matches, Fixed::Zeros(self.rows * size_of::<T>()), nulls)?))
    }

    /// A column of a type with a fixed width: these values, which may be changed.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, or the values are not as many as the rows.
    pub fn values<T: Native>(&mut self, nulls: Option<&NullBuffer>, values: &[T]) -> Result<&mut [T]> {
        if values.len() != self.rows {
            return Err(self.wrong_length(values.len()));
        }
        Ok(cast(self.fixed(T::matches, Fixed::Values(bytemuck::cast_slice(values)), nulls)?))
    }

    /// A column whose missing values are those of `values`, as is.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, or `values` are not as many as the rows.
    pub fn primitives<T: Native>(&mut self, values: impl IntoIterator<Item = Option<T>>) -> Result<()> {
        self.begin(T::matches)?;
        let valid = self.open_validity();
        let (bits, target) = self.buffer_behind(valid, self.rows * size_of::<T>());
        let target: &mut [T] = cast(target);
        let mut count = 0;
        for value in values {
            if let Some(slot) = target.get_mut(count)
                && let Some(value) = value
            {
                bit_util::set_bit(bits, count);
                *slot = value;
            }
            count += 1;
        }
        self.close_validity(valid, count)
    }

    /// A column of Float64, or of Float32 where the schema says so: a number for each row, also for those that are missing.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn floats(&mut self, nulls: Option<&NullBuffer>, values: impl IntoIterator<Item = f64>) -> Result<()> {
        if self.field().is_some_and(|field| *field.data_type() == DataType::Float32) {
            let target = self.primitive::<f32>(nulls)?;
            target.iter_mut().zip(values).for_each(|(slot, value)| *slot = value as f32);
        } else {
            let target = self.primitive::<f64>(nulls)?;
            target.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
        }
        Ok(())
    }

    /// A column of Booleans.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn booleans(&mut self, nulls: Option<&NullBuffer>, mut value: impl FnMut(usize) -> bool) -> Result<()> {
        let rows = self.rows;
        let bits = self.fixed(|data_type| *data_type == DataType::Boolean, Fixed::Zeros(rows.div_ceil(8)), nulls)?;
        for row in 0..rows {
            if value(row) {
                bit_util::set_bit(bits, row);
            }
        }
        Ok(())
    }

    /// A column of FixedSizeList without nulls: all its values, all zero, one row behind the other, to be filled in.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn lists<T: Native>(&mut self) -> Result<&mut [T]> {
        let length = match self.field().map(Field::data_type) {
            Some(DataType::FixedSizeList(field, size)) if T::matches(field.data_type()) => *size as usize * self.rows,
            _ => 0,
        };
        self.begin(|it| matches!(it, DataType::FixedSizeList(field, _) if T::matches(field.data_type())))?;
        self.no_validity(self.rows);
        self.no_validity(length);
        Ok(cast(self.buffer(length * size_of::<T>())))
    }

    /// A column as it came in. A dictionary is written as it is where the schema says so, and spelt out otherwise.
    ///
    /// # Errors
    /// Where the next field of the schema has another type.
    pub fn column(&mut self, column: &Column) -> Result<()> {
        if column.len() != self.rows {
            return Err(self.wrong_length(column.len()));
        }
        let nulls = column.nulls();
        match column.values() {
            Values::Boolean(values) => self.booleans(nulls, |row| values.value(row)),
            Values::Int8(values) => self.values(nulls, values).map(drop),
            Values::Int16(values) => self.values(nulls, values).map(drop),
            Values::Int32(values) => self.values(nulls, values).map(drop),
            Values::Int64(values) => self.values(nulls, values).map(drop),
            Values::UInt8(values) => self.values(nulls, values).map(drop),
            Values::UInt16(values) => self.values(nulls, values).map(drop),
            Values::UInt32(values) => self.values(nulls, values).map(drop),
            Values::UInt64(values) => self.values(nulls, values).map(drop),
            Values::Float32(values) => self.values(nulls, values).map(drop),
            Values::Float64(values) => self.values(nulls, values).map(drop),
            Values::Decimal128(values) => self.values(nulls, values).map(drop),
            Values::Bytes(bytes) => {
                self.bytes((0..column.len()).map(|row| (!column.is_null(row)).then(|| bytes.get(row))))
            }
            Values::Dictionary(dictionary) => {
                let Some(words) = dictionary.values().bytes() else {
                    return Err(Error::internal("a dictionary without strings"));
                };
                if self.field().is_some_and(|field| is_dictionary(field.data_type())) {
                    return self.extended(nulls, dictionary, None).map(drop);
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
            return Err(
                Error::internal("a batch was finished before all of its columns were written").column(field.name())
            );
        }
        self.layout.write(self.rows, dictionary, &mut self.message, self.reserved)?;
        if self.dictionaries.is_empty() {
            return Ok(self.message);
        }
        self.dictionaries.extend_from_slice(&self.message);
        Ok(self.dictionaries)
    }

    /// Starts the next column, whose type must match.
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

    /// A column whose values have a fixed width. Not generic, as it would be compiled for each type of value.
    fn fixed(
        &mut self,
        matches: fn(&DataType) -> bool,
        values: Fixed<'_>,
        nulls: Option<&NullBuffer>,
    ) -> Result<&mut [u8]> {
        self.begin(matches)?;
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => self.no_validity(self.rows),
            Some(nulls) if nulls.len() != self.rows => return Err(self.wrong_length(nulls.len())),
            Some(nulls) => {
                self.layout.nodes.push(Pair(self.rows as i64, nulls.null_count() as i64));
                let bits = nulls.inner().sliced();
                let length = self.rows.div_ceil(8);
                self.buffer(length).copy_from_slice(&bits.as_slice()[..length]);
            }
        }
        Ok(match values {
            Fixed::Zeros(size) => self.buffer(size),
            Fixed::Values(bytes) => {
                let at = self.message.len();
                self.message.extend_from_slice(bytes);
                self.end_buffer(at);
                &mut self.message[at..at + bytes.len()]
            }
        })
    }

    /// A node without missing values, which leaves its validity buffer out.
    fn no_validity(&mut self, length: usize) {
        self.layout.nodes.push(Pair(length as i64, 0));
        self.push_buffer(self.message.len(), 0);
    }

    /// A validity buffer that says of every row that it is missing, until its bit is set.
    fn open_validity(&mut self) -> Validity {
        let at = self.message.len();
        self.layout.nodes.push(Pair(self.rows as i64, 0));
        self.buffer(self.rows.div_ceil(8));
        Validity { at, node: self.layout.nodes.len() - 1, buffer: self.layout.buffers.len() - 1 }
    }

    /// Counts what is missing of `count` values.
    fn close_validity(&mut self, Validity { at, node, buffer }: Validity, count: usize) -> Result<()> {
        if count != self.rows {
            return Err(self.wrong_length(count));
        }
        let bits = &self.message[at..at + self.rows.div_ceil(8)];
        let valid: usize = bits.iter().map(|byte| byte.count_ones() as usize).sum();
        self.layout.nodes[node].1 = (self.rows - valid) as i64;
        if valid == self.rows {
            self.layout.buffers[buffer].1 = 0;
        }
        Ok(())
    }

    fn wrong_length(&self, count: usize) -> Error {
        Error::internal(format!("a column has {count} values where the batch has {} rows", self.rows))
    }

    fn push_buffer(&mut self, at: usize, size: usize) {
        self.layout.buffers.push(Pair((at - self.reserved) as i64, size as i64));
    }

    /// Ends the buffer that was appended from `at` on, and pads it to the alignment.
    fn end_buffer(&mut self, at: usize) {
        let end = self.message.len();
        self.push_buffer(at, end - at);
        self.message.resize(end.next_multiple_of(ALIGNMENT), 0);
    }

    /// The next buffer of the body, all zero, padded to the alignment.
    fn buffer(&mut self, size: usize) -> &mut [u8] {
        let at = self.message.len();
        self.message.resize(at + size, 0);
        self.end_buffer(at);
        &mut self.message[at..at + size]
    }

    /// The next buffer, together with the bits of a validity buffer before it.
    fn buffer_behind(&mut self, valid: Validity, size: usize) -> (&mut [u8], &mut [u8]) {
        let at = self.message.len();
        self.buffer(size);
        let (before, target) = self.message.split_at_mut(at);
        (&mut before[valid.at..], &mut target[..size])
    }
}

/// What a column of a fixed width begins with.
enum Fixed<'v> {
    /// So many bytes, all zero.
    Zeros(usize),
    /// These bytes.
    Values(&'v [u8]),
}

/// Where a validity buffer is that was not counted yet.
#[derive(Clone, Copy, Debug)]
struct Validity {
    at: usize,
    node: usize,
    buffer: usize,
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
