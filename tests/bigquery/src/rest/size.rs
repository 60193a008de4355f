//! How many bytes a table has, as BigQuery bills them.
//!
//! Source: "BigQuery pricing", section "Data size calculation".

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// The logical bytes of some rows.
pub(crate) fn batch(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| bytes(column)).sum()
}

/// The logical bytes of a column; nulls have none.
fn bytes(column: &dyn Array) -> u64 {
    let values = (column.len() - column.null_count()) as u64;
    match column.data_type() {
        DataType::Boolean => values,
        DataType::Utf8 => 2 * values + text(column.as_string::<i32>().iter().map(|value| value.map(str::len))),
        DataType::Binary => 2 * values + text(column.as_binary::<i32>().iter().map(|value| value.map(<[u8]>::len))),
        DataType::Decimal128(..) | DataType::Interval(_) => 16 * values,
        DataType::Decimal256(..) => 32 * values,
        DataType::Struct(_) => column.as_struct().columns().iter().map(|column| bytes(column)).sum(),
        DataType::List(_) => column.as_list::<i32>().iter().flatten().map(|items| bytes(&items)).sum(),
        _ => 8 * values,
    }
}

fn text(lengths: impl Iterator<Item = Option<usize>>) -> u64 {
    lengths.flatten().map(|length| length as u64).sum()
}
