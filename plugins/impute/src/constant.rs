//! Constants from a pipeline file, by the type of the column that they fill.

use crate::fill::Fill;
use wafermill_sdk::serde_json::Value;
use wafermill_sdk::stats::{Category, KeyClass};
use wafermill_sdk::{DataType, Error, Field, Result, TimeUnit};

/// The filling that `value` means in a column.
///
/// # Errors
/// Where the column's type has no such value.
pub(crate) fn parse(value: &Value, field: &Field) -> Result<Fill> {
    let data_type = field.data_type();
    let category = match KeyClass::of(data_type) {
        Some(KeyClass::Text) => value.as_str().map(|text| Category::Text(text.to_owned())),
        Some(KeyClass::Binary) => value.as_str().map(|text| Category::Binary(text.as_bytes().to_vec())),
        Some(KeyClass::Float) => value.as_f64().filter(|value| float_fits(*value, data_type)).map(Category::Float),
        Some(KeyClass::Unsigned) => value.as_u64().map(Category::Unsigned),
        Some(KeyClass::Signed) => {
            signed(value, data_type).filter(|value| fits(*value, data_type)).map(Category::Signed)
        }
        None => None,
    };
    category.map(Fill::from).ok_or_else(|| {
        Error::invalid_params(format!("`value` is {value}, which a column of type {data_type} cannot hold"))
            .column(field.name())
            .hint("give a value of the column's type, or select other columns")
    })
}

fn signed(value: &Value, data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Boolean => value.as_bool().map(i64::from),
        DataType::Date32 => seconds(value.as_str()?).filter(|it| it % 86_400 == 0).map(|it| it / 86_400),
        DataType::Date64 => seconds(value.as_str()?)?.checked_mul(1_000),
        DataType::Timestamp(unit, _) => seconds(value.as_str()?)?.checked_mul(match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        }),
        _ => value.as_i64(),
    }
}

fn float_fits(value: f64, data_type: &DataType) -> bool {
    *data_type != DataType::Float32 || (value as f32).is_finite()
}

fn fits(value: i64, data_type: &DataType) -> bool {
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

/// Seconds since 1970 of `2024-01-31` or `2024-01-31T12:00:00`, in UTC.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.strip_suffix('Z').unwrap_or(time), ':')?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_range = (1..=12).contains(&month) && (1..=*days.get(month as usize - 1)?).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse::<u32>().ok().map(i64::from));
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01 in the Gregorian calendar; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use wafermill_sdk::serde_json::json;

    #[test]
    fn dates_and_timestamps_are_counted_from_1970() {
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("2000-02-29T00:00:01Z"), Some(951_782_401));
        assert_eq!(seconds("1969-12-31T23:59:59"), Some(-1));
        for bad in ["2023-02-29", "2023-13-01", "2023-00-01", "2023-1", "x", "2023-01-01T24:00:00"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn constants_must_fit_the_column() {
        let parse = |value, data_type| parse(&value, &Field::new("x", data_type, true));
        assert!(parse(json!(300), DataType::Int16).is_ok());
        assert!(parse(json!(300), DataType::UInt8).is_err());
        assert!(parse(json!("a"), DataType::Float64).is_err());
        assert!(parse(json!(1), DataType::Utf8).is_err());
        assert!(parse(json!(1.5), DataType::Int64).is_err());
        assert!(parse(json!(1e300), DataType::Float32).is_err());
    }
}
