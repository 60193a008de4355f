//! Where two batches differ. Floats are compared by their bits: a NaN is equal to itself, and zeros have signs.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;

/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// The first difference, in words.
pub(super) fn difference(one: &RecordBatch, two: &RecordBatch) -> Option<String> {
    if one.num_rows() != two.num_rows() {
        return Some(format!("{} rows and {} rows", one.num_rows(), two.num_rows()));
    }
    if one.num_columns() != two.num_columns() {
        return Some(format!("{} columns and {} columns", one.num_columns(), two.num_columns()));
    }
    let fields = one.schema_ref().fields().iter().zip(two.schema_ref().fields());
    for ((left, right), (one, two)) in fields.zip(one.columns().iter().zip(two.columns())) {
        if left.name() != right.name() {
            return Some(format!("column `{}` and column `{}`", left.name(), right.name()));
        }
        let (one, two) = (plain(one), plain(two));
        if one.data_type() != two.data_type() {
            return Some(format!("column `{}`: {} and {}", left.name(), one.data_type(), two.data_type()));
        }
        if one.to_data() != two.to_data() {
            return Some(format!("column `{}`, {}", left.name(), first_row(&one, &two)));
        }
    }
    None
}

/// Whether a dictionary is used is up to the plugin; the strings are what counts.
fn plain(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value).unwrap_or_else(|_| column.clone()),
        _ => column.clone(),
    }
}

fn first_row(one: &ArrayRef, two: &ArrayRef) -> String {
    let differs = |row: &usize| one.slice(*row, 1).to_data() != two.slice(*row, 1).to_data();
    match (0..one.len()).find(differs) {
        Some(row) => {
            let show = |column| show(column, row).map_or_else(|| "null".to_owned(), |text| format!("`{text}`"));
            format!("row {row}: {} and {}", show(one), show(two))
        }
        None => "all rows alike".to_owned(),
    }
}

/// A value as text; nothing where it is null.
pub(super) fn show(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let text = array_value_to_string(column, row).unwrap_or_else(|error| error.to_string());
    let bits = column.to_data();
    Some(match (column.data_type(), bits.buffers().first()) {
        // Two NaN look the same in decimal.
        (DataType::Float64, Some(values)) if text == "NaN" => {
            format!("NaN ({:#x})", values.typed_data::<u64>()[bits.offset() + row])
        }
        _ => match text.char_indices().nth(SHOWN) {
            None => text,
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Float64Array;
    use std::sync::Arc;

    #[test]
    fn floats_differ_by_their_bits() {
        let batch = |values: [f64; 3]| {
            let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
            RecordBatch::try_from_iter([("x", column.slice(1, 2))]).unwrap()
        };
        assert_eq!(difference(&batch([1.0, f64::NAN, 0.0]), &batch([2.0, f64::NAN, 0.0])), None);
        let said = difference(&batch([1.0, 1.0, 0.0]), &batch([1.0, 1.0, -0.0]));
        assert_eq!(said.as_deref(), Some("column `x`, row 1: `0.0` and `-0.0`"));
        let said = difference(&batch([1.0, f64::NAN, 0.0]), &batch([1.0, -f64::NAN, 0.0])).unwrap();
        assert_eq!(said, "column `x`, row 0: `NaN (0x7ff8000000000000)` and `NaN (0xfff8000000000000)`");
    }
}
