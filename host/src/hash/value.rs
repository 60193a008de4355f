//! The hash of one value: XXH3 over a type tag and the value's canonical bytes.

use super::width::Width;
use super::{decimal, nested};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

/// The first byte that is hashed, so that values of different kinds differ.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Tag {
    Null = 0,
    Boolean = 1,
    Integer = 2,
    Float = 3,
    Text = 4,
    Binary = 5,
    Date = 6,
    Instant = 7,
    LocalTimestamp = 8,
    TimeOfDay = 9,
    Decimal = 10,
    Duration = 11,
    Interval = 12,
    List = 13,
    Struct = 14,
    Map = 15,
}

/// The hash of every value of `array`, nulls included.
pub(super) fn value_hashes<W: Width>(array: &ArrayRef) -> Result<Vec<W>> {
    use DataType::*;
    let mut hashes = match array.data_type() {
        Null => vec![null_hash(); array.len()],
        Boolean => array.as_boolean().values().iter().map(|v| tagged(Tag::Boolean, [u8::from(v)])).collect(),
        Int8 => integers::<W, Int8Type>(array),
        Int16 => integers::<W, Int16Type>(array),
        Int32 => integers::<W, Int32Type>(array),
        Int64 => integers::<W, Int64Type>(array),
        UInt8 => integers::<W, UInt8Type>(array),
        UInt16 => integers::<W, UInt16Type>(array),
        UInt32 => integers::<W, UInt32Type>(array),
        UInt64 => integers::<W, UInt64Type>(array),
        Float16 => each(array.as_primitive::<Float16Type>(), Tag::Float, |v| float::<W>(f64::from(v))),
        Float32 => each(array.as_primitive::<Float32Type>(), Tag::Float, |v| float::<W>(f64::from(v))),
        Float64 => each(array.as_primitive::<Float64Type>(), Tag::Float, float::<W>),
        Utf8 => slices(Tag::Text, array.as_string::<i32>().iter().map(|v| v.map(str::as_bytes))),
        LargeUtf8 => slices(Tag::Text, array.as_string::<i64>().iter().map(|v| v.map(str::as_bytes))),
        Utf8View => slices(Tag::Text, array.as_string_view().iter().map(|v| v.map(str::as_bytes))),
        Binary => slices(Tag::Binary, array.as_binary::<i32>().iter()),
        LargeBinary => slices(Tag::Binary, array.as_binary::<i64>().iter()),
        BinaryView => slices(Tag::Binary, array.as_binary_view().iter()),
        FixedSizeBinary(_) => slices(Tag::Binary, array.as_fixed_size_binary().iter()),
        Date32 => each(array.as_primitive::<Date32Type>(), Tag::Date, |v| date::<W>(i64::from(v) * DAY)),
        Date64 => each(array.as_primitive::<Date64Type>(), Tag::Date, date::<W>),
        Timestamp(unit, zone) => {
            let tag = if zone.is_some() { Tag::Instant } else { Tag::LocalTimestamp };
            match unit {
                TimeUnit::Second => nanoseconds::<W, TimestampSecondType>(array, tag, *unit),
                TimeUnit::Millisecond => nanoseconds::<W, TimestampMillisecondType>(array, tag, *unit),
                TimeUnit::Microsecond => nanoseconds::<W, TimestampMicrosecondType>(array, tag, *unit),
                TimeUnit::Nanosecond => nanoseconds::<W, TimestampNanosecondType>(array, tag, *unit),
            }
        }
        Time32(TimeUnit::Second) => nanoseconds::<W, Time32SecondType>(array, Tag::TimeOfDay, TimeUnit::Second),
        Time32(unit) => nanoseconds::<W, Time32MillisecondType>(array, Tag::TimeOfDay, *unit),
        Time64(TimeUnit::Microsecond) => {
            nanoseconds::<W, Time64MicrosecondType>(array, Tag::TimeOfDay, TimeUnit::Microsecond)
        }
        Time64(unit) => nanoseconds::<W, Time64NanosecondType>(array, Tag::TimeOfDay, *unit),
        Duration(TimeUnit::Second) => nanoseconds::<W, DurationSecondType>(array, Tag::Duration, TimeUnit::Second),
        Duration(TimeUnit::Millisecond) => {
            nanoseconds::<W, DurationMillisecondType>(array, Tag::Duration, TimeUnit::Millisecond)
        }
        Duration(TimeUnit::Microsecond) => {
            nanoseconds::<W, DurationMicrosecondType>(array, Tag::Duration, TimeUnit::Microsecond)
        }
        Duration(unit) => nanoseconds::<W, DurationNanosecondType>(array, Tag::Duration, *unit),
        Interval(IntervalUnit::YearMonth) => {
            each(array.as_primitive::<IntervalYearMonthType>(), Tag::Interval, |months| interval(months, 0, 0))
        }
        Interval(IntervalUnit::DayTime) => each(array.as_primitive::<IntervalDayTimeType>(), Tag::Interval, |v| {
            interval(0, v.days, i64::from(v.milliseconds) * 1_000_000)
        }),
        Interval(IntervalUnit::MonthDayNano) => {
            each(array.as_primitive::<IntervalMonthDayNanoType>(), Tag::Interval, |v| {
                interval(v.months, v.days, v.nanoseconds)
            })
        }
        Decimal32(_, scale) => decimal::narrow::<W, Decimal32Type>(array, *scale),
        Decimal64(_, scale) => decimal::narrow::<W, Decimal64Type>(array, *scale),
        Decimal128(_, scale) => decimal::narrow::<W, Decimal128Type>(array, *scale),
        Decimal256(_, scale) => decimal::wide(array, *scale),
        Dictionary(_, _) => nested::dictionary(array)?,
        List(_) => nested::list::<W, i32>(array)?,
        LargeList(_) => nested::list::<W, i64>(array)?,
        FixedSizeList(_, _) => nested::fixed_size_list(array)?,
        Struct(_) => nested::structure(array)?,
        Map(_, _) => nested::map(array)?,
        other => {
            return Err(Error::usage(format!("a column of type `{other}` has no canonical hash"))
                .hint("leave the column out of the key, or convert it before it is read"));
        }
    };
    set_nulls(&mut hashes, array.nulls());
    Ok(hashes)
}

/// The hash of a text value.
pub(super) fn text_hash<W: Width>(text: &str) -> W {
    let mut bytes = vec![Tag::Text as u8];
    bytes.extend_from_slice(text.as_bytes());
    W::hash(&bytes)
}

/// The hash that every null has, whatever its type.
pub(super) fn null_hash<W: Width>() -> W {
    W::hash(&[Tag::Null as u8])
}

/// XXH3 of a tag and a value of `N` bytes; always inlined, so that each caller gets a loop of its own for its width.
#[inline(always)]
pub(super) fn tagged<W: Width, const N: usize>(tag: Tag, value: [u8; N]) -> W {
    // The longest fixed-width value is a decimal: 4 bytes of scale and 32 of digits.
    const { assert!(N <= 36) };
    let mut bytes = [0; 37];
    bytes[0] = tag as u8;
    bytes[1..=N].copy_from_slice(&value);
    W::hash(&bytes[..=N])
}

/// Hashes the values of a primitive array, those under nulls too: a loop without branches, and the nulls are set afterwards.
fn each<W: Width, T: ArrowPrimitiveType, const N: usize>(
    array: &PrimitiveArray<T>,
    tag: Tag,
    encode: impl Fn(T::Native) -> [u8; N],
) -> Vec<W> {
    array.values().iter().map(|value| tagged(tag, encode(*value))).collect()
}

fn integers<W: Width, T: ArrowPrimitiveType<Native: Into<i128>>>(array: &ArrayRef) -> Vec<W> {
    each(array.as_primitive::<T>(), Tag::Integer, |value| value.into().to_le_bytes())
}

fn nanoseconds<W: Width, T: ArrowPrimitiveType<Native: Into<i128>>>(
    array: &ArrayRef,
    tag: Tag,
    unit: TimeUnit,
) -> Vec<W> {
    let factor: i128 = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    each(array.as_primitive::<T>(), tag, |value| (value.into() * factor).to_le_bytes())
}

fn float<W: Width>(value: f64) -> [u8; 8] {
    let canonical = if value.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else if W::EXACT {
        value
    } else {
        // -0.0 + 0.0 is +0.0, and every other value stays.
        value + 0.0
    };
    canonical.to_bits().to_le_bytes()
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

fn date<W: Width>(milliseconds: i64) -> [u8; 8] {
    if W::EXACT { milliseconds.to_le_bytes() } else { milliseconds.div_euclid(DAY).to_le_bytes() }
}

fn interval(months: i32, days: i32, nanoseconds: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&months.to_le_bytes());
    bytes[4..8].copy_from_slice(&days.to_le_bytes());
    bytes[8..].copy_from_slice(&nanoseconds.to_le_bytes());
    bytes
}

fn slices<'a, W: Width>(tag: Tag, values: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<W> {
    let null = null_hash();
    let mut bytes = vec![tag as u8];
    values
        .map(|value| match value {
            None => null,
            Some(value) => {
                bytes.truncate(1);
                bytes.extend_from_slice(value);
                W::hash(&bytes)
            }
        })
        .collect()
}

fn set_nulls<W: Width>(hashes: &mut [W], nulls: Option<&NullBuffer>) {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return };
    let null = null_hash();
    for (hash, valid) in hashes.iter_mut().zip(nulls) {
        if !valid {
            *hash = null;
        }
    }
}
