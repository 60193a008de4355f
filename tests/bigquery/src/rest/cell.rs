//! The values of a table as the REST API gives them: nested objects of `f` and `v`, whose leaves are text.

use super::civil::{self, Stamps};
use super::number;
use super::schema::{self, Extension};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, StructArray};
use arrow_schema::{DataType, Field, Fields};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A row: `{"f": [{"v": …}, …]}`.
pub(crate) fn row(fields: &Fields, columns: &[impl AsRef<dyn Array>], row: usize, stamps: Stamps) -> Value {
    let cells = fields.iter().zip(columns).map(|(field, column)| cell(field, column.as_ref(), row, stamps));
    json!({ "f": cells.collect::<Vec<_>>() })
}

/// A value: `{"v": …}`.
fn cell(field: &Field, column: &dyn Array, row: usize, stamps: Stamps) -> Value {
    let (data_type, extension) = schema::element(field);
    json!({ "v": match column.as_list_opt::<i32>() {
        // Arrays are never null once they are stored.
        Some(lists) if lists.is_null(row) => json!([]),
        Some(lists) => {
            let items = lists.value(row);
            let items = (0..items.len()).map(|item| json!({ "v": value(data_type, extension, &items, item, stamps) }));
            items.collect()
        }
        None => value(data_type, extension, column, row, stamps),
    } })
}

fn value(data_type: &DataType, extension: Option<Extension>, column: &dyn Array, row: usize, stamps: Stamps) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match data_type {
        DataType::Struct(_) if extension == Some(Extension::Range) => range(column.as_struct(), row, stamps).into(),
        DataType::Struct(fields) => self::row(fields, column.as_struct().columns(), row, stamps),
        _ => leaf(column, row, stamps).into(),
    }
}

fn leaf(column: &dyn Array, row: usize, stamps: Stamps) -> String {
    use DataType as T;
    match column.data_type() {
        T::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        T::Float64 => number::double(column.as_primitive::<Float64Type>().value(row)),
        T::Boolean => column.as_boolean().value(row).to_string(),
        T::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        T::Binary => STANDARD.encode(column.as_binary::<i32>().value(row)),
        T::Date32 => civil::date(column.as_primitive::<Date32Type>().value(row)),
        T::Time64(_) => civil::time(column.as_primitive::<Time64MicrosecondType>().value(row)),
        T::Timestamp(_, zone) => {
            let value = column.as_primitive::<TimestampMicrosecondType>().value(row);
            zone.as_ref().map_or_else(|| civil::datetime(value), |_| civil::timestamp(value, stamps))
        }
        T::Decimal128(_, scale) => {
            let unscaled = column.as_primitive::<Decimal128Type>().value(row).to_string();
            number::decimal(&unscaled, scale.unsigned_abs().into())
        }
        T::Decimal256(_, scale) => {
            let unscaled = column.as_primitive::<Decimal256Type>().value(row).to_string();
            number::decimal(&unscaled, scale.unsigned_abs().into())
        }
        T::Interval(_) => civil::interval(column.as_primitive::<IntervalMonthDayNanoType>().value(row)),
        other => unreachable!("no column has the type {other}"),
    }
}

/// A range from its start to its end; an end that is null is open.
fn range(ends: &StructArray, row: usize, stamps: Stamps) -> String {
    let end = |end: usize| match ends.column(end) {
        column if column.is_null(row) => "UNBOUNDED".to_owned(),
        column => leaf(column, row, stamps),
    };
    format!("[{}, {})", end(0), end(1))
}
