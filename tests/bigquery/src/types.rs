//! The types that BigQuery has for columns, as the Storage Read API gives them in Arrow.
//!
//! Sources: "Use the BigQuery Storage Read API", section "Arrow schema details"; what Google's client makes of the same columns from
//! REST (python-bigquery, `_pyarrow_helpers.py`), which its system tests compare with the Storage API; for RANGE, INTERVAL and the
//! place of an array's metadata, what others recorded of the service (crate `bigquery`, Airbyte's `source-bigquery`).

use anyhow::{Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_cast::CastOptions;
use arrow_schema::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// The key of the metadata that tells types apart which are one in Arrow.
const EXTENSION: &str = "ARROW:extension:name";

/// A column as BigQuery would hold it. Its metadata stays, such as the extension names of JSON and GEOGRAPHY, or the
/// `google:sqlType` of RANGE.
pub(crate) fn field(field: &Field) -> Result<FieldRef> {
    let Some(data_type) = data_type(field.data_type())? else {
        bail!("BigQuery has no type for column `{}` of type {}", field.name(), field.data_type());
    };
    let mut metadata = field.metadata().clone();
    let mut nullable = field.is_nullable();
    let mut value = &data_type;
    if let DataType::List(item) = &data_type {
        // An array is not null; the metadata of its items stand with itself.
        nullable = false;
        value = item.data_type();
        if let Some(given) = item_of(field.data_type()) {
            metadata.extend(given.metadata().iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    let extension = match value {
        DataType::Timestamp(_, None) => Some("google:sqlType:datetime"),
        DataType::Interval(_) => Some("google:sqlType:interval"),
        _ => None,
    };
    if let Some(extension) = extension {
        metadata.insert(EXTENSION.to_owned(), extension.to_owned());
    }
    Ok(Arc::new(Field::new(field.name(), data_type, nullable).with_metadata(metadata)))
}

fn data_type(given: &DataType) -> Result<Option<DataType>> {
    use DataType as T;
    if let Some(item) = item_of(given) {
        let Some(data_type) = data_type(item.data_type())? else {
            return Ok(None);
        };
        return Ok(Some(T::List(Arc::new(Field::new("item", data_type, true)))));
    }
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
        T::Struct(fields) => T::Struct(fields.iter().map(|inner| field(inner)).collect::<Result<_>>()?),
        _ => return Ok(None),
    }))
}

fn item_of(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// A column as the type that BigQuery holds it in.
pub(crate) fn cast(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = arrow_cast::cast_with_options(column, &nullable(field.data_type()), &options)?;
    without_null_arrays(&column, field.data_type())
}

/// The type with nulls wherever there may be any.
fn nullable(data_type: &DataType) -> DataType {
    let nullable = |field: &FieldRef| {
        let data_type = nullable(field.data_type());
        Arc::new(Field::clone(field).with_data_type(data_type).with_nullable(true))
    };
    match data_type {
        DataType::List(item) => DataType::List(nullable(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nullable).collect()),
        other => other.clone(),
    }
}

/// The column with empty arrays where they were null, which is how BigQuery stores them.
fn without_null_arrays(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::List(item) => {
            let list = column.as_list::<i32>();
            let nulls = (0..list.len()).filter(|row| list.is_null(*row));
            ensure!(
                nulls.map(|row| list.value_length(row)).all(|length| length == 0),
                "there are arrays that are null and not empty"
            );
            let values = without_null_arrays(list.values(), item.data_type())?;
            Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, None)?)
        }
        DataType::Struct(fields) => {
            let given = column.as_struct();
            let columns = given.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| without_null_arrays(column, field.data_type()));
            let columns = columns.collect::<Result<_>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, given.nulls().cloned(), given.len())?)
        }
        _ => column.clone(),
    })
}
