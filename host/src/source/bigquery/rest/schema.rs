//! The columns of a query's result, as the Storage API would give them in Arrow.
//!
//! Source: "Use the BigQuery Storage Read API", section "Arrow schema details".

use crate::{Error, Result};
use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema, TimeUnit};
use google_cloud_bigquery_v2::model::TableFieldSchema;
use std::collections::HashMap;
use std::sync::Arc;

/// What tells types apart that are one in Arrow.
const NAME: &str = "ARROW:extension:name";
const METADATA: &str = "ARROW:extension:metadata";

/// Structs within structs: BigQuery allows 15.
const DEPTH: usize = 15;

/// The Arrow schema of a result.
///
/// # Errors
/// Where a type is not known.
pub(in crate::source::bigquery) fn schema(fields: &[TableFieldSchema]) -> Result<Schema> {
    let fields = fields.iter().map(|field| arrow_field(field, 0)).collect::<Result<Vec<_>>>()?;
    Ok(Schema::new(fields))
}

fn arrow_field(field: &TableFieldSchema, depth: usize) -> Result<Field> {
    if depth > DEPTH {
        return Err(Error::source("a column is nested too deep").column(&field.name));
    }
    let (data_type, extension) = data_type(field, depth).map_err(|error| error.column(&field.name))?;
    let mut metadata = HashMap::new();
    match extension {
        None => {}
        Some("range") => drop(metadata.insert("google:sqlType".to_owned(), "range".to_owned())),
        Some(extension) => drop(metadata.insert(NAME.to_owned(), format!("google:sqlType:{extension}"))),
    }
    if extension == Some("geography") {
        metadata.insert(METADATA.to_owned(), r#"{"encoding": "WKT"}"#.to_owned());
    }
    Ok(match field.mode.as_str() {
        "REPEATED" => {
            let item = Field::new("item", data_type, false);
            Field::new(&field.name, DataType::List(Arc::new(item)), false).with_metadata(metadata)
        }
        mode => Field::new(&field.name, data_type, mode != "REQUIRED").with_metadata(metadata),
    })
}

type Typed = (DataType, Option<&'static str>);

fn data_type(field: &TableFieldSchema, depth: usize) -> Result<Typed> {
    use DataType as T;
    let plain = |data_type| Ok((data_type, None));
    match field.r#type.as_str() {
        "INTEGER" | "INT64" => plain(T::Int64),
        "FLOAT" | "FLOAT64" => plain(T::Float64),
        "BOOLEAN" | "BOOL" => plain(T::Boolean),
        "STRING" => plain(T::Utf8),
        "BYTES" => plain(T::Binary),
        "DATE" => plain(T::Date32),
        "TIME" => plain(T::Time64(TimeUnit::Microsecond)),
        "TIMESTAMP" => plain(T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        "DATETIME" => Ok((T::Timestamp(TimeUnit::Microsecond, None), Some("datetime"))),
        "NUMERIC" | "DECIMAL" => plain(T::Decimal128(38, 9)),
        "BIGNUMERIC" | "BIGDECIMAL" => plain(T::Decimal256(76, 38)),
        "JSON" => Ok((T::Utf8, Some("json"))),
        "GEOGRAPHY" => Ok((T::Utf8, Some("geography"))),
        "INTERVAL" => Ok((T::Interval(IntervalUnit::MonthDayNano), Some("interval"))),
        "RANGE" => {
            let element = field.range_element_type.as_ref().map_or("", |element| element.r#type.as_str());
            let end = TableFieldSchema::new().set_type(element);
            let (end, _) = data_type(&end, DEPTH)?;
            let ends = ["start", "end"].map(|name| Field::new(name, end.clone(), true));
            Ok((T::Struct(Fields::from(Vec::from(ends))), Some("range")))
        }
        "RECORD" | "STRUCT" => {
            let fields = field.fields.iter().map(|field| arrow_field(field, depth + 1)).collect::<Result<Vec<_>>>()?;
            plain(T::Struct(fields.into()))
        }
        other => Err(Error::source(format!("`{other}` is no known type of BigQuery")).hint("leave the column out")),
    }
}
