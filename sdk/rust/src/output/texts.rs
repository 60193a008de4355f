//! Columns of strings: one behind the other, or in a dictionary.

use super::{Fixed, Output, cast, is_dictionary};
use crate::column::Bytes;
use crate::{Dictionary, Error, ErrorCode, Result};
use arrow_buffer::{NullBuffer, bit_util};
use arrow_schema::{DataType, Field, Schema};

impl Output<'_> {
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
        if !large && i32::try_from(self.message.len() - start).is_err() {
            return Err(too_many_bytes());
        }
        self.end_buffer(start);
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
        self.end_buffer(at);
        Ok(())
    }
}

fn too_many_bytes() -> Error {
    Error::new(ErrorCode::Limit, "the strings of one batch have more than 2 GiB")
}

fn is_large(data_type: &DataType) -> bool {
    matches!(data_type, DataType::LargeUtf8 | DataType::LargeBinary)
}
