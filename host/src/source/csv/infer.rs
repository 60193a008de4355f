//! The schema of CSV files: names from the headers, types as stated or as guessed from the first rows of all files.

use super::{CsvOptions, Layout, locate, types};
use crate::source::agree::agree;
use crate::source::files::InputFile;
use crate::source::input::beneath;
use crate::{Error, Result};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;

/// The schema that all of `files` share.
pub(super) fn schema(files: &[InputFile], layout: &Layout, options: &CsvOptions) -> Result<Schema> {
    let named = files.iter().map(|file| names(file, layout)).collect::<Result<Vec<_>>>()?;
    let untyped = agree(files.iter().map(|file| file.path.as_path()).zip(&named))?;
    let mut guesses = vec![DataType::Null; untyped.fields().len()];
    let mut rows = options.infer_rows;
    for file in files {
        if rows == 0 {
            break;
        }
        rows -= guess(file, layout, &untyped, rows, &mut guesses)?;
    }
    let mut fields = Vec::with_capacity(guesses.len());
    for (field, guess) in untyped.fields().iter().zip(guesses) {
        let data_type = match (options.types.get(field.name()), options.assumed.get(field.name())) {
            (Some(stated), _) => types::parse(stated).map_err(|error| error.column(field.name()))?,
            (None, Some(assumed)) => assumed.clone(),
            // No value was seen. Text can hold whatever comes later; `Null` would drop it.
            (None, None) if guess == DataType::Null => DataType::Utf8,
            (None, None) => guess,
        };
        fields.push(Field::new(field.name(), data_type, true));
    }
    match options.types.keys().find(|name| untyped.column_with_name(name).is_none()) {
        None => Ok(Schema::new(fields)),
        Some(unknown) => Err(Error::usage(format!("a type is stated for `{unknown}`, which is no column"))
            .column(unknown)
            .hint("check the name against the file's header")),
    }
}

/// The column names of a file, as a schema without types.
fn names(file: &InputFile, layout: &Layout) -> Result<Schema> {
    let failed = |message: String| Error::source(message).file(&file.path);
    let reader = file.open()?;
    let failure = reader.failure();
    let mut records = layout.records(reader);
    let header = records.byte_headers().map_err(|error| {
        beneath(&failure, || failed("the file cannot be read as CSV".into()).because(error)).file(&file.path)
    })?;
    if header.is_empty() {
        let hint = "a CSV file needs at least a header; write the file anew or leave it out";
        return Err(failed("the file is empty".into()).hint(hint));
    }
    let mut fields = Vec::with_capacity(header.len());
    for (index, name) in header.iter().enumerate() {
        let name = if layout.header {
            std::str::from_utf8(name)
                .map_err(|error| failed(format!("the name of column {} is no UTF-8", index + 1)).because(error))
                .map_err(|error| error.position(1, index + 1).hint("convert the file to UTF-8"))?
                .to_owned()
        } else {
            format!("column_{}", index + 1)
        };
        if name.is_empty() {
            return Err(failed(format!("column {} has no name", index + 1))
                .position(1, index + 1)
                .hint("name it in the header, or state that the file has no header"));
        }
        fields.push(Field::new(name, DataType::Null, true));
    }
    Ok(Schema::new(fields))
}

/// Widens `guesses` by the first rows of a file; says how many rows that were.
fn guess(file: &InputFile, layout: &Layout, untyped: &Schema, rows: usize, guesses: &mut [DataType]) -> Result<usize> {
    let reader = file.open()?;
    let failure = reader.failure();
    let (schema, read) = layout.format().infer_schema(reader, Some(rows)).map_err(|error| {
        let told = || Error::source("the file cannot be read as CSV").because(error);
        let located = || locate::locate(file, layout, &Arc::new(untyped.clone()), &[], 0).unwrap_or_else(told);
        beneath(&failure, located).file(&file.path)
    })?;
    for (guess, field) in guesses.iter_mut().zip(schema.fields()) {
        *guess = wider(guess, field.data_type());
    }
    Ok(read)
}

/// The type that holds the values of two guesses, as arrow-csv would guess from both files in one.
fn wider(one: &DataType, other: &DataType) -> DataType {
    use DataType::*;
    match (one, other) {
        (Null, known) | (known, Null) => known.clone(),
        (one, other) if one == other => one.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (Date32, Timestamp(unit, None)) | (Timestamp(unit, None), Date32) => Timestamp(*unit, None),
        (Timestamp(one, None), Timestamp(other, None)) => Timestamp(finer(*one, *other), None),
        _ => Utf8,
    }
}

fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    use TimeUnit::*;
    [Nanosecond, Microsecond, Millisecond].into_iter().find(|unit| [one, other].contains(unit)).unwrap_or(Second)
}
