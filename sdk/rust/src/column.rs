//! Typed columns: views of Arrow buffers, without copies.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use std::ops::Range;

/// The values of one column and which of them are missing.
///
/// What stands in a missing value's place is undefined, but may be read.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) length: usize,
    pub(crate) nulls: Option<NullBuffer>,
    pub(crate) values: Values,
}

/// Values by their layout in memory; what they mean is told by the type of the column's field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Values {
    /// Boolean.
    Boolean(BooleanBuffer),
    /// Int8.
    Int8(ScalarBuffer<i8>),
    /// Int16.
    Int16(ScalarBuffer<i16>),
    /// Int32, Date32 (days) and Time32.
    Int32(ScalarBuffer<i32>),
    /// Int64, Date64 (milliseconds), Time64, Timestamp and Duration.
    Int64(ScalarBuffer<i64>),
    /// UInt8.
    UInt8(ScalarBuffer<u8>),
    /// UInt16.
    UInt16(ScalarBuffer<u16>),
    /// UInt32.
    UInt32(ScalarBuffer<u32>),
    /// UInt64.
    UInt64(ScalarBuffer<u64>),
    /// Float32.
    Float32(ScalarBuffer<f32>),
    /// Float64.
    Float64(ScalarBuffer<f64>),
    /// Decimal128, without its scale.
    Decimal128(ScalarBuffer<i128>),
    /// Utf8, LargeUtf8, Binary and LargeBinary.
    Bytes(Bytes),
    /// Dictionary(Int32, Utf8).
    Dictionary(Dictionary),
    /// FixedSizeList: so many values a row, one row behind the other.
    List(usize, Box<Column>),
}

impl Column {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Which rows are missing; nothing where none is.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref().filter(|nulls| nulls.null_count() > 0)
    }

    /// How many rows are missing.
    pub fn null_count(&self) -> usize {
        self.nulls.as_ref().map_or(0, NullBuffer::null_count)
    }

    /// Whether a row is missing.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The values.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The numbers as Float64: a view where they are, the nearest ones otherwise. Nothing where it holds no numbers.
    pub fn to_f64(&self) -> Option<ScalarBuffer<f64>> {
        fn convert<T: Copy>(values: &[T], to_f64: impl Fn(T) -> f64) -> ScalarBuffer<f64> {
            values.iter().map(|value| to_f64(*value)).collect()
        }
        Some(match &self.values {
            Values::Float64(values) => values.clone(),
            Values::Float32(values) => convert(values, f64::from),
            Values::Int8(values) => convert(values, f64::from),
            Values::Int16(values) => convert(values, f64::from),
            Values::Int32(values) => convert(values, f64::from),
            Values::Int64(values) => convert(values, |value| value as f64),
            Values::UInt8(values) => convert(values, f64::from),
            Values::UInt16(values) => convert(values, f64::from),
            Values::UInt32(values) => convert(values, f64::from),
            Values::UInt64(values) => convert(values, |value| value as f64),
            _ => return None,
        })
    }

    /// The integers as Int64. Nothing where it holds no integers, or unsigned ones of 64 bits.
    pub fn to_i64(&self) -> Option<ScalarBuffer<i64>> {
        fn convert<T: Copy + Into<i64>>(values: &[T]) -> ScalarBuffer<i64> {
            values.iter().map(|value| (*value).into()).collect()
        }
        Some(match &self.values {
            Values::Int64(values) => values.clone(),
            Values::Int8(values) => convert(values),
            Values::Int16(values) => convert(values),
            Values::Int32(values) => convert(values),
            Values::UInt8(values) => convert(values),
            Values::UInt16(values) => convert(values),
            Values::UInt32(values) => convert(values),
            _ => return None,
        })
    }

    /// Strings or bytes, where they are not behind a dictionary.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.values {
            Values::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Strings or byte strings.
#[derive(Clone, Debug)]
pub struct Bytes {
    pub(crate) offsets: Offsets,
    pub(crate) data: Buffer,
}

#[derive(Clone, Debug)]
pub(crate) enum Offsets {
    Small(ScalarBuffer<i32>),
    Large(ScalarBuffer<i64>),
}

impl Bytes {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.offsets {
            Offsets::Small(offsets) => offsets.len().saturating_sub(1),
            Offsets::Large(offsets) => offsets.len().saturating_sub(1),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of one.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn get(&self, row: usize) -> &[u8] {
        &self.data.as_slice()[self.range(row)]
    }

    /// One as text.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn text(&self, row: usize) -> &str {
        std::str::from_utf8(self.get(row)).unwrap_or_default()
    }

    /// All bytes, side by side as they lie.
    pub(crate) fn run(&self) -> &[u8] {
        let range = match self.len() {
            0 => 0..0,
            length => self.range(0).start..self.range(length - 1).end,
        };
        &self.data.as_slice()[range]
    }

    /// Writes where each ends in the [`run`](Self::run), which has less than 2 GiB.
    pub(crate) fn write_ends(&self, ends: &mut [i32]) {
        fn write<T: Copy>(ends: &mut [i32], offsets: &[T], to_usize: impl Fn(T) -> usize) {
            let Some((first, offsets)) = offsets.split_first() else { return };
            let first = to_usize(*first);
            ends.iter_mut().zip(offsets).for_each(|(end, offset)| *end = (to_usize(*offset) - first) as i32);
        }
        match &self.offsets {
            Offsets::Small(offsets) => write(ends, offsets, |offset| offset as usize),
            Offsets::Large(offsets) => write(ends, offsets, |offset| offset as usize),
        }
    }

    fn range(&self, row: usize) -> Range<usize> {
        match &self.offsets {
            Offsets::Small(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Offsets::Large(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        }
    }
}

/// Strings behind a dictionary.
#[derive(Clone, Debug)]
pub struct Dictionary {
    pub(crate) keys: ScalarBuffer<i32>,
    pub(crate) values: Box<Column>,
}

impl Dictionary {
    /// For each row the position of its string in the dictionary; undefined, but in bounds of `i32`, where the row is missing.
    pub fn keys(&self) -> &[i32] {
        &self.keys
    }

    /// The dictionary: strings in no particular order, none of them missing.
    pub fn values(&self) -> &Column {
        &self.values
    }
}
