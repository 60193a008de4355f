//! What a table may look like, so that nothing behind the source overflows.

use crate::memory::BATCH;
use crate::{Error, Result};
use arrow_schema::{DataType, Schema};

/// Lists and structs within each other. Readers and writers go down by recursion.
pub(super) const DEPTH: usize = 64;

/// Bytes of the text of a type, the names of a struct's fields included.
const TYPE: usize = 64 << 10;

/// Bytes of a column's name: plugins, and the messages to them, take 64 KiB with what is said of the column besides.
const NAME: usize = 32 << 10;

/// Bytes, or values, that a type of fixed size has in each row, nulls too.
const WIDTH: u64 = 16 << 20;

/// Cells of a batch: the decoder of CSV takes 8 bytes for each before it reads the first.
const CELLS: usize = 1 << 20;

/// Checks the columns of a table.
///
/// # Errors
/// Where one is nested too deep, has rows of too large a size, or its name is too long.
pub(super) fn check(schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        if field.name().len() > NAME {
            let message = format!("the name of a column has {} bytes, more than {NAME}", field.name().len());
            return Err(Error::source(message).column(field.name()).hint("rename the column"));
        }
        if depth(field.data_type()) > DEPTH {
            let message = format!("a column is nested more than {DEPTH} levels deep");
            return Err(Error::source(message).column(field.name()).hint("flatten the column, or leave it out"));
        }
        if width(field.data_type()) > WIDTH {
            let message = format!("each row of a column has more than {WIDTH} bytes or values, nulls too");
            let hint = "leave the column out, or write it with a type whose values have sizes of their own";
            return Err(Error::source(message).column(field.name()).hint(hint));
        }
    }
    Ok(())
}

/// What a row has at least: bytes of fixed size, and values of lists of fixed size. Of a type that is nested no deeper than [`DEPTH`].
fn width(data_type: &DataType) -> u64 {
    match data_type {
        DataType::FixedSizeBinary(bytes) => u64::from(bytes.unsigned_abs()),
        DataType::FixedSizeList(item, length) => {
            u64::from(length.unsigned_abs()).saturating_mul(width(item.data_type()).max(1))
        }
        DataType::Struct(fields) => {
            fields.iter().fold(0, |sum: u64, field| sum.saturating_add(width(field.data_type())))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => width(item.data_type()),
        _ => 0,
    }
}

fn depth(data_type: &DataType) -> usize {
    // By a stack of its own: what is measured here is what overflows the other one.
    let mut open = vec![(data_type, 0)];
    let mut deepest = 0;
    while let Some((data_type, depth)) = open.pop() {
        deepest = deepest.max(depth);
        match data_type {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                open.push((item.data_type(), depth + 1));
            }
            DataType::Map(entries, _) => open.push((entries.data_type(), depth + 1)),
            DataType::Struct(fields) => open.extend(fields.iter().map(|field| (field.data_type(), depth + 1))),
            DataType::Union(fields, _) => open.extend(fields.iter().map(|(_, field)| (field.data_type(), depth + 1))),
            _ => {}
        }
    }
    deepest
}

/// The type of a text, which may be anybody's; nothing where it is none, is too long, or has too many others in it.
pub(crate) fn parse_type(text: &str) -> Option<DataType> {
    // The parser goes down by recursion with each parenthesis. No type of a CSV file has more than one.
    let bounded = text.len() <= TYPE && text.matches('(').count() <= DEPTH;
    if bounded { text.parse().ok() } else { None }
}

/// How many rows of so many columns are decoded at once.
pub(super) fn rows_of_cells(batch_rows: usize, columns: usize) -> usize {
    batch_rows.min(CELLS / columns.max(1)).max(1)
}

/// How many rows are decoded at once where `rows` of them have so many bytes.
pub(super) fn rows_of_bytes(batch_rows: usize, rows: u64, bytes: u64) -> usize {
    let row = (bytes / rows.max(1)).max(1);
    batch_rows.min(usize::try_from(BATCH / row).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Field;
    use std::sync::Arc;

    #[test]
    fn types_whose_every_row_is_huge_are_refused() {
        let of = |data_type: DataType| check(&Schema::new(vec![Field::new("x", data_type, true)]));
        let list = |item: DataType, length| DataType::FixedSizeList(Field::new("item", item, true).into(), length);
        of(DataType::FixedSizeBinary(1 << 20)).unwrap();
        of(list(DataType::Float32, 4_096)).unwrap();
        for huge in [
            DataType::FixedSizeBinary(i32::MAX),
            list(DataType::Null, i32::MAX),
            list(list(DataType::FixedSizeBinary(300), 300), 300),
        ] {
            assert_eq!(of(huge).unwrap_err().place().column.as_deref(), Some("x"));
        }
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        let nested = |levels: usize| {
            (0..levels).fold(DataType::Int8, |item, level| match level % 2 {
                0 => DataType::List(Arc::new(Field::new("item", item, true))),
                _ => DataType::Struct(vec![Field::new("field", item, true)].into()),
            })
        };
        let check = |name: &str, levels| check(&Schema::new(vec![Field::new(name, nested(levels), true)]));
        assert!(check("x", DEPTH).is_ok());
        assert_eq!(check("x", DEPTH + 1).unwrap_err().place().column.as_deref(), Some("x"));
        assert!(check(&"x".repeat(NAME), 0).is_ok());
        assert!(check(&"x".repeat(NAME + 1), 0).is_err());
    }

    #[test]
    fn texts_of_types_that_would_overflow_are_none() {
        assert_eq!(parse_type("Decimal128(10, 2)"), Some(DataType::Decimal128(10, 2)));
        assert!(parse_type("List(Struct(\"a\": non-null Timestamp(µs, \"UTC\")))").is_some());
        for opening in ["List(", "Dictionary(Int32, ", "Struct(\"a\": ", "Struct(\")\": "] {
            assert_eq!(parse_type(&opening.repeat(60_000)), None);
            assert_eq!(parse_type(&format!("{}Int8{}", opening.repeat(DEPTH + 1), ")".repeat(DEPTH + 1))), None);
        }
    }

    #[test]
    fn batches_of_wide_and_long_rows_are_short() {
        assert_eq!(rows_of_cells(8_192, 20), 8_192);
        assert_eq!(rows_of_cells(8_192, 100_000), 10);
        assert_eq!(rows_of_cells(8_192, 10_000_000), 1);
        assert_eq!(rows_of_bytes(8_192, 1_000_000, 100_000_000), 8_192);
        assert_eq!(rows_of_bytes(8_192, 1_000, 300_000_000), 13);
        assert_eq!(rows_of_bytes(8_192, 0, u64::MAX), 1);
    }
}
