//! Schemas as the REST API gives them, with the names that types had before SQL was standard.

use arrow_schema::{DataType, Field};
use serde_json::{Value, json};

const EXTENSION: &str = "ARROW:extension:name";
/// The key under which a RANGE is marked.
const SQL_TYPE: &str = "google:sqlType";

/// A column's type, as far as it is not a type of Arrow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    Json,
    Geography,
    Range,
}

/// What a field's metadata says of its type.
fn extension(field: &Field) -> Option<Extension> {
    if field.metadata().get(SQL_TYPE).is_some_and(|name| name.eq_ignore_ascii_case("range")) {
        return Some(Extension::Range);
    }
    match field.metadata().get(EXTENSION)?.as_str() {
        "google:sqlType:json" | "arrow.json" => Some(Extension::Json),
        "google:sqlType:geography" => Some(Extension::Geography),
        _ => None,
    }
}

/// A table's schema.
pub(crate) fn schema<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Value {
    json!({ "fields": fields.into_iter().map(described).collect::<Vec<_>>() })
}

fn described(field: &Field) -> Value {
    let mode = match field.data_type() {
        DataType::List(_) => "REPEATED",
        _ if field.is_nullable() => "NULLABLE",
        _ => "REQUIRED",
    };
    let (data_type, extension) = element(field);
    let mut described = json!({ "name": field.name(), "type": type_name(data_type, extension), "mode": mode });
    match data_type {
        DataType::Struct(ends) if extension == Some(Extension::Range) => {
            let end = ends.first().map_or("", |end| type_name(end.data_type(), None));
            described["rangeElementType"] = json!({ "type": end });
        }
        DataType::Struct(fields) => described["fields"] = fields.iter().map(|field| self::described(field)).collect(),
        _ => {}
    }
    described
}

/// The type of a column's values, or that of their elements where they are arrays; of an extension either field may tell.
pub(crate) fn element(field: &Field) -> (&DataType, Option<Extension>) {
    match field.data_type() {
        DataType::List(item) => (item.data_type(), extension(item).or_else(|| extension(field))),
        data_type => (data_type, extension(field)),
    }
}

fn type_name(data_type: &DataType, extension: Option<Extension>) -> &'static str {
    use DataType as T;
    match (data_type, extension) {
        (_, Some(Extension::Json)) => "JSON",
        (_, Some(Extension::Geography)) => "GEOGRAPHY",
        (_, Some(Extension::Range)) => "RANGE",
        (T::Int64, _) => "INTEGER",
        (T::Float64, _) => "FLOAT",
        (T::Boolean, _) => "BOOLEAN",
        (T::Binary, _) => "BYTES",
        (T::Date32, _) => "DATE",
        (T::Time64(_), _) => "TIME",
        (T::Timestamp(_, Some(_)), _) => "TIMESTAMP",
        (T::Timestamp(_, None), _) => "DATETIME",
        (T::Decimal128(..), _) => "NUMERIC",
        (T::Decimal256(..), _) => "BIGNUMERIC",
        (T::Interval(_), _) => "INTERVAL",
        (T::Struct(_), _) => "RECORD",
        _ => "STRING",
    }
}
