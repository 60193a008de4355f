//! Columns of every type that can be passed to a plugin, with the values that plugins stumble over.
//!
//! Nulls have arbitrary values in their place, and all columns are slices whose bitmaps begin within a byte.

use super::random::Random;
use arrow_array::{Array, ArrayRef, BooleanArray, GenericByteArray, make_array, types};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use serde::Serialize;
use std::sync::Arc;

/// Rows before the slice that a column is; no multiple of eight.
const OFFSET: usize = 11;

/// Bytes of a huge string.
const HUGE: usize = 1 << 20;

/// Which values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// Some sixty different values and nulls; no infinities.
    Plain,
    /// Three different values, none missing.
    Few,
    /// No value twice, none missing.
    Distinct,
    /// Limits of the type, zeros of both signs, subnormals, NaN, empty strings; and nulls.
    Edges,
    /// The same with infinities.
    Infinite,
    /// All missing.
    Nulls,
    /// One row.
    Single,
    /// No rows.
    Empty,
    /// Strings of a mebibyte.
    Huge,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Plain,
        Self::Few,
        Self::Distinct,
        Self::Edges,
        Self::Infinite,
        Self::Nulls,
        Self::Single,
        Self::Empty,
        Self::Huge,
    ];

    /// Whether it makes a difference for a type.
    pub fn suits(self, data_type: &DataType) -> bool {
        match self {
            Self::Infinite => data_type.is_floating(),
            Self::Huge => is_bytes(data_type),
            Self::Distinct => *data_type != DataType::Boolean,
            _ => true,
        }
    }

    /// Rows of a table of this flavour, where a plain one has `rows`.
    pub fn rows(self, rows: usize) -> usize {
        match self {
            Self::Plain => rows,
            Self::Few | Self::Distinct | Self::Edges | Self::Infinite => rows.div_ceil(8),
            Self::Nulls => rows.min(20),
            Self::Single => 1,
            Self::Empty => 0,
            Self::Huge => 5,
        }
    }

    /// Whether its columns may hold nulls.
    pub fn is_nullable(self) -> bool {
        !matches!(self, Self::Few | Self::Distinct)
    }
}

/// The types that are tried, each unit of time once.
pub(super) fn data_types() -> Vec<DataType> {
    use DataType::*;
    vec![
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float32,
        Float64,
        Utf8,
        LargeUtf8,
        Binary,
        LargeBinary,
        Date32,
        Date64,
        Time32(TimeUnit::Second),
        Time32(TimeUnit::Millisecond),
        Time64(TimeUnit::Microsecond),
        Time64(TimeUnit::Nanosecond),
        Timestamp(TimeUnit::Second, None),
        Timestamp(TimeUnit::Millisecond, None),
        Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Timestamp(TimeUnit::Nanosecond, None),
        Duration(TimeUnit::Microsecond),
        Decimal128(20, 4),
        Decimal128(38, 0),
    ]
}

/// A column of `rows` rows.
pub(super) fn column(
    data_type: &DataType,
    flavour: Flavour,
    rows: usize,
    random: &mut Random,
) -> Result<ArrayRef, ArrowError> {
    let total = rows + OFFSET;
    let valid = |random: &mut Random| match flavour {
        Flavour::Nulls => false,
        Flavour::Plain | Flavour::Edges | Flavour::Infinite => !random.once_in(8),
        Flavour::Huge => !random.once_in(3),
        _ => true,
    };
    let nulls = flavour.is_nullable().then(|| NullBuffer::from_iter((0..total).map(|_| valid(random))));
    let picks = picks(flavour, total, random);
    let whole = if *data_type == DataType::Boolean {
        let bits = BooleanBuffer::from_iter(picks.iter().map(|pick| pick % 2 == 0));
        Arc::new(BooleanArray::new(bits, nulls)) as ArrayRef
    } else if is_bytes(data_type) {
        let pool = strings(flavour, picks.iter().max().map_or(0, |most| most + 1), random);
        let values: Vec<&[u8]> = picks.iter().map(|pick| pool[pick % pool.len()].as_slice()).collect();
        bytes(data_type, &values, nulls)?
    } else {
        let pool = numbers(data_type, flavour, picks.iter().max().map_or(0, |most| most + 1), random);
        let values = picks.iter().map(|pick| pool[pick % pool.len()]);
        fixed_width(data_type, values, nulls)?
    };
    Ok(whole.slice(OFFSET, rows))
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary)
}

/// For each row the position of its value in a pool.
fn picks(flavour: Flavour, rows: usize, random: &mut Random) -> Vec<usize> {
    let pool = match flavour {
        Flavour::Distinct => {
            let mut order: Vec<_> = (0..rows).collect();
            random.shuffle(&mut order);
            return order;
        }
        Flavour::Few => 3,
        Flavour::Huge => 4,
        _ => 60,
    };
    (0..rows).map(|_| random.below(pool)).collect()
}

/// Strings of a flavour; at least one, and none twice where they must be distinct.
fn strings(flavour: Flavour, count: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let word = |number: usize, random: &mut Random| {
        format!("w{number}-{:x}", random.bits() >> (random.below(8) * 8)).into_bytes()
    };
    match flavour {
        Flavour::Edges => {
            let words = [
                "",
                " ",
                "a",
                "A",
                "a\0",
                "\0",
                "é",
                "e\u{301}",
                "𝔘\u{10ffff}",
                "null",
                "NaN",
                "0",
                "\u{feff}",
                "a,b\"\n",
            ];
            words.map(|word| word.as_bytes().to_vec()).into()
        }
        // The same but for their last byte, so that only a comparison of all of them tells them apart.
        Flavour::Huge => {
            (0..count.max(1))
                .map(|number| {
                    if number < 2 {
                        [vec![b'x'; HUGE], vec![b'0' + number as u8]].concat()
                    } else {
                        word(number, random)
                    }
                })
                .collect()
        }
        _ => (0..count.max(1)).map(|number| word(number, random)).collect(),
    }
}

fn bytes(data_type: &DataType, values: &[&[u8]], nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    fn array<T: types::ByteArrayType>(values: &[&[u8]], nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::from_lengths(values.iter().map(|value| value.len()));
        Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, Buffer::from_vec(values.concat()), nulls)?))
    }
    match data_type {
        DataType::Utf8 => array::<types::Utf8Type>(values, nulls),
        DataType::LargeUtf8 => array::<types::LargeUtf8Type>(values, nulls),
        DataType::Binary => array::<types::BinaryType>(values, nulls),
        _ => array::<types::LargeBinaryType>(values, nulls),
    }
}

/// Numbers of a flavour, as the bits that they are stored in.
fn numbers(data_type: &DataType, flavour: Flavour, count: usize, random: &mut Random) -> Vec<i128> {
    let edges = match (data_type, flavour) {
        (DataType::Float32, Flavour::Edges | Flavour::Infinite) => {
            float32_edges().map(|x| i128::from(x.to_bits())).to_vec()
        }
        (DataType::Float64, Flavour::Edges | Flavour::Infinite) => {
            float64_edges().map(|x| i128::from(x.to_bits())).to_vec()
        }
        (DataType::Float32, _) => {
            (0..count).map(|number| i128::from((float(number, random) as f32).to_bits())).collect()
        }
        (DataType::Float64, _) => (0..count).map(|number| i128::from(float(number, random).to_bits())).collect(),
        (_, Flavour::Edges) => {
            let (least, most, step) = range(data_type);
            [0, step, -step, least, least + step, most, most - step].map(|x| x.clamp(least, most)).to_vec()
        }
        _ => {
            let (least, most, step) = range(data_type);
            let near = |number: usize| number as i128 * step;
            let far = |random: &mut Random| {
                i128::from(random.bits()) % (most.saturating_sub(least) / step).max(1) * step + least
            };
            let distinct = flavour == Flavour::Distinct;
            (0..count)
                .map(|number| if distinct || random.once_in(2) { near(number).min(most) } else { far(random) })
                .collect()
        }
    };
    let infinities: &[i128] = match (data_type, flavour) {
        (DataType::Float32, Flavour::Infinite) => {
            &[f32::INFINITY.to_bits() as i128, f32::NEG_INFINITY.to_bits() as i128]
        }
        (DataType::Float64, Flavour::Infinite) => {
            &[f64::INFINITY.to_bits() as i128, f64::NEG_INFINITY.to_bits() as i128]
        }
        _ => &[],
    };
    let pool = [edges.as_slice(), infinities].concat();
    if pool.is_empty() { vec![0] } else { pool }
}

/// Numbers of many magnitudes, and a NaN.
fn float(number: usize, random: &mut Random) -> f64 {
    let digits = (random.bits() >> 12) as f64 / 4_503_599_627_370_496.0 - 0.5;
    if number == 40 { f64::NAN } else { (digits + number as f64) * 10_f64.powi(random.below(13) as i32 - 6) }
}

fn float32_edges() -> [f32; 13] {
    let tiny = f32::from_bits(1);
    let nan = f32::from_bits(0x7fc0_0001);
    [
        0.0,
        -0.0,
        tiny,
        -tiny,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        1.0,
        -1.0,
        1.0 + f32::EPSILON,
        f32::NAN,
        -f32::NAN,
        nan,
    ]
}

fn float64_edges() -> [f64; 13] {
    let tiny = f64::from_bits(1);
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    [
        0.0,
        -0.0,
        tiny,
        -tiny,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        1.0,
        -1.0,
        1.0 + f64::EPSILON,
        f64::NAN,
        -f64::NAN,
        nan,
    ]
}

/// The least and the greatest value of a type, and the distance between neighbours.
fn range(data_type: &DataType) -> (i128, i128, i128) {
    const DAY: i128 = 86_400;
    match data_type {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => (0, unsigned_max(data_type), 1),
        DataType::Time32(TimeUnit::Second) => (0, DAY - 1, 1),
        DataType::Time32(_) => (0, DAY * 1_000 - 1, 1),
        DataType::Time64(TimeUnit::Microsecond) => (0, DAY * 1_000_000 - 1, 1),
        DataType::Time64(_) => (0, DAY * 1_000_000_000 - 1, 1),
        // Whole days, of all years that have four digits.
        DataType::Date64 => (-719_162 * DAY * 1_000, 2_932_896 * DAY * 1_000, DAY * 1_000),
        DataType::Decimal128(precision, _) => {
            let most = 10_i128.pow(u32::from(*precision)) - 1;
            (-most, most, 1)
        }
        _ => {
            let most = unsigned_max(data_type) >> 1;
            (-most - 1, most, 1)
        }
    }
}

fn unsigned_max(data_type: &DataType) -> i128 {
    (1 << (8 * data_type.primitive_width().unwrap_or(8))) - 1
}

fn fixed_width(
    data_type: &DataType,
    values: impl Iterator<Item = i128>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let width = data_type.primitive_width().unwrap_or(8);
    let values: Vec<_> = values.collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes().into_iter().take(width)).collect();
    // From a slice, so that the buffer has the alignment that any type needs.
    let data =
        ArrayData::builder(data_type.clone()).len(values.len()).add_buffer(Buffer::from_slice_ref(&bytes)).nulls(nulls);
    Ok(make_array(data.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_columns_of_every_flavour() {
        for data_type in data_types() {
            for flavour in Flavour::ALL.into_iter().filter(|flavour| flavour.suits(&data_type)) {
                let rows = flavour.rows(500);
                let make = || column(&data_type, flavour, rows, &mut Random::new(&[7])).unwrap();
                let made = make();
                made.to_data().validate_full().unwrap();
                assert_eq!((made.len(), made.data_type()), (rows, &data_type));
                assert_eq!(&made, &make(), "{data_type} {flavour:?}");
                assert!(flavour.is_nullable() || made.null_count() == 0);
            }
        }
    }
}
