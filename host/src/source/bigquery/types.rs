//! What columns of BigQuery can be: all that decoding relies on.

use super::explain::BROKEN;
use crate::{Error, Result};
use arrow_schema::{DataType, Field, IntervalUnit, Schema};

/// As many columns as a table of BigQuery may have.
const COLUMNS: usize = 10_000;

/// Checks the schema of a session. Types that BigQuery never sends could stand for far more values than there are bytes.
///
/// # Errors
/// The first column that cannot be.
pub(super) fn check(schema: &Schema) -> Result<()> {
    if schema.fields().len() > COLUMNS {
        let message = format!("the table has {} columns, and BigQuery's have {COLUMNS} at most", schema.fields().len());
        return Err(Error::source(message).hint(BROKEN));
    }
    for field in schema.fields() {
        if !is_known(field) {
            let message = format!("a column has the type {}, which BigQuery does not have", field.data_type());
            return Err(Error::source(message).column(field.name()).hint(BROKEN));
        }
    }
    Ok(())
}

fn is_known(field: &Field) -> bool {
    match field.data_type() {
        DataType::Boolean
        | DataType::Int64
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Interval(IntervalUnit::MonthDayNano) => true,
        DataType::Decimal128(precision, _) => (1..=38).contains(precision),
        DataType::Decimal256(precision, _) => (1..=76).contains(precision),
        DataType::List(item) => is_known(item),
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|field| is_known(field)),
        _ => false,
    }
}

/// Whether two types hold the same values: names within them, marks, and whether there may be nulls, do not count.
pub(super) fn are_alike(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (DataType::List(one), DataType::List(other)) => are_alike(one.data_type(), other.data_type()),
        (DataType::Struct(one), DataType::Struct(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| are_alike(one.data_type(), other.data_type()))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{Fields, TimeUnit};
    use std::sync::Arc;

    fn checked(data_type: DataType) -> Result<()> {
        check(&Schema::new(vec![Field::new("x", data_type, true)]))
    }

    #[test]
    fn the_types_of_bigquery_are_taken_and_no_others() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, false)));
        let record = |field| DataType::Struct(Fields::from(vec![Field::new("a", field, true)]));
        for known in [
            DataType::Int64,
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Decimal128(38, 9),
            DataType::Decimal256(76, 38),
            DataType::Interval(IntervalUnit::MonthDayNano),
            list(record(list(DataType::Utf8))),
        ] {
            assert!(checked(known.clone()).is_ok(), "{known}");
        }
        let text = || Box::new(DataType::Utf8);
        for unknown in [
            DataType::Null,
            DataType::Utf8View,
            DataType::FixedSizeBinary(0),
            DataType::Decimal128(0, 0),
            DataType::Dictionary(Box::new(DataType::Int32), text()),
            DataType::ListView(Arc::new(Field::new("item", DataType::Utf8, true))),
            DataType::Struct(Fields::empty()),
            list(record(DataType::Null)),
        ] {
            let error = checked(unknown.clone()).unwrap_err();
            assert_eq!(error.place().column.as_deref(), Some("x"), "{unknown}");
        }
        let many = (0..=COLUMNS).map(|column| Field::new(column.to_string(), DataType::Int64, true));
        assert!(check(&Schema::new(many.collect::<Vec<_>>())).is_err());
    }
}
