//! What columns of BigQuery can be: all that decoding relies on.

use super::session::BROKEN;
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
