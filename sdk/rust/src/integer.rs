//! Integers in the range of their types.

use arrow_schema::DataType;

/// Whether a column of this type has room for an integer: of integers, dates, times, timestamps and durations that are signed or have
/// less than 64 bits. Any other type has.
///
/// ```
/// use wafermill_sdk::{DataType, integer_fits};
///
/// assert!(integer_fits(-128, &DataType::Int8) && !integer_fits(128, &DataType::Int8));
/// assert!(integer_fits(255, &DataType::UInt8) && !integer_fits(-1, &DataType::UInt8));
/// ```
pub fn integer_fits(value: i64, data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 => i8::try_from(value).is_ok(),
        DataType::Int16 => i16::try_from(value).is_ok(),
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) => i32::try_from(value).is_ok(),
        DataType::UInt8 => u8::try_from(value).is_ok(),
        DataType::UInt16 => u16::try_from(value).is_ok(),
        DataType::UInt32 => u32::try_from(value).is_ok(),
        _ => true,
    }
}
