//! The types that BigQuery has for columns, as the Storage Read API gives them in Arrow.
//!
//! Source: "Use the BigQuery Storage Read API", section "Arrow schema details".

use anyhow::{Result, bail};
use arrow_array::ArrayRef;
use arrow_cast::CastOptions;
use arrow_schema::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// A column as BigQuery would hold it; its metadata stays, such as the extension names of JSON and GEOGRAPHY.
pub(crate) fn field(field: &Field) -> Result<FieldRef> {
    let Some(data_type) = data_type(field.data_type())? else {
        bail!("BigQuery has no type for column `{}` of type {}", field.name(), field.data_type());
    };
    Ok(Arc::new(field.clone().with_data_type(data_type)))
}

fn data_type(given: &DataType) -> Result<Option<DataType>> {
    use DataType as T;
    Ok(Some(match given {
        T::Boolean => T::Boolean,
        given if given.is_integer() => T::Int64,
        T::Float16 | T::Float32 | T::Float64 => T::Float64,
        T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Dictionary(_, values) => return data_type(values),
        T::Date32 | T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        // TIMESTAMP has a zone, DATETIME has none.
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) => T::Decimal128(38, 9),
        T::Decimal256(..) => T::Decimal256(76, 38),
        T::Interval(_) => T::Interval(IntervalUnit::MonthDayNano),
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => T::List(field(item)?),
        T::Struct(fields) => T::Struct(fields.iter().map(|inner| field(inner)).collect::<Result<_>>()?),
        _ => return Ok(None),
    }))
}

/// A column as the type that BigQuery holds it in.
pub(crate) fn cast(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(arrow_cast::cast_with_options(column, field.data_type(), &options)?)
}
