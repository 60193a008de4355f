//! The names of types that a user may state for a CSV column.

use crate::{Error, Result};
use arrow_array::timezone::Tz;
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};

/// Reads a type such as `int32`, `string`, `decimal(10, 2)` or `timestamp[us, +00:00]`.
pub(super) fn parse(text: &str) -> Result<DataType> {
    simple(text).or_else(|| decimal(text)).or_else(|| timestamp(text)).ok_or_else(|| {
        Error::usage(format!("`{text}` is not a type of a CSV column")).hint(
            "known are `bool`, `int8` to `int64`, `uint8` to `uint64`, `float32`, `float64`, `string`, `date`, `time`, \
             `decimal(10, 2)`, `timestamp[us]` with `s`, `ms`, `us` or `ns`, and `timestamp[us, +00:00]`",
        )
    })
}

fn simple(text: &str) -> Option<DataType> {
    Some(match text {
        "bool" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "string" => DataType::Utf8,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Nanosecond),
        _ => return None,
    })
}

fn decimal(text: &str) -> Option<DataType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    let valid = (1..=DECIMAL128_MAX_PRECISION).contains(&precision) && (0..=precision as i8).contains(&scale);
    valid.then_some(DataType::Decimal128(precision, scale))
}

fn timestamp(text: &str) -> Option<DataType> {
    let inner = text.strip_prefix("timestamp[")?.strip_suffix(']')?;
    let (unit, zone) = match inner.split_once(',') {
        Some((unit, zone)) => (unit.trim(), Some(zone.trim())),
        None => (inner, None),
    };
    let unit = match unit {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Millisecond,
        "us" => TimeUnit::Microsecond,
        "ns" => TimeUnit::Nanosecond,
        _ => return None,
    };
    let known = zone.is_none_or(|zone| zone.parse::<Tz>().is_ok());
    known.then(|| DataType::Timestamp(unit, zone.map(Into::into)))
}
