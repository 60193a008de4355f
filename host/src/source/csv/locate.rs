//! Finds the value that a CSV reader stumbled over, by reading the file again: arrow-csv counts records, people count lines.

use super::{Layout, Origin};
use crate::Error;
use crate::source::files::InputFile;
use ::csv::ByteRecord;
use arrow_schema::{Field, Schema, SchemaRef};
use std::sync::Arc;

/// What is wrong with the first bad record that follows `rows` good ones, if that is found.
///
/// Only the columns in `read` have been parsed. A position's column is the number of the field.
pub(super) fn locate(
    file: &InputFile,
    layout: &Layout,
    schema: &SchemaRef,
    read: &[usize],
    rows: u64,
) -> Option<Error> {
    let mut records = layout.records(file.open().ok()?);
    let mut record = ByteRecord::new();
    let mut seen = 0;
    while records.read_byte_record(&mut record).ok()? {
        seen += 1;
        if seen <= rows {
            continue;
        }
        let line = record.position().map_or(0, |position| position.line() as usize);
        if let Some((field, error)) = check(&record, layout, schema, read) {
            return Some(error.position(line, field + 1).rows([seen - 1]));
        }
    }
    None
}

/// The first field of a record that is wrong.
fn check(record: &ByteRecord, layout: &Layout, schema: &Schema, read: &[usize]) -> Option<(usize, Error)> {
    let columns = schema.fields().len();
    if record.len() != columns {
        let message = format!("the line has {} fields, but there are {columns} columns", record.len());
        let hint = "quote fields that hold the delimiter, and check which delimiter the file uses";
        return Some((record.len().min(columns), Error::source(message).hint(hint)));
    }
    for (index, value) in record.iter().enumerate() {
        let field = schema.field(index);
        let Ok(value) = std::str::from_utf8(value) else {
            let error = Error::source(format!("a value of `{}` is no UTF-8", field.name()));
            return Some((index, error.column(field.name()).hint("convert the file to UTF-8")));
        };
        if read.contains(&index) && !parses(value, field, layout) {
            let shown: String = value.chars().take(40).collect();
            let fraction = field.data_type().is_integer() && is_fraction(value);
            let what = if fraction { "no whole number, as they are in a column" } else { "no value" };
            let error = Error::source(format!("`{shown}` is {what} of type `{}`", field.data_type()));
            let hint = hint(layout.origin(field.name()), fraction);
            return Some((index, error.column(field.name()).hint(hint)));
        }
    }
    None
}

/// Whether a value is a number with a point or an exponent.
fn is_fraction(value: &str) -> bool {
    value.contains(['.', 'e', 'E']) && value.parse::<f64>().is_ok_and(f64::is_finite)
}

/// What to do about a value that is not of its column's type, or about a fraction in a column of whole numbers.
fn hint(origin: Origin, fraction: bool) -> &'static str {
    match (origin, fraction) {
        (Origin::Guessed, false) => {
            "state the column's type, name the value as null, or raise `infer_rows` so that the guess sees it"
        }
        (Origin::Guessed, true) => {
            "state `float64` for the column in `csv.types`, or raise `infer_rows` so that the guess sees it"
        }
        (Origin::Stated, false) => "state another type for the column, or name the value as null",
        (Origin::Stated, true) => "state `float64` for the column in `csv.types`",
        (Origin::Assumed, false) => {
            "the model was fitted on this type: name the value as null, or fit again with another type"
        }
        (Origin::Assumed, true) => {
            "the model was fitted on whole numbers: write them without a point, or fit it again with `float64` for the column in \
             `csv.types`"
        }
        (Origin::Unknown, _) => {
            "the model knows no such column, so its type was guessed from the first rows: name the value as null, or leave the \
             column out"
        }
    }
}

/// Whether arrow-csv takes a value, asked of a file that holds only this.
fn parses(value: &str, field: &Field, layout: &Layout) -> bool {
    let mut writer = ::csv::WriterBuilder::new().delimiter(layout.delimiter).from_writer(Vec::new());
    if writer.write_record([value]).is_err() {
        return false;
    }
    let Ok(text) = writer.into_inner() else { return false };
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    arrow_csv::ReaderBuilder::new(schema)
        .with_format(layout.format().with_header(false))
        .build(text.as_slice())
        .is_ok_and(|mut reader| reader.all(|batch| batch.is_ok()))
}
