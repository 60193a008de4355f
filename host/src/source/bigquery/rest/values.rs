//! Rows as the REST API gives them, as arrays.
//!
//! Each value is a JSON string or null within `{"v": …}`, each struct and each row an `{"f": […]}`. Source: "Method: jobs.getQueryResults"
//! and "Data types" of BigQuery's reference.

use crate::ipc::Cause;
use arrow_array::builder::{BinaryBuilder, IntervalMonthDayNanoBuilder};
use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{ArrayRef, ListArray, StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::base64::{BASE64_STANDARD, Engine};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Of a struct that is null, or of an end of a range that is open.
static NULL: Value = Value::Null;

/// The values of one column of the rows.
///
/// # Errors
/// Where a row is not built as it should be.
pub(in crate::source::bigquery) fn column(rows: &[Map<String, Value>], column: usize) -> Result<Vec<&Value>, Cause> {
    rows.iter().map(|row| member(row, column)).collect()
}

fn member(record: &Map<String, Value>, position: usize) -> Result<&Value, Cause> {
    let cells = record.get("f").and_then(Value::as_array).ok_or("a row or struct has no `f`")?;
    cell(cells.get(position).ok_or("a row or struct has too few cells")?)
}

fn cell(cell: &Value) -> Result<&Value, Cause> {
    cell.get("v").ok_or_else(|| "a cell has no `v`".into())
}

/// Values of one field as an array of its type.
///
/// # Errors
/// Where a value is none of this type.
pub(in crate::source::bigquery) fn array(field: &Field, values: &[&Value]) -> Result<ArrayRef, Cause> {
    let nulls = || NullBuffer::from_iter(values.iter().map(|value| !value.is_null()));
    match field.data_type() {
        DataType::List(item) => {
            let lists = values.iter().map(|value| match value {
                // An array that is null is empty.
                Value::Null => Ok(&[][..]),
                value => value.as_array().map(Vec::as_slice).ok_or("an array is none"),
            });
            let lists = lists.collect::<Result<Vec<_>, _>>()?;
            let items = lists.iter().flat_map(|list| list.iter()).map(cell).collect::<Result<Vec<_>, _>>()?;
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            Ok(Arc::new(ListArray::try_new(item.clone(), offsets, array(item, &items)?, None)?))
        }
        DataType::Struct(fields) => {
            let of_field = |position: usize| {
                let value = |value: &&'_ Value| -> Result<Value, Cause> {
                    match value {
                        Value::Null => Ok(NULL.clone()),
                        Value::String(range) => Ok(range_end(range, position)?),
                        value => Ok(member(value.as_object().ok_or("a struct is none")?, position)?.clone()),
                    }
                };
                values.iter().map(value).collect::<Result<Vec<_>, _>>()
            };
            let arrays = fields.iter().enumerate().map(|(position, field)| {
                let members = of_field(position)?;
                array(field, &members.iter().collect::<Vec<_>>())
            });
            let arrays = arrays.collect::<Result<Vec<_>, Cause>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, Some(nulls()), values.len())?))
        }
        data_type => {
            let texts = values.iter().map(|value| match value {
                Value::Null => Ok(None),
                value => value.as_str().map(Some).ok_or("a value is no string"),
            });
            leaf(data_type, &texts.collect::<Result<Vec<_>, _>>()?)
        }
    }
}

fn leaf(data_type: &DataType, texts: &[Option<&str>]) -> Result<ArrayRef, Cause> {
    match data_type {
        DataType::Binary => {
            let mut bytes = BinaryBuilder::new();
            for text in texts {
                bytes.append_option(text.map(|text| BASE64_STANDARD.decode(text)).transpose()?);
            }
            Ok(Arc::new(bytes.finish()))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let mut intervals = IntervalMonthDayNanoBuilder::new();
            for text in texts {
                let interval = text.map(|text| interval(text).ok_or_else(|| format!("`{text}` is no interval")));
                intervals.append_option(interval.transpose()?);
            }
            Ok(Arc::new(intervals.finish()))
        }
        // They come as microseconds since 1970.
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let micros = parsed(&DataType::Int64, texts)?;
            Ok(cast_with_options(&micros, data_type, &STRICT)?)
        }
        data_type => parsed(data_type, texts),
    }
}

const STRICT: CastOptions<'_> = CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

fn parsed(data_type: &DataType, texts: &[Option<&str>]) -> Result<ArrayRef, Cause> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter(texts));
    Ok(cast_with_options(&texts, data_type, &STRICT)?)
}

/// The start (0) or the end (1) of a range such as `[2024-01-01, UNBOUNDED)`.
fn range_end(range: &str, position: usize) -> Result<Value, Cause> {
    let inner = range.strip_prefix('[').and_then(|range| range.strip_suffix(')'));
    let ends = inner.and_then(|inner| inner.split_once(", ")).ok_or_else(|| format!("`{range}` is no range"))?;
    Ok(match [ends.0, ends.1].get(position) {
        Some(&"UNBOUNDED" | &"NULL") | None => Value::Null,
        Some(end) => Value::from(*end),
    })
}

/// Parses `[-]Y-M [-]D [-]H:M:S[.F]`.
fn interval(text: &str) -> Option<IntervalMonthDayNano> {
    const NANOS: i64 = 1_000_000_000;
    let mut parts = text.split(' ');
    let (months, days, time) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let signed = |text: &'_ str| match text.strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, text.to_owned()),
    };
    let (sign, months) = signed(months);
    let (years, months) = months.split_once('-')?;
    let months = years.parse::<i32>().ok()?.checked_mul(12)?.checked_add(months.parse().ok()?)?.checked_mul(sign)?;
    let days = days.parse().ok()?;
    let (sign, time) = signed(time);
    let (hours, rest) = time.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    let [hours, minutes, seconds] = [hours, minutes, seconds].map(|number| number.parse::<i64>().ok());
    let seconds = hours?.checked_mul(3_600)?.checked_add(minutes?.checked_mul(60)?)?.checked_add(seconds?)?;
    let nanos = seconds.checked_mul(NANOS)?.checked_add(fraction)?.checked_mul(i64::from(sign))?;
    Some(IntervalMonthDayNano::new(months, days, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn intervals_are_parsed_with_their_signs() {
        let nanos = ((4 * 60 + 5) * 60 + 6) * 1_000_000_000;
        assert_eq!(interval("1-2 3 4:5:6"), Some(IntervalMonthDayNano::new(14, 3, nanos)));
        assert_eq!(interval("-1-2 -3 -4:5:6.789"), Some(IntervalMonthDayNano::new(-14, -3, -nanos - 789_000_000)));
        assert_eq!(interval("0-0 0 0:0:0.000001"), Some(IntervalMonthDayNano::new(0, 0, 1_000)));
        for wrong in
            ["", "1", "1-2 3", "1-2 3 4", "1-2 3 4:5:6 7", "a-b 3 4:5:6", "1-2 3 4:5:6.x", "9999999999-0 0 0:0:0"]
        {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rows_that_are_built_otherwise_are_refused() {
        let field = |data_type| Field::new("x", data_type, true);
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, false)));
        let record = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        for (data_type, value) in [
            (DataType::Int64, json!("1.5")),
            (DataType::Int64, json!(1)),
            (DataType::Binary, json!("?")),
            (list.clone(), json!("1")),
            (list.clone(), json!([1])),
            (list, json!([{"v": null}])),
            (record.clone(), json!([])),
            (record.clone(), json!({"f": []})),
            (record, json!("[1")),
        ] {
            assert!(array(&field(data_type), &[&value]).is_err(), "{value}");
        }
        for row in [json!({}), json!({"f": 1}), json!({"f": []}), json!({"f": [{}]})] {
            assert!(column(std::slice::from_ref(row.as_object().unwrap()), 0).is_err(), "{row}");
        }
    }
}
