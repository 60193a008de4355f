//! Batches on their way out: results are laid out straight into the outgoing message.

use crate::column::Bytes;
use crate::flatbuffer::Pair;
use crate::message::{ALIGNMENT, Layout};
use crate::{Column, Dictionary, Error, ErrorCode, Native, Result, Values};
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

    /// A column of Utf8, Binary, or either with large offsets.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, `values` are not as many as the rows, or have more than 2 GiB
    /// behind offsets that are not large.
    pub fn bytes<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v [u8]>>) -> Result<()> {
        let large = self.field().is_some_and(|field| is_large(field.data_type()));
        self.begin(|it| is_large(it) || matches!(it, DataType::Utf8 | DataType::Binary))?;
        let valid = self.open_validity();
        let width = if large { size_of::<i64>() } else { size_of::<i32>() };
        let offsets = self.message.len();
        self.buffer((self.rows + 1) * width);
        let start = self.message.len();
        let mut count = 0;
        for value in values {
            if count < self.rows {
                if let Some(value) = value {
                    bit_util::set_bit(&mut self.message[valid.at..], count);
                    self.message.extend_from_slice(value);
                }
                let end = self.message.len() - start;
                let offset = offsets + (count + 1) * width;
                self.message[offset..offset + width].copy_from_slice(&(end as u64).to_le_bytes()[..width]);
            }
            count += 1;
        }
        let size = self.message.len() - start;
        if !large && i32::try_from(size).is_err() {
            return Err(too_many_bytes());
        }
        self.push_buffer(start, size);
        self.message.resize((start + size).next_multiple_of(ALIGNMENT), 0);
        self.close_validity(valid, count)
    }

    /// A column of strings.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes).
    pub fn strings<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v str>>) -> Result<()> {
        self.bytes(values.into_iter().map(|value| value.map(str::as_bytes)))
    }

    /// A column of Dictionary(Int32, Utf8): positions in `values`.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, or the values have more than 2 GiB.
    pub fn dictionary<'v>(
        &mut self,
        nulls: Option<&NullBuffer>,
        values: impl IntoIterator<Item = &'v [u8], IntoIter: ExactSizeIterator>,
    ) -> Result<&mut [i32]> {
        let values = values.into_iter();
        self.push_dictionary(values.len(), |dictionary| dictionary.bytes(values.map(Some)))?;
        Ok(cast(self.fixed(is_dictionary, Fixed::Zeros(self.rows * size_of::<i32>()), nulls)?))
    }

    /// A column of Dictionary(Int32, Utf8) whose dictionary is that of a column that came in, with `more` behind its words: the keys of that
    /// column, which may be changed.
    ///
    /// # Errors
    /// Where the next field of the schema has another type, the rows are not as many, or the words have more than 2 GiB.
    pub fn extended(
        &mut self,
        nulls: Option<&NullBuffer>,
        column: &Dictionary,
        more: Option<&[u8]>,
    ) -> Result<&mut [i32]> {
        let Some(words) = column.values().bytes() else {
            return Err(Error::internal("a dictionary without strings"));
        };
        if column.keys().len() != self.rows {
            return Err(self.wrong_length(column.keys().len()));
        }
        self.push_dictionary(words.len() + usize::from(more.is_some()), |dictionary| dictionary.copied(words, more))?;
        Ok(cast(self.fixed(is_dictionary, Fixed::Values(bytemuck::cast_slice(column.keys())), nulls)?))
    }

    /// The dictionary of the next column, of so many words.
    fn push_dictionary(&mut self, words: usize, write: impl FnOnce(&mut Output<'_>) -> Result<()>) -> Result<()> {
        let id = self.schema.fields()[..self.next].iter().filter(|field| is_dictionary(field.data_type())).count();
        let schema = Schema::new(vec![Field::new("values", DataType::Utf8, false)]);
        let mut dictionary = Output::new(&schema, words);
        write(&mut dictionary)?;
        let dictionary = dictionary.finish_as(Some(id as i64))?;
        self.dictionaries.extend_from_slice(&dictionary);
        Ok(())
    }

    /// A column of Utf8 without nulls: words that came in, side by side as they lie, and `more` behind them.
    fn copied(&mut self, words: &Bytes, more: Option<&[u8]>) -> Result<()> {
        self.begin(|data_type| *data_type == DataType::Utf8)?;
        self.no_validity(self.rows);
        let (data, more) = (words.run(), more.unwrap_or_default());
        let last = i32::try_from(data.len() + more.len()).map_err(|_| too_many_bytes())?;
        let offsets: &mut [i32] = cast(self.buffer((self.rows + 1) * size_of::<i32>()));
        words.write_ends(&mut offsets[1..]);
        if let Some(end) = offsets.last_mut() {
            *end = last;
        }
        let at = self.message.len();
        self.message.extend_from_slice(data);
        self.message.extend_from_slice(more);
        let size = self.message.len() - at;
        self.push_buffer(at, size);
        self.message.resize((at + size).next_multiple_of(ALIGNMENT), 0);
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
                self.message.resize((at + bytes.len()).next_multiple_of(ALIGNMENT), 0);
                self.push_buffer(at, bytes.len());
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

    /// The next buffer of the body, all zero, padded to the alignment.
    fn buffer(&mut self, size: usize) -> &mut [u8] {
        let at = self.message.len();
        self.message.resize((at + size).next_multiple_of(ALIGNMENT), 0);
        self.push_buffer(at, size);
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

fn too_many_bytes() -> Error {
    Error::new(ErrorCode::Limit, "the strings of one batch have more than 2 GiB")
}

fn is_large(data_type: &DataType) -> bool {
    matches!(data_type, DataType::LargeUtf8 | DataType::LargeBinary)
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
